//! Checks that a message with unreadable headers goes to the shelf with its bytes, and takes no other message with it.

use std::net::{TcpListener, TcpStream};

use serde_json::Value;
use sqlx::{Connection, Executor, SqliteConnection};
use testmo_courier::amqp::{Delivery, Event, Intake, Subscription};
use testmo_courier::batch::Reason;
use testmo_courier::store::shelf::{RAW_HEADERS, ShelfState, Shelved};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::support::batches::{batch, names};
use crate::support::broker::Broker;
use crate::support::process::{Process, command};
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::{patient, until};
use crate::support::wire::Authority;
use testmo_hostile::{entry, nested, short, text};

const CASES: &str = "testmo.cases";

/// Returns the bytes of the content header that is kept with a row.
fn raw_headers(row: &Shelved) -> Vec<u8> {
    let digits = row.content.headers.get(RAW_HEADERS).expect("the header's bytes").as_bytes();
    let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).expect("digits"), 16).expect("digits");
    digits.chunks(2).map(byte).collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn body(id: &str) -> Vec<u8> {
    batch("acme", id, 1).to_string().into_bytes()
}

fn courier(stage: &Stage, arguments: &[&str]) -> String {
    let output = command(stage).args(arguments).output().expect("the program");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Returns tables of headers, each with part of the report about it. RabbitMQ 3.10 refuses none of them.
fn unreadable_tables() -> Vec<(Vec<u8>, &'static str)> {
    let trace = vec![b'x'; 16_500];
    vec![
        (entry(b"x-exception-stacktrace", &text(&trace)), "bytes; at most 16,376 can be read"),
        (entry(b"d", &nested(200, b'F')), "nested more than 64 levels deep"),
        (entry(b"d", &nested(200, b'A')), "nested more than 64 levels deep"),
        (entry(b"d", &nested(3_200, b'A')), "nested more than 64 levels deep"),
        (entry(b"d", &nested(21_800, b'F')), "bytes; at most 16,376 can be read"),
        (entry(b"d", &nested(26_000, b'A')), "bytes; at most 16,376 can be read"),
        (entry(b"x-\xff", &text(b"value")), "the header name \"x-\\xff\" is not UTF-8"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_whose_headers_cannot_be_read_are_shelved_between_batches_that_arrive() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let process = Process::start(&stage).await;
    let mut raw = stage.raw_publisher();
    let mut wanted = Vec::new();
    for (n, (table, detail)) in unreadable_tables().into_iter().enumerate() {
        let id = format!("p-{n}");
        raw.with_headers(CASES, &table, &body(&id)).unwrap_or_else(|error| panic!("{detail}: {error}"));
        wanted.push((id, table, detail));
        stage.publish(&batch("acme", &format!("b-{n}"), 1)).await;
    }
    let property = short(b"\xff\xfe");
    raw.publish(CASES, b"batch", 1 << 7, &property, &body("p-id")).expect("a stored message");
    wanted.push(("p-id".into(), property, "the property message_id is not UTF-8"));
    for n in 0..wanted.len() - 1 {
        assert_eq!(stage.delivered(&format!("acme/b-{n}")).await["data"]["revision"], 1);
    }
    let shelf = stage.shelf_until(|shelf| shelf.len() == wanted.len()).await;
    for (id, headers, detail) in &wanted {
        let is_its = |row: &&Shelved| *row.content.body == body(id);
        let row = shelf.iter().find(is_its).unwrap_or_else(|| panic!("{id} is not on the shelf"));
        assert_eq!((row.state, row.content.reason), (ShelfState::Dead, Reason::UnreadableHeaders));
        assert!(row.content.detail.as_ref().is_some_and(|told| told.contains(detail)), "{:?}", row.content.detail);
        assert!(contains(&raw_headers(row), headers), "{id}");
        let event = stage.event_of(&format!("acme/{id}")).await;
        assert_eq!(
            (&event["data"]["outcome"], &event["data"]["reason"]),
            (&"invalid".into(), &"unreadable_headers".into())
        );
    }
    for queue in [CASES, "testmo.cases.dead", "testmo.unrouted"] {
        until(async || Broker::shared().depth(&stage.vhost, queue) == 0).await;
    }
    // The connection was never lost, so nothing was delivered twice.
    assert!(!process.output().contains("broker not connected"), "{}", process.output());

    let row = shelf.iter().find(|row| *row.content.body == body("p-6")).expect("the row");
    let id = row.id.to_string();
    let shown = courier(&stage, &["shelf", "show", &id]);
    assert!(shown.contains("is not UTF-8") && shown.contains("\\x03x-\\xffS"), "{shown}");
    let json: Value = serde_json::from_str(&courier(&stage, &["shelf", "show", &id, "--json"])).expect("JSON");
    assert!(json["headers"][RAW_HEADERS].as_str().is_some_and(|digits| digits.contains("03782dff53")), "{json}");
    courier(&stage, &["replay", &id, "--yes"]);
    stage.delivered("acme/p-6").await;
    assert_eq!(stage.account("acme").case_names().iter().filter(|name| name.starts_with("p-")).count(), 1);
    stage.shelf_until(|shelf| shelf.len() == wanted.len() - 1).await;
    process.stop().await;
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_unreadable_in_the_dead_and_the_unrouted_queue_is_shelved_too() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let mut raw = stage.raw_publisher();
    let table = entry(b"x-\xff", &text(b"value"));
    raw.with_headers("testmo.cases.dead", &table, &body("p-1")).expect("a stored message");
    raw.publish("testmo.unrouted", b"bach.\xff", 1 << 7, &short(b"\xff"), &body("p-2")).expect("a stored message");
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 1)).await;
    stage.delivered("acme/b-1").await;
    let shelf = stage.shelf_until(|shelf| shelf.len() == 2).await;
    let details: String = shelf.iter().filter_map(|row| row.content.detail.clone()).collect();
    assert!(shelf.iter().all(|row| row.content.reason == Reason::UnreadableHeaders));
    for part in [
        "the delivery limit was reached",
        "no queue matches the routing key: published to exchange `testmo.unrouted` as `bach.?`",
    ] {
        assert!(details.contains(part), "{details}");
    }
    for queue in ["testmo.cases.dead", "testmo.unrouted"] {
        until(async || Broker::shared().depth(&stage.vhost, queue) == 0).await;
    }
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_routing_key_that_is_not_utf_8_and_headers_of_64_levels_are_delivered() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let mut raw = stage.raw_publisher();
    raw.publish(CASES, b"batch.\xff", 0, &[], &body("b-1")).expect("a stored message");
    // The table of headers itself is the first level.
    raw.with_headers(CASES, &entry(b"d", &nested(63, b'F')), &body("b-2")).expect("a stored message");
    raw.with_headers(CASES, &entry(b"d", &nested(63, b'A')), &body("b-3")).expect("a stored message");
    stage.start_worker();
    for id in ["b-1", "b-2", "b-3"] {
        stage.delivered(&format!("acme/{id}")).await;
    }
    assert!(stage.shelf().await.is_empty());
    stage.end().await;
}

/// Returns how many messages of a queue its consumers have in hand.
fn in_hand(vhost: &str, queue: &str) -> usize {
    let expression = format!(
        "{{ok,Q}}=rabbit_amqqueue:lookup(rabbit_misc:r(<<\"{vhost}\">>,queue,<<\"{queue}\">>)),\
         {{ok,{{_,N}},_}}=ra:leader_query(amqqueue:get_pid(Q),fun(S)->rabbit_fifo:query_messages_checked_out(S)end),N."
    );
    Broker::shared().ctl(&["-q", "eval", &expression]).trim().parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_over_unreadable_headers_leaves_one_row() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let process = Process::start(&stage).await;
    // During another program's transaction, the worker has the message in hand and cannot store it.
    let mut other = SqliteConnection::connect(&stage.config.store.url).await.expect("the store");
    other.execute("BEGIN IMMEDIATE").await.expect("the only writer");
    let mut raw = stage.raw_publisher();
    raw.with_headers(CASES, &entry(b"x-\xff", &text(b"value")), &body("p-1")).expect("a stored message");
    until(async || in_hand(&stage.vhost, CASES) == 1).await;
    process.kill();
    assert!(stage.shelf().await.is_empty());
    other.execute("ROLLBACK").await.expect("the end of it");
    other.close().await.expect("the end of it");

    let process = Process::start(&stage).await;
    let shelf = stage.shelf_until(|shelf| !shelf.is_empty()).await;
    assert_eq!((shelf.len(), shelf[0].content.reason), (1, Reason::UnreadableHeaders));
    assert!(contains(&raw_headers(&shelf[0]), b"x-\xff"));
    until(async || Broker::shared().depth(&stage.vhost, CASES) == 0).await;
    stage.publish(&batch("acme", "b-1", 1)).await;
    stage.delivered("acme/b-1").await;
    process.stop().await;
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[cfg(debug_assertions)]
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_once_unreadable_headers_are_stored_leaves_one_row() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.environment.insert("COURIER_CRASH_AT".into(), "after_park:1".into());
    let mut process = Process::start(&stage).await;
    let mut raw = stage.raw_publisher();
    raw.with_headers(CASES, &entry(b"x-\xff", &text(b"value")), &body("p-1")).expect("a stored message");
    process.exit().await;
    assert_eq!(Broker::shared().depth(&stage.vhost, CASES), 1, "it was acknowledged before the crash");
    stage.environment.remove("COURIER_CRASH_AT");
    let process = Process::start(&stage).await;
    until(async || Broker::shared().depth(&stage.vhost, CASES) == 0).await;
    assert_eq!(stage.shelf().await.len(), 1);
    assert_eq!(stage.event_of("acme/p-1").await["data"]["reason"], "unreadable_headers");
    process.stop().await;
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_queue_that_may_not_be_read_is_named_while_batches_arrive() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let (broker, vhost, user) = (Broker::shared(), stage.vhost.clone(), format!("reader-{}", stage.vhost));
    broker.ctl(&["add_user", &user, "secret"]);
    let permit = |read: &str| drop(broker.ctl(&["set_permissions", "-p", &vhost, &user, "^$", ".*", read]));
    permit("^testmo\\.(cases|unrouted)$");
    let url = stage.environment["COURIER_AMQP__URL"].replace("guest:guest", &format!("{user}:secret"));
    stage.environment.insert("COURIER_AMQP__URL".into(), url);
    let process = Process::launch(&stage);
    let says = |part: &str| process.get("/readyz").is_some_and(|answer| answer.contains(part));
    until(async || says("not ready: dead_letters\n")).await;
    assert_eq!(process.metric("testmo_courier_broker_up{connection=\"dead_letters\"}"), Some(0.0));
    stage.publish(&batch("acme", "b-1", 1)).await;
    stage.delivered("acme/b-1").await;
    permit(".*");
    until(async || says("200 OK")).await;
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_unreadable_headers_are_shelved_and_batches_arrive() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let authority = Authority::new();
    let (certificate, key) = authority.pems("localhost");
    for (name, pem) in [("ca.pem", &authority.pem), ("cert.pem", &certificate), ("key.pem", &key)] {
        std::fs::write(stage.path(name), pem).expect("a file");
    }
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = free.local_addr().expect("its address").port();
    drop(free);
    let path = |name: &str| stage.path(name).display().to_string();
    let listen = format!(
        "ssl:start(),ok=rabbit_networking:start_ssl_listener({{\"127.0.0.1\",{port}}},[{{certfile,\"{}\"}},\
         {{keyfile,\"{}\"}}],2),listening.",
        path("cert.pem"),
        path("key.pem")
    );
    Broker::shared().ctl(&["-q", "eval", &listen]);
    until(async || TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
    let (url, authority) = (format!("amqps://guest:guest@localhost:{port}/{}", stage.vhost), path("ca.pem"));
    stage.environment.insert("COURIER_AMQP__URL".into(), url);
    stage.environment.insert("SSL_CERT_FILE".into(), authority);
    let process = Process::start(&stage).await;
    let mut raw = stage.raw_publisher();
    for n in 0..10 {
        let table = entry(b"x-exception-stacktrace", &text(&[b'x'; 16_500]));
        raw.with_headers(CASES, &table, &body(&format!("p-{n}"))).expect("a stored message");
        stage.publish(&batch("acme", &format!("b-{n}"), 50)).await;
    }
    for n in 0..10 {
        stage.delivered(&format!("acme/b-{n}")).await;
    }
    stage.shelf_until(|shelf| shelf.len() == 10).await;
    let mut there = stage.account("acme").case_names();
    let mut wanted: Vec<String> = (0..10).flat_map(|n| names(&format!("b-{n}"), 50)).collect();
    there.sort();
    wanted.sort();
    assert_eq!(there, wanted);
    assert!(!process.output().contains("broker not connected"), "{}", process.output());
    process.stop().await;
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intake_opens_no_connection_before_the_other_one_is_of_use() {
    let stage = Stage::with_tenants(&[]).await;
    let (tasks, close) = (TaskTracker::new(), CancellationToken::new());
    let subscription = |queue: &str| Subscription { queue: queue.into(), prefetch: 1, memory: u64::MAX };
    let missing = Intake::start(&stage.config.amqp, subscription("missing"), &tasks, close.clone());
    let dead = subscription("testmo.cases.dead");
    let mut waiting = Intake::start_after(missing.status(), &stage.config.amqp, dead, &tasks, close.clone());
    stage.raw_publisher().with_headers("testmo.cases.dead", &[], b"dead").expect("a stored message");
    let mut status = missing.status();
    patient(status.wait_for(|status| format!("{status:?}").contains("Down"))).await.expect("a status");
    assert_eq!(format!("{:?}", *waiting.status().borrow()), "Connecting");
    let declared = format!(
        "rabbit_amqqueue:declare(rabbit_misc:r(<<\"{}\">>,queue,<<\"missing\">>),true,false,[],none,<<\"test\">>),declared.",
        stage.vhost
    );
    Broker::shared().ctl(&["-q", "eval", &declared]);
    match patient(waiting.next()).await {
        Some(Event::Delivery(delivery)) => {
            let Delivery { message, handle, .. } = *delivery;
            assert_eq!(message.body, b"dead");
            handle.ack().await.expect("an acknowledgement");
        }
        other => panic!("expected a delivery, got {other:?}"),
    }
    close.cancel();
    tasks.close();
    patient(tasks.wait()).await;
    stage.end().await;
}

//! Checks that messages that cannot be processed, one of each kind in front of good batches, hold none of these up, not
//! even when the worker is restarted in between.

use serde_json::Value;
use testmo_courier::batch::Reason;
use testmo_courier::store::shelf::Shelved;

use crate::support::batches::batch;
use crate::support::broker::Broker;
use crate::support::process::Process;
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::until;
use testmo_hostile::{entry, messages, nested, short, text};

const CASES: &str = "testmo.cases";
const TENANTS: [&str; 10] = ["t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "t9"];
/// How many good batches follow.
const GOOD: usize = 100;
/// As many messages in hand as by default, and returned as often.
const SETTINGS: [(&str, &str); 2] = [("COURIER_AMQP__PREFETCH", "200"), ("COURIER_AMQP__DELIVERY_LIMIT", "50")];

/// Publishes a message of each kind that cannot be processed, with or without a tenant that is known; returns their
/// number.
async fn poison(stage: &Stage) -> usize {
    let mut raw = stage.raw_publisher();
    let body = |n: usize| batch("t0", &format!("p-{n}"), 1).to_string().into_bytes();
    let tables = [
        entry(b"x-exception-stacktrace", &text(&vec![b'x'; 16_500])),
        entry(b"d", &nested(200, b'F')),
        entry(b"d", &nested(26_000, b'A')),
        entry(b"x-\xff", &text(b"value")),
    ];
    for (n, table) in tables.iter().enumerate() {
        raw.with_headers(CASES, table, &body(n)).expect("a stored message");
    }
    raw.publish(CASES, b"batch", 1 << 7, &short(b"\xff\xfe"), &body(tables.len())).expect("a stored message");
    let largest = stage.config.amqp.max_message_bytes;
    let bad = ["nothing", "deep lists", "no UTF-8", "NUL bytes", "a million cases"];
    let hostile = messages().into_iter().filter(|(name, _)| bad.contains(name)).map(|(_, message)| message);
    let hostile: Vec<Vec<u8>> = hostile.chain([vec![b' '; largest + 1]]).collect();
    assert_eq!(hostile.len(), bad.len() + 1);
    let count = tables.len() + 1 + hostile.len();
    for message in hostile {
        stage.publish_bytes(message).await;
    }
    // Its processing panics, in a build in which that can be ordered.
    if cfg!(debug_assertions) {
        stage.publish(&batch("t1", "bad", 1)).await;
    }
    count + usize::from(cfg!(debug_assertions))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_each_bad_kind_holds_up_no_good_batch_even_over_a_restart() {
    let mut stage = Stage::on(Broker::shared(), &TENANTS, &SETTINGS).await;
    stage.environment.insert("COURIER_PANIC_AT".into(), "unit:arrive:1000000:t1/bad".into());
    let bad = poison(&stage).await;
    let good: Vec<(&str, String)> = (0..GOOD).map(|n| (TENANTS[n % TENANTS.len()], format!("b-{n}"))).collect();
    for (tenant, id) in &good[..GOOD / 2] {
        stage.publish(&batch(tenant, id, 1)).await;
    }
    let process = Process::start(&stage).await;
    for (tenant, id) in &good[..GOOD / 4] {
        stage.delivered(&format!("{tenant}/{id}")).await;
    }
    process.stop().await;
    for (tenant, id) in &good[GOOD / 2..] {
        stage.publish(&batch(tenant, id, 1)).await;
    }
    let process = Process::start(&stage).await;
    for (tenant, id) in &good[GOOD / 4..] {
        stage.delivered(&format!("{tenant}/{id}")).await;
    }
    let is_dead = |row: &Shelved| row.content.reason != Reason::Suspect;
    let shelf = stage.shelf_until(|shelf| shelf.len() == bad && shelf.iter().all(is_dead)).await;
    let is_good = |row: &&Shelved| {
        let body: Value = serde_json::from_slice(&row.content.body).unwrap_or_default();
        good.iter().any(|(tenant, id)| body["tenant_id"] == *tenant && body["batch_id"] == *id)
    };
    assert_eq!(shelf.iter().filter(is_good).count(), 0);
    until(async || Broker::shared().depth(&stage.vhost, CASES) == 0).await;
    for tenant in TENANTS {
        assert_eq!(stage.account(tenant).case_names().len(), GOOD / TENANTS.len(), "{tenant}");
    }
    process.stop().await;
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

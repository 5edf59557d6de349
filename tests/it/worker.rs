//! Checks that a worker says what it works with, survives failures of its dependencies, and ends in the right way.

use testmo_courier::batch::Reason;
use testmo_courier::store::ledger::Commit;
use testmo_courier::store::shelf::{ShelfIdentity, ShelvedUntil, Shelving};
use testmo_courier::store::{ConnectionStore, LedgerStore};
use testmo_sim::Method;
use testmo_sim::faults::{CommitTime, Fault, PathKind, Rule};

use crate::support::batches::{batch, in_days, key_of, names, on_create};
use crate::support::broker::{Broker, QUEUE_SETTLES};
use crate::support::process::{Process, command};
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::until;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_reconnects_to_a_broker_that_was_killed_and_restarted() {
    let broker = Broker::start();
    let mut stage = Stage::on(&broker, &["acme"], &[]).await;
    let process = Process::start(&stage).await;
    tokio::time::sleep(QUEUE_SETTLES).await;
    for n in 0..20 {
        stage.publish(&batch("acme", &format!("b-{n}"), 3)).await;
    }
    broker.kill();
    broker.boot();
    stage.listen_again().await;
    for n in 20..25 {
        stage.publish_at_last(&batch("acme", &format!("b-{n}"), 3)).await;
    }
    for n in 0..25 {
        stage.settled(&format!("acme/b-{n}")).await;
    }
    let mut there = stage.account("acme").case_names();
    let mut wanted: Vec<String> = (0..25).flat_map(|n| names(&format!("b-{n}"), 3)).collect();
    there.sort();
    wanted.sort();
    assert_eq!(there, wanted);
    stage.all_sent().await;
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_cancelled_subscribes_again() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 2)).await;
    stage.event_of("acme/b-1").await;
    let deleted = format!(
        "{{ok,Q}}=rabbit_amqqueue:lookup(rabbit_misc:r(<<\"{}\">>,queue,<<\"testmo.cases\">>)),\
         rabbit_amqqueue:delete(Q,false,false,<<\"test\">>),deleted.",
        stage.vhost
    );
    Broker::shared().ctl(&["-q", "eval", &deleted]);
    // Before the queue is declared again, a batch would go to the shelf as unrouted. One consumer belongs to this test.
    until(async || Broker::shared().consumers(&stage.vhost) == 4).await;
    stage.publish(&batch("acme", "b-2", 2)).await;
    assert_eq!(stage.event_of("acme/b-2").await["data"]["outcome"], "delivered");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_asked_to_stop_finishes_its_request_and_exits_with_0() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").set_faults([on_create(Fault::Slow { ms: 1_000, commit: CommitTime::AfterDelay }).times(1)]);
    let mut process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", 5)).await;
    let creating = |request: &testmo_sim::world::RequestRecord| request.method == Method::Post;
    stage.account("acme").until(|station| station.log.iter().any(creating)).await;
    stage.publish(&batch("acme", "b-2", 5)).await;
    process.signal("TERM");
    assert_eq!(process.exit().await.code(), Some(0));
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["data"]["outcome"], "delivered");
    let second = Process::start(&stage).await;
    assert_eq!(stage.event_of("acme/b-2").await["data"]["outcome"], "delivered");
    let mut there = stage.account("acme").case_names();
    there.sort();
    assert_eq!(there, [names("b-1", 5), names("b-2", 5)].concat());
    second.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_in_the_middle_of_a_push_leaves_nothing_twice_and_nothing_lost() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").set_faults([on_create(Fault::Held { commit: CommitTime::AfterDelay })]);
    let process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", 5)).await;
    let creating = |request: &testmo_sim::world::RequestRecord| request.method == Method::Post;
    stage.account("acme").until(|station| station.log.iter().any(creating)).await;
    process.kill();
    stage.account("acme").clear_faults();
    let second = Process::start(&stage).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["data"]["outcome"], "delivered");
    assert_eq!(event["data"]["cases"][0]["outcome"], "adopted");
    assert_eq!(stage.account("acme").case_names(), names("b-1", 5));
    second.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_what_happened_and_readiness_names_what_is_missing() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let process = Process::start(&stage).await;
    assert!(process.get("/livez").unwrap().starts_with("HTTP/1.1 200"));
    stage.publish(&batch("acme", "b-1", 5)).await;
    stage.event_of("acme/b-1").await;
    let metrics = process.get("/metrics").unwrap();
    for line in [
        "testmo_courier_batches_total{outcome=\"delivered\"} 1",
        "testmo_courier_batches_total{outcome=\"failed\"} 0",
        "testmo_courier_cases_total{outcome=\"created\"} 5",
        "testmo_courier_create_requests_total{result=\"2xx\"} 1",
        "testmo_courier_create_requests_total{result=\"5xx\"} 0",
        "testmo_courier_create_request_duration_seconds_count 1",
        "testmo_courier_batch_delivery_duration_seconds_count 1",
        "testmo_courier_broker_up{connection=\"intake\"} 1",
        "testmo_courier_store_up 1",
        "testmo_courier_insecure_origins 1",
    ] {
        assert!(metrics.contains(&format!("{line}\n")), "{line} is not in\n{metrics}");
    }
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_output_of_a_full_run_contains_a_key() {
    let mut stage = Stage::on(Broker::shared(), &["acme", "bad"], &[("COURIER_LOG__LEVEL", "trace")]).await;
    stage.account("bad").revoke(1);
    stage.account("acme").set_faults([Rule::always(Fault::status(503)).on(Method::Post, PathKind::Cases).times(1)]);
    let mut process = Process::start(&stage).await;
    let mut faulty = batch("acme", "b-3", 2);
    faulty["cases"][1]["fields"] = serde_json::json!({"custom_unknown": 1});
    stage.publish(&batch("acme", "b-1", 2)).await;
    stage.publish(&batch("bad", "b-2", 2)).await;
    stage.publish(&faulty).await;
    stage.publish_bytes("{").await;
    let mut told = vec![stage.event_of("acme/b-1").await, stage.event_of("acme/b-3").await];
    told.push(stage.event_of("").await);
    let shelf = stage.shelf_until(|shelf| shelf.len() == 3).await;
    let mut printed = vec![process.get("/metrics").unwrap(), format!("{told:?}"), format!("{shelf:?}")];
    let connections = stage.store.connections().await.unwrap();
    printed.push(format!("{connections:?} {:?}", stage.config));
    for arguments in [
        vec!["tenants", "list"],
        vec!["tenants", "show", "acme"],
        vec!["tenants", "verify", "bad"],
        vec!["shelf", "list"],
        vec!["batches", "list"],
        vec!["config", "show"],
    ] {
        let output = command(&stage).args(&arguments).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        assert!(!text.is_empty(), "{arguments:?} prints nothing");
        printed.push(String::from_utf8(text).unwrap());
    }
    process.signal("TERM");
    assert_eq!(process.exit().await.code(), Some(0));
    printed.push(process.output());
    let master_key = std::fs::read_to_string(&stage.config.keys.master_key_file).unwrap();
    for secret in [key_of("acme"), key_of("bad"), master_key.trim().to_owned()] {
        for text in &printed {
            assert!(!text.contains(&secret), "a key is in\n{text}");
        }
    }
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_worker_on_the_same_file_is_refused() {
    let stage = Stage::with_tenants(&["acme"]).await;
    let process = Process::start(&stage).await;
    let second = command(&stage).arg("run").output().unwrap();
    assert!(!second.status.success());
    let told = String::from_utf8(second.stderr).unwrap();
    assert!(told.contains("in use by another worker"), "{told}");
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspect_that_does_no_harm_is_delivered_and_leaves_the_shelf() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let shelve = Shelving {
        identity: ShelfIdentity::Raw("x".into(), None, None),
        reason: Reason::Suspect,
        detail: None,
        until: ShelvedUntil::After(std::time::Duration::ZERO),
        account: None,
        connection: None,
        parks: 0,
        failing_since: None,
        arrived_at: 1,
        published_at: None,
        headers: Default::default(),
        body: batch("acme", "b-1", 2).to_string().into_bytes().into(),
    };
    stage.store.commit(Commit { shelve: Some(shelve), ..Commit::default() }.into()).await.unwrap();
    stage.start_worker();
    assert_eq!(stage.event_of("acme/b-1").await["data"]["outcome"], "delivered");
    stage.shelf_until(<[_]>::is_empty).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_with_other_arguments_is_reported_and_used() {
    let mut stage = Stage::on(Broker::shared(), &["acme"], &[("COURIER_AMQP__DELIVERY_LIMIT", "7")]).await;
    stage.environment.insert("COURIER_AMQP__DELIVERY_LIMIT".into(), "9".into());
    let process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", 2)).await;
    assert_eq!(stage.event_of("acme/b-1").await["data"]["outcome"], "delivered");
    let output = process.output();
    assert!(output.contains("testmo.cases") && output.contains("differs"), "{output}");
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_its_master_key_says_what_to_do() {
    let stage = Stage::with_tenants(&["acme"]).await;
    std::fs::remove_file(&stage.config.keys.master_key_file).unwrap();
    let output = command(&stage).arg("run").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("master key") && told.contains("testmo-courier init"), "{told}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiring_key_is_reported_once_even_without_any_traffic() {
    let mut stage = Stage::with_tenants(&["acme", "birch"]).await;
    for (tenant, date) in [("acme", in_days(5)), ("birch", in_days(-2))] {
        let mut row = stage.store.connection(&tenant.parse().unwrap()).await.unwrap().unwrap();
        row.expires_on = Some(date);
        stage.store.set_connection(&row).await.unwrap();
    }
    stage.start_worker();
    let expiring = stage.event_of("acme").await;
    assert_eq!(expiring["type"], "com.sqai-suite.testmo.key.expiring.v1");
    assert_eq!(expiring["data"]["days_left"], 5);
    assert!(expiring["data"]["remedy"].as_str().unwrap().contains("revoke the old key"));
    assert_eq!(stage.event_of("birch").await["type"], "com.sqai-suite.testmo.key.expired.v1");
    stage.stop_worker().await;
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 1)).await;
    stage.event_of("acme/b-1").await;
    stage.stop_worker().await;
    assert_eq!(stage.heard("acme") + stage.heard("birch"), 0, "each reminder is told once");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_says_at_its_start_what_it_works_with_and_no_password() {
    let stage = Stage::with_tenants(&["acme"]).await;
    let process = Process::start(&stage).await;
    let said = process.output();
    let line = said.lines().find(|line| line.contains("worker started")).unwrap_or_else(|| panic!("{said}"));
    for part in [env!("CARGO_PKG_VERSION"), "sqlite:", "amqp://guest:***@", "127.0.0.1:"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    process.stop().await;
    stage.end().await;
}

//! What becomes of what does not arrive, and does it come back? One test for each row of the settlement table.

use std::time::Duration;

use serde_json::json;
use testmo_courier::batch::message::decode::decode;
use testmo_courier::batch::{Reason, fingerprint};
use testmo_courier::clock::Clock;
use testmo_courier::store::ledger::Commit;
use testmo_courier::store::removal::RemovalOutcome;
use testmo_courier::store::shelf::{ShelfIdentity, ShelfState, ShelvedUntil, Shelving};
use testmo_courier::store::{AccountStore, ConnectionStore, LedgerStore, Store, StoreHealth};
use testmo_sim::Method;
use testmo_sim::faults::{Fault, PathKind, RetryAfter, Rule};
use testmo_sim::model::Role;
use testmo_sim::world::AccountSpec;

use crate::support::broker::Broker;
use crate::support::process::{Process, command};
use crate::support::stage::{Stage, batch, key_of, names, on_create, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_message_is_dead_with_its_place_and_holds_nobody_up() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    stage.publish_bytes(r#"{"schema_version": 1, "#).await;
    let mut faulty = batch("acme", "b-2", 2);
    faulty["cases"][1]["name"] = json!(7);
    stage.publish(&faulty).await;
    stage.publish(&batch("acme", "b-3", 2)).await;
    assert_eq!(stage.event_of("").await["data"]["reason"], "not_json");
    let event = stage.event_of("acme/b-2").await;
    assert_eq!(event["data"]["reason"], "invalid_message");
    assert_eq!(event["data"]["faults"][0]["pointer"], "/cases/1/name");
    assert_eq!(stage.event_of("acme/b-3").await["data"]["outcome"], "delivered");
    let shelf = stage.shelf().await;
    assert_eq!(shelf.len(), 2);
    assert!(shelf.iter().all(|row| row.state == ShelfState::Dead));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_with_a_wrong_routing_key_is_found_on_the_shelf() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    let body = batch("acme", "b-1", 1).to_string();
    stage.publish_to("nonsense", body.clone().into_bytes()).await.unwrap();
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["data"]["reason"], "undeliverable");
    let shelf = stage.shelf().await;
    assert_eq!(shelf[0].content.body, body.as_bytes());
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_an_unknown_tenant_waits_until_the_tenant_is_known() {
    let mut stage = Stage::with_tenants(&["acme", "late"]).await;
    let late = "late".parse().unwrap();
    let version = stage.store.connection(&late).await.unwrap().unwrap().version;
    assert_eq!(stage.store.remove_tenant(&late, &version).await.unwrap(), RemovalOutcome::Done);
    stage.start_worker();
    stage.publish(&batch("late", "b-1", 2)).await;
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Parked, Reason::UnknownTenant));
    assert_eq!(stage.event_of("late/b-1").await["type"], "com.sqai-suite.testmo.batch.deferred.v1");
    assert!(stage.connect("late", "late", &key_of("late")).await);
    assert_eq!(stage.event_of("late/b-1").await["data"]["outcome"], "delivered");
    assert_eq!(stage.account("late").case_names(), names("b-1", 2));
    stage.shelf_until(<[_]>::is_empty).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_stops_its_tenant_alone_and_a_new_one_brings_the_work_back() {
    let mut stage = Stage::with_tenants(&["acme", "other"]).await;
    stage.account("acme").revoke(1);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 2)).await;
    stage.publish(&batch("other", "b-2", 2)).await;
    assert_eq!(stage.event_of("other/b-2").await["data"]["outcome"], "delivered");
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Parked, Reason::KeyRefused));
    let calls = stage.account("acme").requests().len();
    stage.publish(&batch("acme", "b-3", 2)).await;
    stage.shelf_until(|shelf| shelf.len() == 2).await;
    assert_eq!(stage.account("acme").requests().len(), calls, "no call with a key that is known to be refused");
    stage.account("acme").give_key(1, "testmo_api_new");
    for batch in ["acme/b-1", "acme/b-3"] {
        let event = stage.event_of(batch).await;
        assert_eq!(event["type"], "com.sqai-suite.testmo.batch.deferred.v1");
        assert_eq!(event["data"]["reason"], "key_refused");
    }
    let failed = stage.event_of("acme").await;
    assert_eq!(failed["type"], "com.sqai-suite.testmo.connection.failed.v1");
    assert!(failed["data"]["remedy"].as_str().unwrap().contains("user profile page"));
    assert!(stage.connect("acme", "acme", "testmo_api_new").await);
    let restored = stage.event_of("acme").await;
    assert_eq!(restored["type"], "com.sqai-suite.testmo.connection.restored.v1");
    assert_eq!(restored["data"]["batches"], 2);
    assert_eq!(stage.event_of("acme/b-1").await["data"]["outcome"], "delivered");
    assert_eq!(stage.event_of("acme/b-3").await["data"]["outcome"], "delivered");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_account_is_left_alone_by_all_its_tenants_until_it_has_room() {
    let get = |fault: Fault, path| Rule::always(fault).on(Method::Get, path).times(1);
    let (seconds, date) = (Some(RetryAfter::Seconds(1)), Some(RetryAfter::DateIn(2)));
    for faults in [
        vec![on_create(Fault::throttled(seconds)).times(1)],
        vec![on_create(Fault::throttled(date)).times(1)],
        // Looking for a folder, and for what an unclear end left.
        vec![get(Fault::throttled(date), PathKind::Folders)],
        vec![on_create(Fault::status(503)).times(1), get(Fault::throttled(seconds), PathKind::Cases)],
    ] {
        let mut stage = Stage::with_tenants(&["acme"]).await;
        assert!(stage.connect("second", "acme", &key_of("acme")).await);
        stage.account("acme").set_faults(faults.clone());
        stage.start_worker();
        let mut first = batch("acme", "b-1", 5);
        first["folder_path"] = json!(["Checkout"]);
        stage.publish(&first).await;
        let origin = stage.testmo.origin("acme");
        until(async || stage.store.throttle(&origin).await.unwrap().gate_until > 0).await;
        stage.publish(&batch("second", "b-2", 5)).await;
        stage.delivered("acme/b-1").await;
        stage.delivered("second/b-2").await;
        let requests = stage.account("acme").requests();
        let refused = requests.iter().find(|request| request.status == Some(429)).expect("a refusal");
        let refused = refused.answered_at.unwrap().0;
        let in_the_pause = requests.iter().filter(|r| (refused + 1..refused + 950).contains(&r.received_at.0)).count();
        assert_eq!(in_the_pause, 0, "{faults:?}: {requests:?}");
        assert_eq!(stage.account("acme").cases().len(), 10);
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_that_testmo_refuses_is_dead_and_the_others_arrive() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    let mut partly = batch("acme", "b-1", 4);
    partly["cases"][2]["fields"] = json!({"custom_unknown": 1});
    stage.publish(&partly).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["type"], "com.sqai-suite.testmo.batch.partially_delivered.v1");
    assert_eq!(event["data"]["cases"][2]["outcome"], "refused");
    assert_eq!(event["data"]["cases"][2]["said"][0]["field"], "custom_unknown");
    assert_eq!(stage.account("acme").case_names(), ["b-1 case 1", "b-1 case 2", "b-1 case 4"]);
    let shelf = stage.shelf().await;
    assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Dead, Reason::CaseRefused));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_required_field_that_the_mapping_lacks_waits_for_the_connection() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").change_settings(|settings| settings.required_fields = vec!["custom_priority".into()]);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 1)).await;
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Parked, Reason::ConnectionRejected));
    assert!(shelf[0].content.detail.as_deref().unwrap().contains("custom_priority"));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_too_large_is_halved_and_a_case_that_is_too_large_alone_is_refused() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").change_settings(|settings| settings.body_limit_bytes = 3_000);
    stage.start_worker();
    let mut large = batch("acme", "b-1", 30);
    large["cases"][10]["description"] = json!("long ".repeat(1_000));
    stage.publish(&large).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["data"]["outcome"], "partial");
    assert_eq!(event["data"]["cases"][10]["reason"], "case_too_large");
    let mut wanted = names("b-1", 30);
    wanted.remove(10);
    assert_eq!(stage.account("acme").case_names(), wanted);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_that_are_each_too_large_are_each_refused() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").change_settings(|settings| settings.body_limit_bytes = 2_000);
    stage.start_worker();
    let mut large = batch("acme", "b-1", 20);
    for at in 0..19 {
        large["cases"][at]["description"] = json!("long ".repeat(1_000));
    }
    stage.publish(&large).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["data"]["outcome"], "partial");
    for at in 0..19 {
        assert_eq!(event["data"]["cases"][at]["reason"], "case_too_large", "{at}");
    }
    assert_eq!(stage.account("acme").case_names(), ["b-1 case 20"]);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_names_no_case_is_halved_until_the_others_arrive() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").set_faults([on_create(Fault::status(422)).times(4)]);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 8)).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["data"]["outcome"], "partial");
    assert_eq!(event["data"]["cases"][0]["reason"], "case_refused");
    assert_eq!(stage.account("acme").case_names(), names("b-1", 8)[1..]);
    let requests = stage.account("acme").requests();
    let sent: Vec<usize> = requests.iter().map(|r| r.case_names.len()).filter(|sent| *sent > 0).collect();
    assert_eq!(sent, [8, 4, 2, 1, 2, 4, 1]);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_everything_is_refused_the_connection_is_to_blame_and_no_case_is_given_up() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").set_faults([on_create(Fault::status(422))]);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 100)).await;
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Parked, Reason::ConnectionRejected));
    let creates = stage.account("acme").requests().iter().filter(|r| r.method == Method::Post).count();
    assert_eq!(creates, 13, "twice the logarithm of 100");
    stage.account("acme").clear_faults();
    assert!(stage.connect("acme", "acme", &key_of("acme")).await);
    stage.delivered("acme/b-1").await;
    assert_eq!(stage.account("acme").case_names(), names("b-1", 100));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_refusal_of_every_case_is_the_connections() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").change_settings(|settings| settings.tag_max_chars = 3);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 3)).await;
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Parked, Reason::ConnectionRejected));
    assert!(shelf[0].content.detail.as_deref().unwrap().contains("tags"), "{shelf:?}");
    let deferred = stage.event_of("acme/b-1").await;
    assert_eq!(deferred["type"], "com.sqai-suite.testmo.batch.deferred.v1");
    assert_eq!(deferred["data"]["reason"], "connection_rejected");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_refusal_in_testmos_words_is_dead_with_its_status() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").set_faults([on_create(Fault::status(400)).times(1)]);
    let process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", 2)).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["type"], "com.sqai-suite.testmo.batch.failed.v1");
    assert_eq!(event["data"]["cases"][1]["reason"], "rejected");
    assert!(event["data"]["cases"][1]["said"][0]["message"].as_str().unwrap().contains("400"), "{event}");
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Dead, Reason::Rejected));
    // What the alert on dead letters and the dashboard's errors by cause go by.
    until(async || process.metric("testmo_courier_shelf_batches{reason=\"rejected\",state=\"dead\"}") == Some(1.0))
        .await;
    assert_eq!(process.metric("testmo_courier_pushes_total{answer=\"4xx\"}"), Some(1.0));
    drop(process);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_refused_for_its_own_reason_fails_the_batch() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    let mut bad = batch("acme", "b-1", 2);
    bad["cases"][0]["fields"] = json!({"custom_one": 1});
    bad["cases"][1]["fields"] = json!({"custom_two": 1});
    stage.publish(&bad).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["type"], "com.sqai-suite.testmo.batch.failed.v1");
    assert_eq!(event["data"]["reason"], "all_refused");
    assert_eq!(stage.shelf().await[0].state, ShelfState::Dead);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_write_permission_waits_until_it_is_mended() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").set_role(1, Role::Read);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 2)).await;
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Parked, Reason::Forbidden));
    assert_eq!(stage.event_of("acme/b-1").await["type"], "com.sqai-suite.testmo.batch.deferred.v1");
    stage.account("acme").set_role(1, Role::Write);
    assert!(stage.connect("acme", "acme", &key_of("acme")).await);
    assert_eq!(stage.event_of("acme/b-1").await["data"]["outcome"], "delivered");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_or_a_folder_that_is_gone_waits_for_the_connection() {
    for of_project in [true, false] {
        let mut stage = Stage::with_tenants(&["acme"]).await;
        let acme = stage.account("acme");
        assert!(if of_project { acme.delete_project(1) } else { acme.delete_folder(1) });
        stage.start_worker();
        stage.publish(&batch("acme", "b-1", 2)).await;
        let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
        assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Parked, Reason::TargetMissing));
        assert_eq!((shelf[0].content.until, shelf[0].content.failing_since), (ShelvedUntil::Connection, None));
        let failed = stage.event_of("acme").await;
        assert_eq!(failed["type"], "com.sqai-suite.testmo.connection.failed.v1");
        assert_eq!(stage.event_of("acme/b-1").await["data"]["reason"], "target_missing");
        // Somebody makes them again.
        acme.create(AccountSpec::with_one_folder(&key_of("acme"))).expect("an account");
        assert!(stage.connect("acme", "acme", &key_of("acme")).await);
        stage.delivered("acme/b-1").await;
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_testmo_that_cannot_be_reached_is_tried_again_and_then_parked_for_a_time() {
    // Nobody listens where somebody did.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let origin = format!("http://{gone}/gone");
    let settings = [("COURIER_TESTMO__ALLOW_INSECURE_ORIGINS", origin.as_str()), ("COURIER_RETRY__FIRST_PARK", "6m")];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    stage.connect_as_proven("gone", &origin).await;
    stage.start_worker();
    stage.publish(&batch("gone", "b-1", 2)).await;
    stage.publish(&batch("acme", "b-2", 2)).await;
    stage.delivered("acme/b-2").await;
    let deferred = stage.event_of("gone/b-1").await;
    assert_eq!(deferred["type"], "com.sqai-suite.testmo.batch.deferred.v1");
    assert_eq!(deferred["data"]["reason"], "unreachable");
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Parked, Reason::Unreachable));
    assert!(matches!(shelf[0].content.until, ShelvedUntil::After(_)), "{shelf:?}");
    assert!(shelf[0].content.parks == 1 && shelf[0].content.failing_since.is_some(), "an attempt is counted");
    let connection = stage.store.connection(&"gone".parse().unwrap()).await.unwrap().unwrap();
    assert!(connection.is_verified(), "it has worked before");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_finds_no_room_for_long_waits_on_the_shelf_without_an_attempt() {
    let settings = [("COURIER_WORKER__LONGEST_WAIT", "1s"), ("COURIER_PUSH__CONCURRENCY", "1")];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    stage.account("acme").change_settings(|settings| settings.latency_ms = 700);
    let process = Process::start(&stage).await;
    for n in 0..6 {
        stage.publish(&batch("acme", &format!("b-{n}"), 150)).await;
    }
    for n in 0..6 {
        stage.delivered(&format!("acme/b-{n}")).await;
    }
    let no_room = process.metric("testmo_courier_shelved_total{reason=\"no_room\"}").unwrap();
    assert!(no_room >= 1.0, "nothing waited for room");
    stage.shelf_until(<[_]>::is_empty).await;
    let mut there = stage.account("acme").case_names();
    there.sort();
    let mut wanted: Vec<String> = (0..6).flat_map(|n| names(&format!("b-{n}"), 150)).collect();
    wanted.sort();
    assert_eq!(there, wanted);
    drop(process);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_finds_nothing_wrong_is_not_told_as_mended_before_a_case_has_arrived() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").set_role(1, Role::Read);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 2)).await;
    let failed = stage.event_of("acme").await;
    assert_eq!(failed["type"], "com.sqai-suite.testmo.connection.failed.v1");
    assert!(failed["data"]["remedy"].as_str().unwrap().contains("write permission"), "{failed}");
    let creates = |stage: &Stage| stage.account("acme").requests().iter().filter(|r| r.method == Method::Post).count();
    for role in [Role::Read, Role::Write] {
        stage.shelf_until(|shelf| shelf.len() == 1 && !shelf[0].leased).await;
        let before = creates(&stage);
        stage.account("acme").set_role(1, role);
        // The user may read, so this look finds nothing wrong either way.
        let verified = command(&stage).args(["tenants", "verify", "acme"]).output().unwrap();
        assert_eq!(verified.status.code(), Some(0), "{verified:?}");
        until(async || creates(&stage) > before).await;
    }
    stage.delivered("acme/b-1").await;
    let restored = stage.event_of("acme").await;
    assert_eq!(restored["type"], "com.sqai-suite.testmo.connection.restored.v1");
    assert_eq!(restored["data"]["batches"], 1);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_was_never_reached_is_the_connections_trouble() {
    let lost = format!("http://{}.invalid/lost", "a".repeat(64));
    let settings = [("COURIER_TESTMO__ALLOW_INSECURE_ORIGINS", lost.as_str())];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    assert!(!stage.connect_to("lost", &lost, &key_of("acme")).await);
    stage.start_worker();
    stage.publish(&batch("lost", "b-1", 2)).await;
    stage.publish(&batch("acme", "b-2", 2)).await;
    stage.delivered("acme/b-2").await;
    let deferred = stage.event_of("lost/b-1").await;
    assert_eq!(deferred["data"]["reason"], "wrong_host");
    assert!(deferred["data"]["remedy"].as_str().unwrap().contains("typing errors"), "{deferred}");
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!((shelf[0].state, shelf[0].content.until), (ShelfState::Parked, ShelvedUntil::Connection));
    assert!(stage.connect("lost", "acme", &key_of("acme")).await);
    stage.delivered("lost/b-1").await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_testmos_stops_the_tenant() {
    for fault in [
        Fault::Redirect { location: "/login".into() },
        Fault::Html { after_commit: false },
        Fault::Html { after_commit: true },
    ] {
        let mut stage = Stage::with_tenants(&["acme"]).await;
        stage.account("acme").set_faults([on_create(fault)]);
        stage.start_worker();
        stage.publish(&batch("acme", "b-1", 2)).await;
        let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
        assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Parked, Reason::NotTestmo));
        let failed = stage.event_of("acme").await;
        assert!(failed["data"]["remedy"].as_str().unwrap().contains("Check the instance URL"), "{failed}");
        // Whatever the page hid, it is found before anything is sent again.
        stage.account("acme").clear_faults();
        assert!(stage.connect("acme", "acme", &key_of("acme")).await);
        stage.delivered("acme/b-1").await;
        assert_eq!(stage.account("acme").case_names(), names("b-1", 2));
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn time_on_the_shelf_for_another_reason_is_no_time_of_failing() {
    const DAY: i64 = 86_400_000;
    for (reason, until, failing) in [
        // It waited three days for its connection, or for a worker.
        (Reason::KeyRefused, ShelvedUntil::Connection, 3 * DAY + 60_000),
        (Reason::ServerError, ShelvedUntil::After(Duration::ZERO), 3 * DAY + 60_000),
    ] {
        let mut stage = Stage::with_tenants(&["acme"]).await;
        stage.account("acme").set_faults([on_create(Fault::status(503))]);
        let now = stage.store.now();
        let before = Store::open(&stage.config.store, false, Clock::standing_at(now - 3 * DAY)).await.unwrap();
        let body = batch("acme", "b-1", 2).to_string().into_bytes();
        let fingerprint = fingerprint(&decode(&body).unwrap());
        let shelve = Shelving {
            identity: ShelfIdentity::Batch("acme/b-1".parse().unwrap(), fingerprint),
            reason,
            detail: None,
            until,
            account: None,
            connection: None,
            parks: 9,
            failing_since: Some(now - failing),
            arrived_at: 1,
            published_at: None,
            headers: Default::default(),
            body,
        };
        before.commit(Commit { shelve: Some(shelve), ..Commit::default() }.into()).await.unwrap();
        before.close().await;
        stage.start_worker();
        let shelf = stage.shelf_until(|shelf| shelf[0].content.parks == 10).await;
        assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Parked, Reason::ServerError));
        let failing = stage.store.now() - shelf[0].content.failing_since.unwrap();
        assert!((60_000..DAY).contains(&failing), "{failing} ms");
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stays_ill_parks_the_batch_and_gives_it_up_after_the_horizon() {
    let settings =
        [("COURIER_RETRY__FIRST_PARK", "50ms"), ("COURIER_RETRY__HORIZON", "1s"), ("COURIER_RETRY__LEAST_PARKS", "2")];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    stage.account("acme").set_faults([on_create(Fault::status(503))]);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 2)).await;
    stage.shelf_until(|shelf| shelf.len() == 1).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!((&event["data"]["outcome"], &event["data"]["reason"]), (&json!("failed"), &json!("retries_exhausted")));
    assert_eq!(stage.shelf_until(|shelf| shelf[0].state == ShelfState::Dead).await.len(), 1);
    assert!(stage.account("acme").cases().is_empty());
    stage.end().await;
}

//! Checks that a panic fails only its unit of work, and that the end of a loop ends the worker.

use serde_json::Value;
use testmo_courier::batch::{Reason, TenantId, raw_hash};
use testmo_courier::guard::Task;
use testmo_courier::store::ledger::Commit;
use testmo_courier::store::shelf::{ShelfIdentity, ShelfState, Shelved, ShelvedUntil, Shelving};
use testmo_courier::store::{ConnectionStore, LedgerStore};
use testmo_sim::Method;
use testmo_sim::faults::{CommitTime, Fault};

use crate::support::batches::{batch, in_days, names, on_create};
use crate::support::broker::Broker;
use crate::support::process::Process;
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::until;

/// More often than any test tries a unit.
const ALWAYS: u32 = 1_000_000;

/// Returns a stage whose worker panics as ordered.
async fn ordered(tenants: &[&str], order: String, settings: &[(&str, &str)]) -> Stage {
    let mut stage = Stage::on(Broker::shared(), tenants, settings).await;
    stage.environment.insert("COURIER_PANIC_AT".into(), order);
    stage
}

fn unit(point: &str, times: u32, needle: &str) -> String {
    format!("unit:{point}:{times}:{needle}")
}

/// Returns how many panics of a task's units were counted.
fn panics(process: &Process, task: Task) -> u64 {
    let series = format!("testmo_courier_panics_total{{task=\"{task}\"}} ");
    let metrics = process.get("/metrics").expect("metrics");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&series)).expect("the series");
    value.parse().expect("a number")
}

fn is_ready(process: &Process) -> bool {
    process.get("/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

fn has_crash_loop(shelf: &[Shelved]) -> bool {
    shelf.iter().any(|row| row.content.reason == Reason::CrashLoop)
}

/// Checks that only this batch is left, dead after it was tried apart, and that the worker continues without it.
async fn only_this_is_dead(stage: &mut Stage, process: &Process, bad: &Value) {
    let shelf = stage.shelf_until(has_crash_loop).await;
    assert_eq!(shelf.len(), 1, "{shelf:?}");
    assert_eq!((shelf[0].state, &*shelf[0].content.body), (ShelfState::Dead, &bad.to_string().into_bytes()));
    let detail = shelf[0].content.detail.clone().expect("a detail");
    assert!(detail.contains("tried alone 3 times") && detail.contains("ordered at"), "{detail}");
    until(async || Broker::shared().depth(&stage.vhost, "testmo.cases") == 0).await;
    stage.publish(&batch("acme", "b-after", 1)).await;
    assert_eq!(stage.delivered("acme/b-after").await["data"]["outcome"], "delivered");
    assert!(is_ready(process), "{}", process.output());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_panics_is_tried_apart_and_given_up_and_its_neighbours_are_delivered() {
    let mut stage = ordered(&["acme"], unit("arrive", ALWAYS, "acme/b-bad"), &[]).await;
    let process = Process::start(&stage).await;
    let bad = batch("acme", "b-bad", 2);
    stage.publish(&batch("acme", "b-1", 2)).await;
    stage.publish(&bad).await;
    stage.publish(&batch("acme", "b-2", 2)).await;
    for id in ["acme/b-1", "acme/b-2"] {
        assert_eq!(stage.delivered(id).await["data"]["outcome"], "delivered");
    }
    only_this_is_dead(&mut stage, &process, &bad).await;
    assert_eq!((panics(&process, Task::Intake), panics(&process, Task::Shelf)), (1, 3));
    let output = process.output();
    let line = output.lines().find(|line| line.contains("panic, which is a defect in the worker")).expect("a line");
    assert!(line.contains("ordered at arrive over acme/b-bad") && line.contains("src/guard.rs:"), "{line}");
    let unit = format!("message {}", raw_hash(bad.to_string().as_bytes()));
    assert!(output.contains(&unit), "{output}");
    process.stop().await;
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_panics_once_is_delivered_after_it_was_tried_apart() {
    let mut stage = ordered(&["acme"], unit("arrive", 1, "acme/b-1"), &[]).await;
    let process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", 2)).await;
    assert_eq!(stage.delivered("acme/b-1").await["data"]["outcome"], "delivered");
    stage.shelf_until(<[_]>::is_empty).await;
    assert_eq!(panics(&process, Task::Intake), 1);
    assert_eq!(stage.account("acme").case_names(), names("b-1", 2));
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shelf_row_that_panics_is_given_up_and_the_rows_beside_it_are_delivered() {
    let mut stage = ordered(&["acme"], unit("arrive", ALWAYS, "acme/b-bad"), &[]).await;
    let row = |id: &str, arrived_at| Shelving {
        identity: ShelfIdentity::Batch(format!("acme/{id}").parse().expect("a batch"), "1:f".into()),
        reason: Reason::NoRoom,
        detail: None,
        until: ShelvedUntil::After(std::time::Duration::ZERO),
        account: None,
        connection: None,
        // Like a batch that has failed for long: earlier parks do not count as tries apart from others.
        parks: 9,
        failing_since: None,
        arrived_at,
        published_at: None,
        headers: Default::default(),
        body: batch("acme", id, 2).to_string().into_bytes().into(),
    };
    for (id, arrived_at) in [("b-1", 1), ("b-bad", 2), ("b-2", 3)] {
        stage
            .store
            .commit(Commit { shelve: Some(row(id, arrived_at)), ..Commit::default() }.into())
            .await
            .expect("a store");
    }
    let process = Process::start(&stage).await;
    for id in ["acme/b-1", "acme/b-2"] {
        assert_eq!(stage.delivered(id).await["data"]["outcome"], "delivered");
    }
    only_this_is_dead(&mut stage, &process, &batch("acme", "b-bad", 2)).await;
    assert_eq!(panics(&process, Task::Shelf), 4, "once among others, three times apart from them");
    let suspects = process.metric("testmo_courier_own_errors_total{cause=\"suspect\"}");
    assert_eq!(suspects, Some(1.0), "one batch, however often it was tried");
    process.stop().await;
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

/// Checks that if work on one of several batches panics each time, the others are delivered, even those that shared its
/// requests.
async fn work_panics_at(point: &str, counted: Task) {
    let mut stage = ordered(&["acme"], unit(point, ALWAYS, "acme/b-bad"), &[]).await;
    let bad = batch("acme", "b-bad", 2);
    for id in ["b-1", "b-2"] {
        stage.publish(&batch("acme", id, 2)).await;
    }
    stage.publish(&bad).await;
    for id in ["b-3", "b-4"] {
        stage.publish(&batch("acme", id, 2)).await;
    }
    let process = Process::start(&stage).await;
    for n in 1..=4 {
        assert_eq!(stage.delivered(&format!("acme/b-{n}")).await["data"]["outcome"], "delivered");
    }
    only_this_is_dead(&mut stage, &process, &bad).await;
    until(async || panics(&process, counted) >= 6).await;
    assert!(process.metric("testmo_courier_own_errors_total{cause=\"panic\"}").is_some_and(|count| count >= 1.0));
    assert_eq!(process.metric("testmo_courier_create_requests_in_flight"), Some(0.0));
    assert_eq!(process.metric("testmo_courier_batches_in_flight"), Some(0.0));
    let mut there = stage.account("acme").case_names();
    there.sort();
    let mut wanted: Vec<String> = (1..=4).flat_map(|n| names(&format!("b-{n}"), 2)).collect();
    wanted.extend(names("b-after", 1));
    wanted.sort();
    assert_eq!(there, wanted);
    process.stop().await;
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_panics_over_one_batch_is_held_back_and_the_others_are_delivered() {
    work_panics_at("claim", Task::Dispatcher).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_panics_over_one_batch_fails_that_batch_alone() {
    work_panics_at("transaction", Task::Store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_after_a_request_was_sent_creates_nothing_twice() {
    let mut stage = ordered(&["acme"], unit("push", 1, "acme/b-1"), &[]).await;
    let process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", 3)).await;
    let event = stage.delivered("acme/b-1").await;
    assert!(
        event["data"]["cases"].as_array().expect("cases").iter().all(|case| case["outcome"] == "adopted"),
        "{event}"
    );
    assert_eq!(panics(&process, Task::Dispatcher), 1);
    assert_eq!(stage.account("acme").case_names(), names("b-1", 3));
    assert!(stage.shelf().await.is_empty());
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undeliverable_message_that_panics_is_shelved_unread() {
    let mut stage = ordered(&["acme"], unit("undeliverable", 1, "message"), &[]).await;
    let process = Process::start(&stage).await;
    let astray = batch("acme", "b-astray", 1).to_string().into_bytes();
    stage.publish_to("nobody.listens", astray.clone()).await.expect("a broker that takes it");
    let shelf = stage.shelf_until(|shelf| !shelf.is_empty()).await;
    assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Dead, Reason::Undeliverable));
    assert_eq!(*shelf[0].content.body, astray);
    until(async || Broker::shared().depth(&stage.vhost, "testmo.unrouted") == 0).await;
    assert_eq!(panics(&process, Task::UnroutedQueue), 1);
    stage.publish(&batch("acme", "b-1", 1)).await;
    stage.delivered("acme/b-1").await;
    process.stop().await;
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_or_an_event_that_panics_is_skipped_and_its_neighbours_are_reported() {
    let mut stage = ordered(&["acme", "birch"], unit("expiry", ALWAYS, "acme"), &[]).await;
    for tenant in ["acme", "birch"] {
        let tenant: TenantId = tenant.parse().expect("a tenant");
        let mut row = stage.store.connection(&tenant).await.expect("a store").expect("a connection");
        row.expires_on = Some(in_days(5));
        stage.store.set_connection(&row).await.expect("a store");
    }
    let process = Process::start(&stage).await;
    assert_eq!(stage.event_of("birch").await["type"], "com.sqai-suite.testmo.key.expiring.v1");
    assert_eq!(panics(&process, Task::Expiry), 1);
    process.stop().await;

    stage.environment.insert("COURIER_PANIC_AT".into(), unit("publish", ALWAYS, "acme/b-1"));
    let process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", 1)).await;
    stage.settled("acme/b-1").await;
    until(async || panics(&process, Task::OutboxRelay) == 1).await;
    stage.publish(&batch("acme", "b-2", 1)).await;
    assert_eq!(stage.event_of("acme/b-2").await["data"]["outcome"], "delivered");
    until(async || stage.store.unsent_count().await.expect("a store") == 1).await;
    assert!(is_ready(&process));
    // A stop would try to send the event until the drain time is over.
    process.kill();

    stage.environment.remove("COURIER_PANIC_AT");
    let process = Process::start(&stage).await;
    assert_eq!(stage.event_of("acme/b-1").await["data"]["outcome"], "delivered");
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_connection_whose_check_panics_does_not_keep_another_from_being_checked() {
    let stage = ordered(&["acme", "birch"], unit("recheck", ALWAYS, "acme"), &[]).await;
    stage.fail_long_ago(&["acme", "birch"]).await;
    let process = Process::start(&stage).await;
    let birch: TenantId = "birch".parse().expect("a tenant");
    until(async || stage.store.connection(&birch).await.expect("a store").expect("a connection").is_verified()).await;
    until(async || panics(&process, Task::Recheck) == 1).await;
    assert!(is_ready(&process));
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_duplicate_check_that_panics_is_made_again_when_its_lease_is_over() {
    let quick = [
        ("COURIER_TESTMO__CONNECT_TIMEOUT", "300ms"),
        ("COURIER_TESTMO__REQUEST_TIMEOUT", "300ms"),
        ("COURIER_TESTMO__RECONCILE_DELAY_UNANSWERED", "300ms"),
        ("COURIER_TESTMO__LATE_DUPLICATE_CHECK_DELAY", "3s"),
    ];
    let mut stage = ordered(&["acme"], unit("late_duplicates", 1, "acme/b-1"), &quick).await;
    let late = Fault::Slow { ms: 4_000, commit: CommitTime::AfterDelay };
    stage.account("acme").set_faults([on_create(late).times(1)]);
    let process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", 3)).await;
    assert_eq!(stage.delivered("acme/b-1").await["data"]["outcome"], "delivered");
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["type"], "com.sqai-suite.testmo.case.duplicated.v1");
    assert_eq!(panics(&process, Task::LateDuplicates), 1);
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_session_with_the_broker_or_in_a_periodic_task_costs_one_round() {
    for (order, task) in [
        (unit("session", 1, "testmo.cases"), Task::Consumer),
        (unit("prune", 1, "old work"), Task::Prune),
        (unit("counts", 1, "counts"), Task::Health),
    ] {
        let mut stage = ordered(&["acme"], order, &[]).await;
        let process = Process::start(&stage).await;
        for n in 1..=3 {
            stage.publish(&batch("acme", &format!("b-{n}"), 2)).await;
        }
        for n in 1..=3 {
            stage.delivered(&format!("acme/b-{n}")).await;
        }
        until(async || panics(&process, task) == 1).await;
        until(async || is_ready(&process)).await;
        let mut there = stage.account("acme").case_names();
        there.sort();
        assert_eq!(there, (1..=3).flat_map(|n| names(&format!("b-{n}"), 2)).collect::<Vec<_>>());
        process.stop().await;
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_any_task_ends_the_worker_with_1_and_it_is_not_ready_any_more() {
    let settings = [("COURIER_WORKER__DRAIN_TIMEOUT", "5s"), ("COURIER_ADMIN__LISTEN", "127.0.0.1:0")];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    // Files of tenants are taken over only from a directory; the tenant that a person has connected stays beside it.
    let directory = stage.path("tenants");
    std::fs::create_dir(&directory).expect("a folder");
    stage.environment.insert("COURIER_TENANTS__SOURCE".into(), "directory".into());
    stage.environment.insert("COURIER_TENANTS__DIRECTORY".into(), directory.display().to_string());
    for (n, task) in Task::ALL.into_iter().enumerate() {
        stage.environment.insert("COURIER_PANIC_AT".into(), format!("loop:{task}"));
        let mut process = Process::start(&stage).await;
        let id = format!("b-{n}");
        stage.publish(&batch("acme", &id, 2)).await;
        stage.delivered(&format!("acme/{id}")).await;
        process.signal("USR1");
        // During its drain, the worker may stop answering after a moment.
        until(async || !is_ready(&process)).await;
        assert_eq!(process.exit().await.code(), Some(1), "{task}: {}", process.output());
        let output = process.output();
        assert!(output.contains(&format!("the loop of {task} ends as ordered")), "{output}");
        assert!(output.contains("of the worker ended because of a defect"), "{output}");
    }
    stage.environment.remove("COURIER_PANIC_AT");
    let process = Process::start(&stage).await;
    let last = format!("b-{}", Task::ALL.len());
    stage.publish(&batch("acme", &last, 2)).await;
    stage.delivered(&format!("acme/{last}")).await;
    let mut there = stage.account("acme").case_names();
    let mut wanted: Vec<String> = (0..=Task::ALL.len()).flat_map(|n| names(&format!("b-{n}"), 2)).collect();
    there.sort();
    wanted.sort();
    assert_eq!(there, wanted);
    stage.all_sent().await;
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_a_defect_ends_finishes_its_requests_within_the_drain_time() {
    for (task, finishes) in [(Task::Prune, true), (Task::Dispatcher, false), (Task::Store, false)] {
        let mut stage = ordered(&["acme"], format!("loop:{task}"), &[("COURIER_WORKER__DRAIN_TIMEOUT", "10s")]).await;
        let slow = Fault::Slow { ms: 1_500, commit: CommitTime::AfterDelay };
        stage.account("acme").set_faults([on_create(slow).times(1)]);
        let mut process = Process::start(&stage).await;
        stage.publish(&batch("acme", "b-1", 3)).await;
        let creating = |request: &testmo_sim::world::RequestRecord| request.method == Method::Post;
        stage.account("acme").until(|station| station.log.iter().any(creating)).await;
        process.signal("USR1");
        until(async || !is_ready(&process)).await;
        if finishes {
            let answer = process.get("/readyz").expect("an answer during the drain");
            assert!(answer.contains(&format!("not ready: {task}")), "{answer}");
        }
        assert_eq!(process.exit().await.code(), Some(1), "{task}: {}", process.output());
        stage.environment.remove("COURIER_PANIC_AT");
        if finishes {
            let record = stage.record("acme/b-1").await;
            assert!(record.outcome().is_some(), "{record:?}");
        }
        let process = Process::start(&stage).await;
        stage.delivered("acme/b-1").await;
        assert_eq!(stage.account("acme").case_names(), names("b-1", 3), "{task}");
        process.stop().await;
        stage.end().await;
    }
}

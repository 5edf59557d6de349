//! Checks how a worker starts after it ended in order or did not, and that only the message over which it ended is
//! suspected.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;

use serde_json::Value;
use testmo_courier::amqp::{Event, Intake, Subscription};
use testmo_courier::batch::Reason;
use testmo_courier::store::shelf::{ShelfState, Shelved};
use testmo_sim::faults::{CommitTime, Fault};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::support::batches::{batch, on_create};
use crate::support::broker::Broker;
use crate::support::process::Process;
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::{patient, until};

/// SIGABRT, by which a worker ends that was told to.
const ABORTED: i32 = 6;
/// How a worker exits that was asked to: everything had ended, or the rest was cut after the drain time.
const DRAINED: Option<i32> = Some(0);
const CUT: Option<i32> = Some(5);
/// As many messages as a worker has in hand.
const WINDOW: usize = 200;
/// More restarts than it may take to give a message up.
const MOST_RESTARTS: u32 = 60;
/// What the log says of each message that is set apart.
const SET_APART: &str = "the message is tried alone";

fn is_given_up(row: &Shelved) -> bool {
    row.content.reason == Reason::CrashLoop
}

/// Starts workers that end over one message, until that one is given up; returns the last worker, and how many ended.
async fn until_given_up(stage: &Stage) -> (Process, u32) {
    for ended in 0..MOST_RESTARTS {
        let mut process = Process::launch(stage);
        tokio::select! {
            status = process.exit() => assert_eq!(status.signal(), Some(ABORTED), "{}", process.output()),
            _ = stage.shelf_until(|shelf| shelf.iter().any(is_given_up)) => return (process, ended),
        }
    }
    panic!("the message is not given up after {MOST_RESTARTS} restarts");
}

/// A stage whose worker ends whenever it reads a batch `b-bad`.
async fn with_a_bad_batch() -> Stage {
    let settings = [("COURIER_WORKER__NAME", "w")];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    stage.environment.insert("COURIER_PANIC_AT".into(), "abort:arrive:acme/b-bad".into());
    stage
}

/// Returns the hash of the message that a line of the log is about.
fn hash_in(line: &str) -> String {
    let fields: Value = serde_json::from_str(line).expect("a line of JSON");
    fields["message_hash"].as_str().expect("a hash").to_owned()
}

/// Checks that everything was delivered but the one batch that ends workers.
async fn only_the_bad_one_is_left(mut stage: Stage, process: Process, ended: u32) {
    for n in 0..WINDOW {
        assert_eq!(stage.delivered(&format!("acme/b-{n}")).await["data"]["outcome"], "delivered");
    }
    let shelf = stage.shelf().await;
    assert_eq!(shelf.len(), 1, "{shelf:?}");
    assert_eq!((shelf[0].content.reason, shelf[0].state), (Reason::CrashLoop, ShelfState::Dead));
    // Once among others, once one by one, and three times alone. A message whose acknowledgement is lost with its worker
    // comes once more.
    assert!((5..=7).contains(&ended), "{ended} ends");
    let output = process.output();
    let set_apart = output.lines().filter(|line| line.contains(SET_APART));
    let hashes: BTreeSet<String> = set_apart.map(hash_in).collect();
    assert_eq!(hashes.len(), 1, "{output}");
    assert_eq!(Broker::shared().depth(&stage.vhost, "testmo.cases.dead"), 0);
    assert_eq!(stage.account("acme").case_names().len(), WINDOW);
    process.stop().await;
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_ends_the_worker_at_every_start_is_found_and_no_other_is_suspected() {
    let stage = with_a_bad_batch().await;
    for n in 0..WINDOW {
        if n == 3 {
            stage.publish(&batch("acme", "b-bad", 1)).await;
        }
        stage.publish(&batch("acme", &format!("b-{n}"), 1)).await;
    }
    let (process, ended) = until_given_up(&stage).await;
    only_the_bad_one_is_left(stage, process, ended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shelf_row_that_ends_the_worker_at_every_start_is_found_and_no_message_is_suspected() {
    let stage = with_a_bad_batch().await;
    stage.shelve(&batch("acme", "b-bad", 1), Reason::ServerError).await;
    for n in 0..WINDOW {
        stage.publish(&batch("acme", &format!("b-{n}"), 1)).await;
    }
    let (process, ended) = until_given_up(&stage).await;
    only_the_bad_one_is_left(stage, process, ended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_in_order_under_load_leave_no_suspects() {
    let settings = [
        ("COURIER_WORKER__NAME", "w"),
        ("COURIER_WORKER__DRAIN_TIMEOUT", "100ms"),
        ("COURIER_REQUESTS__MAX_CASES", "10"),
        ("COURIER_TESTMO__REQUEST_TIMEOUT", "5s"),
        ("COURIER_TESTMO__RECONCILE_DELAY_UNANSWERED", "5s"),
    ];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    stage.account("acme").set_faults([on_create(Fault::Held { commit: CommitTime::BeforeDelay })]);
    for n in 0..WINDOW {
        stage.publish(&batch("acme", &format!("b-{n}"), 10)).await;
    }
    for _ in 0..4 {
        let mut process = Process::start(&stage).await;
        let in_hand = || process.metric("testmo_courier_batches_in_flight").unwrap_or_default();
        // More than that may be on the shelf because there is no room for it.
        until(async || in_hand() >= 20.0).await;
        process.signal("TERM");
        let code = process.exit().await.code();
        assert!([DRAINED, CUT].contains(&code), "{code:?}: {}", process.output());
    }
    stage.account("acme").set_faults([]);
    let process = Process::start(&stage).await;
    for n in 0..WINDOW {
        assert_eq!(stage.delivered(&format!("acme/b-{n}")).await["data"]["outcome"], "delivered");
    }
    let output = process.output();
    assert!(!output.contains(SET_APART) && !output.contains("one by one"), "{output}");
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_batch_that_reached_the_delivery_limit_is_tried_alone_and_delivered() {
    let mut stage = Stage::on(Broker::shared(), &["acme"], &[("COURIER_AMQP__DELIVERY_LIMIT", "1")]).await;
    stage.publish(&batch("acme", "b-1", 2)).await;
    let (tasks, close) = (TaskTracker::new(), CancellationToken::new());
    let subscription = Subscription { queue: "testmo.cases".into(), prefetch: 1, memory: u64::MAX };
    let mut intake = Intake::start(&stage.config.amqp, subscription, &tasks, close.clone());
    for _ in 0..2 {
        let Some(Event::Delivery(delivery)) = patient(intake.next()).await else { panic!("no delivery") };
        delivery.handle.give_back().await.expect("a connection");
    }
    until(async || Broker::shared().depth(&stage.vhost, "testmo.cases.dead") == 1).await;
    close.cancel();
    tasks.close();
    tasks.wait().await;
    stage.start_worker();
    assert_eq!(stage.delivered("acme/b-1").await["data"]["outcome"], "delivered");
    stage.shelf_until(<[_]>::is_empty).await;
    assert_eq!(Broker::shared().depth(&stage.vhost, "testmo.cases.dead"), 0);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_batch_whose_time_to_live_was_over_is_delivered_and_a_broken_message_is_still_broken() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let broker = Broker::shared();
    let policy = ["set_policy", "-p", stage.vhost.as_str(), "soon", "^testmo\\.cases$", r#"{"message-ttl":1}"#];
    broker.ctl(&policy);
    stage.publish(&batch("acme", "b-1", 2)).await;
    stage.publish_bytes("{").await;
    until(async || broker.depth(&stage.vhost, "testmo.cases.dead") == 2).await;
    broker.ctl(&["clear_policy", "-p", stage.vhost.as_str(), "soon"]);
    stage.start_worker();
    assert_eq!(stage.delivered("acme/b-1").await["data"]["revision"], 1);
    assert_eq!(stage.event_of("").await["data"]["reason"], "not_json");
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!(shelf[0].content.reason, Reason::NotJson);
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

//! Checks what counts against the objectives, and that the runbook of a stopped replay helps as it is written.

use std::fs;
use std::path::Path;

use testmo_courier::batch::Reason;
use testmo_courier::clock::Clock;
use testmo_courier::metrics::DELIVERY_TIMINGS;
use testmo_courier::store::accounts::{LaneOverride, LaneSelector};
use testmo_courier::store::replays::ReplayState;
use testmo_sim::faults::Fault;

use crate::replay::{courier, says};
use crate::replays::{refused, strict, until_is};
use crate::support::batches::{batch, on_create, tenant_id};
use crate::support::process::Process;
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::until;

/// Returns how many deliveries were counted, in the order of [`DELIVERY_TIMINGS`].
fn deliveries(process: &Process) -> [Option<f64>; 6] {
    DELIVERY_TIMINGS
        .map(|timing| process.metric(&format!("testmo_courier_delivered_batches_total{{timing=\"{timing}\"}}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_late_unless_it_was_in_time_or_waited_for_testmo_or_a_person() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let process = Process::start(&stage).await;
    let two_minutes_ago = u64::try_from(Clock::system().now() / 1_000 - 120).expect("a time");
    let counted = async |expected: [f64; 6]| until(async || deliveries(&process) == expected.map(Some)).await;

    stage.publish(&batch("acme", "b-1", 1)).await;
    stage.delivered("acme/b-1").await;
    counted([1.0, 0.0, 0.0, 0.0, 0.0, 0.0]).await;

    stage.publish_at(&batch("acme", "b-2", 1), two_minutes_ago).await;
    stage.delivered("acme/b-2").await;
    counted([1.0, 1.0, 0.0, 0.0, 0.0, 0.0]).await;

    stage.account("acme").set_faults([on_create(Fault::status(503)).times(1)]);
    stage.publish_at(&batch("acme", "b-3", 1), two_minutes_ago).await;
    stage.delivered("acme/b-3").await;
    counted([1.0, 1.0, 0.0, 1.0, 0.0, 0.0]).await;

    let acme = || LaneSelector::Tenant(tenant_id("acme"));
    let order = |paused| LaneOverride { lane: acme(), paused, most: None };
    stage.store.set_lane_override(&order(true)).await.expect("a store");
    stage.publish_at(&batch("acme", "b-4", 1), two_minutes_ago).await;
    stage.shelf_until(|shelf| shelf.len() == 1 && shelf[0].content.reason == Reason::Paused).await;
    stage.store.set_lane_override(&order(false)).await.expect("a store");
    stage.delivered("acme/b-4").await;
    counted([1.0, 1.0, 0.0, 1.0, 1.0, 0.0]).await;
    process.stop().await;
    stage.end().await;
}

/// Returns the arguments of the commands in the blocks of a runbook, in their order, for the replay 1.
fn commands(runbook: &str) -> Vec<Vec<String>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/runbooks/{runbook}.md"));
    let page = fs::read_to_string(page).expect("a runbook").replace("REPLAY", "1");
    let commands = page.lines().filter_map(|line| line.trim().strip_prefix("testmo-courier "));
    commands.map(|line| line.split(' ').map(Into::into).collect()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_replay_goes_on_and_another_one_is_cancelled_as_the_runbook_says() {
    let [resume, cancel] = &commands("CourierReplayStopped")[..] else { panic!("there are two ways") };
    let stopped = async |stage: &mut Stage| {
        stage.start_worker();
        refused(stage, 8).await;
        says(courier(stage, &["replay", "--state", "dead", "--unchanged", "--yes"]).await, 0, &["8 batches"]);
        until_is(stage, 1, ReplayState::Paused).await;
        let listed = courier(stage, &["replays", "list", "--state", "paused"]).await;
        says(listed, 0, &["paused", "one of the first batches"]);
        says(courier(stage, &["replays", "show", "1"]).await, 0, &["all_refused"]);
    };
    let follow = async |stage: &Stage, command: &[String]| {
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        says(courier(stage, &command).await, 0, &["Replay 1"]);
    };

    let mut stage = Stage::with_tenants(&["acme"]).await;
    stopped(&mut stage).await;
    strict(&stage, "acme", false);
    follow(&stage, resume).await;
    until_is(&stage, 1, ReplayState::Done).await;
    assert_eq!(stage.account("acme").case_names().len(), 7, "the first one failed before the cause was fixed");
    stage.end_leaving(&[LeftOver::ShelfRows]).await;

    let mut stage = Stage::with_tenants(&["acme"]).await;
    stopped(&mut stage).await;
    follow(&stage, cancel).await;
    until_is(&stage, 1, ReplayState::Cancelled).await;
    assert_eq!(stage.shelf().await.len(), 8, "what is left stays on the shelf");
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

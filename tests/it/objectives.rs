//! Checks what counts against the objectives.

use testmo_courier::batch::Reason;
use testmo_courier::clock::Clock;
use testmo_courier::metrics::DELIVERY_TIMINGS;
use testmo_courier::store::accounts::{LaneOverride, LaneSelector};
use testmo_sim::faults::Fault;

use crate::support::batches::{batch, on_create, tenant_id};
use crate::support::process::Process;
use crate::support::stage::Stage;
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

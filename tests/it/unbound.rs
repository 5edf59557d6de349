//! Checks the handling of events that no queue is bound for, and of the events behind them.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::Connection;
use testmo_courier::store::unbound::UnboundCounts;
use testmo_courier::store::{OutboxStore, UnboundStore};

use crate::support::batches::batch;
use crate::support::postgres::Postgres;
use crate::support::process::Process;
use crate::support::stage::Stage;
use crate::support::waiting::until;

/// The number of events that wait for a queue.
const WAITING: usize = 10_000;
/// The number of batches that these events are about.
const SUBJECTS: usize = 100;

/// Stores events that the broker has not confirmed, as a killed worker leaves them.
async fn leave_events(stage: &Stage, count: usize) {
    sqlx::any::install_default_drivers();
    let mut conn = sqlx::AnyConnection::connect(&stage.config.store.url).await.expect("a store that takes them");
    let sql = format!(
        "WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < {}) \
         INSERT INTO outbox (event_id, kind, routing_key, subject, body, created_at, due_at) \
         SELECT 'e' || n, 'k', 'beta.k', 'beta/' || (n % {SUBJECTS}), '{{\"n\": ' || n || '}}', 1000 + n, 1000 + n FROM n",
        count - 1
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await.expect("a store that takes them");
    conn.close().await.expect("a store that takes them");
}

/// Returns how many publishes of events had this result.
fn events(process: &Process, result: &str) -> f64 {
    process.metric(&format!("testmo_courier_event_publishes_total{{result=\"{result}\"}}")).unwrap_or_default()
}

async fn waiting(stage: &Stage) -> UnboundCounts {
    stage.store.unbound_counts(Duration::ZERO, Duration::ZERO).await.expect("a store that answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_no_queue_is_bound_for_hold_up_neither_others_nor_a_stop_and_come_in_order_once_one_is_bound() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.listen_only_to("acme.#").await;
    leave_events(&stage, WAITING).await;
    let mut process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", 2)).await;
    stage.delivered("acme/b-1").await;
    until(async || stage.store.due_count().await.expect("a store that answers") == 0).await;
    assert_eq!(waiting(&stage).await.events, i64::try_from(WAITING).expect("a number"));
    assert!(events(&process, "unroutable") < 2_000.0, "those of one routing key are not all tried");
    process.signal("TERM");
    assert!(process.exit().await.success(), "{}", process.output());

    stage.listen_only_to("beta.#").await;
    let process = Process::start(&stage).await;
    let mut last: HashMap<usize, usize> = HashMap::new();
    let mut seen = 0;
    while seen < WAITING {
        let event = stage.next_event().await;
        let n = usize::try_from(event["n"].as_u64().expect("a number")).expect("a number");
        // A copy of the last event may arrive again.
        let before = last.insert(n % SUBJECTS, n);
        assert!(before.is_none_or(|before| before == n || before + SUBJECTS == n), "{n} came after {before:?}");
        seen += usize::from(before != Some(n));
    }
    until(async || stage.store.unsent_count().await.expect("a store that answers") == 0).await;
    assert_eq!(waiting(&stage).await, UnboundCounts::default(), "the routing key is forgotten");
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_several_workers_sends_the_waiting_events_and_new_ones_of_the_key_stay_behind_them() {
    let mut stage = Stage::on_postgres(Postgres::shared(), &["acme", "beta"], &[]).await;
    stage.listen_only_to("beta.#").await;
    stage.start_worker();
    stage.start_worker();
    for n in 1..=3 {
        stage.publish(&batch("acme", &format!("b-{n}"), 1)).await;
        stage.settled(&format!("acme/b-{n}")).await;
        until(async || waiting(&stage).await.events == n).await;
    }
    stage.publish(&batch("acme", "b-1", 1)).await;
    stage.publish(&batch("beta", "b-1", 1)).await;
    stage.delivered("beta/b-1").await;
    assert_eq!(waiting(&stage).await.events, 3, "the duplicate's event waits already");
    stage.listen_only_to("acme.#").await;
    for n in 1..=3 {
        stage.delivered(&format!("acme/b-{n}")).await;
    }
    until(async || waiting(&stage).await == UnboundCounts::default()).await;
    stage.publish(&batch("acme", "b-4", 1)).await;
    stage.delivered("acme/b-4").await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_no_queue_was_bound_for_is_removed_after_the_retention_and_counted() {
    let mut stage =
        Stage::on(crate::support::broker::Broker::shared(), &["acme"], &[("COURIER_STORE__RETENTION", "1s")]).await;
    stage.listen_only_to("beta.#").await;
    let mut process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", 1)).await;
    until(async || waiting(&stage).await.events == 1).await;
    // The event is tried again when it has waited longer than the retention period.
    until(async || events(&process, "unroutable") >= 2.0).await;
    process.signal("TERM");
    assert!(process.exit().await.success());
    assert_eq!(waiting(&stage).await.events, 1);
    let process = Process::start(&stage).await;
    until(async || stage.store.unsent_count().await.expect("a store that answers") == 0).await;
    until(async || process.metric("testmo_courier_outbox_expired_events_total") == Some(1.0)).await;
    process.stop().await;
    stage.end().await;
}

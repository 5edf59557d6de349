//! Checks that a row that is broken, or of a newer version, holds back only the work that depends on it.

use serde_json::json;
use sqlx::Connection;
use testmo_courier::batch::Reason;
use testmo_courier::store::ConnectionStore;

use crate::support::batches::{batch, names, on_create};
use crate::support::broker::Broker;
use crate::support::postgres::Postgres;
use crate::support::process::Process;
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::until;
use testmo_sim::faults::Fault;

/// Runs a statement in the stage's store that changes rows, as an operator does by hand.
pub(crate) async fn run(stage: &Stage, sql: &str) {
    assert!(change_store(stage, sql).await > 0, "{sql}");
}

/// Runs statements in the stage's store, and returns how many rows they changed.
pub(crate) async fn change_store(stage: &Stage, sql: &str) -> u64 {
    sqlx::any::install_default_drivers();
    let mut conn = sqlx::AnyConnection::connect(&stage.config.store.url).await.expect("the store");
    let changed = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await.expect("a statement");
    conn.close().await.expect("an end");
    changed.rows_affected()
}

/// Checks that a worker is healthy except for `rows` unreadable rows of a table.
async fn is_well(process: &Process, table: &str, rows: f64) {
    let series = format!("testmo_courier_store_unreadable_rows{{table=\"{table}\"}}");
    until(async || process.metric(&series) == Some(rows)).await;
    assert_eq!(process.metric("testmo_courier_store_up"), Some(1.0));
    assert!(process.get("/readyz").expect("an answer").starts_with("HTTP/1.1 200"));
    let named = process.output().lines().filter(|line| line.contains("cannot be read by this version")).count();
    assert_eq!(named, usize::from(rows > 0.0), "each row is reported once");
}

/// Settings that soon retry a held batch.
const SOON: [(&str, &str); 2] =
    [("COURIER_RETRY__SHELF_BACKOFF_MIN", "1s"), ("COURIER_RETRY__SHELF_BACKOFF_MAX", "1s")];

#[tokio::test(flavor = "multi_thread")]
async fn a_shelf_row_of_a_newer_version_is_left_to_it() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    stage.publish(&batch("nobody", "b-0", 1)).await;
    stage.shelf_until(|shelf| shelf.len() == 1).await;
    stage.stop_worker().await;
    run(&stage, "UPDATE shelf SET reason = 'of_tomorrow', waits_for = 'time', due_at = 0, tenant_id = 'acme'").await;
    let process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", 2)).await;
    stage.delivered("acme/b-1").await;
    let unknown = "testmo_courier_shelf_batches{reason=\"unknown\",state=\"parked\"}";
    until(async || process.metric(unknown) == Some(1.0)).await;
    is_well(&process, "shelf", 0.0).await;
    assert_eq!(stage.shelf().await.len(), 0, "lists leave it out");
    process.stop().await;
    // The row is unchanged: an update that selects the former values finds it.
    run(&stage, "UPDATE shelf SET generation = generation WHERE reason = 'of_tomorrow' AND lease_until IS NULL").await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_shelf_row_does_not_keep_its_neighbours_on_the_shelf() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    for tenant in ["nobody", "other"] {
        stage.publish(&batch(tenant, "b-0", 1)).await;
    }
    let rows = stage.shelf_until(|shelf| shelf.len() == 2).await;
    stage.stop_worker().await;
    let broken = rows[0].id.0;
    run(&stage, "UPDATE shelf SET waits_for = 'time', due_at = 0").await;
    run(&stage, &format!("UPDATE shelf SET headers = '{{' WHERE id = {broken}")).await;
    let process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", 1)).await;
    is_well(&process, "shelf", 1.0).await;
    // The other row was taken, found to have no connection, and waits for its connection again.
    until(async || stage.shelf().await.iter().any(|row| row.content.connection.is_none() && row.generation > 1)).await;
    stage.delivered("acme/b-1").await;
    process.stop().await;
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

/// Leaves a batch that waits with cases to send, and stops its worker.
async fn waiting(stage: &mut Stage) {
    stage.account("acme").set_faults([on_create(Fault::status(503))]);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 2)).await;
    stage.shelf_until(|shelf| shelf.iter().any(|row| row.content.reason == Reason::ServerError)).await;
    stage.stop_worker().await;
    stage.account("acme").clear_faults();
}

async fn a_record_is_held_until_it_can_be_read(mut stage: Stage) {
    waiting(&mut stage).await;
    run(&stage, "UPDATE batches SET cases = REPLACE(cases, '\"s\"', '\"z\"')").await;
    let process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-2", 2)).await;
    stage.delivered("acme/b-2").await;
    let held = |row: &testmo_courier::store::shelf::Shelved| {
        let detail = row.content.detail.clone().unwrap_or_default();
        row.content.reason == Reason::StoreRowUnreadable && detail == "table batches, row acme/b-1, column cases"
    };
    stage.shelf_until(|shelf| shelf.iter().any(held)).await;
    is_well(&process, "batches", 1.0).await;
    assert_eq!(stage.account("acme").case_names(), names("b-2", 2));
    run(&stage, "UPDATE batches SET cases = REPLACE(cases, '\"z\"', '\"s\"')").await;
    stage.delivered("acme/b-1").await;
    assert_eq!(stage.account("acme").case_names().len(), 4);
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn a_record_that_cannot_be_read_holds_its_batch_alone() {
    let stage = Stage::on(Broker::shared(), &["acme"], &SOON).await;
    a_record_is_held_until_it_can_be_read(stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_read_holds_its_batch_alone_on_postgres() {
    let stage = Stage::on_postgres(Postgres::shared(), &["acme"], &SOON).await;
    a_record_is_held_until_it_can_be_read(stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_cannot_be_read_holds_its_own_batches() {
    let mut stage = Stage::on(Broker::shared(), &["acme", "oak"], &SOON).await;
    waiting(&mut stage).await;
    let account = stage.store.connection(&"acme".parse().unwrap()).await.unwrap().unwrap().origin;
    run(&stage, &format!("UPDATE accounts SET pace = '?' WHERE account = '{account}'")).await;
    let process = Process::start(&stage).await;
    for tenant in ["acme", "oak"] {
        stage.publish(&batch(tenant, "b-2", 1)).await;
    }
    stage.delivered("oak/b-2").await;
    let is_held = |shelf: &[testmo_courier::store::shelf::Shelved]| {
        shelf.len() == 2 && shelf.iter().all(|row| row.content.reason == Reason::StoreRowUnreadable)
    };
    stage.shelf_until(is_held).await;
    is_well(&process, "accounts", 1.0).await;
    run(&stage, &format!("UPDATE accounts SET pace = '{}' WHERE account = '{account}'", json!({}))).await;
    stage.delivered("acme/b-1").await;
    stage.delivered("acme/b-2").await;
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_cannot_be_read_holds_its_tenant_alone() {
    let mut stage = Stage::on(Broker::shared(), &["acme", "oak"], &SOON).await;
    run(&stage, "UPDATE connections SET mapping = '?' || mapping WHERE tenant_id = 'acme'").await;
    let process = Process::start(&stage).await;
    for tenant in ["acme", "oak"] {
        stage.publish(&batch(tenant, "b-1", 1)).await;
    }
    stage.delivered("oak/b-1").await;
    stage.shelf_until(|shelf| shelf.len() == 1 && shelf[0].content.reason == Reason::StoreRowUnreadable).await;
    is_well(&process, "connections", 1.0).await;
    assert_eq!(stage.store.connections().await.unwrap().len(), 1, "lists leave it out");
    run(&stage, "UPDATE connections SET mapping = SUBSTR(mapping, 2) WHERE tenant_id = 'acme'").await;
    stage.delivered("acme/b-1").await;
    process.stop().await;
    stage.end().await;
}

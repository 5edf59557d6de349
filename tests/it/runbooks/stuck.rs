//! Carries out the runbook of a worker that waits for something that never comes.

use serde_json::json;
use sqlx::Connection;
use testmo_sim::Method;
use testmo_sim::faults::{CommitTime, Fault, PathKind, Rule};
use url::Url;

use super::desk::Desk;
use super::page::Page;
use super::rules::{until_firing, until_silent};
use super::servers::Servers;
use crate::support::batches::batch;
use crate::support::broker::Broker;
use crate::support::postgres::Postgres;
use crate::support::stage::Stage;

/// A worker that is patient with Testmo, and not with its own stop.
const PATIENT: [(&str, &str); 3] = [
    ("COURIER_TESTMO__REQUEST_TIMEOUT", "10m"),
    ("COURIER_TESTMO__RECONCILE_DELAY_UNANSWERED", "10m"),
    ("COURIER_WORKER__DRAIN_TIMEOUT", "1s"),
];

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_worker_that_hangs_is_restarted() {
    let mut desk = Desk::of(Stage::on(Broker::shared(), &["acme"], &PATIENT).await, Servers::shared()).await;
    let acme = desk.stage.account("acme");
    // The first question about folders gets no answer on its connection.
    let held = Fault::Held { commit: CommitTime::AfterDelay };
    acme.set_faults([Rule::always(held).on(Method::Get, PathKind::Folders).times(1)]);
    desk.start().await;
    let before = desk.scrape();
    let mut foldered = batch("acme", "b-1", 1);
    foldered["folder_path"] = json!(["Checkout"]);
    desk.stage.publish(&foldered).await;
    until_firing(&desk, &["CourierStuck"], &before).await;

    let mut page = Page::of("CourierStuck");
    page.follow(&mut desk, "lanes waiting", &[]).await;
    page.follow(&mut desk, "topology check", &[]).await;
    page.follow(&mut desk, "batches list", &[]).await;
    page.follow(&mut desk, "journalctl", &[]).await;
    page.follow(&mut desk, "systemctl restart", &[]).await;
    desk.stage.delivered("acme/b-1").await;
    desk.ready().await;
    until_silent(&desk, &["CourierStuck"]).await;
    desk.end().await;

    behind_a_lock(&mut page).await;
    page.done();
}

/// Has a worker wait for a lock of a session that somebody has forgotten.
async fn behind_a_lock(page: &mut Page) {
    let stage = Stage::on_postgres(Postgres::shared(), &["acme"], &[]).await;
    let url = Url::parse(&stage.config.store.url).expect("a URL");
    let database = url.path().trim_start_matches('/');
    let mut desk = Desk::of(stage, Servers::shared()).await;
    let port = url.port().expect("a port").to_string();
    let (host, password) = (url.host_str().expect("a host"), url.password().expect("a password"));
    let login = [("PGHOST", host), ("PGPORT", &port), ("PGUSER", url.username()), ("PGPASSWORD", password)];
    desk.servers.environment.extend(login.map(|(name, value)| (name.to_owned(), value.to_owned())));
    desk.start().await;
    let before = desk.scrape();
    sqlx::any::install_default_drivers();
    let mut forgotten = sqlx::AnyConnection::connect(url.as_str()).await.expect("the database");
    let lock = sqlx::raw_sql("BEGIN; LOCK TABLE batches IN ACCESS EXCLUSIVE MODE");
    lock.execute(&mut forgotten).await.expect("a lock");
    desk.stage.publish(&batch("acme", "b-1", 1)).await;
    until_firing(&desk, &["CourierStuck"], &before).await;

    let said = page.follow(&mut desk, "pg_stat_activity", &[("DATABASE", database)]).await;
    let row = said.lines().find(|line| line.contains("LOCK TABLE")).expect("the session");
    let session = row.split('|').next().expect("a column").trim();
    page.follow(&mut desk, "pg_terminate_backend", &[("DATABASE", database), ("PID", session)]).await;
    desk.stage.delivered("acme/b-1").await;
    until_silent(&desk, &["CourierStuck"]).await;
    drop(forgotten);
    desk.end().await;
}

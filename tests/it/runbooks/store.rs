//! Carries out the runbook of a store that does not respond, where the store is a database.

use super::desk::Desk;
use super::page::Page;
use super::rules::{until_firing, until_silent};
use super::servers::Servers;
use super::store_file::in_a_file;
use crate::support::batches::batch;
use crate::support::postgres::Postgres;
use crate::support::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_database_comes_back() {
    let server = Postgres::start();
    let stage = Stage::on_postgres(&server, &["acme"], &[]).await;
    let mut desk = Desk::of(stage, Servers { postgres: Some(server), ..Servers::shared() }).await;
    desk.start().await;
    let before = desk.scrape();
    let mut page = Page::of("CourierStoreDown");

    desk.servers.postgres.as_ref().expect("the server").kill();
    until_firing(&desk, &["CourierStoreDown"], &before).await;
    let said = page.finds(&mut desk, "health", &[], 3).await;
    assert!(said.contains("store"), "{said}");
    page.follow(&mut desk, "grep store", &[]).await;
    page.follow(&mut desk, "systemctl start postgresql", &[]).await;
    desk.ready().await;
    desk.stage.publish(&batch("acme", "b-1", 1)).await;
    desk.stage.delivered("acme/b-1").await;
    until_silent(&desk, &["CourierStoreDown"]).await;
    desk.end().await;

    in_a_file(&mut page).await;
    page.done();
}

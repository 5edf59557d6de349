//! Carries out the runbook of a store that does not respond, where the store is a file.

use std::fs;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use testmo_courier::clock::Clock;
use testmo_courier::store::{Store, StoreHealth};

use super::desk::Desk;
use super::page::Page;
use super::rules::{until_firing, until_silent};
use super::servers::Servers;
use crate::remedies::surroundings::at_its_limit;
use crate::support::batches::batch;
use crate::support::broker::Broker;
use crate::support::stage::Stage;
use crate::support::waiting::until;

/// Holds the write lock of an SQLite file, and says so, until it is ended.
const HOLDER: &str = "import sqlite3, sys\n\
                      db = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
                      db.execute('BEGIN IMMEDIATE')\nprint('held', flush=True)\nsys.stdin.read()\n";

fn held(file: &str) -> Child {
    let mut holder = Command::new("/usr/bin/python3");
    holder.args(["-c", HOLDER, file]).stdin(Stdio::piped()).stdout(Stdio::piped());
    holder.spawn().expect("python3")
}

/// Has a file locked, full and damaged, one after the other.
pub(super) async fn in_a_file(page: &mut Page) {
    let mut desk = Desk::of(Stage::on(Broker::shared(), &["acme"], &[]).await, Servers::shared()).await;
    let file = desk.stage.path("courier.db").display().to_string();
    let backup = desk.stage.path("backup.gz").display().to_string();
    desk.start().await;
    let before = desk.scrape();
    let copied = desk.run(&format!("testmo-courier store backup {backup}")).await;
    assert_eq!(copied.0, Some(0), "{}", copied.1);

    let mut holder = held(&file);
    desk.stage.publish(&batch("acme", "b-1", 1)).await;
    until_firing(&desk, &["CourierStoreDown"], &before).await;
    page.follow(&mut desk, "df FILE", &[("FILE", &file)]).await;
    let said = page.follow(&mut desk, "fuser", &[("FILE", &file)]).await;
    let process = holder.id().to_string();
    assert!(said.split_whitespace().any(|word| word == process), "{process}: {said}");
    page.follow(&mut desk, "kill PID", &[("PID", &process)]).await;
    desk.stage.delivered("acme/b-1").await;
    until_silent(&desk, &["CourierStoreDown"]).await;
    holder.wait().expect("its end");

    // The batches of another tenant fill the store.
    desk.stop().await;
    desk.servers.worker = Some(at_its_limit(&mut desk.stage).await);
    until_firing(&desk, &["CourierStoreDown"], &before).await;
    desk.stage.publish(&batch("acme", "b-9", 1)).await;
    let mut left = 6;
    while left > 0 {
        desk.stage.shelf_until(|shelf| !shelf.is_empty()).await;
        let values = [("TENANT", "nobody"), ("WHY", "'no such tenant'")];
        let said = page.follow(&mut desk, "--no-undo", &values).await;
        let discarded = said.split_once("Discarded ").and_then(|(_, rest)| rest.split(' ').next()).expect("a number");
        left -= discarded.parse::<usize>().expect("a number");
    }
    desk.stage.delivered("acme/b-9").await;
    until_silent(&desk, &["CourierStoreDown"]).await;

    // The file is overwritten while the worker does not run.
    desk.stop().await;
    desk.stage.store.close().await;
    fs::write(&file, "no store at all, but some notes\n".repeat(99)).expect("a file");
    page.follow(&mut desk, "store restore", &[("FILE", &file), ("BACKUP", &backup)]).await;
    desk.ready().await;
    desk.stage.store = Store::open(&desk.stage.config.store, false, Clock::system()).await.expect("a store");
    let (code, said) = desk.run("testmo-courier lanes resume acme").await;
    assert_eq!(code, Some(0), "{said}");
    let mut again = batch("acme", "b-10", 1);
    again["cases"][0]["name"] = json!("after the restore");
    desk.stage.publish(&again).await;
    until(async || desk.stage.account("acme").case_names().iter().any(|name| name == "after the restore")).await;
    until_silent(&desk, &["CourierStoreDown"]).await;
    desk.end().await;
}

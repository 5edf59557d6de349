//! Checks that a worker whose store cannot be written says so and why, and that commands do, too.

use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use crate::support::batches::batch;
use crate::support::process::{Process, command};
use crate::support::stage::Stage;
use crate::support::waiting::until;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_another_program_has_locked_makes_the_worker_not_ready_and_is_named() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let process = Process::start(&stage).await;
    let url = format!("sqlite:{}", stage.path("courier.db").display());
    let mut other = SqliteConnection::connect(&url).await.expect("the store's file");
    sqlx::query(AssertSqlSafe("BEGIN IMMEDIATE")).execute(&mut other).await.expect("the write lock");
    stage.publish(&batch("acme", "b-1", 2)).await;
    let says = |part: &str| process.get("/readyz").is_some_and(|answer| answer.contains(part));
    until(async || says("not ready: store\nstore: another program holds the write lock of the store's file")).await;
    assert_eq!(process.metric("testmo_courier_store_up"), Some(0.0));
    assert!(process.output().contains("another program holds the write lock"), "{}", process.output());
    assert!(!process.output().contains("slow threshold"), "the library's own lines: {}", process.output());

    let paused = command(&stage).args(["lanes", "pause", "acme"]).output().expect("the program");
    let said = String::from_utf8_lossy(&paused.stderr).into_owned();
    assert_eq!(paused.status.code(), Some(3), "{said}");
    assert!(said.contains("another program holds the write lock") && said.contains("fuser"), "{said}");
    assert!(!said.contains("room on its disk"), "{said}");

    sqlx::query(AssertSqlSafe("ROLLBACK")).execute(&mut other).await.expect("the end of the lock");
    stage.delivered("acme/b-1").await;
    until(async || says("ready\n") && process.metric("testmo_courier_store_up") == Some(1.0)).await;
    process.stop().await;
    stage.end().await;
}

//! Checks that a worker notices that the file of its store was taken away, and saves what is in it.

use std::path::{Path, PathBuf};

use testmo_courier::batch::Reason;

use crate::support::batches::batch;
use crate::support::broker::Broker;
use crate::support::process::Process;
use crate::support::stage::{LeftOver, Stage};

/// The file in which SQLite keeps what is not in the database yet.
fn log_of(file: &Path) -> PathBuf {
    let mut name = file.to_owned().into_os_string();
    name.push("-wal");
    name.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_store_is_moved_stops_with_an_exit_code_of_its_own() {
    let stage = Stage::on(Broker::shared(), &["acme"], &[]).await;
    let file = stage.config.store.file().expect("a file");
    let moved = stage.path("moved.db");
    let mut process = Process::start(&stage).await;
    stage.publish(&batch("stranger", "b-1", 1)).await;
    stage.shelf_until(|rows| rows.iter().any(|row| row.content.reason == Reason::UnknownTenant)).await;
    std::fs::rename(&file, &moved).expect("a move");
    assert_eq!(process.exit().await.code(), Some(4), "{}", process.output());
    assert!(process.output().contains("put that file back"), "{}", process.output());
    // Everything is in that file alone.
    assert_eq!(std::fs::metadata(log_of(&file)).expect("the log").len(), 0);
    std::fs::rename(&moved, &file).expect("a move");
    Process::start(&stage).await.stop().await;
    assert_eq!(stage.shelf().await.len(), 1);
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

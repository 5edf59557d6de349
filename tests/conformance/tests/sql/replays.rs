//! Checks what happens on a server when the start of an entry and the cancellation of its replay meet. A file has one writer,
//! so that they never meet there.

use std::cell::Cell;
use std::time::Duration;

use sqlx::AnyConnection;
use testmo_conformance::replays::{change, running, shelve, start};
use testmo_courier::store::replays::{ItemFilter, ReplayId, ReplayState, ReplayStore};
use tokio::sync::Mutex;

use crate::stores::{SqlStore, connect, postgres, run};
use crate::waiting::until;

/// Waits until so many sessions wait for a lock, or what they do is over.
async fn until_waiting(f: &SqlStore, sessions: i64, is_over: &Cell<bool>) {
    let conn = Mutex::new(connect(&f.config.url).await);
    until(async || is_over.get() || waiting(&conn).await >= sessions).await;
}

/// Counts the sessions that wait for a lock.
async fn waiting(conn: &Mutex<AnyConnection>) -> i64 {
    let sql = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    sqlx::query_scalar(sql).fetch_one(&mut *conn.lock().await).await.unwrap()
}

async fn is_started(f: &SqlStore, replay: ReplayId) -> bool {
    let items = f.store.replay_items(replay, &ItemFilter::default(), 9).await.unwrap();
    items[0].started_at.is_some()
}

#[tokio::test]
async fn a_cancellation_waits_for_a_start_that_is_being_stored() {
    let f = postgres().await;
    let rows = shelve(&f, &["b1"]).await;
    let (replay, epoch) = running(&f, &rows).await;
    let mut lock = connect(&f.config.url).await;
    run(&mut lock, "BEGIN; SELECT 1 FROM replay_items FOR UPDATE").await;
    let is_acknowledged = Cell::new(false);
    let starting = start(&f, &rows[0], (replay, epoch), 0);
    let cancelling = async {
        until_waiting(&f, 1, &Cell::new(false)).await;
        assert!(f.store.change_replay(change(replay, epoch, ReplayState::Cancelled)).await.unwrap());
        let when_acknowledged = is_started(&f, replay).await;
        is_acknowledged.set(true);
        when_acknowledged
    };
    let releasing = async {
        until_waiting(&f, 2, &is_acknowledged).await;
        run(&mut lock, "ROLLBACK").await;
    };
    let (was_started, when_acknowledged, ()) = tokio::join!(starting, cancelling, releasing);
    assert!(was_started);
    assert!(when_acknowledged, "nothing is started after a cancellation was acknowledged");
}

#[tokio::test]
async fn a_start_waits_for_a_cancellation_that_is_being_stored_and_starts_nothing() {
    let f = postgres().await;
    let rows = shelve(&f, &["b1"]).await;
    let (replay, epoch) = running(&f, &rows).await;
    assert_eq!(f.store.lease_replays("w", Duration::from_secs(15), 1, &[]).await.unwrap().len(), 1);
    let mut lock = connect(&f.config.url).await;
    run(&mut lock, "BEGIN; UPDATE replays SET state = 'cancelled', epoch = epoch + 1").await;
    let is_over = Cell::new(false);
    let starting = async {
        let was_started = start(&f, &rows[0], (replay, epoch), 0).await;
        is_over.set(true);
        was_started
    };
    let releasing = async {
        until_waiting(&f, 1, &is_over).await;
        run(&mut lock, "COMMIT").await;
    };
    let (was_started, ()) = tokio::join!(starting, releasing);
    assert!(!was_started && !is_started(&f, replay).await);
}

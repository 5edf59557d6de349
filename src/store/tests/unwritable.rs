//! Tells apart why a store cannot be written.

use super::stores::SqlStore;
use super::*;

on_both! {
    a_store_that_was_written_lately_needs_no_proof,
}

#[tokio::test]
async fn a_file_that_another_program_has_locked_is_told_from_a_full_disk() {
    let f = sqlite().await;
    let mut other = f.store.readers.acquire().await.unwrap();
    sql::execute(&mut other, "BEGIN IMMEDIATE", vec![]).await.unwrap();
    for _ in 0..2 {
        let error = f.store.ping().await.unwrap_err();
        assert!(matches!(error, StoreError::Locked(_)), "{error:?}");
        assert!(error.to_string().contains("another program holds the write lock"), "{error}");
    }
    sql::execute(&mut other, "ROLLBACK", vec![]).await.unwrap();
    f.store.ping().await.unwrap();
    let rows = sql::fetch(&mut f.store.writing().await.unwrap(), "PRAGMA busy_timeout", vec![]).await.unwrap();
    assert_eq!(rows[0].int("timeout").unwrap(), 10_000, "changes wait as long as before");
}

#[tokio::test]
async fn a_database_that_takes_no_changes_is_told_from_one_that_does_not_answer() {
    let f = postgres().await;
    f.store.ping().await.unwrap();
    let name = f.config.url.rsplit('/').next().unwrap().to_owned();
    let sql = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    sql::execute(&mut f.store.writing().await.unwrap(), sql, vec![]).await.unwrap();
    let error = Store::open(&f.config, false, Clock::standing_at(7)).await.unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly(_)), "{error:?}");
    assert!(error.to_string().contains("point store.url at the primary server"), "{error}");
}

async fn a_store_that_was_written_lately_needs_no_proof(f: SqlStore) {
    assert_eq!(f.store.fact("written_at").await.unwrap(), None);
    f.store.commit(Commit { events: vec![event("e")], ..Commit::default() }.into()).await.unwrap();
    f.store.ping().await.unwrap();
    assert_eq!(f.store.fact("written_at").await.unwrap(), None);
    f.store.group.written().note(Err(&StoreError::Locked("busy".into())), tokio::time::Instant::now());
    f.store.ping().await.unwrap();
    assert!(f.store.fact("written_at").await.unwrap().is_some());
}

//! Checks that undos are stored step by step with the records of their batches, and read back.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use testmo_conformance::finished::deliver;
use testmo_conformance::values::{DAY, connection, target, tenant};
use testmo_courier::batch::BatchKey;
use testmo_courier::batch::ledger::{BatchRecord, BatchState};
use testmo_courier::batch::undo::{
    Former, FormerCase, How, Intent, ItemState, Left, Setting, UndoItem, UndoKind, rows_of,
};
use testmo_courier::batch::written::{BatchMark, CaseIdentity, WrittenCase, WrittenFields};
use testmo_courier::store::ledger::{Commit, RecordUpdate, WindowStep};
use testmo_courier::store::undos::{UndoBegin, UndoStep, UndoStore};
use testmo_courier::store::{ConnectionStore, LedgerStore, RetentionStore, WrittenStore};

use crate::stores::{SqlStore, connect};

on_both! {
    an_undo_is_stored_step_by_step_and_goes_with_its_batch,
    a_step_of_a_record_that_has_moved_is_not_stored,
    what_was_before_is_read_by_case,
    what_testmo_showed_of_cases_goes_with_their_tenant,
    a_case_is_forgotten_only_if_it_is_remembered_of_the_same_row,
}

fn begin(number: u64, items: Vec<UndoItem>) -> UndoStep {
    let begins = Some(UndoBegin { kind: UndoKind::Undo, how: How::default(), before: BatchState::Delivered });
    UndoStep { number, begins, items: (0..).zip(items).collect(), ends: false }
}

/// Stores a step that starts from an epoch; returns whether it was stored.
async fn store(f: &SqlStore, record: &BatchRecord, from_epoch: u64, undo: UndoStep) -> bool {
    let batch = Some(RecordUpdate { record: record.clone(), from_epoch });
    let lease = Some(Duration::from_secs(60));
    f.store.commit(Commit { batch, undo: Some(undo), lease, ..Commit::default() }.into()).await.unwrap().is_done()
}

/// Stores a delivered batch and the beginning of an undo of it.
async fn begun(f: &SqlStore) -> BatchRecord {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let mut record = deliver(f, "b-1", |_| {}).await;
    let from_epoch = record.epoch;
    record.undo(1_000_000);
    assert!(store(f, &record, from_epoch, begin(record.epoch, rows_of(&record))).await);
    record
}

async fn an_undo_is_stored_step_by_step_and_goes_with_its_batch(f: SqlStore) {
    let mut record = begun(&f).await;
    let (key, number) = (record.key.clone(), record.epoch);
    let stored = f.store.batch_at(&key).await.unwrap().0.unwrap();
    assert_eq!((stored.record.state, stored.lease_until), (BatchState::Undone, Some(1_060_000)));
    let undos = f.store.undos(&key).await.unwrap();
    assert_eq!((undos.len(), undos[0].number, undos[0].kind, undos[0].is_done), (1, number, UndoKind::Undo, false));
    let items = f.store.undo_items(&key, number).await.unwrap();
    assert_eq!(items, rows_of(&record));

    let writing = ItemState::Writing(Box::new(Intent::Set(Setting::default())));
    let item = UndoItem { state: writing, ..items[1].clone() };
    let from_epoch = record.epoch;
    record.undo_goes_on();
    let step = UndoStep { number, begins: None, items: vec![(1, item.clone())], ends: false };
    assert!(store(&f, &record, from_epoch, step).await);
    assert_eq!(f.store.undo_items(&key, number).await.unwrap(), [items[0].clone(), item]);

    let from_epoch = record.epoch;
    record.undo_goes_on();
    let left = UndoItem { state: ItemState::Left(Left::Moved), ..items[1].clone() };
    assert!(
        store(&f, &record, from_epoch, UndoStep { number, begins: None, items: vec![(1, left)], ends: true }).await
    );
    assert!(f.store.undos(&key).await.unwrap()[0].is_done);

    f.set_time(1_000_000 + 86_400_000 * 31).await;
    assert_eq!(f.store.prune(DAY * 30, 100).await.unwrap().batches, 1);
    assert_eq!(f.store.undos(&key).await.unwrap(), []);
    assert_eq!(f.store.undo_items(&key, number).await.unwrap(), []);
}

async fn a_step_of_a_record_that_has_moved_is_not_stored(f: SqlStore) {
    let record = begun(&f).await;
    let mut other = record.clone();
    other.undo_goes_on();
    let step = |number| UndoStep { items: Vec::new(), ends: true, ..begin(number, Vec::new()) };
    assert!(!store(&f, &other, record.epoch - 1, step(99)).await);
    let undos = f.store.undos(&record.key).await.unwrap();
    assert_eq!((undos.len(), undos[0].is_done), (1, false));
}

async fn what_was_before_is_read_by_case(f: SqlStore) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let mut record = deliver(&f, "b-1", |_| {}).await;
    let case = FormerCase {
        id: 5,
        fields: serde_json::Map::from_iter([("name".to_owned(), "a".into())]),
        remembered: WrittenFields::of_entry(r#"{"name": "a"}"#, 2),
        folder: 2,
        batch: BatchMark::of(&record.key, 1_000),
    };
    let from_epoch = record.epoch;
    record.undo_goes_on();
    let (batch, former) =
        (Some(RecordUpdate { record: record.clone(), from_epoch }), Former::write([case.clone()].iter()));
    f.store.commit(Commit { batch, former: Some(former), ..Commit::default() }.into()).await.unwrap();
    assert_eq!(f.store.former_values(&record.key).await.unwrap().case(5), Some(&case));
    let other: BatchKey = "acme/b-2".parse().unwrap();
    assert_eq!(f.store.former_values(&other).await.unwrap(), Former::default());
}

async fn what_testmo_showed_of_cases_goes_with_their_tenant(f: SqlStore) {
    let mut record = begun(&f).await;
    let (key, number) = (record.key.clone(), record.epoch);
    record.undo_goes_on();
    let window = Some(WindowStep { batch: key.clone(), claims: vec![(number, Some(b"body".to_vec()))] });
    let (batch, former) = (Some(RecordUpdate { record, from_epoch: number }), Former::write([].iter()));
    f.store.commit(Commit { batch, former: Some(former), window, ..Commit::default() }.into()).await.unwrap();
    let mut conn = connect(&f.config.url).await;
    for (removed, left) in [("other", 1), (key.tenant.as_str(), 0)] {
        let _ = f.store.remove_tenant(&removed.parse().unwrap(), "v1", &[]).await.unwrap();
        for table in ["former_values", "undos", "undo_items", "write_windows"] {
            let sql = format!("SELECT COUNT(DISTINCT batch_id) FROM {table}");
            let count: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut conn).await.unwrap();
            assert_eq!(count, left, "{table} after {removed} was removed");
        }
    }
}

async fn a_case_is_forgotten_only_if_it_is_remembered_of_the_same_row(f: SqlStore) {
    let identity = |id: &str| CaseIdentity::of(&target(), &tenant(), Some("SHOP-1"), Some(id)).unwrap();
    let case = |id: &str, testmo_id| WrittenCase {
        identity: identity(id),
        testmo_id,
        folder: 2,
        batch: BatchMark::of(&"acme/b-1".parse().unwrap(), 1_000),
        fields: WrittenFields::of_entry(r#"{"name": "a"}"#, 2),
    };
    let written = vec![case("1", 10), case("2", 11)];
    f.store.commit(Commit { written, ..Commit::default() }.into()).await.unwrap();
    let forgotten = vec![(identity("1"), 10), (identity("2"), 12), (identity("3"), 13)];
    f.store.commit(Commit { forgotten, ..Commit::default() }.into()).await.unwrap();
    let left = f.store.written(&tenant(), &[identity("1"), identity("2")]).await.unwrap();
    assert_eq!(left.iter().map(|known| known.case.testmo_id).collect::<Vec<_>>(), [11]);
}

//! Checks what a command shows before it removes a tenant, and when the removal is refused.

use std::time::Duration;

use testmo_conformance::Subject;
use testmo_conformance::removal::{HOLD, shelve};
use testmo_conformance::values::{HOUR, claim_of, connection, fresh, granted, tenant};
use testmo_courier::batch::Reason;
use testmo_courier::batch::ledger::{BatchRecord, BatchState};
use testmo_courier::store::connections::{ConnectionRow, FileSource};
use testmo_courier::store::ledger::{Commit, RecordUpdate};
use testmo_courier::store::removal::{Removal, RemovalOutcome};
use testmo_courier::store::shelf::{ShelfFilter, ShelvedUntil};
use testmo_courier::store::unfinished::Unfinished;
use testmo_courier::store::{ConnectionStore, LedgerStore, ShelfStore};

use crate::stores::SqlStore;

on_both! {
    a_tenant_is_removed_only_if_none_of_its_batches_is_shelved_or_open,
    a_batch_that_is_shelved_while_an_operator_decides_is_noticed,
    a_connection_that_is_replaced_while_an_operator_decides_stays,
    a_connection_that_is_withdrawn_leaves_what_is_on_the_shelf,
}

/// Begins the removal of the tenant, and returns what work the tenant has left.
async fn begin(f: &SqlStore) -> Removal {
    f.store.begin_removal(&tenant(), HOLD).await.unwrap().unwrap()
}

/// Stores a record whose epoch is one ahead of the stored one.
async fn store_record(f: &SqlStore, record: BatchRecord) {
    let from_epoch = record.epoch - 1;
    let batch = Some(RecordUpdate { record, from_epoch });
    assert!(f.store.commit(Commit { batch, ..Commit::default() }.into()).await.unwrap().is_done());
}

async fn a_tenant_is_removed_only_if_none_of_its_batches_is_shelved_or_open(f: SqlStore) {
    assert!(f.store.begin_removal(&tenant(), HOLD).await.unwrap().is_none());
    assert_eq!(f.remove_tenant("v1").await, RemovalOutcome::ChangedMeanwhile);
    f.connect(&connection("v1", true)).await;
    let claim = claim_of("p1", &fresh("b"));
    let mut record = claim.batches[0].record.clone();
    assert!(granted(&f.store.claim(claim).await.unwrap()));
    let unfinished = async || {
        let removal = begin(&f).await;
        f.store.end_removal(&tenant()).await.unwrap();
        removal.unfinished
    };
    let wait = Duration::from_secs(10);
    assert_eq!(unfinished().await, [("acme/b".to_owned(), Unfinished::Pushing { wait })]);
    assert_eq!(f.remove_tenant("v1").await, RemovalOutcome::HasWork);
    record.unclear(1_000_000);
    store_record(&f, record.clone()).await;
    f.set_time(1_020_000).await;
    assert_eq!(unfinished().await, [("acme/b".to_owned(), Unfinished::Unclear)]);
    shelve(&f, "b", Reason::ServerError, ShelvedUntil::After(HOUR)).await;
    assert_eq!(unfinished().await, [("acme/b".to_owned(), Unfinished::Unclear)], "whether it is shelved or not");
    record.reconciled(&[], true);
    record.unclear_since = None;
    store_record(&f, record.clone()).await;
    assert_eq!(unfinished().await, [], "a batch on the shelf can be discarded");
    assert_eq!(f.remove_tenant("v1").await, RemovalOutcome::HasWork);
    f.set_time(1_020_000 + 3_600_000).await;
    let leased = f.store.lease_due("w", HOUR, &[(tenant(), 1)], usize::MAX).await.unwrap().remove(0);
    assert_eq!(unfinished().await, [("acme/b".to_owned(), Unfinished::InHand)]);
    let unshelve = Some((leased.id.0, leased.generation));
    f.store.commit(Commit { unshelve, ..Commit::default() }.into()).await.unwrap();
    assert_eq!(unfinished().await, [("acme/b".to_owned(), Unfinished::Open)]);
    assert_eq!(f.remove_tenant("v1").await, RemovalOutcome::HasWork);
    record.settle(BatchState::Failed, 5);
    store_record(&f, record).await;
    assert_eq!(f.remove_tenant("v1").await, RemovalOutcome::Done);
    assert!(f.store.connection(&tenant()).await.unwrap().is_none());
    assert!(f.batch(&fresh("b").key).await.is_some(), "its record is kept");
}

async fn a_batch_that_is_shelved_while_an_operator_decides_is_noticed(f: SqlStore) {
    f.connect(&connection("v1", true)).await;
    let before = begin(&f).await;
    assert!(before.shelved.is_empty() && begin(&f).await.is_as_before(&before));
    shelve(&f, "b", Reason::Paused, ShelvedUntil::After(HOUR)).await;
    assert!(!begin(&f).await.is_as_before(&before));
    assert_eq!(f.remove_tenant("v1").await, RemovalOutcome::HasWork);
    let before = begin(&f).await;
    assert_eq!((before.shelved.len(), before.parked), (1, 1));
    // A copy that was published again is shelved in its place.
    shelve(&f, "b", Reason::Paused, ShelvedUntil::After(HOUR)).await;
    assert!(!begin(&f).await.is_as_before(&before));
}

async fn a_connection_that_is_replaced_while_an_operator_decides_stays(f: SqlStore) {
    f.connect(&connection("v1", true)).await;
    let before = begin(&f).await;
    f.connect(&connection("v2", true)).await;
    assert!(!begin(&f).await.is_as_before(&before));
    assert_eq!(f.remove_tenant("v1").await, RemovalOutcome::ChangedMeanwhile);
    assert_eq!(f.store.connection(&tenant()).await.unwrap().unwrap().version, "v2");
}

async fn a_connection_that_is_withdrawn_leaves_what_is_on_the_shelf(f: SqlStore) {
    let source = FileSource { file: "acme.toml".into(), digest: "d".into() };
    f.connect(&ConnectionRow { source: Some(source), ..connection("v1", true) }).await;
    assert_eq!(f.store.tenants_of_files().await.unwrap(), [tenant()]);
    let withdraw = async |version: &str| f.store.withdraw_connection(&tenant(), version, &[]).await.unwrap();
    let claim = claim_of("p1", &fresh("b"));
    let mut record = claim.batches[0].record.clone();
    assert!(granted(&f.store.claim(claim).await.unwrap()));
    assert_eq!(withdraw("v1").await, RemovalOutcome::HasWork, "a request is under way");
    record.unclear(1_000_000);
    store_record(&f, record.clone()).await;
    f.set_time(1_020_000).await;
    assert_eq!(withdraw("v1").await, RemovalOutcome::HasWork, "its outcome is unknown");
    record.reconciled(&[], true);
    record.unclear_since = None;
    store_record(&f, record).await;
    shelve(&f, "b", Reason::KeyRefused, ShelvedUntil::After(HOUR)).await;
    assert_eq!(withdraw("v2").await, RemovalOutcome::ChangedMeanwhile);
    assert_eq!(withdraw("v1").await, RemovalOutcome::Done);
    assert!(f.store.connection(&tenant()).await.unwrap().is_none());
    assert_eq!(f.store.tenants_of_files().await.unwrap(), []);
    assert_eq!(f.store.shelf_ids(&ShelfFilter::default()).await.unwrap().len(), 1, "the batch waits");
}

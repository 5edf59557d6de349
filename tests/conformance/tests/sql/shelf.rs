//! Checks what commands find on the shelf, and texts that only a database has to convert.

use std::time::Duration;

use testmo_conformance::Subject;
use testmo_conformance::values::{TAKEN, event, shelving, tenant};
use testmo_courier::batch::event::Event;
use testmo_courier::batch::{BatchId, Reason};
use testmo_courier::store::ledger::Commit;
use testmo_courier::store::shelf::{ShelfFilter, ShelfIdentity, ShelvedUntil, Shelving};
use testmo_courier::store::{LedgerStore, OutboxStore, ShelfStore};

use crate::stores::SqlStore;

on_both! {
    the_shelf_is_searched_by_batch_and_time,
    an_entry_is_found_by_the_hash_of_its_message,
    the_leases_of_earlier_workers_are_reclaimed,
    a_text_with_a_nul_is_stored,
}

async fn the_shelf_is_searched_by_batch_and_time(f: SqlStore) {
    for (batch, at) in [("b1", 1_000_000), ("b2", 1_001_000)] {
        f.set_time(at).await;
        let shelve = Some(shelving(batch, ShelvedUntil::Person));
        f.store.commit(Commit { shelve, ..Commit::default() }.into()).await.unwrap();
    }
    let count = async |filter: ShelfFilter| f.store.shelf_ids(&filter).await.unwrap().len();
    let batch =
        ShelfFilter { tenant: Some(tenant()), batch: Some(BatchId::new("b2").unwrap()), ..ShelfFilter::default() };
    assert_eq!(count(batch).await, 1);
    assert_eq!(count(ShelfFilter { since: Some(1_000_001), ..ShelfFilter::default() }).await, 1);
    assert_eq!(count(ShelfFilter { until: Some(1_001_000), ..ShelfFilter::default() }).await, 1);
    assert_eq!(
        count(ShelfFilter { since: Some(1_000_000), until: Some(1_001_001), ..ShelfFilter::default() }).await,
        2
    );
}

async fn an_entry_is_found_by_the_hash_of_its_message(f: SqlStore) {
    for hash in ["0123456789abcdef", "0123456789abd000", "fedcba9876543210"] {
        let identity = ShelfIdentity::Raw(hash.into(), None, None);
        let shelve = Some(Shelving { identity, ..shelving("b", ShelvedUntil::Person) });
        f.store.commit(Commit { shelve, ..Commit::default() }.into()).await.unwrap();
    }
    let shelve = Some(shelving("b", ShelvedUntil::Person));
    f.store.commit(Commit { shelve, ..Commit::default() }.into()).await.unwrap();
    for (hash, found) in [
        ("0123456789ab", 2),
        ("0123456789abc", 1),
        ("fedcba987654", 1),
        ("fedcba9876543210", 1),
        ("fedcba98765432100", 0),
        ("aaaaaaaaaaaa", 0),
    ] {
        assert_eq!(f.store.shelf_ids_of_message(hash).await.unwrap().len(), found, "{hash}");
    }
}

async fn the_leases_of_earlier_workers_are_reclaimed(f: SqlStore) {
    let identity = ShelfIdentity::Raw("a".into(), None, None);
    let suspect =
        Shelving { identity, reason: Reason::Suspect, parks: 0, ..shelving("x", ShelvedUntil::After(Duration::ZERO)) };
    f.store.commit(Commit { shelve: Some(suspect), ..Commit::default() }.into()).await.unwrap();
    let lease = async || f.store.lease_suspect("w", Duration::from_secs(9)).await.unwrap();
    let first = lease().await.unwrap();
    assert!(lease().await.is_none());
    assert_eq!(f.store.reclaim_leases().await.unwrap(), 1);
    let again = lease().await.unwrap();
    assert_eq!((again.id, again.content.parks), (first.id, 2));
}

async fn a_text_with_a_nul_is_stored(f: SqlStore) {
    let shelve = Shelving { detail: Some("a\0b".into()), ..shelving("b", ShelvedUntil::Person) };
    let event = Event { body: "{\"a\":\"\\u0000\"}".into(), ..event("e") };
    f.store.commit(Commit { shelve: Some(shelve), events: vec![event], ..Commit::default() }.into()).await.unwrap();
    assert_eq!(f.shelf().await[0].content.detail.as_deref(), Some("a\u{fffd}b"));
    assert_eq!(f.store.unsent(1, TAKEN).await.unwrap()[0].body, "{\"a\":\"\\u0000\"}");
}

//! Checks that stored values survive a restart, and that a clock that was set back is noticed.

use std::time::Duration;

use testmo_conformance::unbound::{LEASE, ids, put_aside};
use testmo_conformance::values::{TAKEN, connection, shelving, tenant};
use testmo_courier::store::ledger::Commit;
use testmo_courier::store::shelf::ShelvedUntil;
use testmo_courier::store::{ConnectionStore, LedgerStore, OutboxStore, Store, StoreHealth, UnboundStore};

use crate::stores::SqlStore;

on_both! {
    a_store_is_opened_again_with_everything_in_it,
    a_clock_that_is_behind_is_noticed,
    waiting_events_survive_a_restart,
}

async fn a_store_is_opened_again_with_everything_in_it(f: SqlStore) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    f.store.close().await;
    let again = Store::open(&f.config, false, f.clock.clone()).await.unwrap();
    let row = again.connection(&tenant()).await.unwrap().unwrap();
    assert!(row.is_verified());
    assert_eq!(row.finding, connection("v1", true).finding);
    assert!(f.store.was_made() && !again.was_made());
}

async fn a_clock_that_is_behind_is_noticed(f: SqlStore) {
    assert_eq!(f.store.clock_lag().await.unwrap(), Duration::ZERO);
    f.store
        .commit(Commit { shelve: Some(shelving("b", ShelvedUntil::Person)), ..Commit::default() }.into())
        .await
        .unwrap();
    f.set_time(1_000_000 - 60_000).await;
    assert_eq!(f.store.clock_lag().await.unwrap(), Duration::from_secs(60));
}

async fn waiting_events_survive_a_restart(f: SqlStore) {
    put_aside(&f, 1_000_000, &["1", "2", "3"], "k").await;
    assert_eq!((f.store.due_count().await.unwrap(), f.store.unsent_count().await.unwrap()), (0, 3));
    let released = f.store.release_waiting("k", 2, TAKEN).await.unwrap();
    assert_eq!(ids(&released.events), ["1", "2"]);
    f.store.close().await;
    let again = Store::open(&f.config, false, f.clock.clone()).await.unwrap();
    let lease = i64::try_from(TAKEN.as_millis()).unwrap();
    if f.config.is_shared() {
        assert!(again.unsent(9, TAKEN).await.unwrap().is_empty(), "another worker may be publishing them");
        f.set_time(1_000_002 + lease).await;
    } else {
        again.reclaim_leases().await.unwrap();
        assert_eq!(again.take_probes(20, LEASE).await.unwrap().len(), 1, "no other worker probes it");
    }
    let due = again.unsent(9, TAKEN).await.unwrap();
    assert_eq!(ids(&due), ["1", "2"]);
    assert_eq!(due[0].body, "body of 1");
    let rest = again.release_waiting("k", 2, TAKEN).await.unwrap();
    assert_eq!((ids(&rest.events), rest.is_last), (vec!["3"], true));
    again.close().await;
}

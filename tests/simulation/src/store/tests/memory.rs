//! Checks what only the store in memory does.

use std::sync::Arc;
use std::time::Duration;

use testmo_courier::account::Signal;
use testmo_courier::batch::event::{DELIVERED, Event};
use testmo_courier::store::accounts::AccountObservation;
use testmo_courier::store::ledger::Commit;
use testmo_courier::store::{LedgerStore, StoreHealth};

use super::super::MemoryStore;
use super::super::tables::Tables;
use super::TAKEN_FOR;
use crate::diary::Diary;
use crate::fuse::Fuse;
use crate::weather::{Rates, Weather};

#[test]
fn where_workers_share_the_store_an_event_is_given_to_one_of_them_for_a_while() {
    let mut tables = Tables { shared: true, ..Tables::default() };
    let event =
        Event { id: "e".into(), kind: DELIVERED, routing_key: "k".into(), subject: "s".into(), body: "{}".into() };
    tables.put_events(&[event], None, 1_000);
    let taken = tables.unsent(9, TAKEN_FOR, 1_000);
    assert_eq!((taken.len(), tables.unsent(9, TAKEN_FOR, 1_000).len()), (1, 0));
    assert_eq!(tables.unsent(9, TAKEN_FOR, 121_000).len(), 1, "the worker that took it is gone");
    tables.mark_sent(&taken);
    assert_eq!(tables.unsent_count(), 1, "it was taken again since");
}

#[tokio::test(start_paused = true)]
async fn a_request_is_carried_out_although_its_caller_is_gone() {
    let (diary, weather) = (Arc::new(Diary::begin(false)), Arc::new(Weather::new(3, Rates::default())));
    let store = MemoryStore::new(Tables::default(), diary, weather);
    let observation =
        AccountObservation { account: "x".into(), signal: Signal::Throttled(Duration::from_secs(9)), ceiling: 1 };
    let (fuse, change) = (Fuse::new(), Commit { observation: Some(observation), ..Commit::default() });
    let mut calls = 0;
    while store.at_once(|tables, _| tables.throttles.is_empty()) {
        let of = store.of(1, fuse.clone());
        let asked = of.commit(change.clone().into());
        // Given up before it is answered, as a process does that is killed.
        drop(tokio::time::timeout(Duration::ZERO, asked).await);
        tokio::time::sleep(Duration::from_secs(9)).await;
        calls += 1;
        assert!(calls < 100);
    }
    fuse.blow();
    let late = store.of(1, fuse.clone());
    let answer = tokio::time::timeout(Duration::from_secs(99), late.ping()).await;
    assert!(answer.is_err(), "a process that is gone is not answered");
}

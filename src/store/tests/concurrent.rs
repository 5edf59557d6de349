//! Checks transactions of several workers on one PostgreSQL database that wait for each other.

use std::pin::Pin;

use tokio::sync::Mutex;

use super::patience::until;
use super::stores::{SqlStore, connect};
use super::*;

/// Carries on with a call until it waits for a lock of another transaction; the call must not end before.
async fn until_it_waits<T>(f: &SqlStore, mut call: Pin<&mut impl Future<Output = T>>) {
    let watcher = Mutex::new(connect(&f.config.url).await);
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let waiting = until(async || {
        sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut *watcher.lock().await).await.expect("the server") > 0
    });
    tokio::select! {
        _ = call.as_mut() => panic!("the call does not wait"),
        () = waiting => {}
    }
}

#[tokio::test]
async fn a_transaction_that_is_dropped_is_rolled_back_and_releases_its_locks() {
    let f = postgres().await;
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let mut hung = sql::Transaction::begin(&f.store.writers, &f.store.clock).await.unwrap();
    let claims = [claim_of("p1", &fresh("b"))];
    let accounts = [claims[0].account.as_str()].into();
    let mut known = AccountStates::keep(hung.conn().unwrap(), accounts).await.unwrap();
    known.count(hung.conn().unwrap(), 1).await.unwrap();
    let answers = ledger::claim(hung.conn().unwrap(), 1, &claims, &mut known).await.unwrap();
    assert!(granted(&answers[0]));
    let claim = f.store.claim(claim_of("p2", &fresh("b")));
    let mut claim = std::pin::pin!(claim);
    until_it_waits(&f, claim.as_mut()).await;
    drop(hung);
    assert!(granted(&claim.await.unwrap()));
}

#[tokio::test]
async fn a_claim_is_not_granted_a_batch_that_another_replica_stores_at_the_same_moment() {
    let f = postgres().await;
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    for (n, others) in [vec![], vec!["c"]].into_iter().enumerate() {
        let name = format!("b{n}");
        let mut quicker = sql::Transaction::begin(&f.store.writers, &f.store.clock).await.unwrap();
        let mut record = fresh(&name);
        record.epoch = 1;
        let change = Commit { batch: Some(RecordUpdate { record, from_epoch: 0 }), ..Commit::default() };
        assert!(ledger::commit(quicker.conn().unwrap(), 1, &[change.into()]).await.unwrap()[0].is_done());
        let mut claim = claim_of(&format!("p{n}"), &fresh(&name));
        for other in &others {
            claim.batches.extend(claim_of("p", &fresh(other)).batches);
        }
        let claim = f.store.claim(claim);
        let mut claim = std::pin::pin!(claim);
        until_it_waits(&f, claim.as_mut()).await;
        quicker.commit().await.unwrap();
        let answer = claim.await.unwrap();
        if others.is_empty() {
            let ClaimOutcome::Stale { stored, .. } = answer else { panic!("{answer:?}") };
            assert_eq!((stored.len(), stored[0].record.epoch), (1, 1));
        } else {
            let ClaimOutcome::Granted { stale, contested, .. } = answer else { panic!("{answer:?}") };
            assert_eq!((stale.len(), contested), (0, vec![fresh(&name).key]));
        }
        assert_eq!(f.store.batch(&fresh(&name).key).await.unwrap().unwrap().record.epoch, 1);
    }
    assert!(f.store.history(&fresh("b0").key).await.unwrap().pushes.is_empty());
}

#[tokio::test]
async fn a_removal_waits_for_a_shelving_that_is_being_stored_and_then_sees_it() {
    let f = postgres().await;
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let acme = tenant();
    let mut quicker = sql::Transaction::begin(&f.store.writers, &f.store.clock).await.unwrap();
    let shelve = Some(shelving("b", ShelvedUntil::Connection));
    let changes = [std::sync::Arc::new(Commit { shelve, ..Commit::default() })];
    ledger::lock(quicker.conn().unwrap(), &changes).await.unwrap();
    let mut removal = std::pin::pin!(f.store.remove_tenant(&acme, "v1", &[]));
    until_it_waits(&f, removal.as_mut()).await;
    ledger::commit(quicker.conn().unwrap(), 1, &changes).await.unwrap();
    quicker.commit().await.unwrap();
    assert_eq!(removal.await.unwrap(), RemovalOutcome::HasWork);
}

#[tokio::test]
async fn a_removal_waits_for_a_claim_that_is_being_stored_and_then_sees_it() {
    let f = postgres().await;
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let acme = tenant();
    let mut quicker = sql::Transaction::begin(&f.store.writers, &f.store.clock).await.unwrap();
    let claims = [claim_of("p1", &fresh("b"))];
    let mut known = AccountStates::keep(quicker.conn().unwrap(), [claims[0].account.as_str()].into()).await.unwrap();
    known.count(quicker.conn().unwrap(), 1).await.unwrap();
    assert!(granted(&ledger::claim(quicker.conn().unwrap(), 1, &claims, &mut known).await.unwrap()[0]));
    let mut removal = std::pin::pin!(f.store.remove_tenant(&acme, "v1", &[]));
    until_it_waits(&f, removal.as_mut()).await;
    // The result of a verification does not wait for it.
    let row = f.store.connection(&acme).await.unwrap().unwrap();
    let noted = f.store.record_verification(&acme, &row.version, row.epoch, &fails(Reason::Forbidden)).await.unwrap();
    assert!(noted.is_done());
    quicker.commit().await.unwrap();
    assert_eq!(removal.await.unwrap(), RemovalOutcome::HasWork);
}

/// Stores an event, and returns it if the worker that stored it is to publish it.
async fn put(store: &Store, id: &str) -> Option<OutboxEvent> {
    let owner_grace = Some(Duration::from_secs(5));
    let change = Commit { events: vec![event(id)], owner_grace, ..Commit::default() };
    let CommitOutcome::Done(mut fresh) = store.commit(change.into()).await.unwrap() else { panic!() };
    fresh.pop()
}

/// Stores an event whose routing key no queue is bound for.
async fn wait_for_a_queue(store: &Store, id: &str) {
    let event = put(store, id).await.unwrap();
    store.set_aside(&[event], &[]).await.unwrap();
}

#[tokio::test]
async fn an_event_that_another_replica_is_storing_is_released_with_the_waiting_ones() {
    let f = postgres().await;
    wait_for_a_queue(&f.store, "1").await;
    let mut storing = sql::Transaction::begin(&f.store.writers, &f.store.clock).await.unwrap();
    let event = event("2");
    outbox::put(storing.conn().unwrap(), 1_000_001, vec![(&event, None)]).await.unwrap();
    let mut released = std::pin::pin!(f.store.release_waiting("k", 9, TAKEN));
    until_it_waits(&f, released.as_mut()).await;
    storing.commit().await.unwrap();
    let released = released.await.unwrap();
    let ids: Vec<_> = released.events.iter().map(|event| event.id.as_str()).collect();
    assert_eq!((ids, released.is_last), (vec!["1", "2"], true));
}

#[tokio::test]
async fn an_event_that_is_stored_while_its_routing_key_is_released_does_not_wait() {
    let f = postgres().await;
    wait_for_a_queue(&f.store, "1").await;
    let mut releasing = sql::Transaction::begin(&f.store.writers, &f.store.clock).await.unwrap();
    let kept = "DELETE FROM unbound_keys WHERE routing_key = 'k'";
    sql::execute(releasing.conn().unwrap(), kept, vec![]).await.unwrap();
    let mut stored = std::pin::pin!(put(&f.store, "2"));
    until_it_waits(&f, stored.as_mut()).await;
    releasing.commit().await.unwrap();
    assert_eq!(stored.await.unwrap().id, "2");
}

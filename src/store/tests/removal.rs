//! The removal of tenants.

use super::super::removal::{Removal, RemovalOutcome};
use super::super::unfinished::Unfinished;
use super::*;

on_both! {
    a_tenant_is_removed_only_if_nothing_of_it_is_on_the_shelf_or_open,
    a_batch_that_is_shelved_while_a_person_decides_is_noticed,
    a_connection_that_is_entered_anew_while_a_person_decides_stays,
    what_is_shelved_after_a_removal_is_kept_and_comes_back_with_the_tenant,
    while_a_person_decides_nothing_is_sent_and_the_shelf_stays_as_it_is,
    a_pause_for_a_removal_is_over_after_its_time_although_nobody_ends_it,
}

const HOLD: Duration = Duration::from_secs(600);

async fn begin(f: &Fixture) -> Removal {
    f.store.begin_removal(&tenant(), HOLD).await.unwrap().unwrap()
}

async fn remove(store: &Store) -> RemovalOutcome {
    store.remove_tenant(&tenant(), "v1").await.unwrap()
}

async fn shelve(store: &Store, batch: &str, reason: Reason, until: ShelvedUntil) {
    let shelve = Some(Shelving { reason, ..shelving(batch, until) });
    store.commit(Commit { shelve, ..Commit::default() }.into()).await.unwrap();
}

async fn store_record(f: &Fixture, record: BatchRecord) {
    let from_epoch = record.epoch - 1;
    let batch = Some(RecordUpdate { record, from_epoch });
    assert!(f.store.commit(Commit { batch, ..Commit::default() }.into()).await.unwrap().is_done());
}

async fn a_tenant_is_removed_only_if_nothing_of_it_is_on_the_shelf_or_open(f: Fixture) {
    assert!(f.store.begin_removal(&tenant(), HOLD).await.unwrap().is_none());
    assert_eq!(remove(&f.store).await, RemovalOutcome::ChangedMeanwhile);
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
    assert_eq!(remove(&f.store).await, RemovalOutcome::HasWork);
    record.unclear(1_000_000);
    store_record(&f, record.clone()).await;
    f.set_time(1_020_000).await;
    assert_eq!(unfinished().await, [("acme/b".to_owned(), Unfinished::Unclear)]);
    shelve(&f.store, "b", Reason::ServerError, ShelvedUntil::After(HOUR)).await;
    assert_eq!(unfinished().await, [("acme/b".to_owned(), Unfinished::Unclear)], "on the shelf or not");
    record.reconciled(&[], true);
    record.unclear_since = None;
    store_record(&f, record.clone()).await;
    assert_eq!(unfinished().await, [], "what is on the shelf can be discarded");
    assert_eq!(remove(&f.store).await, RemovalOutcome::HasWork);
    f.set_time(1_020_000 + 3_600_000).await;
    let leased = f.store.lease_due("w", HOUR, &[(tenant(), 1)]).await.unwrap().remove(0);
    assert_eq!(unfinished().await, [("acme/b".to_owned(), Unfinished::InHand)]);
    let unshelve = Some((leased.id.0, leased.generation));
    f.store.commit(Commit { unshelve, ..Commit::default() }.into()).await.unwrap();
    assert_eq!(unfinished().await, [("acme/b".to_owned(), Unfinished::Open)]);
    assert_eq!(remove(&f.store).await, RemovalOutcome::HasWork);
    record.settle(BatchState::Failed, 5);
    store_record(&f, record).await;
    assert_eq!(remove(&f.store).await, RemovalOutcome::Done);
    assert!(f.store.connection(&tenant()).await.unwrap().is_none());
    assert!(f.store.batch(&fresh("b").key).await.unwrap().is_some(), "what is known of it stays");
}

async fn a_batch_that_is_shelved_while_a_person_decides_is_noticed(f: Fixture) {
    f.connect(&connection("v1", true)).await;
    let before = begin(&f).await;
    assert!(before.shelved.is_empty() && begin(&f).await.is_as_before(&before));
    shelve(&f.store, "b", Reason::Paused, ShelvedUntil::After(HOUR)).await;
    assert!(!begin(&f).await.is_as_before(&before));
    assert_eq!(remove(&f.store).await, RemovalOutcome::HasWork);
    let before = begin(&f).await;
    assert_eq!((before.shelved.len(), before.parked), (1, 1));
    // Put anew, as a copy that was published again is.
    shelve(&f.store, "b", Reason::Paused, ShelvedUntil::After(HOUR)).await;
    assert!(!begin(&f).await.is_as_before(&before));
}

async fn a_connection_that_is_entered_anew_while_a_person_decides_stays(f: Fixture) {
    f.connect(&connection("v1", true)).await;
    let before = begin(&f).await;
    f.connect(&connection("v2", true)).await;
    assert!(!begin(&f).await.is_as_before(&before));
    assert_eq!(remove(&f.store).await, RemovalOutcome::ChangedMeanwhile);
    assert_eq!(f.store.connection(&tenant()).await.unwrap().unwrap().version, "v2");
}

async fn what_is_shelved_after_a_removal_is_kept_and_comes_back_with_the_tenant(f: Fixture) {
    f.connect(&connection("v1", true)).await;
    begin(&f).await;
    assert_eq!(remove(&f.store).await, RemovalOutcome::Done);
    shelve(&f.store, "b", Reason::KeyRefused, ShelvedUntil::Connection).await;
    assert!(matches!(f.store.claim(claim_of("p1", &fresh("c"))).await.unwrap(), ClaimOutcome::ConnectionChanged));
    f.set_time(1_000_500).await;
    f.connect(
        &connection("v1", true)
            .judged(Verification::Works { user: "u".into(), project: "p".into(), folder: "f".into() }, 1_000_500),
    )
    .await;
    assert_eq!(f.store.lease_due("w", HOUR, &[(tenant(), 9)]).await.unwrap().len(), 1);
}

async fn while_a_person_decides_nothing_is_sent_and_the_shelf_stays_as_it_is(f: Fixture) {
    f.connect(&connection("v1", true)).await;
    shelve(&f.store, "due", Reason::NoRoom, ShelvedUntil::After(Duration::ZERO)).await;
    begin(&f).await;
    assert!(matches!(f.store.claim(claim_of("p1", &fresh("b"))).await.unwrap(), ClaimOutcome::Paused));
    assert_eq!(f.store.permit(&target().account, Some(&tenant()), HOUR).await.unwrap(), Permit::Paused);
    assert_eq!(f.store.permit(&target().account, None, HOUR).await.unwrap(), Permit::Granted);
    assert!(f.store.lease_due("w", HOUR, &[(tenant(), 9)]).await.unwrap().is_empty());
    assert!(f.store.due_tenants(9).await.unwrap().iter().all(|due| !due.is_due));
    // Others go on, at the same account, too.
    let birch = ConnectionRow { tenant: "birch".parse().unwrap(), ..connection("v1", true) };
    f.connect(&birch).await;
    let record = BatchRecord { key: "birch/b".parse().unwrap(), ..fresh("b") };
    let claim = Claim { tenant: birch.tenant, ..claim_of("p2", &record) };
    assert!(granted(&f.store.claim(claim).await.unwrap()));
    shelve(&f.store, "paused", Reason::Paused, ShelvedUntil::After(24 * HOUR)).await;
    f.store.end_removal(&tenant()).await.unwrap();
    assert_eq!(f.store.lease_due("w", HOUR, &[(tenant(), 9)]).await.unwrap().len(), 2, "both are due at once");
    assert!(granted(&f.store.claim(claim_of("p1", &fresh("b"))).await.unwrap()));
}

async fn a_pause_for_a_removal_is_over_after_its_time_although_nobody_ends_it(f: Fixture) {
    f.connect(&connection("v1", true)).await;
    begin(&f).await;
    shelve(&f.store, "paused", Reason::Paused, ShelvedUntil::After(24 * HOUR)).await;
    f.set_time(1_000_000 + 599_999).await;
    assert!(matches!(f.store.claim(claim_of("p1", &fresh("b"))).await.unwrap(), ClaimOutcome::Paused));
    assert!(f.store.lease_due("w", HOUR, &[(tenant(), 9)]).await.unwrap().is_empty());
    f.set_time(1_000_000 + 600_000).await;
    assert_eq!(f.store.lease_due("w", HOUR, &[(tenant(), 9)]).await.unwrap().len(), 1);
    assert!(granted(&f.store.claim(claim_of("p1", &fresh("b"))).await.unwrap()));
}

#[tokio::test]
async fn a_removal_waits_for_a_shelving_that_is_being_stored_and_then_sees_it() {
    let f = on_server().await;
    f.connect(&connection("v1", true)).await;
    let mut quicker = sql::Transaction::begin(&f.store.writers, &f.store.clock).await.unwrap();
    let shelve = Some(shelving("b", ShelvedUntil::Connection));
    let changes = [std::sync::Arc::new(Commit { shelve, ..Commit::default() })];
    ledger::lock(quicker.conn().unwrap(), &changes).await.unwrap();
    let mut removal = std::pin::pin!(remove(&f.store));
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut removal).await.is_err(), "it waits");
    ledger::commit(quicker.conn().unwrap(), 1, &changes).await.unwrap();
    quicker.commit().await.unwrap();
    assert_eq!(removal.await, RemovalOutcome::HasWork);
}

#[tokio::test]
async fn a_removal_waits_for_a_claim_that_is_being_stored_and_then_sees_it() {
    let f = on_server().await;
    f.connect(&connection("v1", true)).await;
    let mut quicker = sql::Transaction::begin(&f.store.writers, &f.store.clock).await.unwrap();
    let claims = [claim_of("p1", &fresh("b"))];
    let mut known = AccountStates::keep(quicker.conn().unwrap(), [claims[0].account.as_str()].into()).await.unwrap();
    known.count(quicker.conn().unwrap(), 1).await.unwrap();
    assert!(granted(&ledger::claim(quicker.conn().unwrap(), 1, &claims, &mut known).await.unwrap()[0]));
    let mut removal = std::pin::pin!(remove(&f.store));
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut removal).await.is_err(), "it waits");
    // A person's change of the connection does not wait for it.
    f.found(&Verification::Fails { reason: Reason::Forbidden, detail: "d".into() }).await;
    quicker.commit().await.unwrap();
    assert_eq!(removal.await, RemovalOutcome::HasWork);
}

//! What waits on the shelf, and when does it come back?

use super::*;

on_both! {
    tenants_with_something_on_the_shelf_are_known_with_what_it_waits_for,
    what_waits_for_a_connection_is_due_when_another_one_is_verified_or_it_is_verified_again,
    what_waits_for_a_time_comes_back_in_order_of_arrival,
    suspects_are_leased_one_at_a_time_and_counted,
    a_suspect_that_is_given_back_was_not_tried,
    what_a_person_wants_of_the_shelf_is_stored_whole_or_not_at_all,
    what_is_dead_stays_so_when_a_copy_of_it_is_parked,
    the_shelf_is_searched_by_batch_and_time,
}

async fn tenants_with_something_on_the_shelf_are_known_with_what_it_waits_for(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    assert_eq!(f.store.due(9).await.unwrap(), []);
    let put_failing = async |key: &str, reason, until, arrived_at, failing_since| {
        let identity = Identity::Batch(key.parse().unwrap(), "1:f".into());
        let shelve = Shelving { identity, reason, arrived_at, failing_since, ..shelving("b", until) };
        f.store.change(Change { shelve: Some(shelve), ..Change::default() }.into()).await.unwrap();
    };
    let put = async |key: &str, reason, until, arrived_at| put_failing(key, reason, until, arrived_at, None).await;
    put("birch/1", Reason::NoRoom, Until::After(Duration::ZERO), 9).await;
    put("birch/2", Reason::Throttled, Until::After(HOUR), 1).await;
    put("acme/1", Reason::ServerError, Until::After(HOUR), 5).await;
    put("cedar/1", Reason::AllRefused, Until::Person, 2).await;
    let due = |name: &str, account: Option<&str>, is_due, is_skimmed| Due {
        tenant: name.parse().unwrap(),
        account: account.map(Into::into),
        is_due,
        is_skimmed,
    };
    let expected = [due("birch", None, true, true), due("acme", Some("https://acme.testmo.net"), false, false)];
    assert_eq!(f.store.due(9).await.unwrap(), expected);
    assert_eq!(f.store.skimmed(9).await.unwrap(), [("birch".parse().unwrap(), 2)]);
    let asks = [("birch".parse().unwrap(), 9), (tenant(), 9)];
    assert_eq!(f.store.lease_due("w", HOUR, &asks).await.unwrap().len(), 1);
    // What is tried again has a queue of its own, in which nothing new has to wait.
    put_failing("daisy/1", Reason::NoRoom, Until::After(HOUR), 12, Some(11)).await;
    let last = |due: Vec<Due>| due.last().cloned();
    assert_eq!(last(f.store.due(9).await.unwrap()), Some(due("daisy", None, false, false)));
}

async fn what_waits_for_a_connection_is_due_when_another_one_is_verified_or_it_is_verified_again(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    f.store
        .change(Change { shelve: Some(shelving("b", Until::Connection)), ..Change::default() }.into())
        .await
        .unwrap();
    let lease = |f: &Fixture| {
        let store = f.store.clone();
        async move { store.lease_due("w", Duration::from_secs(60), &[(tenant(), 10)]).await.unwrap() }
    };
    assert!(lease(&f).await.is_empty());
    f.connect(&connection("v2", false)).await;
    assert!(lease(&f).await.is_empty(), "another one, but not verified");
    f.set_time(1_000_500).await;
    f.connect(&connection("v1", false)).await;
    let works = Verification::Works { user: "u".into(), project: "p".into(), folder: "f".into() };
    f.found(&works).await;
    let leased = lease(&f).await;
    assert_eq!(leased.len(), 1);
    assert_eq!(leased[0].content.body, [0, 255]);
    assert!(lease(&f).await.is_empty(), "leased");
    f.store.release(&[(leased[0].id, leased[0].generation)]).await.unwrap();
    let again = lease(&f).await;
    let off = Change { unshelve: Some((again[0].id.0, leased[0].generation)), ..Change::default() };
    f.store.change(off.into()).await.unwrap();
    assert!(f.store.shelved(again[0].id).await.unwrap().is_some(), "an outdated holder takes nothing off");
    let off = Change { unshelve: Some((again[0].id.0, again[0].generation)), ..Change::default() };
    f.store.change(off.into()).await.unwrap();
    assert!(f.store.shelved(again[0].id).await.unwrap().is_none());
}

async fn what_waits_for_a_time_comes_back_in_order_of_arrival(f: Fixture) {
    for (batch, arrived_at) in [("late", 20), ("early", 10)] {
        let shelve = Shelving { arrived_at, ..shelving(batch, Until::After(Duration::from_secs(5))) };
        f.store.change(Change { shelve: Some(shelve), ..Change::default() }.into()).await.unwrap();
    }
    assert!(f.store.lease_due("w", Duration::from_secs(1), &[(tenant(), 10)]).await.unwrap().is_empty());
    f.set_time(1_005_000).await;
    let leased = f.store.lease_due("w", Duration::from_secs(1), &[(tenant(), 10)]).await.unwrap();
    let order: Vec<i64> = leased.iter().map(|s| s.content.arrived_at).collect();
    assert_eq!(order, [10, 20]);
    f.set_time(1_006_000).await;
    assert_eq!(
        f.store.lease_due("w", Duration::from_secs(1), &[(tenant(), 1)]).await.unwrap()[0].content.arrived_at,
        10
    );
}

async fn suspects_are_leased_one_at_a_time_and_counted(f: Fixture) {
    for hash in ["a", "b"] {
        let identity = Identity::Raw(hash.into(), None, None);
        let shelve =
            Shelving { identity, reason: Reason::Suspect, parks: 0, ..shelving("x", Until::After(Duration::ZERO)) };
        f.store.change(Change { shelve: Some(shelve), ..Change::default() }.into()).await.unwrap();
    }
    assert!(f.store.lease_due("w", Duration::from_secs(9), &[(tenant(), 10)]).await.unwrap().is_empty());
    let first = f.store.lease_suspect("w", Duration::from_secs(9)).await.unwrap().unwrap();
    assert_eq!(first.content.parks, 1);
    assert!(f.store.lease_suspect("w", Duration::from_secs(9)).await.unwrap().is_none());
    assert_eq!(f.store.reclaim_leases().await.unwrap(), 1);
    let again = f.store.lease_suspect("w", Duration::from_secs(9)).await.unwrap().unwrap();
    assert_eq!((again.id, again.content.parks), (first.id, 2));
}

async fn a_suspect_that_is_given_back_was_not_tried(f: Fixture) {
    let identity = Identity::Raw("a".into(), None, None);
    let shelve =
        Shelving { identity, reason: Reason::Suspect, parks: 0, ..shelving("x", Until::After(Duration::ZERO)) };
    f.store.change(Change { shelve: Some(shelve), ..Change::default() }.into()).await.unwrap();
    for _ in 0..3 {
        let leased = f.store.lease_suspect("w", Duration::from_secs(9)).await.unwrap().unwrap();
        assert_eq!(leased.content.parks, 1);
        for _ in 0..2 {
            f.store.release(&[(leased.id, leased.generation)]).await.unwrap();
        }
    }
}

async fn what_a_person_wants_of_the_shelf_is_stored_whole_or_not_at_all(f: Fixture) {
    use crate::store::shelf::{ByHand, ShelfState, Wish};
    let failed = BatchRecord { state: BatchState::Failed, epoch: 1, ..fresh("b1") };
    let put = Change {
        batch: Some(RecordUpdate { record: failed.clone(), from_epoch: 0 }),
        shelve: Some(Shelving { parks: 7, failing_since: Some(1), ..shelving("b1", Until::Person) }),
        ..Change::default()
    };
    assert_eq!(f.store.change(put.into()).await.unwrap(), CommitOutcome::Done(vec![]));
    let row = async || f.store.shelf(&Filter::default(), 10).await.unwrap().remove(0);
    let dead = row().await;
    let replay = |generation, from_epoch| {
        let mut record = failed.clone();
        record.reopen(None);
        let by_hand = ByHand { id: dead.id, generation, wish: Wish::Replay };
        let batch = Some(RecordUpdate { record, from_epoch });
        f.store.change(Change { batch, by_hand: Some(by_hand), ..Change::default() }.into())
    };
    // A row that was put anew, and a record that went on, each keep the other from being changed.
    assert_eq!(replay(dead.generation + 1, 1).await.unwrap(), CommitOutcome::Fenced);
    assert_eq!(replay(dead.generation, 9).await.unwrap(), CommitOutcome::Fenced);
    assert_eq!((row().await.state, row().await.generation), (ShelfState::Dead, dead.generation));
    let stored = async || f.store.batch(&failed.key).await.unwrap().unwrap().record;
    assert_eq!(stored().await.state, BatchState::Failed);

    assert_eq!(replay(dead.generation, 1).await.unwrap(), CommitOutcome::Done(vec![]));
    assert_eq!((stored().await.state, stored().await.revision), (BatchState::Open, 2));
    let leased = f.store.lease_due("w", Duration::from_secs(5), &[(tenant(), 10)]).await.unwrap().remove(0);
    assert_eq!((leased.state, leased.content.parks, leased.content.failing_since), (ShelfState::Parked, 0, None));
    let discard = ByHand { id: leased.id, generation: leased.generation, wish: Wish::Discard };
    let discard = || f.store.change(Change { by_hand: Some(discard), ..Change::default() }.into());
    assert_eq!(discard().await.unwrap(), CommitOutcome::Fenced, "a worker has it in hand");
    f.set_time(1_005_000).await;
    assert_eq!(discard().await.unwrap(), CommitOutcome::Done(vec![]));
    assert!(f.store.shelf_ids(&Filter::default()).await.unwrap().is_empty());
}

async fn what_is_dead_stays_so_when_a_copy_of_it_is_parked(f: Fixture) {
    use crate::store::shelf::ShelfState;
    let put = |until, detail: &str| {
        let shelve = Shelving { detail: Some(detail.into()), ..shelving("b", until) };
        f.store.change(Change { shelve: Some(shelve), ..Change::default() }.into())
    };
    for (until, detail) in [
        (Until::After(Duration::ZERO), "parked"),
        (Until::Person, "dead"),
        (Until::After(Duration::ZERO), "copy"),
        (Until::Connection, "copy"),
    ] {
        assert_eq!(put(until, detail).await.unwrap(), CommitOutcome::Done(vec![]));
    }
    let row = f.store.shelf(&Filter::default(), 9).await.unwrap().remove(0);
    assert_eq!((row.state, row.content.detail.as_deref()), (ShelfState::Dead, Some("dead")));
    put(Until::Person, "dead again").await.unwrap();
    let row = f.store.shelf(&Filter::default(), 9).await.unwrap().remove(0);
    assert_eq!(row.content.detail.as_deref(), Some("dead again"));
}

async fn the_shelf_is_searched_by_batch_and_time(f: Fixture) {
    for (batch, at) in [("b1", 1_000_000), ("b2", 1_001_000)] {
        f.set_time(at).await;
        let shelve = Some(shelving(batch, Until::Person));
        f.store.change(Change { shelve, ..Change::default() }.into()).await.unwrap();
    }
    let count = async |filter: Filter| f.store.shelf_ids(&filter).await.unwrap().len();
    let batch =
        Filter { tenant: Some(tenant()), batch: Some(crate::batch::BatchId::new("b2").unwrap()), ..Filter::default() };
    assert_eq!(count(batch).await, 1);
    assert_eq!(count(Filter { since: Some(1_000_001), ..Filter::default() }).await, 1);
    assert_eq!(count(Filter { until: Some(1_001_000), ..Filter::default() }).await, 1);
    assert_eq!(count(Filter { since: Some(1_000_000), until: Some(1_001_001), ..Filter::default() }).await, 2);
}

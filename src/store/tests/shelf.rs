//! The shelf: what is put there, and when it is due.

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
    assert_eq!(f.store.due_tenants(9).await.unwrap(), []);
    let put_failing = async |key: &str, reason, until, arrived_at, failing_since| {
        let identity = ShelfIdentity::Batch(key.parse().unwrap(), "1:f".into());
        let shelve = Shelving { identity, reason, arrived_at, failing_since, ..shelving("b", until) };
        f.store.commit(Commit { shelve: Some(shelve), ..Commit::default() }.into()).await.unwrap();
    };
    let put = async |key: &str, reason, until, arrived_at| put_failing(key, reason, until, arrived_at, None).await;
    put("birch/1", Reason::NoRoom, ShelvedUntil::After(Duration::ZERO), 9).await;
    put("birch/2", Reason::Throttled, ShelvedUntil::After(HOUR), 1).await;
    put("acme/1", Reason::ServerError, ShelvedUntil::After(HOUR), 5).await;
    put("cedar/1", Reason::AllRefused, ShelvedUntil::Person, 2).await;
    let due = |name: &str, account: Option<&str>, is_due, is_shed| DueTenant {
        tenant: name.parse().unwrap(),
        account: account.map(Into::into),
        is_due,
        is_shed,
    };
    let expected = [due("birch", None, true, true), due("acme", Some("https://acme.testmo.net"), false, false)];
    assert_eq!(f.store.due_tenants(9).await.unwrap(), expected);
    assert_eq!(f.store.shed_counts(9).await.unwrap(), [("birch".parse().unwrap(), 2)]);
    let asks = [("birch".parse().unwrap(), 9), (tenant(), 9)];
    assert_eq!(f.store.lease_due("w", HOUR, &asks).await.unwrap().len(), 1);
    // What is tried again has a queue of its own, in which nothing new has to wait.
    put_failing("daisy/1", Reason::NoRoom, ShelvedUntil::After(HOUR), 12, Some(11)).await;
    let last = |due: Vec<DueTenant>| due.last().cloned();
    assert_eq!(last(f.store.due_tenants(9).await.unwrap()), Some(due("daisy", None, false, false)));
}

async fn what_waits_for_a_connection_is_due_when_another_one_is_verified_or_it_is_verified_again(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    f.store
        .commit(Commit { shelve: Some(shelving("b", ShelvedUntil::Connection)), ..Commit::default() }.into())
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
    let off = Commit { unshelve: Some((again[0].id.0, leased[0].generation)), ..Commit::default() };
    f.store.commit(off.into()).await.unwrap();
    assert!(f.store.shelved(again[0].id).await.unwrap().is_some(), "an outdated holder takes nothing off");
    let off = Commit { unshelve: Some((again[0].id.0, again[0].generation)), ..Commit::default() };
    f.store.commit(off.into()).await.unwrap();
    assert!(f.store.shelved(again[0].id).await.unwrap().is_none());
}

async fn what_waits_for_a_time_comes_back_in_order_of_arrival(f: Fixture) {
    for (batch, arrived_at) in [("late", 20), ("early", 10)] {
        let shelve = Shelving { arrived_at, ..shelving(batch, ShelvedUntil::After(Duration::from_secs(5))) };
        f.store.commit(Commit { shelve: Some(shelve), ..Commit::default() }.into()).await.unwrap();
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
        let identity = ShelfIdentity::Raw(hash.into(), None, None);
        let shelve = Shelving {
            identity,
            reason: Reason::Suspect,
            parks: 0,
            ..shelving("x", ShelvedUntil::After(Duration::ZERO))
        };
        f.store.commit(Commit { shelve: Some(shelve), ..Commit::default() }.into()).await.unwrap();
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
    let identity = ShelfIdentity::Raw("a".into(), None, None);
    let shelve =
        Shelving { identity, reason: Reason::Suspect, parks: 0, ..shelving("x", ShelvedUntil::After(Duration::ZERO)) };
    f.store.commit(Commit { shelve: Some(shelve), ..Commit::default() }.into()).await.unwrap();
    for _ in 0..3 {
        let leased = f.store.lease_suspect("w", Duration::from_secs(9)).await.unwrap().unwrap();
        assert_eq!(leased.content.parks, 1);
        for _ in 0..2 {
            f.store.release(&[(leased.id, leased.generation)]).await.unwrap();
        }
    }
}

async fn what_a_person_wants_of_the_shelf_is_stored_whole_or_not_at_all(f: Fixture) {
    use crate::store::shelf::{Action, OperatorAction, ShelfState};
    let failed = BatchRecord { state: BatchState::Failed, epoch: 1, ..fresh("b1") };
    let put = Commit {
        batch: Some(RecordUpdate { record: failed.clone(), from_epoch: 0 }),
        shelve: Some(Shelving { parks: 7, failing_since: Some(1), ..shelving("b1", ShelvedUntil::Person) }),
        ..Commit::default()
    };
    assert_eq!(f.store.commit(put.into()).await.unwrap(), CommitOutcome::Done(vec![]));
    let row = async || f.store.shelf(&ShelfFilter::default(), 10).await.unwrap().remove(0);
    let dead = row().await;
    let replay = |generation, from_epoch| {
        let mut record = failed.clone();
        record.reopen(None);
        let operator_action = OperatorAction { id: dead.id, generation, action: Action::Replay };
        let batch = Some(RecordUpdate { record, from_epoch });
        f.store.commit(Commit { batch, operator_action: Some(operator_action), ..Commit::default() }.into())
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
    let discard = OperatorAction { id: leased.id, generation: leased.generation, action: Action::Discard };
    let discard = || f.store.commit(Commit { operator_action: Some(discard), ..Commit::default() }.into());
    assert_eq!(discard().await.unwrap(), CommitOutcome::Fenced, "a worker has it in hand");
    f.set_time(1_005_000).await;
    assert_eq!(discard().await.unwrap(), CommitOutcome::Done(vec![]));
    assert!(f.store.shelf_ids(&ShelfFilter::default()).await.unwrap().is_empty());
}

async fn what_is_dead_stays_so_when_a_copy_of_it_is_parked(f: Fixture) {
    use crate::store::shelf::ShelfState;
    let put = |until, detail: &str| {
        let shelve = Shelving { detail: Some(detail.into()), ..shelving("b", until) };
        f.store.commit(Commit { shelve: Some(shelve), ..Commit::default() }.into())
    };
    for (until, detail) in [
        (ShelvedUntil::After(Duration::ZERO), "parked"),
        (ShelvedUntil::Person, "dead"),
        (ShelvedUntil::After(Duration::ZERO), "copy"),
        (ShelvedUntil::Connection, "copy"),
    ] {
        assert_eq!(put(until, detail).await.unwrap(), CommitOutcome::Done(vec![]));
    }
    let row = f.store.shelf(&ShelfFilter::default(), 9).await.unwrap().remove(0);
    assert_eq!((row.state, row.content.detail.as_deref()), (ShelfState::Dead, Some("dead")));
    put(ShelvedUntil::Person, "dead again").await.unwrap();
    let row = f.store.shelf(&ShelfFilter::default(), 9).await.unwrap().remove(0);
    assert_eq!(row.content.detail.as_deref(), Some("dead again"));
}

async fn the_shelf_is_searched_by_batch_and_time(f: Fixture) {
    for (batch, at) in [("b1", 1_000_000), ("b2", 1_001_000)] {
        f.set_time(at).await;
        let shelve = Some(shelving(batch, ShelvedUntil::Person));
        f.store.commit(Commit { shelve, ..Commit::default() }.into()).await.unwrap();
    }
    let count = async |filter: ShelfFilter| f.store.shelf_ids(&filter).await.unwrap().len();
    let batch = ShelfFilter {
        tenant: Some(tenant()),
        batch: Some(crate::batch::BatchId::new("b2").unwrap()),
        ..ShelfFilter::default()
    };
    assert_eq!(count(batch).await, 1);
    assert_eq!(count(ShelfFilter { since: Some(1_000_001), ..ShelfFilter::default() }).await, 1);
    assert_eq!(count(ShelfFilter { until: Some(1_001_000), ..ShelfFilter::default() }).await, 1);
    assert_eq!(
        count(ShelfFilter { since: Some(1_000_000), until: Some(1_001_001), ..ShelfFilter::default() }).await,
        2
    );
}

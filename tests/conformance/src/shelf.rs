//! Checks parked and dead batches: when they are due, and who leases them.

use std::time::Duration;

use testmo_courier::batch::Reason;
use testmo_courier::batch::ledger::{BatchRecord, BatchState};
use testmo_courier::store::ledger::{Commit, CommitOutcome, RecordUpdate};
use testmo_courier::store::shelf::{
    Action, DueTenant, OperatorAction, ShelfAge, ShelfAges, ShelfId, ShelfIdentity, ShelfState, ShelvedUntil, Shelving,
};

use crate::Subject;
use crate::values::{HOUR, START, connection, fresh, shelving, tenant, works};

cases! {
    ($) shelf_cases in shelf:
    tenants_with_parked_batches_are_listed_with_what_the_batches_wait_for,
    a_batch_that_waits_for_a_connection_is_due_once_another_one_is_verified_or_it_is_verified_again,
    a_batch_over_which_its_connection_failed_comes_back_after_those_that_only_wait_for_it,
    batches_that_wait_for_a_time_are_due_in_order_of_arrival,
    no_more_is_leased_once_the_bodies_reach_a_size,
    suspects_are_leased_one_at_a_time_and_counted,
    a_suspect_that_is_given_back_was_not_tried,
    a_suspect_that_is_postponed_was_not_tried_and_comes_after_the_others,
    an_action_of_an_operator_on_the_shelf_is_stored_whole_or_not_at_all,
    a_message_that_is_replayed_as_a_batch_is_leased_with_those_of_its_tenant,
    a_dead_batch_stays_dead_when_a_copy_of_it_is_parked,
    a_message_that_is_replayed_stays_so_when_a_copy_of_it_is_undeliverable,
    the_oldest_batch_is_known_for_each_reason_and_since_when_testmo_fails_for_one,
    what_waits_for_a_tenant_to_get_a_connection_is_due_once_a_day_until_then,
    what_was_given_up_for_want_of_a_connection_is_found_once_there_is_one,
}

async fn tenants_with_parked_batches_are_listed_with_what_the_batches_wait_for(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    assert_eq!(f.store().due_tenants(9).await.unwrap(), []);
    let put_failing = async |key: &str, reason, until, arrived_at, failing_since| {
        let identity = ShelfIdentity::Batch(key.parse().unwrap(), "1:f".into());
        let shelve = Shelving { identity, reason, arrived_at, failing_since, ..shelving("b", until) };
        f.store().commit(Commit { shelve: Some(shelve), ..Commit::default() }.into()).await.unwrap();
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
    assert_eq!(f.store().due_tenants(9).await.unwrap(), expected);
    assert_eq!(f.store().shed_counts(9).await.unwrap(), [("birch".parse().unwrap(), 2)]);
    let asks = [("birch".parse().unwrap(), 9), (tenant(), 9)];
    assert_eq!(f.store().lease_due("w", HOUR, &asks, usize::MAX).await.unwrap().len(), 1);
    // Retried batches have a queue of their own, so that new batches do not wait behind them.
    put_failing("daisy/1", Reason::NoRoom, ShelvedUntil::After(HOUR), 12, Some(11)).await;
    let last = |due: Vec<DueTenant>| due.last().cloned();
    assert_eq!(last(f.store().due_tenants(9).await.unwrap()), Some(due("daisy", None, false, false)));
}

async fn a_batch_that_waits_for_a_connection_is_due_once_another_one_is_verified_or_it_is_verified_again(
    f: &dyn Subject,
) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    f.store()
        .commit(Commit { shelve: Some(shelving("b", ShelvedUntil::Connection)), ..Commit::default() }.into())
        .await
        .unwrap();
    let lease =
        async || f.store().lease_due("w", Duration::from_secs(60), &[(tenant(), 10)], usize::MAX).await.unwrap();
    let is_shelved = async |id: ShelfId| f.shelf().await.iter().any(|row| row.id == id);
    assert!(lease().await.is_empty());
    f.connect(&connection("v2", false)).await;
    assert!(lease().await.is_empty(), "another one, but not verified");
    f.set_time(1_000_500).await;
    f.connect(&connection("v1", false)).await;
    f.record_verification(&works()).await;
    let leased = lease().await;
    assert_eq!(leased.len(), 1);
    assert_eq!(*leased[0].content.body, [0, 255]);
    assert!(lease().await.is_empty(), "leased");
    f.store().release(&[(leased[0].id, leased[0].generation)]).await.unwrap();
    let again = lease().await;
    let off = Commit { unshelve: Some((again[0].id.0, leased[0].generation)), ..Commit::default() };
    f.store().commit(off.into()).await.unwrap();
    assert!(is_shelved(again[0].id).await, "an outdated holder removes nothing");
    let off = Commit { unshelve: Some((again[0].id.0, again[0].generation)), ..Commit::default() };
    f.store().commit(off.into()).await.unwrap();
    assert!(!is_shelved(again[0].id).await);
}

async fn a_batch_over_which_its_connection_failed_comes_back_after_those_that_only_wait_for_it(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    for (batch, arrived_at, parks) in [("bad", 1, 1), ("late", 30, 0), ("early", 20, 0), ("worse", 2, 7)] {
        let shelve = Shelving { arrived_at, parks, ..shelving(batch, ShelvedUntil::Connection) };
        f.store().commit(Commit { shelve: Some(shelve), ..Commit::default() }.into()).await.unwrap();
    }
    f.connect(&connection("v2", true)).await;
    let lease = async |most| {
        let leased = f.store().lease_due("w", HOUR, &[(tenant(), most)], usize::MAX).await.unwrap();
        leased.iter().map(|row| row.content.arrived_at).collect::<Vec<_>>()
    };
    assert_eq!(lease(3).await, [20, 30, 1]);
    assert_eq!(lease(3).await, [2]);
}

async fn batches_that_wait_for_a_time_are_due_in_order_of_arrival(f: &dyn Subject) {
    for (batch, arrived_at) in [("late", 20), ("early", 10)] {
        let shelve = Shelving { arrived_at, ..shelving(batch, ShelvedUntil::After(Duration::from_secs(5))) };
        f.store().commit(Commit { shelve: Some(shelve), ..Commit::default() }.into()).await.unwrap();
    }
    assert!(f.store().lease_due("w", Duration::from_secs(1), &[(tenant(), 10)], usize::MAX).await.unwrap().is_empty());
    f.set_time(1_005_000).await;
    let leased = f.store().lease_due("w", Duration::from_secs(1), &[(tenant(), 10)], usize::MAX).await.unwrap();
    let order: Vec<i64> = leased.iter().map(|s| s.content.arrived_at).collect();
    assert_eq!(order, [10, 20]);
    f.set_time(1_006_000).await;
    assert_eq!(
        f.store().lease_due("w", Duration::from_secs(1), &[(tenant(), 1)], usize::MAX).await.unwrap()[0]
            .content
            .arrived_at,
        10
    );
}

async fn no_more_is_leased_once_the_bodies_reach_a_size(f: &dyn Subject) {
    let put = async |key: &str, arrived_at, bytes: usize| {
        let identity = ShelfIdentity::Batch(key.parse().unwrap(), "1:f".into());
        let body = vec![0; bytes].into();
        let shelve = Shelving { identity, arrived_at, body, ..shelving("b", ShelvedUntil::After(Duration::ZERO)) };
        f.store().commit(Commit { shelve: Some(shelve), ..Commit::default() }.into()).await.unwrap();
    };
    for (at, bytes) in [2_000_000, 10, 10, 10].into_iter().enumerate() {
        put(&format!("acme/{at}"), i64::try_from(at).unwrap(), bytes).await;
    }
    put("birch/0", 0, 10).await;
    let asks = [(tenant(), 9), ("birch".parse().unwrap(), 9)];
    let lease = async |most_bytes| {
        let leased = f.store().lease_due("w", HOUR, &asks, most_bytes).await.unwrap();
        leased.iter().map(|row| row.content.body.len()).collect::<Vec<_>>()
    };
    assert!(lease(0).await.is_empty());
    assert_eq!(lease(1_000).await, [2_000_000], "the first one is leased whatever its size");
    assert_eq!(lease(11).await, [10, 10]);
    assert_eq!(lease(11).await, [10, 10], "one of each tenant");
    assert!(lease(11).await.is_empty());
}

async fn suspects_are_leased_one_at_a_time_and_counted(f: &dyn Subject) {
    for hash in ["a", "b"] {
        let identity = ShelfIdentity::Raw(hash.into(), None, None);
        let shelve = Shelving {
            identity,
            reason: Reason::Suspect,
            parks: 0,
            ..shelving("x", ShelvedUntil::After(Duration::ZERO))
        };
        f.store().commit(Commit { shelve: Some(shelve), ..Commit::default() }.into()).await.unwrap();
    }
    assert!(f.store().lease_due("w", Duration::from_secs(9), &[(tenant(), 10)], usize::MAX).await.unwrap().is_empty());
    let first = f.store().lease_suspect("w", Duration::from_secs(9)).await.unwrap().unwrap();
    assert_eq!(first.content.parks, 1);
    assert!(f.store().lease_suspect("w", Duration::from_secs(9)).await.unwrap().is_none());
    f.set_time(1_009_000).await;
    let again = f.store().lease_suspect("w", Duration::from_secs(9)).await.unwrap().unwrap();
    assert_eq!((again.id, again.content.parks), (first.id, 2));
}

async fn a_suspect_that_is_given_back_was_not_tried(f: &dyn Subject) {
    let identity = ShelfIdentity::Raw("a".into(), None, None);
    let shelve =
        Shelving { identity, reason: Reason::Suspect, parks: 0, ..shelving("x", ShelvedUntil::After(Duration::ZERO)) };
    f.store().commit(Commit { shelve: Some(shelve), ..Commit::default() }.into()).await.unwrap();
    for _ in 0..3 {
        let leased = f.store().lease_suspect("w", Duration::from_secs(9)).await.unwrap().unwrap();
        assert_eq!(leased.content.parks, 1);
        for _ in 0..2 {
            f.store().release(&[(leased.id, leased.generation)]).await.unwrap();
        }
    }
}

async fn a_suspect_that_is_postponed_was_not_tried_and_comes_after_the_others(f: &dyn Subject) {
    for (hash, arrived_at) in [("a", 1), ("b", 2)] {
        let identity = ShelfIdentity::Raw(hash.into(), None, None);
        let until = ShelvedUntil::After(Duration::ZERO);
        let shelve = Shelving { identity, reason: Reason::Suspect, parks: 0, arrived_at, ..shelving("x", until) };
        f.store().commit(Commit { shelve: Some(shelve), ..Commit::default() }.into()).await.unwrap();
    }
    let lease = async || f.store().lease_suspect("w", HOUR).await.unwrap();
    let first = lease().await.unwrap();
    let postpone =
        async |generation| f.store().postpone_row(first.id, generation, Duration::from_secs(9)).await.unwrap();
    postpone(first.generation - 1).await;
    assert!(lease().await.is_none(), "an outdated holder postpones nothing");
    postpone(first.generation).await;
    postpone(first.generation).await;
    let second = lease().await.unwrap();
    assert_ne!(second.id, first.id);
    f.store().postpone_row(second.id, second.generation, Duration::from_secs(10)).await.unwrap();
    assert!(lease().await.is_none(), "none is due");
    f.set_time(1_020_000).await;
    let again = lease().await.unwrap();
    assert_eq!((again.id, again.content.parks), (first.id, 1), "the one that is due first");
    f.store().postpone_row(again.id, again.generation, Duration::from_secs(9)).await.unwrap();
    assert_eq!(lease().await.unwrap().id, second.id, "however late the other one arrived");
}

async fn an_action_of_an_operator_on_the_shelf_is_stored_whole_or_not_at_all(f: &dyn Subject) {
    let failed = BatchRecord { state: BatchState::Failed, epoch: 1, ..fresh("b1") };
    let put = Commit {
        batch: Some(RecordUpdate { record: failed.clone(), from_epoch: 0 }),
        shelve: Some(Shelving { parks: 7, failing_since: Some(1), ..shelving("b1", ShelvedUntil::Person) }),
        ..Commit::default()
    };
    assert_eq!(f.store().commit(put.into()).await.unwrap(), CommitOutcome::Done(vec![]));
    let row = async || f.shelf().await.remove(0);
    let dead = row().await;
    let replay = |generation, from_epoch| {
        let mut record = failed.clone();
        record.reopen(None);
        let operator_action =
            OperatorAction { id: dead.id, generation, action: Action::Replay, batch: None, item: None };
        let batch = Some(RecordUpdate { record, from_epoch });
        f.store().commit(Commit { batch, operator_action: Some(operator_action), ..Commit::default() }.into())
    };
    // Neither is changed if the entry was shelved again or the record has another epoch.
    assert_eq!(replay(dead.generation + 1, 1).await.unwrap(), CommitOutcome::Fenced);
    assert_eq!(replay(dead.generation, 9).await.unwrap(), CommitOutcome::Fenced);
    assert_eq!((row().await.state, row().await.generation), (ShelfState::Dead, dead.generation));
    let stored = async || f.batch(&failed.key).await.unwrap().record;
    assert_eq!(stored().await.state, BatchState::Failed);

    assert_eq!(replay(dead.generation, 1).await.unwrap(), CommitOutcome::Done(vec![]));
    assert_eq!((stored().await.state, stored().await.revision), (BatchState::Open, 2));
    let leased =
        f.store().lease_due("w", Duration::from_secs(5), &[(tenant(), 10)], usize::MAX).await.unwrap().remove(0);
    assert_eq!((leased.state, leased.content.parks, leased.content.failing_since), (ShelfState::Parked, 0, None));
    let discard = OperatorAction {
        id: leased.id,
        generation: leased.generation,
        action: Action::Discard,
        batch: None,
        item: None,
    };
    let discard = || f.store().commit(Commit { operator_action: Some(discard.clone()), ..Commit::default() }.into());
    assert_eq!(discard().await.unwrap(), CommitOutcome::Fenced, "a worker has leased it");
    f.set_time(1_005_000).await;
    assert_eq!(discard().await.unwrap(), CommitOutcome::Done(vec![]));
    assert!(f.shelf().await.is_empty());
}

async fn a_message_that_is_replayed_as_a_batch_is_leased_with_those_of_its_tenant(f: &dyn Subject) {
    let identity = ShelfIdentity::Raw("h".into(), None, None);
    let shelve = Shelving { identity, reason: Reason::TooLarge, ..shelving("b1", ShelvedUntil::Person) };
    f.store().commit(Commit { shelve: Some(shelve), ..Commit::default() }.into()).await.unwrap();
    let ShelfIdentity::Batch(key, _) = shelving("b1", ShelvedUntil::Person).identity else { unreachable!() };
    let dead = f.shelf().await.remove(0);
    let batch = Some(key.clone());
    let action = OperatorAction { id: dead.id, generation: dead.generation, action: Action::Replay, batch, item: None };
    let replay = Commit { operator_action: Some(action), ..Commit::default() };
    assert_eq!(f.store().commit(replay.into()).await.unwrap(), CommitOutcome::Done(vec![]));
    let due = f.store().due_tenants(9).await.unwrap();
    assert!(matches!(due.as_slice(), [due] if due.tenant == tenant() && due.is_due), "{due:?}");
    let leased = f.store().lease_due("w", Duration::from_secs(5), &[(tenant(), 10)], usize::MAX).await.unwrap();
    let named = ShelfIdentity::Raw("h".into(), Some(key.tenant), Some(key.batch));
    assert_eq!(leased[0].content.identity, named, "its identity stays that of its bytes");
}

async fn a_dead_batch_stays_dead_when_a_copy_of_it_is_parked(f: &dyn Subject) {
    let put = |until, detail: &str| {
        let shelve = Shelving { detail: Some(detail.into()), ..shelving("b", until) };
        f.store().commit(Commit { shelve: Some(shelve), ..Commit::default() }.into())
    };
    for (until, detail) in [
        (ShelvedUntil::After(Duration::ZERO), "parked"),
        (ShelvedUntil::Person, "dead"),
        (ShelvedUntil::After(Duration::ZERO), "copy"),
        (ShelvedUntil::Connection, "copy"),
    ] {
        assert_eq!(put(until, detail).await.unwrap(), CommitOutcome::Done(vec![]));
    }
    let row = f.shelf().await.remove(0);
    assert_eq!((row.state, row.content.detail.as_deref()), (ShelfState::Dead, Some("dead")));
    put(ShelvedUntil::Person, "dead again").await.unwrap();
    let row = f.shelf().await.remove(0);
    assert_eq!(row.content.detail.as_deref(), Some("dead again"));
}

async fn a_message_that_is_replayed_stays_so_when_a_copy_of_it_is_undeliverable(f: &dyn Subject) {
    let put = |reason| {
        let identity = ShelfIdentity::Raw("h".into(), None, None);
        let shelve = Shelving { identity, reason, ..shelving("b", ShelvedUntil::Person) };
        f.store().commit(Commit { shelve: Some(shelve), ..Commit::default() }.into())
    };
    put(Reason::Undeliverable).await.unwrap();
    put(Reason::Undeliverable).await.unwrap();
    let dead = f.shelf().await.remove(0);
    let (id, generation) = (dead.id, dead.generation);
    let action = OperatorAction { id, generation, action: Action::Replay, batch: None, item: None };
    let replay = Commit { operator_action: Some(action), ..Commit::default() };
    assert_eq!(f.store().commit(replay.into()).await.unwrap(), CommitOutcome::Done(vec![]));
    for reason in [Reason::Undeliverable, Reason::UnreadableHeaders] {
        assert_eq!(put(reason).await.unwrap(), CommitOutcome::Done(vec![]));
        let after = f.shelf().await.remove(0);
        assert_eq!((after.state, after.generation), (ShelfState::Parked, generation + 1), "{reason}");
    }
    put(Reason::CrashLoop).await.unwrap();
    assert_eq!(f.shelf().await.remove(0).state, ShelfState::Dead, "what is found out about it counts");
}

async fn the_oldest_batch_is_known_for_each_reason_and_since_when_testmo_fails_for_one(f: &dyn Subject) {
    assert_eq!(f.store().shelf_ages().await.unwrap(), ShelfAges::default());
    let later = || ShelvedUntil::After(HOUR);
    for (key, reason, until, arrived_at, failing_since) in [
        ("acme/1", Reason::ServerError, later(), 9, Some(40)),
        ("acme/2", Reason::ServerError, later(), 5, None),
        ("acme/3", Reason::NoAnswer, later(), 7, Some(30)),
        // It waits for a person, whatever it has been through.
        ("birch/1", Reason::Paused, later(), 3, Some(1)),
        ("birch/2", Reason::RetriesExhausted, ShelvedUntil::Person, 2, Some(1)),
        ("birch/3", Reason::Paused, ShelvedUntil::Person, 1, None),
    ] {
        let identity = ShelfIdentity::Batch(key.parse().unwrap(), "1:f".into());
        let shelve = Shelving { identity, reason, arrived_at, failing_since, ..shelving("b", until) };
        f.store().commit(Commit { shelve: Some(shelve), ..Commit::default() }.into()).await.unwrap();
    }
    let age = |state, reason, since| ShelfAge { state, reason: Some(reason), since };
    let expected = [
        age(ShelfState::Dead, Reason::Paused, 1),
        age(ShelfState::Dead, Reason::RetriesExhausted, 2),
        age(ShelfState::Parked, Reason::NoAnswer, 7),
        age(ShelfState::Parked, Reason::Paused, 3),
        age(ShelfState::Parked, Reason::ServerError, 5),
    ];
    let ages = f.store().shelf_ages().await.unwrap();
    assert_eq!((ages.oldest, ages.failing_since), (expected.to_vec(), Some(30)));
}

async fn what_waits_for_a_tenant_to_get_a_connection_is_due_once_a_day_until_then(f: &dyn Subject) {
    const DAY: i64 = 86_400_000;
    let park = async || {
        let waits = shelving("b", ShelvedUntil::Connection);
        let shelve = Some(Shelving { reason: Reason::UnknownTenant, connection: None, ..waits });
        f.store().commit(Commit { shelve, ..Commit::default() }.into()).await.unwrap();
    };
    let taken = async || {
        let is_due = f.store().due_tenants(9).await.unwrap()[0].is_due;
        let leased = f.store().lease_due("w", HOUR, &[(tenant(), 9)], usize::MAX).await.unwrap();
        assert_eq!(is_due, leased.len() == 1);
        is_due
    };
    park().await;
    assert!(!taken().await);
    for day in 1..=2 {
        f.set_time(START + day * DAY - 1).await;
        assert!(!taken().await, "day {day}");
        f.set_time(START + day * DAY).await;
        assert!(taken().await, "day {day}");
        park().await;
        assert!(!taken().await, "day {day}");
    }
    assert_eq!(f.store().connected_tenants(9).await.unwrap(), []);
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    assert!(taken().await);
    assert_eq!(f.store().connected_tenants(9).await.unwrap(), [tenant()]);
    assert_eq!(f.store().connected_tenants(0).await.unwrap(), []);
}

async fn what_was_given_up_for_want_of_a_connection_is_found_once_there_is_one(f: &dyn Subject) {
    let reasons = [("b1", Reason::UnknownTenant), ("b2", Reason::CaseRefused), ("b3", Reason::UnknownTenant)];
    for (batch, reason) in reasons {
        let shelve = Shelving { reason, ..shelving(batch, ShelvedUntil::Person) };
        f.store().commit(Commit { shelve: Some(shelve), ..Commit::default() }.into()).await.unwrap();
    }
    let parked = Shelving { reason: Reason::UnknownTenant, ..shelving("b4", ShelvedUntil::Connection) };
    f.store().commit(Commit { shelve: Some(parked), ..Commit::default() }.into()).await.unwrap();
    let found = async |after, most| {
        let rows = f.store().connected_since(ShelfId(after), most).await.unwrap();
        rows.into_iter().map(|row| row.id.0).collect::<Vec<_>>()
    };
    assert_eq!(found(0, 9).await, [0; 0], "there is none");
    f.store().set_connection(&connection("v1", false)).await.unwrap();
    assert_eq!((found(0, 9).await, found(0, 1).await, found(1, 9).await), (vec![1, 3], vec![1], vec![3]));
    f.begin_removal(HOUR).await;
    assert_eq!(found(0, 9).await, [0; 0], "it is being removed");
    f.end_removal().await;
    assert_eq!(found(0, 9).await, [1, 3]);
}

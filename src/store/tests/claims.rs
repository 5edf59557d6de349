//! Claims and commits of batches.

use super::*;

on_both! {
    a_claim_needs_a_verified_current_connection,
    of_two_claims_for_a_batch_one_is_granted_and_the_other_learns_what_is_stored,
    of_two_changes_of_a_batch_at_one_moment_one_changes_nothing,
    a_change_that_started_from_another_epoch_changes_nothing,
    of_several_batches_in_a_claim_only_those_that_fit_are_granted,
    the_last_push_of_a_batch_is_known_by_account,
    rows_of_a_push_are_held_whichever_of_its_batches_are_found_first,
    a_claim_stores_the_highest_id_that_is_known_while_nothing_is_in_doubt,
    where_ids_do_not_ascend_a_claim_stores_no_floor,
    many_requests_at_once_are_each_answered,
    one_bad_request_does_not_fail_its_neighbours,
}

async fn a_claim_needs_a_verified_current_connection(f: Fixture) {
    let claim = claim_of("p1", &fresh("b"));
    assert!(matches!(f.store.claim(claim.clone()).await.unwrap(), ClaimOutcome::ConnectionChanged));
    f.store.set_connection(&connection("v1", false)).await.unwrap();
    assert!(matches!(f.store.claim(claim.clone()).await.unwrap(), ClaimOutcome::ConnectionChanged));
    f.connect(&connection("v2", true)).await;
    assert!(matches!(f.store.claim(claim.clone()).await.unwrap(), ClaimOutcome::ConnectionChanged));
    f.connect(&connection("v1", true)).await;
    assert!(granted(&f.store.claim(claim).await.unwrap()));
}

async fn of_two_claims_for_a_batch_one_is_granted_and_the_other_learns_what_is_stored(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let both = tokio::join!(f.store.claim(claim_of("p1", &fresh("b"))), f.store.claim(claim_of("p2", &fresh("b"))));
    let answers = [both.0.unwrap(), both.1.unwrap()];
    assert_eq!(answers.iter().filter(|a| granted(a)).count(), 1);
    let ClaimOutcome::Stale { stored, now } = f.store.claim(claim_of("p3", &fresh("b"))).await.unwrap() else {
        panic!()
    };
    assert_eq!(stored[0].lease_until, Some(now + 10_000));
    assert_eq!(stored[0].record.epoch, 1);
    assert_eq!(stored[0].record.first_seen_at, now);
}

async fn of_two_changes_of_a_batch_at_one_moment_one_changes_nothing(f: Fixture) {
    let change = |folder: u64| {
        let mut record = fresh("b");
        (record.state, record.epoch) = (BatchState::Failed, 1);
        record.targets.push(Target { folder, ..target() });
        let shelve = Some(shelving(&folder.to_string(), ShelvedUntil::Person));
        Commit { batch: Some(RecordUpdate { record, from_epoch: 0 }), shelve, ..Commit::default() }
    };
    let both = tokio::join!(f.store.commit(change(1).into()), f.store.commit(change(2).into()));
    assert_eq!((both.0.unwrap(), both.1.unwrap()), (CommitOutcome::Done(vec![]), CommitOutcome::Fenced));
    let stored = f.store.batch(&fresh("b").key).await.unwrap().unwrap();
    assert_eq!(stored.record.target().unwrap().folder, 1);
    assert_eq!(
        f.store.shelf(&ShelfFilter::default(), 9).await.unwrap().len(),
        1,
        "what goes with the second one neither"
    );
}

async fn a_change_that_started_from_another_epoch_changes_nothing(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let claim = claim_of("p1", &fresh("b"));
    let mut record = claim.batches[0].record.clone();
    f.store.claim(claim).await.unwrap();
    record.created(&[(0, 10), (1, 11)]);
    record.state = BatchState::Delivered;
    let change = |from_epoch| Commit {
        batch: Some(RecordUpdate { record: record.clone(), from_epoch }),
        ended: Some(PushEnded { push: "p1".into(), answer: "2xx", ids: Some((10, 11)) }),
        shelve: Some(shelving("b", ShelvedUntil::Person)),
        ..Commit::default()
    };
    assert_eq!(f.store.commit(change(7).into()).await.unwrap(), CommitOutcome::Fenced);
    assert_eq!(f.store.shelf(&ShelfFilter::default(), 9).await.unwrap().len(), 0);
    assert_eq!(f.store.commit(change(1).into()).await.unwrap(), CommitOutcome::Done(vec![]));
    assert_eq!(f.store.commit(change(1).into()).await.unwrap(), CommitOutcome::Fenced);
    let stored = f.store.batch(&record.key).await.unwrap().unwrap();
    assert_eq!(stored.record, BatchRecord { first_seen_at: 1_000_000, ..record });
    let held = f.store.held_ids("https://acme.testmo.net", &[9, 10, 11, 12]).await.unwrap();
    assert_eq!(held, [10, 11].into());
    assert_eq!(f.store.held_ids("https://other.testmo.net", &[10]).await.unwrap(), [].into());
}

async fn of_several_batches_in_a_claim_only_those_that_fit_are_granted(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    f.store.claim(claim_of("p1", &fresh("known"))).await.unwrap();
    let parts = ["new", "known", "other"].map(|batch| claim_of("p2", &fresh(batch)).batches.remove(0));
    let claim = Claim { batches: parts.into(), ..claim_of("p2", &fresh("new")) };
    let ClaimOutcome::Granted { stale, contested, .. } = f.store.claim(claim).await.unwrap() else { panic!() };
    assert_eq!((stale.len(), contested), (1, vec![]));
    assert_eq!(stale[0].record.key, "acme/known".parse().unwrap());
    let company = f.store.push_members("p2").await.unwrap();
    let batches: Vec<String> = company.waiting.iter().map(|record| record.key.to_string()).collect();
    assert_eq!((company.committed, batches), (false, vec!["acme/new".to_owned(), "acme/other".into()]));
    let ended = Some(PushEnded { push: "p2".into(), answer: "adopted", ids: Some((7, 8)) });
    f.store.commit(Commit { ended, ..Commit::default() }.into()).await.unwrap();
    assert!(f.store.push_members("p2").await.unwrap().committed);
    let Some(mut moved_on) = f.store.batch(&"acme/new".parse().unwrap()).await.unwrap().map(|s| s.record) else {
        panic!()
    };
    let from_epoch = moved_on.epoch;
    moved_on.not_created(vec![]);
    f.store
        .commit(Commit { batch: Some(RecordUpdate { record: moved_on, from_epoch }), ..Commit::default() }.into())
        .await
        .unwrap();
    let waiting = f.store.push_members("p2").await.unwrap().waiting;
    assert_eq!(waiting.iter().map(|record| record.key.to_string()).collect::<Vec<_>>(), ["acme/other"]);
}

async fn the_last_push_of_a_batch_is_known_by_account(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let (mut record, key) = (fresh("b"), "acme/b".parse().unwrap());
    for (push, at) in [("p2", 1_000_001), ("p1", 1_000_002), ("p3", 1_000_003)] {
        f.set_time(at).await;
        let claim = claim_of(push, &record);
        assert!(granted(&f.store.claim(claim.clone()).await.unwrap()));
        (record, _) = (claim.batches[0].record.clone(), record);
        record.not_created(vec![]);
        let batch = Some(RecordUpdate { record: record.clone(), from_epoch: record.epoch - 1 });
        let ended = Some(PushEnded { push: push.into(), answer: "429", ids: None });
        assert_eq!(
            f.store.commit(Commit { batch, ended, ..Commit::default() }.into()).await.unwrap(),
            CommitOutcome::Done(vec![])
        );
    }
    let last = async |account: &str, but| f.store.last_push(&key, account, but).await.unwrap();
    assert_eq!(last("https://acme.testmo.net", None).await.as_deref(), Some("p3"));
    assert_eq!(last("https://acme.testmo.net", Some("p3")).await.as_deref(), Some("p1"));
    assert_eq!(last("https://other.testmo.net", None).await, None);
}

async fn rows_of_a_push_are_held_whichever_of_its_batches_are_found_first(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let parts = ["a", "b", "c", "d"].map(|batch| claim_of("p", &fresh(batch)).batches.remove(0));
    let claim = Claim { batches: parts.clone().into(), ..claim_of("p", &fresh("a")) };
    assert!(granted(&f.store.claim(claim).await.unwrap()));
    let [a, b, c, d] = [(0, 23), (1, 20), (2, 17), (3, 26)].map(|(part, first): (usize, u64)| {
        let mut record = parts[part].record.clone();
        record.created(&[(0, first), (1, first + 1)]);
        let ended = Some(PushEnded { push: "p".into(), answer: "adopted", ids: Some((first, first + 1)) });
        let batch = Some(RecordUpdate { record, from_epoch: 1 });
        f.store.commit(Commit { batch, ended, ..Commit::default() }.into())
    });
    // One after the other, and both in one group.
    assert_eq!(a.await.unwrap(), CommitOutcome::Done(vec![]));
    assert_eq!(b.await.unwrap(), CommitOutcome::Done(vec![]));
    let both = tokio::join!(c, d);
    assert_eq!((both.0.unwrap(), both.1.unwrap()), (CommitOutcome::Done(vec![]), CommitOutcome::Done(vec![])));
    let all: Vec<u64> = (15..30).collect();
    let held = f.store.held_ids("https://acme.testmo.net", &all).await.unwrap();
    assert_eq!(held, [17, 18, 20, 21, 23, 24, 26, 27].into());
    for id in &held {
        assert_eq!(f.store.held_ids("https://acme.testmo.net", &[*id]).await.unwrap(), [*id].into());
    }
}

async fn many_requests_at_once_are_each_answered(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let claims = (0..300).map(|n| f.store.claim(claim_of(&format!("p{n}"), &fresh(&format!("b{n}")))));
    let answers = futures_util::future::join_all(claims).await;
    assert!(answers.iter().all(|a| granted(a.as_ref().unwrap())));
    assert_eq!(f.store.latest_batches(Some(&tenant()), 1_000).await.unwrap().len(), 300);
}

async fn one_bad_request_does_not_fail_its_neighbours(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    f.store.claim(claim_of("p1", &fresh("b1"))).await.unwrap();
    let same_push_again = f.store.claim(claim_of("p1", &fresh("b2")));
    let good = f.store.claim(claim_of("p3", &fresh("b3")));
    let (bad, good) = tokio::join!(same_push_again, good);
    assert!(bad.is_err());
    assert!(granted(&good.unwrap()));
}

/// Has a push of another batch end with this id.
async fn know(f: &Fixture, push: &str, id: u64) {
    f.store.claim(claim_of(push, &fresh(push))).await.unwrap();
    let ended = Some(PushEnded { push: push.into(), answer: "2xx", ids: Some((1, id)) });
    f.store.commit(Commit { ended, ..Commit::default() }.into()).await.unwrap();
}

async fn floor_of(f: &Fixture, record: &BatchRecord) -> Option<u64> {
    f.store.batch(&record.key).await.unwrap().unwrap().record.floor
}

async fn a_claim_stores_the_highest_id_that_is_known_while_nothing_is_in_doubt(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let first = claim_of("p1", &fresh("b"));
    let mut record = first.batches[0].record.clone();
    let ClaimOutcome::Granted { ids, .. } = f.store.claim(first).await.unwrap() else { panic!() };
    assert_eq!((ids, floor_of(&f, &record).await), (KnownIds::default(), None), "nothing is known in a new ledger");
    record.not_created(vec![]);
    let change = Commit { batch: Some(RecordUpdate { record: record.clone(), from_epoch: 1 }), ..Commit::default() };
    f.store.commit(change.into()).await.unwrap();

    know(&f, "p2", 20).await;
    let again = claim_of("p3", &record);
    let mut record = again.batches[0].record.clone();
    let ClaimOutcome::Granted { ids, .. } = f.store.claim(again).await.unwrap() else { panic!() };
    assert_eq!((ids.highest, floor_of(&f, &record).await), (Some(20), Some(20)));
    let from_epoch = record.epoch;
    record.floor = Some(20);
    record.unclear(5);
    record.reconciled(&[], false);
    let change = Commit { batch: Some(RecordUpdate { record: record.clone(), from_epoch }), ..Commit::default() };
    f.store.commit(change.into()).await.unwrap();

    know(&f, "p4", 30).await;
    let ClaimOutcome::Granted { ids, .. } = f.store.claim(claim_of("p5", &record)).await.unwrap() else { panic!() };
    assert_eq!((ids.highest, floor_of(&f, &record).await), (Some(30), Some(20)), "the first floor counts");
    let other = Claim { account: "https://other.testmo.net".into(), ..claim_of("p6", &fresh("other")) };
    let ClaimOutcome::Granted { ids, .. } = f.store.claim(other).await.unwrap() else { panic!() };
    assert_eq!(ids.highest, None, "an id tells nothing of another account");
}

async fn where_ids_do_not_ascend_a_claim_stores_no_floor(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    know(&f, "p1", 20).await;
    let observation = Some(AccountObservation { account: target().account, signal: Signal::IdsDisordered, ceiling: 4 });
    f.store.commit(Commit { observation, ..Commit::default() }.into()).await.unwrap();
    assert!(f.store.throttle(&target().account).await.unwrap().ids_disordered);
    let ClaimOutcome::Granted { ids, .. } = f.store.claim(claim_of("p2", &fresh("b"))).await.unwrap() else { panic!() };
    assert_eq!((ids, ids.floor()), (KnownIds { highest: Some(20), disordered: true }, None));
    assert_eq!(floor_of(&f, &fresh("b")).await, None);
}

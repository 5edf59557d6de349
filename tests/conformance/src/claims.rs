//! Checks claims and commits of batches.

use testmo_courier::batch::ledger::{BatchRecord, BatchState, Target};
use testmo_courier::batch::restored::Restored;
use testmo_courier::store::ledger::{Claim, ClaimOutcome, Commit, CommitOutcome, PushEnded, PushFound, RecordUpdate};
use testmo_courier::store::shelf::ShelvedUntil;

use crate::Subject;
use crate::values::{claim_of, connection, fresh, granted, shelving, target};

cases! {
    ($) claims_cases in claims:
    a_claim_needs_a_verified_current_connection,
    of_two_claims_for_a_batch_one_is_granted_and_the_other_returns_what_is_stored,
    of_two_concurrent_commits_for_a_batch_only_the_first_is_stored,
    a_commit_that_started_from_another_epoch_changes_nothing,
    a_push_that_was_found_holds_its_ids_and_its_batch_takes_the_restore_into_account,
    of_several_batches_in_a_claim_only_those_at_the_stored_epoch_are_granted,
    many_concurrent_claims_are_each_answered,
    a_claim_that_fails_does_not_fail_the_claims_beside_it,
}

async fn a_claim_needs_a_verified_current_connection(f: &dyn Subject) {
    let claim = claim_of("p1", &fresh("b"));
    assert!(matches!(f.store().claim(claim.clone()).await.unwrap(), ClaimOutcome::ConnectionChanged));
    f.store().set_connection(&connection("v1", false)).await.unwrap();
    assert!(matches!(f.store().claim(claim.clone()).await.unwrap(), ClaimOutcome::ConnectionChanged));
    f.connect(&connection("v2", true)).await;
    assert!(matches!(f.store().claim(claim.clone()).await.unwrap(), ClaimOutcome::ConnectionChanged));
    f.connect(&connection("v1", true)).await;
    assert!(granted(&f.store().claim(claim).await.unwrap()));
}

async fn of_two_claims_for_a_batch_one_is_granted_and_the_other_returns_what_is_stored(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    let both = tokio::join!(f.store().claim(claim_of("p1", &fresh("b"))), f.store().claim(claim_of("p2", &fresh("b"))));
    let answers = [both.0.unwrap(), both.1.unwrap()];
    assert_eq!(answers.iter().filter(|a| granted(a)).count(), 1);
    let ClaimOutcome::Stale { stored, now } = f.store().claim(claim_of("p3", &fresh("b"))).await.unwrap() else {
        panic!()
    };
    assert_eq!(stored[0].lease_until, Some(now + 10_000));
    assert_eq!(stored[0].record.epoch, 1);
    assert_eq!(stored[0].record.first_seen_at, now);
}

async fn of_two_concurrent_commits_for_a_batch_only_the_first_is_stored(f: &dyn Subject) {
    let change = |folder: u64| {
        let mut record = fresh("b");
        (record.state, record.epoch) = (BatchState::Failed, 1);
        record.targets.push(Target { folder, ..target() });
        let shelve = Some(shelving(&folder.to_string(), ShelvedUntil::Person));
        Commit { batch: Some(RecordUpdate { record, from_epoch: 0 }), shelve, ..Commit::default() }
    };
    let both = tokio::join!(f.store().commit(change(1).into()), f.store().commit(change(2).into()));
    assert_eq!((both.0.unwrap(), both.1.unwrap()), (CommitOutcome::Done(vec![]), CommitOutcome::Fenced));
    let stored = f.batch(&fresh("b").key).await.unwrap();
    assert_eq!(stored.record.target().unwrap().folder, 1);
    assert_eq!(f.shelf().await.len(), 1, "the shelving of the second one is not stored either");
}

async fn a_commit_that_started_from_another_epoch_changes_nothing(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    let claim = claim_of("p1", &fresh("b"));
    let mut record = claim.batches[0].record.clone();
    f.store().claim(claim).await.unwrap();
    record.created(&[(0, 10), (1, 11)]);
    record.state = BatchState::Delivered;
    let change = |from_epoch| Commit {
        batch: Some(RecordUpdate { record: record.clone(), from_epoch }),
        ended: Some(PushEnded { push: "p1".into(), answer: "2xx".into(), detail: None, ids: Some((10, 11)) }),
        shelve: Some(shelving("b", ShelvedUntil::Person)),
        ..Commit::default()
    };
    assert_eq!(f.store().commit(change(7).into()).await.unwrap(), CommitOutcome::Fenced);
    assert_eq!(f.shelf().await.len(), 0);
    assert_eq!(f.store().commit(change(1).into()).await.unwrap(), CommitOutcome::Done(vec![]));
    assert_eq!(f.store().commit(change(1).into()).await.unwrap(), CommitOutcome::Fenced);
    let stored = f.batch(&record.key).await.unwrap();
    assert_eq!(stored.record, BatchRecord { first_seen_at: 1_000_000, ..record });
    let held = f.store().held_ids("https://acme.testmo.net", &[9, 10, 11, 12]).await.unwrap();
    assert_eq!(held, [10, 11].into());
    assert_eq!(f.store().held_ids("https://other.testmo.net", &[10]).await.unwrap(), [].into());
    for (account, before, given) in [
        ("https://acme.testmo.net", 1_000_001, [10, 11].into()),
        ("https://acme.testmo.net", 1_000_000, [].into()),
        ("https://other.testmo.net", 1_000_001, [].into()),
    ] {
        let found = f.store().ids_given_before(account, &[9, 10, 11, 12], before).await.unwrap();
        assert_eq!(found, given, "{account} {before}");
    }
}

async fn a_push_that_was_found_holds_its_ids_and_its_batch_takes_the_restore_into_account(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    let restored = Restored { times: 1, latest_at: 0, until: 0, noted_at: 0 };
    let mut record = fresh("b");
    record.continue_after(&restored);
    record.goes_to([(0, 0), (1, 0)].into_iter(), &[target()]);
    let stored = Commit { batch: Some(RecordUpdate { record: record.clone(), from_epoch: 0 }), ..Commit::default() };
    assert!(f.store().commit(stored.into()).await.unwrap().is_done());
    let record = f.batch(&record.key).await.unwrap().record;
    assert_eq!((record.revision, record.restores), (1_001, 0));
    let mut looked_up = record.clone();
    looked_up.looked_up(&[(0, 10)], &[], &restored);
    let found = PushFound {
        push: "found".into(),
        batch: record.key.clone(),
        connection: "v1".into(),
        target: target(),
        holder: "w".into(),
        cases: 1,
    };
    let change = Commit {
        batch: Some(RecordUpdate { record: looked_up.clone(), from_epoch: record.epoch }),
        found: Some(found),
        ended: Some(PushEnded { push: "found".into(), answer: "found".into(), detail: None, ids: Some((10, 10)) }),
        ..Commit::default()
    };
    assert!(f.store().commit(change.into()).await.unwrap().is_done());
    assert_eq!(f.batch(&record.key).await.unwrap().record, looked_up);
    let account = target().account;
    assert_eq!(f.store().held_ids(&account, &[9, 10, 11]).await.unwrap(), [10].into());
    let last = f.store().last_push(&record.key, &account, None).await.unwrap();
    assert_eq!(last.as_deref(), Some("found"));
    let ClaimOutcome::Granted { ids, .. } = f.store().claim(claim_of("p1", &fresh("c"))).await.unwrap() else {
        panic!()
    };
    assert_eq!(ids.highest, Some(10), "further requests know of it");
}

async fn of_several_batches_in_a_claim_only_those_at_the_stored_epoch_are_granted(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    f.store().claim(claim_of("p1", &fresh("known"))).await.unwrap();
    let parts = ["new", "known", "other"].map(|batch| claim_of("p2", &fresh(batch)).batches.remove(0));
    let claim = Claim { batches: parts.into(), ..claim_of("p2", &fresh("new")) };
    let ClaimOutcome::Granted { stale, contested, .. } = f.store().claim(claim).await.unwrap() else { panic!() };
    assert_eq!((stale.len(), contested), (1, vec![]));
    assert_eq!(stale[0].record.key, "acme/known".parse().unwrap());
    let members = f.store().push_members("p2").await.unwrap();
    let batches: Vec<String> = members.waiting.iter().map(|record| record.key.to_string()).collect();
    assert_eq!((members.committed, batches), (false, vec!["acme/new".to_owned(), "acme/other".into()]));
    let ended = Some(PushEnded { push: "p2".into(), answer: "adopted".into(), detail: None, ids: Some((7, 8)) });
    f.store().commit(Commit { ended, ..Commit::default() }.into()).await.unwrap();
    assert!(f.store().push_members("p2").await.unwrap().committed);
    let Some(mut record) = f.batch(&"acme/new".parse().unwrap()).await.map(|s| s.record) else { panic!() };
    let from_epoch = record.epoch;
    record.not_created(vec![]);
    f.store()
        .commit(Commit { batch: Some(RecordUpdate { record, from_epoch }), ..Commit::default() }.into())
        .await
        .unwrap();
    let waiting = f.store().push_members("p2").await.unwrap().waiting;
    assert_eq!(waiting.iter().map(|record| record.key.to_string()).collect::<Vec<_>>(), ["acme/other"]);
}

async fn many_concurrent_claims_are_each_answered(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    let claims = (0..300).map(|n| f.store().claim(claim_of(&format!("p{n}"), &fresh(&format!("b{n}")))));
    let answers = futures_util::future::join_all(claims).await;
    assert!(answers.iter().all(|a| granted(a.as_ref().unwrap())));
    for n in 0..300 {
        assert!(f.batch(&fresh(&format!("b{n}")).key).await.is_some(), "b{n}");
    }
}

async fn a_claim_that_fails_does_not_fail_the_claims_beside_it(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    f.store().claim(claim_of("p1", &fresh("b1"))).await.unwrap();
    let same_push_again = f.store().claim(claim_of("p1", &fresh("b2")));
    let good = f.store().claim(claim_of("p3", &fresh("b3")));
    let (bad, good) = tokio::join!(same_push_again, good);
    assert!(bad.is_err());
    assert!(granted(&good.unwrap()));
}

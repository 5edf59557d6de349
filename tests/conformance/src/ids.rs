//! Checks which ids the ledger holds, and from which id on a claim looks for its own rows.

use testmo_courier::account::Signal;
use testmo_courier::batch::ledger::BatchRecord;
use testmo_courier::store::accounts::AccountObservation;
use testmo_courier::store::ledger::{Claim, ClaimOutcome, Commit, CommitOutcome, KnownIds, PushEnded, RecordUpdate};

use crate::Subject;
use crate::values::{claim_of, connection, fresh, granted, target};

cases! {
    ($) ids_cases in ids:
    the_last_push_of_a_batch_is_found_by_account,
    rows_of_a_push_are_held_in_any_order_in_which_its_batches_are_found,
    ids_of_a_push_are_held_however_far_apart_they_are,
    a_claim_stores_the_highest_known_id_while_no_outcome_is_unknown,
    where_ids_do_not_ascend_a_claim_stores_no_floor,
}

async fn the_last_push_of_a_batch_is_found_by_account(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    let (mut record, key) = (fresh("b"), "acme/b".parse().unwrap());
    for (push, at) in [("p2", 1_000_001), ("p1", 1_000_002), ("p3", 1_000_003)] {
        f.set_time(at).await;
        let claim = claim_of(push, &record);
        assert!(granted(&f.store().claim(claim.clone()).await.unwrap()));
        (record, _) = (claim.batches[0].record.clone(), record);
        record.not_created(vec![]);
        let batch = Some(RecordUpdate { record: record.clone(), from_epoch: record.epoch - 1 });
        let ended = Some(PushEnded { push: push.into(), answer: "429".into(), detail: None, ids: None });
        assert_eq!(
            f.store().commit(Commit { batch, ended, ..Commit::default() }.into()).await.unwrap(),
            CommitOutcome::Done(vec![])
        );
    }
    let last = async |account: &str, but| f.store().last_push(&key, account, but).await.unwrap();
    assert_eq!(last("https://acme.testmo.net", None).await.as_deref(), Some("p3"));
    assert_eq!(last("https://acme.testmo.net", Some("p3")).await.as_deref(), Some("p1"));
    assert_eq!(last("https://other.testmo.net", None).await, None);
}

async fn rows_of_a_push_are_held_in_any_order_in_which_its_batches_are_found(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    let parts = ["a", "b", "c", "d"].map(|batch| claim_of("p", &fresh(batch)).batches.remove(0));
    let claim = Claim { batches: parts.clone().into(), ..claim_of("p", &fresh("a")) };
    assert!(granted(&f.store().claim(claim).await.unwrap()));
    let [a, b, c, d] = [(0, 23), (1, 20), (2, 17), (3, 26)].map(|(part, first): (usize, u64)| {
        let mut record = parts[part].record.clone();
        record.created(&[(0, first), (1, first + 1)]);
        let ended =
            Some(PushEnded { push: "p".into(), answer: "adopted".into(), detail: None, ids: Some((first, first + 1)) });
        let batch = Some(RecordUpdate { record, from_epoch: 1 });
        f.store().commit(Commit { batch, ended, ..Commit::default() }.into())
    });
    // The first two one after the other, the others in one group.
    assert_eq!(a.await.unwrap(), CommitOutcome::Done(vec![]));
    assert_eq!(b.await.unwrap(), CommitOutcome::Done(vec![]));
    let both = tokio::join!(c, d);
    assert_eq!((both.0.unwrap(), both.1.unwrap()), (CommitOutcome::Done(vec![]), CommitOutcome::Done(vec![])));
    let all: Vec<u64> = (15..30).collect();
    let held = f.store().held_ids("https://acme.testmo.net", &all).await.unwrap();
    assert_eq!(held, [17, 18, 20, 21, 23, 24, 26, 27].into());
    for id in &held {
        assert_eq!(f.store().held_ids("https://acme.testmo.net", &[*id]).await.unwrap(), [*id].into());
    }
}

async fn ids_of_a_push_are_held_however_far_apart_they_are(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    for (push, ids) in [("p1", [10, 5_000]), ("p2", [600, 601]), ("p3", [5_400, 5_900])] {
        let claim = claim_of(push, &fresh(push));
        let mut record = claim.batches[0].record.clone();
        assert!(granted(&f.store().claim(claim).await.unwrap()));
        record.created(&[(0, ids[0]), (1, ids[1])]);
        let ended =
            Some(PushEnded { push: push.into(), answer: "2xx".into(), detail: None, ids: Some((ids[0], ids[1])) });
        let batch = Some(RecordUpdate { record, from_epoch: 1 });
        assert!(f.store().commit(Commit { batch, ended, ..Commit::default() }.into()).await.unwrap().is_done());
    }
    let held = async |ids: &[u64]| f.store().held_ids("https://acme.testmo.net", ids).await.unwrap();
    for id in [10, 600, 601, 5_000, 5_400, 5_900] {
        assert_eq!(held(&[id]).await, [id].into(), "{id}");
    }
    assert_eq!(held(&[1, 11, 602, 4_999, 5_401]).await, [].into());
    assert_eq!(held(&[9, 601, 5_900, 9_999]).await, [601, 5_900].into());
}

/// Stores a push of another batch that created rows up to an id.
async fn know(f: &dyn Subject, push: &str, id: u64) {
    f.store().claim(claim_of(push, &fresh(push))).await.unwrap();
    let ended = Some(PushEnded { push: push.into(), answer: "2xx".into(), detail: None, ids: Some((1, id)) });
    f.store().commit(Commit { ended, ..Commit::default() }.into()).await.unwrap();
}

async fn floor_of(f: &dyn Subject, record: &BatchRecord) -> Option<u64> {
    f.batch(&record.key).await.unwrap().record.floor
}

async fn a_claim_stores_the_highest_known_id_while_no_outcome_is_unknown(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    let first = claim_of("p1", &fresh("b"));
    let mut record = first.batches[0].record.clone();
    let ClaimOutcome::Granted { ids, .. } = f.store().claim(first).await.unwrap() else { panic!() };
    assert_eq!((ids, floor_of(f, &record).await), (KnownIds::default(), None), "nothing is known in a new ledger");
    record.not_created(vec![]);
    let change = Commit { batch: Some(RecordUpdate { record: record.clone(), from_epoch: 1 }), ..Commit::default() };
    f.store().commit(change.into()).await.unwrap();

    know(f, "p2", 20).await;
    let again = claim_of("p3", &record);
    let mut record = again.batches[0].record.clone();
    let ClaimOutcome::Granted { ids, .. } = f.store().claim(again).await.unwrap() else { panic!() };
    assert_eq!((ids.highest, floor_of(f, &record).await), (Some(20), Some(20)));
    let from_epoch = record.epoch;
    record.floor = Some(20);
    record.unclear(5);
    record.reconciled(&[], false);
    let change = Commit { batch: Some(RecordUpdate { record: record.clone(), from_epoch }), ..Commit::default() };
    f.store().commit(change.into()).await.unwrap();

    know(f, "p4", 30).await;
    let ClaimOutcome::Granted { ids, .. } = f.store().claim(claim_of("p5", &record)).await.unwrap() else { panic!() };
    assert_eq!((ids.highest, floor_of(f, &record).await), (Some(30), Some(20)), "the first floor counts");
    let other = Claim { account: "https://other.testmo.net".into(), ..claim_of("p6", &fresh("other")) };
    let ClaimOutcome::Granted { ids, .. } = f.store().claim(other).await.unwrap() else { panic!() };
    assert_eq!(ids.highest, None, "an id says nothing about another account");
}

async fn where_ids_do_not_ascend_a_claim_stores_no_floor(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    know(f, "p1", 20).await;
    let observation = Some(AccountObservation { account: target().account, signal: Signal::IdsDisordered, ceiling: 4 });
    f.store().commit(Commit { observation, ..Commit::default() }.into()).await.unwrap();
    assert!(f.store().throttle(&target().account).await.unwrap().ids_disordered);
    let ClaimOutcome::Granted { ids, .. } = f.store().claim(claim_of("p2", &fresh("b"))).await.unwrap() else {
        panic!()
    };
    assert_eq!((ids, ids.floor()), (KnownIds { highest: Some(20), disordered: true }, None));
    assert_eq!(floor_of(f, &fresh("b")).await, None);
}

//! Checks that what is on the shelf is grouped by its cause, also what an earlier version shelved.

use super::stores::SqlStore;
use super::*;
use crate::batch::cause::CauseId;
use crate::store::ShelfStore;
use crate::store::shelf::{Action, CauseShare, OperatorAction, ShelfId, ShelfState};

on_both! {
    entries_of_one_cause_are_counted_by_state_and_tenant,
    what_an_earlier_version_shelved_gets_its_cause,
    a_suspect_that_is_tried_again_has_another_cause,
}

async fn put(f: &SqlStore, batch: &str, reason: Reason, detail: &str) {
    let row = Shelving { reason, detail: Some(detail.into()), ..shelving(batch, ShelvedUntil::Person) };
    f.store.commit(Commit { shelve: Some(row), ..Commit::default() }.into()).await.unwrap();
}

/// Returns how many entries each cause has.
async fn counts(f: &SqlStore) -> Vec<(CauseId, u64)> {
    let mut counts = Vec::new();
    for cause in f.store.shelf_causes(9).await.unwrap() {
        let shares = f.store.cause_shares(cause, 9).await.unwrap();
        counts.push((cause, shares.iter().map(|share| share.count).sum()));
    }
    counts
}

fn case_refused(detail: &str) -> CauseId {
    CauseId::of(Reason::CaseRefused.code(), Some(detail))
}

async fn entries_of_one_cause_are_counted_by_state_and_tenant(f: SqlStore) {
    for n in 1..=3 {
        put(&f, &format!("b-{n}"), Reason::CaseRefused, &format!("case #{n}: tags.{n}: is too long")).await;
    }
    put(&f, "b-4", Reason::CaseRefused, "case #1: name: is empty").await;
    let (long, empty) = (case_refused("case #1: tags.0: is too long"), case_refused("case #9: name: is empty"));
    let mut expected = vec![(long, 3), (empty, 1)];
    expected.sort();
    assert_eq!(counts(&f).await, expected);
    assert_eq!(f.store.shelf_causes(1).await.unwrap(), [expected[0].0]);
    let now = f.store.now();
    let shares = f.store.cause_shares(long, 2).await.unwrap();
    let [CauseShare { cause, state: ShelfState::Dead, tenant: Some(of), count: 2, first_at: _, last_at }] = &shares[..]
    else {
        panic!("{shares:?}")
    };
    assert_eq!((*cause, of), (long, &tenant()));
    assert!((now - 60_000..=now).contains(last_at), "{last_at} {now}");
    let sample = f.store.cause_sample(long).await.unwrap().unwrap();
    assert_eq!(
        (sample.reason, sample.detail.as_deref()),
        (Some(Reason::CaseRefused), Some("case #3: tags.3: is too long"))
    );
    let of_cause = ShelfFilter { cause: Some(long), ..ShelfFilter::default() };
    assert_eq!(f.store.shelf_ids(&of_cause).await.unwrap(), [ShelfId(1), ShelfId(2), ShelfId(3)]);
    assert_eq!(f.store.cause_sample(case_refused("other")).await.unwrap(), None);
}

async fn what_an_earlier_version_shelved_gets_its_cause(f: SqlStore) {
    for n in 1..=5 {
        put(&f, &format!("b-{n}"), Reason::CaseRefused, "name: is empty").await;
    }
    sql::execute(&mut f.store.writing().await.unwrap(), "UPDATE shelf SET cause = NULL WHERE id > 1", vec![])
        .await
        .unwrap();
    let cause = case_refused("name: is empty");
    assert_eq!(counts(&f).await, [(cause, 1)]);
    assert_eq!(f.store.fill_causes(3).await.unwrap(), 3);
    assert_eq!(counts(&f).await, [(cause, 4)]);
    assert_eq!(f.store.fill_causes(3).await.unwrap(), 1);
    assert_eq!(f.store.fill_causes(3).await.unwrap(), 0);
    assert_eq!(counts(&f).await, [(cause, 5)]);
}

async fn a_suspect_that_is_tried_again_has_another_cause(f: SqlStore) {
    put(&f, "b-1", Reason::CrashLoop, "tried alone 3 times").await;
    let entry = f.store.shelved(ShelfId(1)).await.unwrap().unwrap();
    let action =
        OperatorAction { id: entry.id, generation: entry.generation, action: Action::Replay, batch: None, item: None };
    f.store.commit(Commit { operator_action: Some(action), ..Commit::default() }.into()).await.unwrap();
    assert_eq!(f.store.fill_causes(9).await.unwrap(), 1);
    assert_eq!(counts(&f).await, [(CauseId::of(Reason::Suspect.code(), Some("tried alone 3 times")), 1)]);
}

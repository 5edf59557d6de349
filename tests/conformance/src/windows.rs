//! Checks what is kept of cases from before they were written, and when it is due.

use std::time::Duration;

use testmo_courier::batch::BatchKey;
use testmo_courier::store::ledger::{Commit, CommitOutcome, RecordUpdate, WindowStep};
use testmo_courier::store::windows::DueWindows;

use crate::Subject;
use crate::finished::deliver;
use crate::values::{DAY, START, connection, fresh};

cases! {
    ($) windows_cases in windows:
    what_is_kept_of_a_batch_is_due_once_nobody_works_on_it_and_until_it_is_removed,
    what_is_kept_of_a_batch_that_is_worked_on_for_long_is_asked_for_seldom,
    what_is_kept_of_a_batch_goes_with_its_details_and_with_no_fenced_change,
}

const LEASE: Duration = Duration::from_secs(60);

async fn keep(f: &dyn Subject, batch: &BatchKey, claims: &[(u64, Option<&str>)]) {
    let claims = claims.iter().map(|(epoch, body)| (*epoch, body.map(|body| body.as_bytes().to_vec()))).collect();
    let window = Some(WindowStep { batch: batch.clone(), claims });
    let done = f.store().commit(Commit { window, ..Commit::default() }.into()).await.unwrap();
    assert_eq!(done, CommitOutcome::Done(vec![]));
}

async fn due(f: &dyn Subject, ms: i64) -> Vec<DueWindows> {
    f.set_time(START + ms).await;
    let mut due = f.store().take_windows(LEASE, 9).await.unwrap();
    due.sort_by(|one, other| one.batch.cmp(&other.batch));
    due
}

async fn what_is_kept_of_a_batch_is_due_once_nobody_works_on_it_and_until_it_is_removed(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    let (first, second) = (deliver(f, "b-1", |_| {}).await.key, deliver(f, "b-2", |_| {}).await);
    let open = fresh("b-3");
    f.store()
        .commit(
            Commit { batch: Some(RecordUpdate { record: open.clone(), from_epoch: 0 }), ..Commit::default() }.into(),
        )
        .await
        .unwrap();
    for batch in [&first, &second.key, &open.key] {
        keep(f, batch, &[(5, Some("a")), (9, Some("b"))]).await;
    }
    keep(f, &first, &[(9, Some("c"))]).await;
    let mut held = second.clone();
    held.undo(START);
    let batch = Some(RecordUpdate { record: held, from_epoch: second.epoch });
    let change = Commit { batch, lease: Some(Duration::from_secs(100)), ..Commit::default() };
    assert!(f.store().commit(change.into()).await.unwrap().is_done());

    let of = |batch: &BatchKey, last: &str| DueWindows {
        batch: batch.clone(),
        since: START,
        claims: vec![(5, b"a".to_vec()), (9, last.as_bytes().to_vec())],
    };
    assert_eq!(due(f, 9_999).await, [], "a request may be under way");
    assert_eq!(due(f, 12_497).await, [], "it is postponed by a quarter of its age");
    assert_eq!(due(f, 12_498).await, [of(&first, "c")], "one is open, and one is being undone");
    assert_eq!(due(f, 72_497).await, [], "it belongs to somebody");
    assert_eq!(due(f, 72_498).await, [of(&first, "c")]);
    keep(f, &first, &[(5, None), (9, None)]).await;
    assert_eq!(due(f, 200_000).await, [of(&second.key, "b")]);
    keep(f, &second.key, &[(5, None)]).await;
    let left = DueWindows { claims: vec![(9, b"b".to_vec())], ..of(&second.key, "b") };
    assert_eq!(due(f, 900_000).await, [left]);
}

async fn what_is_kept_of_a_batch_that_is_worked_on_for_long_is_asked_for_seldom(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    let record = deliver(f, "b-1", |_| {}).await;
    let mut held = record.clone();
    held.undo(START);
    let batch = Some(RecordUpdate { record: held, from_epoch: record.epoch });
    let change = Commit { batch, lease: Some(Duration::from_secs(4_500)), ..Commit::default() };
    assert!(f.store().commit(change.into()).await.unwrap().is_done());
    keep(f, &record.key, &[(5, Some("a"))]).await;
    assert_eq!(due(f, 4_000_000).await, [], "somebody works on it");
    assert_eq!(due(f, 4_899_999).await, [], "nobody does, and it is postponed");
    assert_eq!(due(f, 4_900_000).await.len(), 1, "by 15 minutes at most");
}

async fn what_is_kept_of_a_batch_goes_with_its_details_and_with_no_fenced_change(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    let record = deliver(f, "b-1", |_| {}).await;
    let window = Some(WindowStep { batch: record.key.clone(), claims: vec![(1, Some(b"a".to_vec()))] });
    let batch = Some(RecordUpdate { record: record.clone(), from_epoch: record.epoch + 7 });
    let fenced = f.store().commit(Commit { batch, window, ..Commit::default() }.into()).await.unwrap();
    assert_eq!((fenced, due(f, 0).await), (CommitOutcome::Fenced, vec![]));
    keep(f, &record.key, &[(1, Some("a"))]).await;
    f.set_time(START + 86_400_000 * 31).await;
    assert_eq!(f.store().prune(DAY * 30, 9).await.unwrap().batches, 1);
    assert_eq!(due(f, 86_400_000 * 32).await, []);
}

//! Checks the pruning of finished batches and their late-duplicate checks.

use std::time::Duration;

use testmo_courier::batch::ledger::{BatchRecord, BatchState, CaseState, OpenPush};
use testmo_courier::store::PruneCounts;
use testmo_courier::store::ledger::{ClaimOutcome, Commit, CommitOutcome, PushEnded, RecordUpdate};
use testmo_courier::store::shelf::{ShelfIdentity, ShelvedUntil, Shelving};

use crate::Subject;
use crate::values::{DAY, TAKEN, claim_of, connection, event, fresh, shelving, target};

cases! {
    ($) finished_cases in finished:
    a_batch_that_finished_long_ago_loses_its_cases_but_is_still_known,
    pruning_goes_in_steps_and_keeps_batches_that_are_shelved_open_or_lost,
    ids_that_a_reconciliation_may_still_need_are_kept,
    a_batch_that_finishes_takes_its_parked_copy_off_the_shelf_and_nothing_else,
    a_row_is_removed_unless_its_batch_is_open,
    a_late_duplicate_check_is_due_from_the_delivery_of_its_batch_until_it_was_made,
}

async fn a_row_is_removed_unless_its_batch_is_open(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    f.store().claim(claim_of("open", &fresh("open"))).await.unwrap();
    deliver(f, "finished", |_| {}).await;
    for (batch, is_removed) in [("open", false), ("finished", true), ("unknown", true)] {
        let shelve = Some(shelving(batch, ShelvedUntil::Person));
        f.store().commit(Commit { shelve, ..Commit::default() }.into()).await.unwrap();
        let row = f.shelf().await.remove(0);
        let unshelve = Some((row.id.0, row.generation));
        let guarded = Commit { unless_open: Some(fresh(batch).key), unshelve, ..Commit::default() };
        let outcome = f.store().commit(guarded.into()).await.unwrap();
        assert_eq!(outcome.is_done(), is_removed, "{batch}");
        assert_eq!(f.shelf().await.is_empty(), is_removed, "{batch}");
        f.store().commit(Commit { unshelve, ..Commit::default() }.into()).await.unwrap();
    }
}

/// Stores a batch that is delivered at the present time.
pub async fn deliver(f: &dyn Subject, batch: &str, change: impl FnOnce(&mut BatchRecord)) -> BatchRecord {
    let claim = claim_of(&format!("push of {batch}"), &fresh(batch));
    let mut record = claim.batches[0].record.clone();
    let ClaimOutcome::Granted { at, .. } = f.store().claim(claim).await.unwrap() else { panic!() };
    record.created(&[(0, 10), (1, 11)]);
    (record.state, record.settled_at) = (BatchState::Delivered, Some(at));
    change(&mut record);
    let ended =
        Some(PushEnded { push: format!("push of {batch}"), answer: "2xx".into(), detail: None, ids: Some((10, 11)) });
    let batch = Some(RecordUpdate { record: record.clone(), from_epoch: 1 });
    f.store().commit(Commit { batch, ended, ..Commit::default() }.into()).await.unwrap();
    record
}

async fn a_batch_that_finished_long_ago_loses_its_cases_but_is_still_known(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    let old = deliver(f, "old", |_| {}).await;
    f.store().commit(Commit { events: vec![event("sent")], ..Commit::default() }.into()).await.unwrap();
    f.store().mark_sent(&f.store().unsent(1, TAKEN).await.unwrap()).await.unwrap();
    f.store().commit(Commit { events: vec![event("unsent")], ..Commit::default() }.into()).await.unwrap();
    f.set_time(1_000_000 + 86_400_000 * 20).await;
    let recent = deliver(f, "recent", |_| {}).await;
    assert_eq!(f.store().prune(DAY * 30, 100).await.unwrap(), PruneCounts::default());
    f.set_time(1_000_000 + 86_400_000 * 31).await;
    assert_eq!(
        f.store().prune(DAY * 30, 100).await.unwrap(),
        PruneCounts { batches: 1, events: 1, ..PruneCounts::default() }
    );
    assert_eq!(f.store().prune(DAY * 30, 100).await.unwrap(), PruneCounts::default());
    let known = f.batch(&old.key).await.unwrap().record;
    assert_eq!((known.fingerprint, known.state, known.revision), (old.fingerprint, old.state, old.revision));
    assert_eq!((known.settled_at, known.epoch), (old.settled_at, old.epoch + 1));
    assert!(known.cases.is_empty() && known.targets.is_empty());
    let ClaimOutcome::Stale { stored, .. } = f.store().claim(claim_of("p", &fresh("old"))).await.unwrap() else {
        panic!()
    };
    assert_eq!(stored[0].record.state, BatchState::Delivered);
    assert_eq!(f.batch(&recent.key).await.unwrap().record.cases, recent.cases);
    assert_eq!(f.store().due_count().await.unwrap(), 1);
    let last_push = async |key| f.store().last_push(key, &target().account, None).await.unwrap();
    assert_eq!(last_push(&old.key).await, None);
    assert_eq!(last_push(&recent.key).await.as_deref(), Some("push of recent"));
}

async fn pruning_goes_in_steps_and_keeps_batches_that_are_shelved_open_or_lost(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    for n in 0..5 {
        deliver(f, &format!("b{n}"), |_| {}).await;
    }
    deliver(f, "shelved", |_| {}).await;
    f.store()
        .commit(Commit { shelve: Some(shelving("shelved", ShelvedUntil::Person)), ..Commit::default() }.into())
        .await
        .unwrap();
    deliver(f, "lost", |record| record.cases[0].state = CaseState::Lost).await;
    f.store().claim(claim_of("open", &fresh("open"))).await.unwrap();
    f.set_time(1_000_000 + 86_400_000 * 31).await;
    let mut steps = Vec::new();
    for _ in 0..4 {
        steps.push(f.store().prune(DAY * 30, 2).await.unwrap().batches);
    }
    assert_eq!(steps, [2, 2, 1, 0]);
    for batch in ["shelved", "lost", "open"] {
        assert_eq!(f.batch(&fresh(batch).key).await.unwrap().record.cases.len(), 2, "{batch}");
    }
}

async fn ids_that_a_reconciliation_may_still_need_are_kept(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    f.set_time(10_000_000).await;
    let claim = claim_of("unknown", &fresh("unknown"));
    let mut record = claim.batches[0].record.clone();
    f.store().claim(claim).await.unwrap();
    record.unclear(10_000_000);
    let batch = Some(RecordUpdate { record: record.clone(), from_epoch: 1 });
    f.store().commit(Commit { batch, ..Commit::default() }.into()).await.unwrap();
    deliver(f, "later", |_| {}).await;
    f.set_time(10_000_000 + 86_400_000 * 31).await;
    assert_eq!(f.store().prune(DAY * 30, 9).await.unwrap().batches, 0);
    record.reconciled(&[], false);
    record.claim(
        &[0, 1],
        OpenPush { id: "x".into(), connection: "v1".into(), batch_tag: None, committed: false },
        &target(),
    );
    record.created(&[(0, 20), (1, 21)]);
    let batch = Some(RecordUpdate { record, from_epoch: 2 });
    assert_eq!(
        f.store().commit(Commit { batch, ..Commit::default() }.into()).await.unwrap(),
        CommitOutcome::Done(vec![])
    );
    assert_eq!(f.store().prune(DAY * 30, 9).await.unwrap().batches, 1);
}

async fn a_late_duplicate_check_is_due_from_the_delivery_of_its_batch_until_it_was_made(f: &dyn Subject) {
    let (after, lease) = (Duration::from_secs(300), Duration::from_secs(600));
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    deliver(f, "clear", |_| {}).await;
    let mut late = deliver(f, "late", |record| record.late_since = Some(7)).await;
    deliver(f, "failed", |record| (record.late_since, record.state) = (Some(7), BatchState::Failed)).await;
    let due = async |ms: i64| {
        f.set_time(ms).await;
        let taken = f.store().take_late_checks(after, lease, 9).await.unwrap();
        taken.into_iter().map(|stored| stored.record).collect::<Vec<_>>()
    };
    assert_eq!(due(1_299_999).await, []);
    let taken = due(1_300_000).await;
    assert_eq!((taken.len(), &taken[0].key, taken[0].late_since), (1, &late.key, Some(7)));
    assert_eq!(due(1_899_999).await, [], "another worker checks it");
    assert_eq!(due(1_900_000).await.len(), 1, "that worker is gone");
    f.set_time(1_000_000 + 86_400_000 * 31).await;
    assert_eq!(f.store().prune(DAY * 30, 9).await.unwrap().batches, 2, "it is kept until it was checked");
    let from_epoch = late.epoch;
    late.duplicated(&[(1, 20)]);
    late.late_checked();
    let batch = Some(RecordUpdate { record: late.clone(), from_epoch });
    assert_eq!(
        f.store().commit(Commit { batch, ..Commit::default() }.into()).await.unwrap(),
        CommitOutcome::Done(vec![])
    );
    assert_eq!(due(1_000_000 + 86_400_000 * 32).await, []);
    assert_eq!(f.batch(&late.key).await.unwrap().record.cases[1].duplicates, [20]);
    assert_eq!(f.store().prune(DAY * 30, 9).await.unwrap().batches, 1);
}

async fn a_batch_that_finishes_takes_its_parked_copy_off_the_shelf_and_nothing_else(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    let other_content = Shelving {
        identity: ShelfIdentity::Batch("acme/parked".parse().unwrap(), "1:other".into()),
        ..shelving("parked", ShelvedUntil::Connection)
    };
    let rows = [
        shelving("parked", ShelvedUntil::Connection),
        other_content,
        shelving("another", ShelvedUntil::Connection),
        shelving("dead", ShelvedUntil::Person),
    ];
    for shelve in rows.map(Some) {
        f.store().commit(Commit { shelve, ..Commit::default() }.into()).await.unwrap();
    }
    let left = async || {
        let rows = f.shelf().await;
        let mut left: Vec<String> = rows.iter().map(|row| format!("{:?}", row.content.identity)).collect();
        left.sort();
        left
    };
    let before = left().await;
    let claim = claim_of("push", &fresh("parked"));
    let open = claim.batches[0].record.clone();
    f.store().claim(claim).await.unwrap();
    assert_eq!(left().await, before, "it is not finished yet");
    let mut record = open;
    record.created(&[(0, 10), (1, 11)]);
    record.settle(BatchState::Delivered, 1_000_000);
    let batch = Some(RecordUpdate { record, from_epoch: 1 });
    f.store().commit(Commit { batch, ..Commit::default() }.into()).await.unwrap();
    let gone: Vec<String> =
        before.iter().filter(|row| !row.contains("1:f") || !row.contains("\"parked\"")).cloned().collect();
    assert_eq!((left().await, gone.len()), (gone, 3));
    deliver(f, "dead", |_| {}).await;
    assert_eq!(left().await.len(), 3, "what is dead waits for a person");
}

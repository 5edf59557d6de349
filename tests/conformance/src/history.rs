//! Checks what is kept of the waits, retries and reconciliations of batches, and when it is removed.

use std::time::Duration;

use testmo_courier::batch::Reason;
use testmo_courier::batch::generation::Overwritten;
use testmo_courier::batch::ledger::{BatchRecord, BatchState};
use testmo_courier::store::history::{Happening, HistoryEntry, MOST_ENTRIES, Reconciliation};
use testmo_courier::store::ledger::{Commit, CommitOutcome, RecordUpdate};
use testmo_courier::store::removal::RemovalOutcome;
use testmo_courier::store::shelf::{ShelfIdentity, ShelvedUntil, Shelving};
use testmo_courier::trace::TraceContext;

use crate::Subject;
use crate::finished::deliver;
use crate::removal::shelve;
use crate::values::{DAY, HOUR, START, claim_of, connection, fresh, granted, shelving, tenant};

cases! {
    ($) history_cases in history:
    a_change_adds_what_it_notes_and_what_it_shelves,
    what_is_not_stored_happened_to_nothing,
    repeated_waits_are_one_entry_with_a_count,
    only_the_latest_entries_are_kept,
    a_history_goes_with_the_details_of_its_batch,
    a_history_without_a_record_stays_while_the_batch_is_on_the_shelf,
    a_history_goes_with_its_tenant,
    the_times_of_a_message_stay_as_they_were_at_the_first_claim,
    the_trace_of_a_batch_stays_as_it_was_when_the_batch_was_stored,
}

async fn entries(f: &dyn Subject, batch: &str) -> Vec<HistoryEntry> {
    f.history(&fresh(batch).key).await.0
}

fn reconciled(adopted: u32) -> HistoryEntry {
    let found = Reconciliation { unknown: 2, adopted, candidates: vec![7], ..Reconciliation::default() };
    HistoryEntry::once(Happening::Reconciled(found), START - 5, None)
}

fn overwritten() -> HistoryEntry {
    let edit = Overwritten {
        id: 7,
        folder: None,
        is_certain: true,
        fields: vec!["name".into()],
        written: "a\nb".into(),
        lost: Some("mine".into()),
        entry: None,
    };
    HistoryEntry::once(Happening::Overwritten(vec![edit]), 5, None)
}

fn retried(detail: &str) -> HistoryEntry {
    HistoryEntry::once(Happening::retried(Reason::ServerError, Some(detail)), START - 9, Some(START - 7))
}

async fn note(f: &dyn Subject, batch: &str, history: Vec<HistoryEntry>) {
    let shelve = Some(shelving(batch, ShelvedUntil::Person));
    f.store().commit(Commit { shelve, history, ..Commit::default() }.into()).await.unwrap();
}

async fn a_change_adds_what_it_notes_and_what_it_shelves(f: &dyn Subject) {
    let history = vec![
        retried("a\0b"),
        reconciled(1),
        HistoryEntry::once(Happening::LateChecked { duplicates: 3 }, 4, None),
        overwritten(),
    ];
    let row = Shelving { detail: Some("two\nlines".into()), ..shelving("b", ShelvedUntil::After(HOUR)) };
    let change = Commit { shelve: Some(row), history: history.clone(), ..Commit::default() };
    f.store().commit(change.into()).await.unwrap();
    let shelved = Happening::shelved(Reason::KeyRefused, Some("two lines"), ShelvedUntil::After(HOUR));
    let waits = HistoryEntry::once(shelved, START, Some(START + 3_600_000));
    let (stored, dropped) = f.history(&fresh("b").key).await;
    assert_eq!((&stored[1..], dropped), (&[history[1].clone(), history[2].clone(), history[3].clone(), waits][..], 0));
    assert_eq!((stored[0].first_at, stored[0].until), (START - 9, Some(START - 7)));
    assert!(entries(f, "c").await.is_empty());
    let message = |batch| Shelving {
        identity: ShelfIdentity::Raw("h".repeat(batch), Some(tenant()), (batch > 1).then(|| fresh("c").key.batch)),
        ..shelving("x", ShelvedUntil::Person)
    };
    for batch in [1, 2] {
        f.store().commit(Commit { shelve: Some(message(batch)), ..Commit::default() }.into()).await.unwrap();
    }
    assert_eq!(entries(f, "c").await.len(), 1, "a message whose batch is known");
}

async fn what_is_not_stored_happened_to_nothing(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    shelve(f, "b", Reason::CaseRefused, ShelvedUntil::Person).await;
    shelve(f, "b", Reason::ServerError, ShelvedUntil::After(HOUR)).await;
    assert_eq!(entries(f, "b").await.len(), 1, "a dead entry stays as it is");
    let record = deliver(f, "c", |_| {}).await;
    assert!(entries(f, "c").await.is_empty(), "a batch that is simply delivered has none");
    let change = |from_epoch| Commit {
        batch: Some(RecordUpdate { record: record.clone(), from_epoch }),
        history: vec![reconciled(2)],
        ..Commit::default()
    };
    assert_eq!(f.store().commit(change(record.epoch + 1).into()).await.unwrap(), CommitOutcome::Fenced);
    assert!(entries(f, "c").await.is_empty());
    assert!(f.store().commit(change(record.epoch).into()).await.unwrap().is_done());
    assert_eq!(entries(f, "c").await, [reconciled(2)]);
}

async fn repeated_waits_are_one_entry_with_a_count(f: &dyn Subject) {
    for minute in 0..3 {
        f.set_time(START + 60_000 * minute).await;
        let row = shelving("b", ShelvedUntil::After(Duration::from_secs(30)));
        let history = vec![retried("503"), reconciled(0)];
        f.store().commit(Commit { shelve: Some(row), history, ..Commit::default() }.into()).await.unwrap();
    }
    let stored = entries(f, "b").await;
    assert_eq!(stored.iter().map(|entry| entry.times).collect::<Vec<_>>(), [3, 3, 3]);
    let HistoryEntry { first_at, last_at, until, .. } = stored[2];
    assert_eq!((first_at, last_at, until), (START, START + 120_000, Some(START + 150_000)));
    note(f, "b", vec![]).await;
    note(f, "b", vec![]).await;
    assert_eq!(entries(f, "b").await.len(), 5, "a person decides each time");
}

async fn only_the_latest_entries_are_kept(f: &dyn Subject) {
    let history = (0..MOST_ENTRIES + 2).map(|n| retried(&n.to_string())).collect();
    note(f, "b", history).await;
    let (stored, dropped) = f.history(&fresh("b").key).await;
    assert_eq!((stored.len() as u64, dropped), (MOST_ENTRIES, 3));
    assert_eq!(stored[0], retried("3"));
    note(f, "b", vec![]).await;
    assert_eq!(f.history(&fresh("b").key).await.1, 4);
}

async fn a_history_goes_with_the_details_of_its_batch(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    for batch in ["old", "kept"] {
        let record = deliver(f, batch, |_| {}).await;
        let from_epoch = record.epoch;
        let open = BatchState::Open;
        let state = if batch == "kept" { open } else { record.state };
        let record = BatchRecord { epoch: from_epoch + 1, state, ..record };
        let batch = Some(RecordUpdate { record, from_epoch });
        let change = Commit { batch, history: vec![reconciled(2)], ..Commit::default() };
        assert!(f.store().commit(change.into()).await.unwrap().is_done());
    }
    let after = async |days: i64| {
        f.set_time(START + 86_400_000 * days).await;
        f.store().prune(DAY * 30, 100).await.unwrap();
        (entries(f, "old").await.len(), entries(f, "kept").await.len())
    };
    assert_eq!((after(29).await, after(31).await), ((1, 1), (0, 1)));
}

async fn a_history_without_a_record_stays_while_the_batch_is_on_the_shelf(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    for batch in ["shelved", "gone", "new"] {
        note(f, batch, vec![retried("503"), retried("504")]).await;
    }
    let ids: Vec<_> = f.shelf().await.iter().map(|row| (row.id.0, row.generation)).collect();
    for unshelve in &ids[1..] {
        f.store().commit(Commit { unshelve: Some(*unshelve), ..Commit::default() }.into()).await.unwrap();
    }
    f.set_time(START + 86_400_000 * 20).await;
    let again = Commit { batch: None, shelve: Some(shelving("new", ShelvedUntil::Person)), ..Commit::default() };
    f.store().commit(again.into()).await.unwrap();
    let row = f.shelf().await.pop().unwrap();
    f.store().commit(Commit { unshelve: Some((row.id.0, row.generation)), ..Commit::default() }.into()).await.unwrap();
    f.set_time(START + 86_400_000 * 31).await;
    let mut round = f.store().begin_pruning(DAY * 30).await.unwrap();
    let mut steps = 0;
    while !round.is_done() {
        f.store().prune_step(&mut round, 2).await.unwrap();
        steps += 1;
    }
    assert!(steps > 2, "in steps");
    let left = [entries(f, "shelved").await.len(), entries(f, "gone").await.len(), entries(f, "new").await.len()];
    assert_eq!(left, [3, 0, 1], "of the last one what is old");
}

async fn a_history_goes_with_its_tenant(f: &dyn Subject) {
    f.connect(&connection("v1", true)).await;
    note(f, "b", vec![retried("503")]).await;
    let row = f.shelf().await.remove(0);
    f.store().commit(Commit { unshelve: Some((row.id.0, row.generation)), ..Commit::default() }.into()).await.unwrap();
    assert_eq!(f.remove_tenant("v0").await, RemovalOutcome::ChangedMeanwhile);
    assert_eq!(entries(f, "b").await.len(), 2);
    assert_eq!(f.remove_tenant("v1").await, RemovalOutcome::Done);
    assert!(entries(f, "b").await.is_empty());
}

async fn the_times_of_a_message_stay_as_they_were_at_the_first_claim(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    let times = |record: &BatchRecord| (record.published_at, record.arrived_at);
    let arrived = BatchRecord { published_at: Some(3), arrived_at: Some(4), ..fresh("b") };
    let claim = claim_of("p1", &arrived);
    let mut record = BatchRecord { published_at: Some(8), arrived_at: None, ..claim.batches[0].record.clone() };
    assert!(granted(&f.store().claim(claim).await.unwrap()));
    assert_eq!(times(&f.batch(&record.key).await.unwrap().record), (Some(3), Some(4)));
    record.not_created(vec![]);
    let from_epoch = record.epoch - 1;
    let batch = Some(RecordUpdate { record: record.clone(), from_epoch });
    assert!(f.store().commit(Commit { batch, ..Commit::default() }.into()).await.unwrap().is_done());
    assert!(granted(&f.store().claim(claim_of("p2", &record)).await.unwrap()));
    assert_eq!(times(&f.batch(&record.key).await.unwrap().record), (Some(3), Some(4)));
    let discarded = BatchRecord { state: BatchState::Discarded, epoch: 1, arrived_at: Some(5), ..fresh("c") };
    let batch = Some(RecordUpdate { record: discarded, from_epoch: 0 });
    assert!(f.store().commit(Commit { batch, ..Commit::default() }.into()).await.unwrap().is_done());
    assert_eq!(times(&f.batch(&fresh("c").key).await.unwrap().record), (None, Some(5)));
}

async fn the_trace_of_a_batch_stays_as_it_was_when_the_batch_was_stored(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    let trace = |text: &str| Some(TraceContext::of_stored(text).unwrap());
    let first = trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 rojo=1,congo=a b");
    let second = trace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
    let claim = claim_of("p1", &BatchRecord { trace: first.clone(), ..fresh("b") });
    let mut record = BatchRecord { trace: second.clone(), ..claim.batches[0].record.clone() };
    assert!(granted(&f.store().claim(claim).await.unwrap()));
    record.not_created(vec![]);
    let from_epoch = record.epoch - 1;
    let batch = Some(RecordUpdate { record: record.clone(), from_epoch });
    assert!(f.store().commit(Commit { batch, ..Commit::default() }.into()).await.unwrap().is_done());
    assert_eq!(f.batch(&record.key).await.unwrap().record.trace, first);
    assert!(granted(&f.store().claim(claim_of("p2", &record)).await.unwrap()));
    assert_eq!(f.batch(&record.key).await.unwrap().record.trace, first);
    let discarded = BatchRecord { state: BatchState::Discarded, epoch: 1, trace: second.clone(), ..fresh("c") };
    let batch = Some(RecordUpdate { record: discarded, from_epoch: 0 });
    assert!(f.store().commit(Commit { batch, ..Commit::default() }.into()).await.unwrap().is_done());
    assert_eq!(f.batch(&fresh("c").key).await.unwrap().record.trace, second);
}

//! Checks which batch may write the cases of a source, and in which order generations do.

use std::time::Duration;

use testmo_courier::batch::Reason;
use testmo_courier::batch::ledger::{BatchRecord, BatchState, DropChange, Dropped, DroppedCase};
use testmo_courier::batch::written::CaseIdentity;
use testmo_courier::store::ledger::{Commit, RecordUpdate};
use testmo_courier::store::shelf::{Action, OperatorAction, ShelvedUntil, Shelving};
use testmo_courier::store::written::{SourceClaim, SourceOutcome};

use crate::Subject;
use crate::finished::deliver;
use crate::values::{DAY, START, connection, fresh, shelving, target, tenant};

cases! {
    ($) sources_cases in sources:
    one_batch_at_a_time_has_a_source_until_it_is_finished,
    several_sources_are_given_together_or_not_at_all,
    the_latest_generation_of_several_sources_counts,
    a_generation_that_is_older_than_one_that_was_written_is_superseded,
    a_generation_of_which_nothing_was_written_supersedes_none,
    a_batch_that_is_taken_back_has_its_source_while_a_request_may_be_under_way,
    a_batch_with_cases_on_which_a_person_has_to_decide_keeps_its_source_until_then,
    a_source_is_forgotten_once_nobody_has_claimed_it_for_long,
    the_source_of_a_batch_and_what_it_dropped_are_stored_with_it,
}

const FREE: SourceOutcome = SourceOutcome::Granted { latest_at: None };

async fn claim(f: &dyn Subject, batch: &str, generated_at: i64) -> SourceOutcome {
    claim_all(f, &["SHOP-1"], batch, Some(generated_at)).await
}

async fn claim_at(f: &dyn Subject, batch: &str, generated_at: Option<i64>) -> SourceOutcome {
    claim_all(f, &["SHOP-1"], batch, generated_at).await
}

async fn claim_all(f: &dyn Subject, keys: &[&str], batch: &str, generated_at: Option<i64>) -> SourceOutcome {
    let source = |key: &&str| CaseIdentity::of(&target(), &tenant(), Some(key), Some("TC-1")).unwrap().source();
    let sources = keys.iter().map(source).collect();
    f.store().claim_sources(&SourceClaim { sources, batch: fresh(batch).key, generated_at }).await.unwrap()
}

/// Stores a batch that is open.
async fn open(f: &dyn Subject, batch: &str) {
    let mut record = fresh(batch);
    record.goes_to(std::iter::empty(), &[target()]);
    let batch = Some(RecordUpdate { record, from_epoch: 0 });
    assert!(f.store().commit(Commit { batch, ..Commit::default() }.into()).await.unwrap().is_done());
}

async fn finish(f: &dyn Subject, batch: &str, state: BatchState) {
    let mut record = f.batch(&fresh(batch).key).await.unwrap().record;
    let from_epoch = record.epoch;
    record.settle(state, START);
    let batch = Some(RecordUpdate { record, from_epoch });
    assert!(f.store().commit(Commit { batch, ..Commit::default() }.into()).await.unwrap().is_done());
}

async fn one_batch_at_a_time_has_a_source_until_it_is_finished(f: &dyn Subject) {
    for batch in ["b-1", "b-2"] {
        open(f, batch).await;
    }
    assert_eq!(claim(f, "b-1", 10).await, FREE);
    assert_eq!(claim(f, "b-1", 10).await, FREE, "it has it already");
    assert_eq!(claim(f, "b-2", 20).await, SourceOutcome::Busy(fresh("b-1").key));
    finish(f, "b-1", BatchState::Delivered).await;
    assert_eq!(claim(f, "b-2", 20).await, SourceOutcome::Granted { latest_at: Some(10) });
    assert_eq!(claim(f, "b-1", 10).await, SourceOutcome::Busy(fresh("b-2").key), "opened again");
}

async fn several_sources_are_given_together_or_not_at_all(f: &dyn Subject) {
    for batch in ["b-1", "b-2", "b-3"] {
        open(f, batch).await;
    }
    assert_eq!(claim(f, "b-1", 10).await, FREE);
    let both = ["SHOP-1", "SHOP-2"];
    assert_eq!(claim_all(f, &both, "b-2", Some(20)).await, SourceOutcome::Busy(fresh("b-1").key));
    assert_eq!(claim_all(f, &["SHOP-2"], "b-3", Some(20)).await, FREE, "nobody has it");
    finish(f, "b-1", BatchState::Delivered).await;
    assert_eq!(claim_all(f, &both, "b-2", Some(20)).await, SourceOutcome::Busy(fresh("b-3").key));
    assert_eq!(claim(f, "b-3", 20).await, SourceOutcome::Granted { latest_at: Some(10) });
}

async fn the_latest_generation_of_several_sources_counts(f: &dyn Subject) {
    for (key, batch, at) in [("SHOP-1", "b-1", 10), ("SHOP-2", "b-2", 20)] {
        open(f, batch).await;
        assert_eq!(claim_all(f, &[key], batch, Some(at)).await, FREE);
        finish(f, batch, BatchState::Delivered).await;
    }
    open(f, "b-3").await;
    let both = ["SHOP-1", "SHOP-2"];
    assert_eq!(claim_all(f, &both, "b-3", Some(15)).await, SourceOutcome::Superseded(fresh("b-2").key));
    assert_eq!(claim_all(f, &both, "b-3", Some(20)).await, SourceOutcome::Granted { latest_at: Some(20) });
}

async fn a_generation_that_is_older_than_one_that_was_written_is_superseded(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    for (batch, at) in [("b-3", 30), ("b-4", 40)] {
        assert!(matches!(claim(f, batch, at).await, SourceOutcome::Granted { .. }));
        deliver(f, batch, |_| {}).await;
    }
    let later = SourceOutcome::Superseded(fresh("b-4").key);
    assert_eq!((claim(f, "b-1", 10).await, claim(f, "b-3", 30).await), (later.clone(), later));
    assert_eq!(claim(f, "b-5", 40).await, SourceOutcome::Granted { latest_at: Some(40) }, "the same generation");
    open(f, "b-5").await;
    finish(f, "b-5", BatchState::Partial).await;
    assert_eq!(claim(f, "b-1", 39).await, SourceOutcome::Superseded(fresh("b-5").key));
}

async fn a_generation_of_which_nothing_was_written_supersedes_none(f: &dyn Subject) {
    for (batch, state) in [("b-3", BatchState::Failed), ("b-4", BatchState::Discarded)] {
        open(f, batch).await;
        assert_eq!(claim(f, batch, 30).await, FREE);
        finish(f, batch, state).await;
    }
    open(f, "b-1").await;
    assert_eq!(claim(f, "b-1", 10).await, FREE);
    assert_eq!(claim(f, "b-2", 20).await, SourceOutcome::Busy(fresh("b-1").key));
}

async fn a_batch_that_is_taken_back_has_its_source_while_a_request_may_be_under_way(f: &dyn Subject) {
    for (batch, at) in [("b-3", 30), ("b-4", 40)] {
        open(f, batch).await;
        assert!(matches!(claim(f, batch, at).await, SourceOutcome::Granted { .. }));
        finish(f, batch, BatchState::Delivered).await;
    }
    // A later generation was written, and what it wrote stays known.
    assert_eq!(claim_at(f, "b-3", None).await, SourceOutcome::Granted { latest_at: Some(40) });
    let mut record = f.batch(&fresh("b-3").key).await.unwrap().record;
    let from_epoch = record.epoch;
    record.undo(START);
    let lease = Some(Duration::from_secs(60));
    let change = Commit { batch: Some(RecordUpdate { record, from_epoch }), lease, ..Commit::default() };
    assert!(f.store().commit(change.into()).await.unwrap().is_done());
    assert_eq!(claim(f, "b-5", 50).await, SourceOutcome::Busy(fresh("b-3").key));
    assert_eq!(claim_at(f, "b-4", None).await, SourceOutcome::Busy(fresh("b-3").key));
    f.set_time(START + 60_001).await;
    assert_eq!(claim(f, "b-1", 35).await, SourceOutcome::Superseded(fresh("b-4").key));
    assert_eq!(claim(f, "b-5", 50).await, SourceOutcome::Granted { latest_at: Some(40) });
}

async fn a_batch_with_cases_on_which_a_person_has_to_decide_keeps_its_source_until_then(f: &dyn Subject) {
    for (number, reason) in (1..).zip(Reason::UNCLEAR.into_iter().chain([Reason::CaseRefused])) {
        let [first, second] = [1, 2].map(|batch| format!("b-{number}-{batch}"));
        let claim = async |batch: &str, at| claim_all(f, &[&format!("SHOP-{number}")], batch, Some(at)).await;
        open(f, &first).await;
        assert_eq!(claim(&first, 10).await, FREE);
        let shelve = Shelving { reason, ..shelving(&first, ShelvedUntil::Person) };
        f.store().commit(Commit { shelve: Some(shelve), ..Commit::default() }.into()).await.unwrap();
        finish(f, &first, BatchState::Partial).await;
        if reason != Reason::CaseRefused {
            assert_eq!(claim(&second, 20).await, SourceOutcome::Busy(fresh(&first).key), "{reason}");
            assert_eq!(claim(&first, 10).await, FREE, "its own");
            let entry = f.shelf().await.into_iter().find(|entry| entry.content.reason == reason).unwrap();
            let (id, generation) = (entry.id, entry.generation);
            let discard = OperatorAction { id, generation, action: Action::Discard, batch: None, item: None };
            let discard = Commit { operator_action: Some(discard), ..Commit::default() };
            assert!(f.store().commit(discard.into()).await.unwrap().is_done());
        }
        assert_eq!(claim(&second, 20).await, SourceOutcome::Granted { latest_at: Some(10) }, "{reason}");
    }
}

async fn a_source_is_forgotten_once_nobody_has_claimed_it_for_long(f: &dyn Subject) {
    open(f, "b-1").await;
    assert_eq!(claim(f, "b-1", 10).await, FREE);
    let forget = async || f.store().forget_written(DAY * 730, 9).await.unwrap();
    f.set_time(START + 86_400_000 * 800).await;
    assert_eq!(forget().await, 0, "its batch is not finished");
    finish(f, "b-1", BatchState::Delivered).await;
    assert_eq!(forget().await, 1);
    assert_eq!(claim(f, "b-2", 5).await, FREE);
}

async fn the_source_of_a_batch_and_what_it_dropped_are_stored_with_it(f: &dyn Subject) {
    let store = async |record: BatchRecord, from_epoch: u64| {
        let key = record.key.clone();
        let batch = Some(RecordUpdate { record, from_epoch });
        assert!(f.store().commit(Commit { batch, ..Commit::default() }.into()).await.unwrap().is_done());
        f.batch(&key).await.unwrap().record
    };
    let mut record = fresh("b-1");
    record.source = Some("SHOP-1".into());
    record.goes_to(std::iter::empty(), &[target()]);
    let mut stored = store(record, 0).await;
    assert_eq!((stored.source.as_deref(), stored.dropped.is_empty()), (Some("SHOP-1"), true));
    let epoch = stored.epoch;
    let case = |id, change| DroppedCase { id, folder: 2, batch: Some("b-0".into()), change, target: Some(0) };
    stored.drops([case(8, DropChange::Writing), case(7, DropChange::Left)]);
    let mut stored = store(stored, epoch).await;
    let cases = vec![case(7, DropChange::Left), case(8, DropChange::Writing)];
    assert_eq!((&stored.dropped, stored.is_writing()), (&Dropped { cases, more: false }, true));
    let epoch = stored.epoch;
    stored.not_dropped(&[8]);
    let stored = store(stored, epoch).await;
    assert_eq!((stored.dropped.cases.len(), stored.source.as_deref()), (1, Some("SHOP-1")));
}

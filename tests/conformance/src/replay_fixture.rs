//! Plans, starts and leases replays for the cases.

use std::time::Duration;

use testmo_courier::batch::Reason;
use testmo_courier::batch::ledger::{BatchRecord, BatchState};
use testmo_courier::batch::replay::{Forecast, ItemOutcome};
use testmo_courier::store::actor::{Actor, Face, Role};
use testmo_courier::store::audit::{AuditAction, AuditEntry, AuditSubject};
use testmo_courier::store::ledger::{Commit, RecordUpdate};
use testmo_courier::store::replays::{
    ItemStart, NewItem, NewPart, NewReplay, PartProgress, ReplayChange, ReplayId, ReplayState, ReplayStep,
    RunningReplay,
};
use testmo_courier::store::shelf::{Action, OperatorAction, Shelved, ShelvedUntil, Shelving};

use crate::Subject;
use crate::values::{fresh, shelving, target, tenant};

const LEASE: Duration = Duration::from_secs(15);

pub(crate) fn audit() -> AuditEntry {
    let anna = Actor::new("anna", Role::Operator, Face::CommandLine);
    AuditEntry::new(&anna, AuditAction::PlanReplay, AuditSubject::default())
}

/// Shelves dead batches with records, and returns the entries.
pub async fn shelve(f: &dyn Subject, batches: &[&str]) -> Vec<Shelved> {
    for batch in batches {
        let record = BatchRecord { state: BatchState::Failed, epoch: 1, ..fresh(batch) };
        let shelve = Some(Shelving { reason: Reason::CaseRefused, ..shelving(batch, ShelvedUntil::Person) });
        let batch = Some(RecordUpdate { record, from_epoch: 0 });
        assert!(f.store().commit(Commit { batch, shelve, ..Commit::default() }.into()).await.unwrap().is_done());
    }
    f.shelf().await
}

pub(crate) fn item(place: u64, row: &Shelved) -> NewItem {
    NewItem {
        place,
        part: 0,
        entry: row.id,
        identity: row.content.identity.to_string(),
        person_epoch: row.person_epoch,
        tenant: row.tenant().cloned(),
        batch: None,
        reason: row.content.reason,
        cases: 2,
        forecast: Forecast::Ready,
        detail: None,
        outcome: None,
    }
}

/// Returns the change of a replay into another state.
pub fn change(replay: ReplayId, epoch: i64, state: ReplayState) -> ReplayChange {
    let begins_again = state == ReplayState::Running;
    ReplayChange { replay, epoch, state, why: None, summary: None, begins_again, audit: None }
}

/// Plans a replay of entries in one part, and starts it; returns it with its epoch.
pub async fn running(f: &dyn Subject, rows: &[Shelved]) -> (ReplayId, i64) {
    let new = NewReplay {
        name: Some("a name".into()),
        reason: None,
        selection: "--reason case_refused".into(),
        owner: "anna".into(),
        per_minute: None,
        most: None,
        unchanged_too: false,
    };
    let id = f.store().create_replay(new, audit()).await.unwrap();
    let items: Vec<NewItem> = rows.iter().zip(0..).map(|(row, place)| item(place, row)).collect();
    let (account, batches) = (Some(target().account), u64::try_from(items.len()).unwrap());
    let part = NewPart { part: 0, cause: None, account, tenant: None, batches };
    f.store().add_items(id, &[part], &items).await.unwrap();
    assert!(f.store().change_replay(change(id, 1, ReplayState::Planned)).await.unwrap());
    assert!(f.store().change_replay(change(id, 2, ReplayState::Running)).await.unwrap());
    (id, 3)
}

/// Makes an entry of a replay due, as the worker that holds the replay does; returns whether it was as expected.
pub async fn start(f: &dyn Subject, row: &Shelved, replay: (ReplayId, i64), place: u64) -> bool {
    held(f, "w").await;
    start_as(f, "w", row, replay, place).await
}

pub(crate) async fn start_as(
    f: &dyn Subject,
    holder: &str,
    row: &Shelved,
    (replay, epoch): (ReplayId, i64),
    place: u64,
) -> bool {
    let holder = holder.to_owned();
    let stored = f.batch(&format!("acme/{}", name_of(row)).parse().unwrap()).await.unwrap().record;
    let (mut record, from_epoch) = (stored.clone(), stored.epoch);
    record.reopen(None);
    let item = Some(ItemStart { replay, epoch, holder, place, part: 0, person_epoch: row.person_epoch });
    let operator_action =
        Some(OperatorAction { id: row.id, generation: row.generation, action: Action::Replay, batch: None, item });
    let batch = (stored.state != BatchState::Open).then_some(RecordUpdate { record, from_epoch });
    f.store().commit(Commit { batch, operator_action, ..Commit::default() }.into()).await.unwrap().is_done()
}

pub(crate) fn name_of(row: &Shelved) -> String {
    row.content.identity.to_string().split('/').nth(1).unwrap().to_owned()
}

/// Leases what is due, as a worker does.
pub(crate) async fn lease(f: &dyn Subject) -> Vec<Shelved> {
    f.store().lease_due("w", Duration::from_secs(60), &[(tenant(), 10)], usize::MAX).await.unwrap()
}

pub(crate) async fn outcomes(f: &dyn Subject, replay: ReplayId) -> Vec<(u64, ItemOutcome, Option<String>)> {
    let ended = f.store().ended_items(replay, 100).await.unwrap();
    ended.into_iter().map(|item| (item.place, item.outcome, item.reason)).collect()
}

/// Returns the parts of a replay that were read.
pub(crate) fn parts_of(replay: &RunningReplay) -> &[PartProgress] {
    replay.parts.as_deref().expect("parts")
}

pub(crate) async fn held(f: &dyn Subject, holder: &str) -> Vec<RunningReplay> {
    f.store().lease_replays(holder, LEASE, 10, &[]).await.unwrap()
}

pub(crate) async fn part_of(f: &dyn Subject, holder: &str) -> PartProgress {
    held(f, holder).await.remove(0).parts.expect("parts").remove(0)
}

pub(crate) fn step(replay: ReplayId, epoch: i64, holder: &str) -> ReplayStep {
    ReplayStep {
        replay,
        epoch,
        holder: holder.into(),
        parts: vec![],
        counted: vec![],
        passed: vec![],
        state: None,
        audit: vec![],
    }
}

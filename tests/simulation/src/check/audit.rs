//! Checks that the audit has one entry for each thing that people did, and for each thing that workers did because of it.

use std::collections::BTreeMap;

use testmo_courier::store::audit::AuditAction;
use testmo_courier::store::replays::{ReplayId, ReplayState};

use crate::people;
use crate::store::replays::Note;
use crate::store::tables::Tables;

/// An action, what it was done to, and the replay that it was done for.
type Deed = (&'static str, String, Option<String>);

/// Returns what the audit lacks, and what it has that did not happen.
pub(super) fn check(tables: &Tables) -> Vec<String> {
    let mut counts: BTreeMap<Deed, i64> = BTreeMap::new();
    deeds(tables).for_each(|deed| *counts.entry(deed).or_default() += 1);
    for entry in &tables.audit {
        let of_replay = entry.reason.clone().filter(|reason| reason.starts_with("replay "));
        *counts.entry((entry.action.name(), entry.subject.name.clone(), of_replay)).or_default() -= 1;
    }
    let wrong = counts.into_iter().filter(|(_, missing)| *missing != 0);
    wrong.map(|(deed, missing)| format!("the audit lacks {missing} entries of {deed:?}")).collect()
}

/// Returns what the journal says that happened.
fn deeds(tables: &Tables) -> impl Iterator<Item = Deed> {
    let mut states: BTreeMap<ReplayId, ReplayState> = BTreeMap::new();
    tables.journal.iter().filter_map(move |note| match note {
        Note::Became(id, state) => {
            let before = states.insert(*id, *state);
            Some((action_of(before, *state)?.name(), format!("replay {id}"), None))
        }
        Note::Started { start, entry, .. } => {
            let of_replay = Some(format!("replay {}", start.replay));
            Some((AuditAction::ReplayEntry.name(), format!("shelf {entry}"), of_replay))
        }
        Note::Acted { by, action, entry, .. } if *by >= people::FIRST_PERSON => {
            Some((action.name(), format!("shelf {entry}"), None))
        }
        Note::Acted { .. } | Note::Passed { .. } | Note::Edited { .. } => None,
    })
}

/// Returns the action that gives a replay a state; none for the end of planning, which nobody orders.
fn action_of(before: Option<ReplayState>, state: ReplayState) -> Option<AuditAction> {
    match state {
        ReplayState::Planning => Some(AuditAction::PlanReplay),
        ReplayState::Planned => None,
        ReplayState::Running if before == Some(ReplayState::Paused) => Some(AuditAction::ResumeReplay),
        ReplayState::Running => Some(AuditAction::StartReplay),
        ReplayState::Paused => Some(AuditAction::PauseReplay),
        ReplayState::Cancelled => Some(AuditAction::CancelReplay),
        ReplayState::Done => Some(AuditAction::EndReplay),
    }
}

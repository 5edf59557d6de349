//! Starts, pauses, resumes and cancels replays.

use super::super::actor::{Actor, Role, require};
use super::error::ReplayError;
use super::store::PlanStore;
use crate::store::audit::{AuditAction, AuditEntry, AuditSubject};
use crate::store::replays::{ReplayChange, ReplayId, ReplayRow, ReplayState};

/// What a person does with a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayAction {
    /// Start what was planned.
    Start,
    /// Start nothing more for now.
    Pause,
    /// Go on, beginning with a canary again.
    Resume,
    /// Start nothing more at all.
    Cancel,
}

impl ReplayAction {
    /// Returns the state that a replay in `state` gets; `None` if this cannot be done with it.
    pub fn next(self, state: ReplayState) -> Option<ReplayState> {
        let (from, next): (&[ReplayState], ReplayState) = match self {
            Self::Start => (&[ReplayState::Planned], ReplayState::Running),
            Self::Pause => (&[ReplayState::Running], ReplayState::Paused),
            Self::Resume => (&[ReplayState::Paused], ReplayState::Running),
            Self::Cancel => (
                &[ReplayState::Planning, ReplayState::Planned, ReplayState::Running, ReplayState::Paused],
                ReplayState::Cancelled,
            ),
        };
        from.contains(&state).then_some(next)
    }

    fn participle(self) -> &'static str {
        match self {
            Self::Start => "started",
            Self::Pause => "paused",
            Self::Resume => "resumed",
            Self::Cancel => "cancelled",
        }
    }

    /// Returns what the audit keeps of this action.
    pub fn audit_action(self) -> AuditAction {
        match self {
            Self::Start => AuditAction::StartReplay,
            Self::Pause => AuditAction::PauseReplay,
            Self::Resume => AuditAction::ResumeReplay,
            Self::Cancel => AuditAction::CancelReplay,
        }
    }
}

/// Changes the state of a replay, and returns it as it is then. What is under way comes to its end in any case.
///
/// # Errors
/// When the person may not, there is no such replay, its state does not allow it, it was changed in between, or the store
/// does not answer.
pub async fn act(
    store: &dyn PlanStore,
    actor: &Actor,
    id: ReplayId,
    action: ReplayAction,
    reason: Option<&str>,
) -> Result<ReplayRow, ReplayError> {
    require(actor, Role::Operator)?;
    let row = store.replay(id).await?.ok_or(ReplayError::Unknown(id))?;
    let Some(next) = row.state.and_then(|state| action.next(state)) else {
        return Err(ReplayError::WrongState { id, state: row.state, what: action.participle() });
    };
    let subject = AuditSubject::named(format_args!("replay {id}"));
    let entry = AuditEntry::new(actor, action.audit_action(), subject)
        .because(reason)
        .change(row.state.map(|state| state.name().into()), Some(next.name().into()));
    let why = match action {
        ReplayAction::Pause => Some(format!("paused by {actor}")),
        ReplayAction::Cancel => Some(format!("cancelled by {actor}")),
        ReplayAction::Start | ReplayAction::Resume => None,
    };
    let why = why.map(|who| reason.map_or(who.clone(), |reason| format!("{who}: {reason}")));
    let begins_again = matches!(action, ReplayAction::Start | ReplayAction::Resume);
    let audit = Some(entry);
    let change = ReplayChange { replay: id, epoch: row.epoch, state: next, why, summary: None, begins_again, audit };
    if !store.change_replay(change).await? {
        return Err(ReplayError::Changed(id));
    }
    store.replay(id).await?.ok_or(ReplayError::Unknown(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_allows_what_makes_sense_in_it() {
        use ReplayAction::{Cancel, Pause, Resume, Start};
        let allowed = |state: ReplayState| -> Vec<ReplayAction> {
            [Start, Pause, Resume, Cancel].into_iter().filter(|action| action.next(state).is_some()).collect()
        };
        assert_eq!(allowed(ReplayState::Planning), [Cancel]);
        assert_eq!(allowed(ReplayState::Planned), [Start, Cancel]);
        assert_eq!(allowed(ReplayState::Running), [Pause, Cancel]);
        assert_eq!(allowed(ReplayState::Paused), [Resume, Cancel]);
        assert_eq!(allowed(ReplayState::Done), []);
        assert_eq!(allowed(ReplayState::Cancelled), []);
    }
}

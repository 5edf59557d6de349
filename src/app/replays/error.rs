//! Says why a replay is not planned or not changed.

use super::super::actor::NotAllowed;
use super::super::shelf::SelectionError;
use crate::store::StoreError;
use crate::store::replays::{ReplayId, ReplayState};

/// Why a replay is not planned or not changed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The person lacks the role.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// The entries cannot be selected.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// No entry matches.
    #[error("no entry on the shelf matches {0}")]
    Nothing(String),
    /// There is no replay with this number.
    #[error("there is no replay {0}")]
    Unknown(ReplayId),
    /// The replay is in a state in which this cannot be done.
    #[error("replay {id} is {}, so it cannot be {what}", .state.map_or("in a state that this version does not know", ReplayState::name))]
    WrongState {
        /// The replay.
        id: ReplayId,
        /// Its state.
        state: Option<ReplayState>,
        /// What was asked for.
        what: &'static str,
    },
    /// Somebody else, or the worker, changed the replay in between.
    #[error("replay {0} was changed meanwhile")]
    Changed(ReplayId),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

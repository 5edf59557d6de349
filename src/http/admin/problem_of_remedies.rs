//! Turns the errors of use cases by which people find and correct what failed into problems.

use super::problem::{Code, Problem};
use crate::app::batches::compare::CompareError;
use crate::app::candidates::CandidatesError;
use crate::app::connections::probe::ProbeError;
use crate::app::edit::EditError;
use crate::app::find::FindError;
use crate::app::restore_entry::RestoreError;
use crate::app::undo::UndoError;

/// The most faults that a problem lists.
const MOST_FAULTS: usize = 100;

impl From<FindError> for Problem {
    fn from(error: FindError) -> Self {
        match error {
            FindError::Text(error) => Self::parameter(Code::InvalidParameter, "text", error)
                .remedy("Give an id, a name, a key, a tag, or a link to a case in Testmo."),
            FindError::Store(error) => error.into(),
        }
    }
}

impl From<CompareError> for Problem {
    fn from(error: CompareError) -> Self {
        match error {
            CompareError::Connection(error) => error.into(),
            CompareError::NoAccess { .. } => Self::new(Code::Conflict, error).remedy("Verify the connection."),
            CompareError::Nothing(_) => {
                Self::not_found(error).remedy("A batch of which no case was sent is on the shelf.")
            }
            CompareError::Paused(_) => {
                Self::new(Code::TestmoUnavailable, error).remedy("Try again when the pause is over.")
            }
            CompareError::Failed(_) | CompareError::Refused | CompareError::Endless => {
                Self::new(Code::TestmoUnavailable, error).remedy("Try again later, and verify the connection.")
            }
            CompareError::Client(error) => error.into(),
            CompareError::Store(error) => error.into(),
        }
    }
}

impl From<UndoError> for Problem {
    fn from(error: UndoError) -> Self {
        match error {
            UndoError::NotAllowed(error) => error.into(),
            UndoError::NoReason => Self::new(Code::InvalidBody, "A reason is needed.").at("/reason"),
            UndoError::Connection(error) => error.into(),
            UndoError::NoAccess { .. } => Self::new(Code::Conflict, error).remedy("Verify the connection."),
            UndoError::NoBatch(_) | UndoError::Pruned(_) => {
                Self::not_found(error).remedy("A batch of which no case was sent is on the shelf.")
            }
            UndoError::NotFinished(_) => {
                Self::new(Code::Conflict, error).remedy("Wait for its outcome, or discard it.")
            }
            UndoError::LateRows(_) => {
                Self::new(Code::Conflict, error).remedy("Try again once a worker has made the check.")
            }
            UndoError::Nothing(_) => {
                Self::new(Code::Conflict, error).remedy("Read the batch to see what became of it.")
            }
            UndoError::Begun { .. } => Self::new(Code::Conflict, error).remedy("Send that request again: it goes on."),
            UndoError::UnderWay { .. } => Self::new(Code::RequestUnderWay, error),
            UndoError::SourceBusy(_) => Self::new(Code::Conflict, error).remedy("Try again once it is finished."),
            UndoError::Paused(_) => {
                Self::new(Code::TestmoUnavailable, error).remedy("Try again when the pause is over.")
            }
            UndoError::Failed(_) | UndoError::Endless => {
                Self::new(Code::TestmoUnavailable, error).remedy("Try again later, and verify the connection.")
            }
            UndoError::Changed => Self::new(Code::ChangedMeanwhile, error).remedy("Send the request again."),
            UndoError::Client(error) => error.into(),
            UndoError::Store(error) => error.into(),
        }
    }
}

impl From<EditError> for Problem {
    fn from(error: EditError) -> Self {
        match error {
            EditError::NotAllowed(error) => error.into(),
            EditError::Store(error) => error.into(),
            EditError::Gone => Self::not_found(error).remedy("Its batch may have been delivered."),
            EditError::Changed => {
                Self::new(Code::ChangedMeanwhile, error).remedy("Read the draft again, then repeat the edit.")
            }
            EditError::TooLarge { .. } => Self::new(Code::BodyTooLarge, error),
            EditError::Locked(locked) => {
                Self::new(Code::Refused, &locked).at(locked.pointer.clone()).remedy(locked.why)
            }
            EditError::Faulty(ref faults) => {
                let listed = faults.iter().take(MOST_FAULTS).map(ToString::to_string).collect();
                let problem = Self::new(Code::Refused, &error).with_faults(listed);
                match faults.first() {
                    Some(first) => problem.at(first.pointer.clone()).remedy(&first.remedy),
                    None => problem,
                }
            }
            EditError::NoSuchPlace(_) => Self::new(Code::InvalidBody, error).at("/set"),
            EditError::Unfinished(_)
            | EditError::InReplay(_)
            | EditError::NotText
            | EditError::NotRead(_)
            | EditError::NotJson(_)
            | EditError::Taken(_)
            | EditError::Superseded
            | EditError::Delivered
            | EditError::GivenUp(_) => Self::new(Code::Conflict, error),
        }
    }
}

impl From<RestoreError> for Problem {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::NotAllowed(error) => error.into(),
            RestoreError::NotKnown(_) => Self::not_found(error),
            RestoreError::OnShelf(_) | RestoreError::ReceivedAgain(_) => Self::new(Code::Conflict, error),
            RestoreError::Changed(_) => Self::new(Code::ChangedMeanwhile, error),
            RestoreError::Store(error) => error.into(),
        }
    }
}

impl From<CandidatesError> for Problem {
    fn from(error: CandidatesError) -> Self {
        match error {
            CandidatesError::NotAllowed(error) => error.into(),
            CandidatesError::Gone => Self::not_found(error).remedy("Its batch may have been delivered."),
            CandidatesError::Nothing => Self::new(Code::InvalidBody, error).remedy("Give `adopt` or `refuse`."),
            CandidatesError::Wrong(_) => Self::new(Code::Refused, error).remedy("Read the candidates again."),
            CandidatesError::Changed => Self::new(Code::ChangedMeanwhile, error).remedy("Read the candidates again."),
            CandidatesError::Unfinished(_)
            | CandidatesError::NothingMissing
            | CandidatesError::Elsewhere(_)
            | CandidatesError::NotConnected(_)
            | CandidatesError::NoAccess { .. } => Self::new(Code::Conflict, error),
            CandidatesError::NotRead(_) => Self::new(Code::TestmoUnavailable, error).remedy("Try again later."),
            CandidatesError::Client(error) => error.into(),
            CandidatesError::Store(error) => error.into(),
        }
    }
}

impl From<ProbeError> for Problem {
    fn from(error: ProbeError) -> Self {
        match error {
            ProbeError::Connection(error) => error.into(),
            ProbeError::NoFolder { .. } => Self::new(Code::Refused, error).at("/folder_id").remedy(
                "Use the id of a folder of this project: Testmo shows it in the address of the repository page.",
            ),
            ProbeError::NoAccess { .. } => Self::new(Code::Conflict, error).remedy("Verify the connection."),
            ProbeError::Folders(_) => Self::new(Code::TestmoUnavailable, error).remedy("Try again later."),
            ProbeError::NotAllowed(error) => error.into(),
            ProbeError::Client(error) => error.into(),
            ProbeError::Store(error) => error.into(),
        }
    }
}

//! Turns the errors of use cases about the shelf into failures, with the commands and options that help.

use testmo_courier::app::candidates::CandidatesError;
use testmo_courier::app::edit::EditError;
use testmo_courier::app::replays::ReplayError;
use testmo_courier::app::restore_entry::RestoreError;
use testmo_courier::app::shelf::{NoteError, SelectionError};

use super::super::output::visible;
use super::{Failure, Words};

impl From<NoteError> for Failure {
    fn from(error: NoteError) -> Self {
        match error {
            NoteError::NoGroup(_) | NoteError::NoNote(_) => {
                Self::finding(error, "`testmo-courier shelf groups` shows the groups and their notes")
            }
            NoteError::Length(_) => Self::usage(error, "write a shorter text, or --remove"),
            NoteError::NotAllowed(error) => error.into(),
            NoteError::Store(error) => error.into(),
        }
    }
}

impl From<SelectionError> for Failure {
    fn from(error: SelectionError) -> Self {
        match error {
            SelectionError::Empty => {
                Self::usage(error, "name ids, batches as TENANT/BATCH, or filters such as --state dead --tenant acme")
            }
            SelectionError::NamesAndFilters => Self::usage(error, "use either ids or filters"),
            SelectionError::NotOnShelf(_) => Self::finding(
                error,
                "the batch may have been delivered meanwhile; `testmo-courier shelf list` shows the entries of the \
                 shelf",
            ),
            SelectionError::NotPublishedAs(_) => Self::finding(
                error,
                "a batch that was delivered is not on the shelf: `testmo-courier batches show TENANT/BATCH` shows it by \
                 its own id",
            ),
            SelectionError::Store(error) => error.into(),
        }
    }
}

impl From<ReplayError> for Failure {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::NotAllowed(error) => error.into(),
            ReplayError::Selection(error) => error.into(),
            ReplayError::Nothing(_) => Self::finding(error, "`testmo-courier shelf list` shows what is on the shelf"),
            ReplayError::Unknown(_) => Self::finding(error, "`testmo-courier replays list` shows all replays"),
            ReplayError::WrongState { id, .. } => {
                Self::finding(error, format!("`testmo-courier replays show {id}` says what can be done with it"))
            }
            ReplayError::Changed(id) => {
                Self::finding(error, format!("`testmo-courier replays show {id}` shows it as it is now"))
            }
            ReplayError::Store(error) => error.into(),
        }
    }
}

impl From<EditError> for Failure {
    fn from(error: EditError) -> Self {
        match error {
            EditError::Store(error) => error.into(),
            EditError::Faulty(faults) => {
                let listed: Vec<String> = faults.iter().map(|fault| visible(&fault.to_string()).into_owned()).collect();
                Self::finding(
                    listed.join("\n       "),
                    "nothing was stored; correct the message and edit the entry again",
                )
            }
            EditError::Changed => Self::finding(error, "edit the entry again: `testmo-courier shelf edit ID`"),
            error @ (EditError::NotAllowed(_)
            | EditError::Unfinished(_)
            | EditError::InReplay(_)
            | EditError::NotText
            | EditError::NotRead(_)
            | EditError::NotJson(_)
            | EditError::TooLarge { .. }
            | EditError::Locked(_)
            | EditError::NoSuchPlace(_)
            | EditError::Taken(_)
            | EditError::Superseded
            | EditError::Delivered
            | EditError::GivenUp(_)
            | EditError::Gone) => Self::Finding(Words::split(visible(&error.to_string()))),
        }
    }
}

impl From<RestoreError> for Failure {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::Store(error) => error.into(),
            RestoreError::NotKnown(_) => {
                Self::finding(error, "`testmo-courier shelf discarded` lists what can be restored")
            }
            RestoreError::OnShelf(id) => Self::finding(error, format!("`testmo-courier shelf show {id}` shows it")),
            RestoreError::NotAllowed(_) | RestoreError::ReceivedAgain(_) | RestoreError::Changed(_) => {
                Self::Finding(Words::split(error))
            }
        }
    }
}

impl From<CandidatesError> for Failure {
    fn from(error: CandidatesError) -> Self {
        match error {
            CandidatesError::Store(error) => error.into(),
            CandidatesError::Client(error) => error.into(),
            CandidatesError::Nothing => Self::usage(error, "add --adopt CASE=TESTMO_ID or --refuse TESTMO_ID"),
            CandidatesError::Changed | CandidatesError::Gone => {
                Self::finding(error, "`testmo-courier shelf list` shows what is on the shelf")
            }
            error @ (CandidatesError::NotAllowed(_)
            | CandidatesError::Unfinished(_)
            | CandidatesError::NothingMissing
            | CandidatesError::Elsewhere(_)
            | CandidatesError::NotConnected(_)
            | CandidatesError::NoAccess { .. }
            | CandidatesError::NotRead(_)
            | CandidatesError::Wrong(_)) => Self::Finding(Words::split(visible(&error.to_string()))),
        }
    }
}

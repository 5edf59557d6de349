//! Turns the errors of use cases into problems; those by which people correct what failed are in `problem_of_remedies.rs`.

use super::problem::{Code, Problem};
use crate::app::access::{LinkError, NoEntry, TokenError};
use crate::app::actor::{ActionError, NotAllowed};
use crate::app::batches::BatchError;
use crate::app::connections::remove::RemoveError;
use crate::app::connections::set::{KeyNeeded, Part, SetError};
use crate::app::connections::{ConnectionError, KeptInFile, NotRead};
use crate::app::lanes::LaneError;
use crate::app::messages::preview::PreviewError;
use crate::app::plural::counted;
use crate::app::replays::ReplayError;
use crate::app::shelf::{NoteError, SelectionError};
use crate::app::{KeyError, NoClient, StoreError};

impl From<StoreError> for Problem {
    /// The place of the store and what is wrong with it are written to the log alone.
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "a request to the API found the store unusable");
        if matches!(error, StoreError::Data(_) | StoreError::Panicked(_)) {
            return Self::defect();
        }
        Self::new(Code::StoreUnavailable, "The store does not answer.")
            .remedy("Try again; the worker's log says what is wrong.")
    }
}

impl Problem {
    /// Says that a defect was found, which the log describes.
    pub(in crate::http) fn defect() -> Self {
        Self::new(Code::Defect, "A defect stopped the work on this request. Other requests and the worker go on.")
            .remedy("Report this defect with the log lines of this time.")
    }
}

impl From<NotAllowed> for Problem {
    fn from(error: NotAllowed) -> Self {
        Self::new(Code::RoleTooLow, error)
    }
}

impl From<ActionError> for Problem {
    fn from(error: ActionError) -> Self {
        match error {
            ActionError::NotAllowed(error) => error.into(),
            ActionError::Store(error) => error.into(),
        }
    }
}

impl From<NoteError> for Problem {
    fn from(error: NoteError) -> Self {
        match error {
            NoteError::NoGroup(_) | NoteError::NoNote(_) => Self::not_found(error),
            NoteError::Length(_) => Self::new(Code::InvalidBody, error).at("/text"),
            NoteError::NotAllowed(error) => error.into(),
            NoteError::Store(error) => error.into(),
        }
    }
}

impl From<ReplayError> for Problem {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::NotAllowed(error) => error.into(),
            ReplayError::Selection(error) => error.into(),
            ReplayError::Nothing(_) | ReplayError::Unknown(_) => Self::not_found(error),
            ReplayError::WrongState { .. } => Self::new(Code::Conflict, error).remedy("Read the replay again."),
            ReplayError::Changed(_) => Self::new(Code::ChangedMeanwhile, error).remedy("Read the replay again."),
            ReplayError::Store(error) => error.into(),
        }
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        tracing::error!(%error, "a request to the API found the master key unusable");
        Self::defect()
    }
}

impl From<NoClient> for Problem {
    fn from(error: NoClient) -> Self {
        tracing::error!(%error, "a request to the API found no way to Testmo");
        Self::new(Code::TestmoUnavailable, "Testmo cannot be asked.").remedy("The worker's log says what is wrong.")
    }
}

impl From<NoEntry> for Problem {
    fn from(error: NoEntry) -> Self {
        match error {
            NoEntry::Unknown | NoEntry::Revoked | NoEntry::Expired => Self::new(Code::Unauthenticated, error)
                .remedy("Ask an admin for a token: `testmo-courier tokens create` makes one."),
            NoEntry::Store(error) => error.into(),
        }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::NameTaken(_) => Self::new(Code::Conflict, error).remedy("Choose another name."),
            TokenError::Days => Self::new(Code::InvalidBody, error).at("/expires_in_days"),
            TokenError::Unknown(_) => Self::not_found(error),
            TokenError::Store(error) => error.into(),
        }
    }
}

impl From<LinkError> for Problem {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Minutes => Self::new(Code::InvalidBody, error).at("/minutes"),
            LinkError::Unknown => Self::not_found(error),
            LinkError::Store(error) => error.into(),
        }
    }
}

impl From<ConnectionError> for Problem {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::NoConnection { .. } => {
                Self::not_found(error).remedy("Enter a connection with PUT /api/v1/tenants/{tenant}.")
            }
            ConnectionError::Store(error) => error.into(),
        }
    }
}

/// Returns the member of the body by which a part of a connection is entered.
fn member(part: Part) -> &'static str {
    match part {
        Part::BaseUrl => "/base_url",
        Part::Project => "/project_id",
        Part::Folder => "/folder_id",
        Part::ApiKey => "/api_key",
        Part::Expiry => "/api_key_expires_on",
        Part::Mapping => "/mapping",
    }
}

impl From<KeptInFile> for Problem {
    fn from(error: KeptInFile) -> Self {
        // The place of the directory is nothing for those who only see the console.
        let name = error.file.file_name().unwrap_or_default().to_string_lossy();
        let detail = format!("The connection of {} is kept in the file {name}; nothing was changed.", error.tenant);
        Self::new(Code::Conflict, detail).remedy(error.remedy)
    }
}

impl From<SetError> for Problem {
    fn from(error: SetError) -> Self {
        match error {
            SetError::Incomplete { tenant, parts, .. } => {
                let missing: Vec<&str> = parts.iter().map(|part| member(*part)).collect();
                let problem = Self::new(Code::InvalidBody, format!("{tenant} is new and lacks {}", missing.join(", ")));
                missing.first().copied().map_or(Self::defect(), |first| problem.at(first))
            }
            SetError::Address { base_url, refused } => {
                let detail = format!("{base_url} is not allowed");
                Self::new(Code::Refused, detail).at(member(Part::BaseUrl)).remedy(refused)
            }
            SetError::Expired(_) => Self::new(Code::Refused, error)
                .at(member(Part::Expiry))
                .remedy("Enter the day on which the key expires, or null."),
            SetError::KeptKey(why) => {
                Self::new(Code::Refused, why).at(member(Part::ApiKey)).remedy("Enter the API key again.")
            }
            SetError::KeyNeeded(needed @ (KeyNeeded::AddressChanged | KeyNeeded::NotKept)) => {
                Self::new(Code::InvalidBody, needed).at(member(Part::ApiKey)).remedy("Enter the API key.")
            }
            SetError::Changed(_) => {
                Self::new(Code::ChangedMeanwhile, error).remedy("Read the connection again, then repeat the change.")
            }
            SetError::KeptInFile(error) => error.into(),
            SetError::NotAllowed(error) => error.into(),
            SetError::Key(error) => error.into(),
            SetError::Client(error) => error.into(),
            SetError::Store(error) => error.into(),
        }
    }
}

impl From<RemoveError> for Problem {
    fn from(error: RemoveError) -> Self {
        match error {
            RemoveError::Connection(error) => error.into(),
            RemoveError::NotFinished { ref batches, .. } => {
                let named: Vec<String> = batches.iter().take(5).map(|(batch, why)| format!("{batch}: {why}")).collect();
                Self::new(Code::Conflict, format!("{error} ({})", named.join("; ")))
                    .remedy("Stop publishing for this tenant, wait until its batches are finished or on the shelf, then repeat the request.")
            }
            RemoveError::HasShelved { .. } => {
                Self::new(Code::Conflict, error).remedy("With ?purge=true they are discarded.")
            }
            RemoveError::Cancelled | RemoveError::Changed { .. } => {
                Self::new(Code::ChangedMeanwhile, error).remedy("Read the tenant again, then repeat the request.")
            }
            RemoveError::KeptInFile(error) => error.into(),
            RemoveError::NotAllowed(error) => error.into(),
            RemoveError::Store(error) => error.into(),
        }
    }
}

impl From<SelectionError> for Problem {
    fn from(error: SelectionError) -> Self {
        match error {
            SelectionError::Empty => Self::new(Code::InvalidBody, error)
                .remedy("Name `ids`, or a `selection` with at least one member, or `\"all\": true` in it."),
            SelectionError::NamesAndFilters => Self::new(Code::InvalidBody, error).remedy("Give `ids` or `selection`."),
            SelectionError::NotOnShelf(_) | SelectionError::NotPublishedAs(_) => {
                Self::not_found(error).remedy("The batch may have been delivered meanwhile.")
            }
            SelectionError::Store(error) => error.into(),
        }
    }
}

impl From<BatchError> for Problem {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Unknown(_) => Self::not_found(error),
            BatchError::Store(error) => error.into(),
        }
    }
}

impl From<LaneError> for Problem {
    fn from(error: LaneError) -> Self {
        match error {
            LaneError::Address(_) | LaneError::NotATenant(_) => Self::new(Code::InvalidBody, error)
                .at("/lane")
                .remedy("Write the id of a tenant, or the base URL of an account."),
            LaneError::Unknown { .. } => Self::not_found(error),
            LaneError::NotAllowed(error) => error.into(),
            LaneError::Store(error) => error.into(),
        }
    }
}

impl From<PreviewError> for Problem {
    fn from(error: PreviewError) -> Self {
        match error {
            PreviewError::NamesUnknown(_) | PreviewError::NoAccess { .. } => {
                Self::new(Code::Conflict, error).remedy("Verify the connection.")
            }
            PreviewError::Folders { .. } | PreviewError::Cases { .. } => {
                Self::new(Code::TestmoUnavailable, error).remedy("Verify the connection.")
            }
            PreviewError::Paused { seconds } => {
                Self::new(Code::TestmoUnavailable, error).remedy(format!("Try again in {seconds} s."))
            }
            PreviewError::NoSuchCase { cases } => Self::parameter(
                Code::InvalidParameter,
                "case",
                format!("The batch has {}.", counted(cases, "case", "cases")),
            ),
            PreviewError::Client(error) => error.into(),
            PreviewError::Store(error) => error.into(),
        }
    }
}

impl From<NotRead> for Problem {
    fn from(error: NotRead) -> Self {
        Self::new(Code::Conflict, error).remedy("Verify the connection, which reads them.")
    }
}

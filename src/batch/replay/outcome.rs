//! Decides what became of a batch that a replay has started.

use std::str::FromStr;

use crate::batch::Reason;
use crate::batch::ledger::BatchState;

/// What became of one batch of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ItemOutcome {
    /// Every case is in Testmo.
    Delivered,
    /// Some cases are in Testmo; the others were refused again.
    Partial,
    /// It is dead again.
    Failed,
    /// It waits on the shelf again, for another reason than a rate limit, a pause or a lack of room.
    Parked,
    /// All its cases were in Testmo before the replay came to it.
    AlreadyInTestmo,
    /// It was discarded.
    Discarded,
    /// A person, or another replay, changed it after the plan.
    Changed,
    /// It was not tried, and stays as it was.
    Skipped,
}

impl ItemOutcome {
    /// Every outcome.
    pub const ALL: [Self; 8] = [
        Self::Delivered,
        Self::Partial,
        Self::Failed,
        Self::Parked,
        Self::AlreadyInTestmo,
        Self::Discarded,
        Self::Changed,
        Self::Skipped,
    ];

    /// Returns the word that is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Parked => "parked",
            Self::AlreadyInTestmo => "already_in_testmo",
            Self::Discarded => "discarded",
            Self::Changed => "changed",
            Self::Skipped => "skipped",
        }
    }

    /// Returns what became of a batch by a change that stores `record` as the state of its record, and puts it onto the
    /// shelf as `shelved` says: for which reason, and whether it is dead there. A change that does neither removes a copy of
    /// a batch whose record is in the state `before`. `None` while it is still under way.
    pub fn of(record: Option<BatchState>, shelved: Option<(Reason, bool)>, before: Option<BatchState>) -> Option<Self> {
        match (record, shelved) {
            (Some(BatchState::Delivered), _) => Some(Self::Delivered),
            (Some(BatchState::Partial), _) => Some(Self::Partial),
            (Some(BatchState::Discarded | BatchState::Undone), _) => Some(Self::Discarded),
            (Some(BatchState::Failed), _) => Some(Self::Failed),
            (Some(BatchState::Open) | None, Some((_, true))) => Some(Self::Failed),
            (Some(BatchState::Open) | None, Some((reason, false))) => (!is_under_way(reason)).then_some(Self::Parked),
            (Some(BatchState::Open), None) => None,
            // It left the shelf because its batch was finished before, or because a person has edited the message.
            (None, None) => Some(match before {
                Some(BatchState::Delivered) | None => Self::AlreadyInTestmo,
                Some(BatchState::Partial) => Self::Partial,
                Some(BatchState::Failed) => Self::Failed,
                Some(BatchState::Discarded | BatchState::Undone) => Self::Discarded,
                Some(BatchState::Open) => Self::Changed,
            }),
        }
    }

    /// Returns whether the cause of the failure is gone, as far as this outcome shows; `None` if it shows nothing.
    pub fn is_success(self) -> Option<bool> {
        match self {
            Self::Delivered | Self::AlreadyInTestmo => Some(true),
            Self::Partial | Self::Failed | Self::Parked => Some(false),
            Self::Discarded | Self::Changed | Self::Skipped => None,
        }
    }
}

/// Returns whether what is parked for this reason has neither succeeded nor failed yet.
fn is_under_way(reason: Reason) -> bool {
    match reason {
        Reason::Throttled
        | Reason::Paused
        | Reason::NoRoom
        | Reason::EarlierGeneration
        | Reason::Unclear
        | Reason::Suspect => true,
        Reason::NotJson
        | Reason::InvalidMessage
        | Reason::BatchConflict
        | Reason::TooLarge
        | Reason::Undeliverable
        | Reason::UnreadableHeaders
        | Reason::CrashLoop
        | Reason::UnknownTenant
        | Reason::Unverified
        | Reason::Forbidden
        | Reason::UnexpectedStatus
        | Reason::KeyRefused
        | Reason::TargetMissing
        | Reason::WrongHost
        | Reason::NotTestmo
        | Reason::AddressRefused
        | Reason::ConnectionRejected
        | Reason::FolderMissing
        | Reason::FolderUnconfirmed
        | Reason::ServerError
        | Reason::NoAnswer
        | Reason::Unreachable
        | Reason::ReadFailed
        | Reason::CaseRefused
        | Reason::CaseInvalid
        | Reason::CaseTooLarge
        | Reason::Rejected
        | Reason::AllRefused
        | Reason::ExistsAlready
        | Reason::ReplacedUnknown
        | Reason::RetriesExhausted
        | Reason::UnclearInTestmo
        | Reason::RejectedUnclear
        | Reason::UnclearElsewhere
        | Reason::StoreRowUnreadable => false,
    }
}

impl FromStr for ItemOutcome {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let outcome = Self::ALL.into_iter().find(|outcome| outcome.name() == text);
        outcome.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("`{text}` is not an outcome; the outcomes are {names}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outcome_follows_from_what_is_stored_of_the_batch() {
        use BatchState::{Delivered, Discarded, Failed, Open, Partial};
        let table = [
            (Some(Delivered), None, Some(ItemOutcome::Delivered)),
            (Some(Partial), Some((Reason::CaseRefused, true)), Some(ItemOutcome::Partial)),
            (Some(Failed), Some((Reason::AllRefused, true)), Some(ItemOutcome::Failed)),
            (Some(Discarded), None, Some(ItemOutcome::Discarded)),
            (None, Some((Reason::NotJson, true)), Some(ItemOutcome::Failed)),
            (None, Some((Reason::ServerError, false)), Some(ItemOutcome::Parked)),
            (None, Some((Reason::KeyRefused, false)), Some(ItemOutcome::Parked)),
            (None, Some((Reason::Throttled, false)), None),
            (Some(Open), Some((Reason::Unclear, false)), None),
            (Some(Open), None, None),
            (None, None, Some(ItemOutcome::AlreadyInTestmo)),
        ];
        for (record, shelved, expected) in table {
            assert_eq!(ItemOutcome::of(record, shelved, None), expected, "{record:?} {shelved:?}");
        }
        for (before, expected) in [
            (Delivered, ItemOutcome::AlreadyInTestmo),
            (Partial, ItemOutcome::Partial),
            (Failed, ItemOutcome::Failed),
            (Discarded, ItemOutcome::Discarded),
            (Open, ItemOutcome::Changed),
        ] {
            assert_eq!(ItemOutcome::of(None, None, Some(before)), Some(expected), "{before:?}");
            assert_eq!(ItemOutcome::of(Some(Delivered), None, Some(before)), Some(ItemOutcome::Delivered));
        }
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        for outcome in ItemOutcome::ALL {
            assert_eq!(outcome.name().parse(), Ok(outcome));
        }
        assert!("lost".parse::<ItemOutcome>().unwrap_err().contains("already_in_testmo"));
    }
}

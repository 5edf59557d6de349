//! Decides what a batch waits for that is not delivered at once: something outside of the worker, or the worker itself.

use crate::batch::Reason;

/// What a batch waits for outside of the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum WaitedFor {
    /// The tenant: its connection, its message, or an earlier batch of it.
    Tenant,
    /// Testmo, which fails or asks for a pause.
    Testmo,
    /// A person who paused it, or decides about it.
    Person,
    /// Room: more batches of the account came than it takes.
    Room,
}

impl WaitedFor {
    /// Returns what a batch waits for that waits for this reason; `None` if the worker is the cause.
    pub(in crate::worker) fn of(reason: Reason) -> Option<Self> {
        match reason {
            Reason::Suspect | Reason::StoreRowUnreadable | Reason::ReadFailed => None,
            Reason::UnknownTenant
            | Reason::Unverified
            | Reason::KeyRefused
            | Reason::Forbidden
            | Reason::TargetMissing
            | Reason::WrongHost
            | Reason::NotTestmo
            | Reason::UnexpectedStatus
            | Reason::AddressRefused
            | Reason::ConnectionRejected
            | Reason::FolderMissing
            | Reason::EarlierGeneration => Some(Self::Tenant),
            Reason::Throttled
            | Reason::ServerError
            | Reason::NoAnswer
            | Reason::Unreachable
            | Reason::Unclear
            | Reason::FolderUnconfirmed => Some(Self::Testmo),
            Reason::NoRoom => Some(Self::Room),
            // What is dead is delivered because a person replays it, after whatever time.
            Reason::Paused
            | Reason::NotJson
            | Reason::InvalidMessage
            | Reason::TooLarge
            | Reason::Undeliverable
            | Reason::UnreadableHeaders
            | Reason::CrashLoop
            | Reason::BatchConflict
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
            | Reason::UnclearElsewhere => Some(Self::Person),
        }
    }

    /// Returns the value of the label `timing` of a batch that waited for this.
    pub(in crate::worker) fn label(self) -> &'static str {
        match self {
            Self::Tenant => "waited_for_tenant",
            Self::Testmo => "waited_for_testmo",
            Self::Person => "waited_for_person",
            Self::Room => "waited_for_room",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::OWN_ERRORS;

    #[test]
    fn a_batch_waits_for_the_worker_only_where_that_is_an_error_of_its_own() {
        for reason in Reason::ALL {
            assert_eq!(WaitedFor::of(*reason).is_none(), OWN_ERRORS.contains(&reason.code()), "{reason}");
        }
    }
}

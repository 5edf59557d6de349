//! Decides who has to act on a cause.

use crate::batch::Reason;

/// Who has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    /// The people who run the generator: a message or a case has to be corrected.
    Generator,
    /// The tenant's admin: the connection, or the project in Testmo, has to be corrected.
    Tenant,
    /// Support: a person has to decide what happens to the batches.
    Support,
    /// The people who run the worker: its surroundings have to be corrected.
    Operator,
}

impl Party {
    /// Returns who has to act on batches that are on the shelf for a reason; `None` is one that this version does not know.
    pub fn of(reason: Option<Reason>) -> Self {
        match reason {
            Some(
                Reason::NotJson
                | Reason::InvalidMessage
                | Reason::TooLarge
                | Reason::Undeliverable
                | Reason::UnreadableHeaders
                | Reason::BatchConflict
                | Reason::CaseRefused
                | Reason::CaseInvalid
                | Reason::CaseTooLarge
                | Reason::AllRefused,
            ) => Self::Generator,
            Some(
                Reason::UnknownTenant
                | Reason::Unverified
                | Reason::KeyRefused
                | Reason::Forbidden
                | Reason::TargetMissing
                | Reason::WrongHost
                | Reason::NotTestmo
                | Reason::ConnectionRejected
                | Reason::FolderMissing
                | Reason::FolderUnconfirmed,
            ) => Self::Tenant,
            Some(
                Reason::RetriesExhausted
                | Reason::EarlierGeneration
                | Reason::ExistsAlready
                | Reason::ReplacedUnknown
                | Reason::UnclearInTestmo
                | Reason::RejectedUnclear
                | Reason::UnclearElsewhere
                | Reason::Unclear
                | Reason::Throttled
                | Reason::ServerError
                | Reason::NoAnswer
                | Reason::Unreachable,
            ) => Self::Support,
            Some(
                Reason::Suspect
                | Reason::CrashLoop
                | Reason::UnexpectedStatus
                | Reason::AddressRefused
                | Reason::ReadFailed
                | Reason::NoRoom
                | Reason::Paused
                | Reason::StoreRowUnreadable
                | Reason::Rejected,
            )
            | None => Self::Operator,
        }
    }

    /// Returns the word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Generator => "generator",
            Self::Tenant => "tenant",
            Self::Support => "support",
            Self::Operator => "operator",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_acts_is_whom_the_remedy_addresses() {
        for reason in Reason::ALL {
            let (party, remedy) = (Party::of(Some(*reason)), reason.remedy());
            if remedy.contains("Correct the generator") || remedy.contains("publish it again in a new batch") {
                assert_eq!(party, Party::Generator, "{reason}");
            }
            if remedy.contains("API key on the user profile") || remedy.contains("Give the key's user a role") {
                assert_eq!(party, Party::Tenant, "{reason}");
            }
        }
        let of = |reason| Party::of(Some(reason)).name();
        assert_eq!(of(Reason::UnclearInTestmo), "support");
        assert_eq!(of(Reason::CrashLoop), "operator");
        assert_eq!(Party::of(None), Party::Operator);
    }
}

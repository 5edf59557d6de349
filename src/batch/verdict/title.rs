//! Gives every reason a short title that people read instead of its code.

use super::reason::Reason;

impl Reason {
    /// Returns a title of a few words, without a full stop.
    pub fn title(self) -> &'static str {
        match self {
            Self::NotJson => "Message is not JSON",
            Self::InvalidMessage => "Message breaks the contract",
            Self::TooLarge => "Message too large",
            Self::Undeliverable => "Message could not be delivered to the worker",
            Self::UnreadableHeaders => "Message headers unreadable",
            Self::Suspect => "Held for a separate attempt",
            Self::CrashLoop => "Worker failed over this message",
            Self::BatchConflict => "Batch id used twice with different content",
            Self::UnknownTenant => "Tenant has no connection",
            Self::Unverified => "Connection not verified",
            Self::KeyRefused => "API key refused",
            Self::Forbidden => "Permission missing in Testmo",
            Self::TargetMissing => "Project or folder not found",
            Self::WrongHost => "Host unknown or certificate of another host",
            Self::NotTestmo => "Address is not Testmo's API",
            Self::UnexpectedStatus => "Unexpected status instead of Testmo's response",
            Self::AddressRefused => "Address not allowed",
            Self::ConnectionRejected => "Connection settings rejected by Testmo",
            Self::FolderMissing => "Folder of the batch not found",
            Self::Throttled => "Rate limited by Testmo",
            Self::ServerError => "Testmo is failing",
            Self::NoAnswer => "No response from Testmo",
            Self::Unreachable => "Testmo unreachable",
            Self::ReadFailed => "Read request refused or not understood",
            Self::Unclear => "Outcome unknown, not reconciled yet",
            Self::FolderUnconfirmed => "Creation of the folder not confirmed",
            Self::NoRoom => "Queued on the shelf",
            Self::EarlierGeneration => "Waits for an earlier batch of its source",
            Self::ReplacedUnknown => "Batch that is replaced not known",
            Self::ExistsAlready => "Cases exist already, and a person decides",
            Self::Paused => "Paused by an operator",
            Self::StoreRowUnreadable => "Stored data unreadable",
            Self::CaseRefused => "Test case refused by Testmo",
            Self::CaseInvalid => "Test case does not match the schema",
            Self::CaseTooLarge => "Test case too large",
            Self::Rejected => "Request rejected by Testmo",
            Self::AllRefused => "All test cases refused by Testmo",
            Self::RetriesExhausted => "Retries exhausted",
            Self::UnclearInTestmo => "Created test cases not found any more",
            Self::RejectedUnclear => "Outcome unknown after an unexpected status",
            Self::UnclearElsewhere => "Outcome unknown in the former Testmo account",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_a_short_title_of_its_own() {
        let titles: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.title()).collect();
        assert_eq!(titles.len(), Reason::ALL.len());
        for title in titles {
            assert!(title.starts_with(char::is_uppercase) && !title.ends_with('.') && title.len() <= 50, "{title}");
        }
    }
}

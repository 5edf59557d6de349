//! Describes what was done with a case that a batch does not have any more.

use schemars::JsonSchema;
use serde::Serialize;

use super::previous::address;
use crate::batch::ledger::{BatchRecord, DropChange, DroppedCase};

/// A case in Testmo that an earlier batch of the source wrote, and that this batch does not have. Its external id is not known.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DroppedEntry {
    /// The id of the case in Testmo.
    pub testmo_id: u64,
    /// The address of the case in Testmo's web pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The id of the batch that wrote the case; absent if the worker does not know it any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<String>,
    /// What was done with it.
    pub change: Removed,
    /// Why the case is neither retired nor deleted; absent unless `change` is `kept`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_because: Option<StillNeeded>,
}

/// What was done with a case that is no longer generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Removed {
    /// It got the state and the folder of cases that are retired.
    Retired,
    /// It was deleted.
    Deleted,
    /// Nothing, as the tenant's mapping says.
    Left,
    /// Nothing: `kept_because` says why.
    Kept,
    /// Testmo refused to change or delete it.
    Refused,
    /// Nothing: it is not found in the project, or what is found there is not recognized as it.
    NotFound,
    /// It may have been retired or deleted: the outcome of the request is unknown.
    Unclear,
}

/// Why a case that is no longer generated stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StillNeeded {
    /// A person has edited it, or may have.
    Edited,
    /// A person has commented it, worked on it or linked automation to it, or may have.
    Used,
    /// A field that every request has to fill cannot be read, so the case cannot be changed safely.
    CannotBeUpdated,
}

impl DroppedEntry {
    /// Describes what was done with a case.
    pub(super) fn of(record: &BatchRecord, case: &DroppedCase) -> Self {
        let (change, kept_because) = match case.change {
            DropChange::Writing => (Removed::Unclear, None),
            DropChange::Retired => (Removed::Retired, None),
            DropChange::Deleted => (Removed::Deleted, None),
            DropChange::Left => (Removed::Left, None),
            DropChange::Edited => (Removed::Kept, Some(StillNeeded::Edited)),
            DropChange::Used => (Removed::Kept, Some(StillNeeded::Used)),
            DropChange::Unreadable => (Removed::Kept, Some(StillNeeded::CannotBeUpdated)),
            DropChange::Refused => (Removed::Refused, None),
            DropChange::NotFound => (Removed::NotFound, None),
        };
        Self {
            testmo_id: case.id,
            link: dropped_link(record, case),
            batch_id: case.batch.clone(),
            change,
            kept_because,
        }
    }
}

/// Returns the address of such a case in Testmo's web pages.
pub fn dropped_link(record: &BatchRecord, case: &DroppedCase) -> Option<String> {
    record.target_of_dropped(case).map(|target| address(target, case.folder, case.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::ledger::Target;

    #[test]
    fn each_case_says_what_was_done_in_the_word_of_the_record() {
        let mut record = BatchRecord::fresh("acme/b-2".parse().unwrap(), "1:x".into(), ["TC-1".to_owned()]);
        record.targets = vec![Target { account: "https://acme.testmo.net".into(), project: 3, folder: 4 }];
        for change in [
            DropChange::Writing,
            DropChange::Retired,
            DropChange::Deleted,
            DropChange::Left,
            DropChange::Edited,
            DropChange::Used,
            DropChange::Unreadable,
            DropChange::Refused,
            DropChange::NotFound,
        ] {
            let case = DroppedCase { id: 7, folder: 5, batch: Some("b-1".into()), change, target: None };
            let entry = serde_json::to_value(DroppedEntry::of(&record, &case)).unwrap();
            assert_eq!(entry["change"], change.word());
            assert_eq!(entry.get("kept_because").is_some(), change.word() == "kept", "{change:?}");
            assert_eq!(entry["link"], "https://acme.testmo.net/repositories/3?group_id=5&case_id=7");
        }
    }
}

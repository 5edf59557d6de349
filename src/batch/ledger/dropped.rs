//! Defines what is recorded of cases of its source that a batch does not have any more.

use serde::{Deserialize, Serialize};

/// What a batch did with cases of its source that it does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// The cases, by their ids.
    #[serde(rename = "c")]
    pub cases: Vec<DroppedCase>,
    /// Whether there are further ones, which are left to a later generation.
    #[serde(rename = "m", default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// A case of a source that a batch of the source does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedCase {
    /// The id of the case in Testmo.
    #[serde(rename = "i")]
    pub id: u64,
    /// The id of the folder that it was written into.
    #[serde(rename = "f")]
    pub folder: u64,
    /// The id of the batch that wrote it, if the ledger still has it.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// What was done.
    #[serde(rename = "d")]
    pub change: DropChange,
    /// The place of its target in [`BatchRecord::targets`](super::BatchRecord::targets); the last one, if it was recorded before
    /// places were.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub target: Option<usize>,
}

/// What was done with a case that a batch does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropChange {
    /// A request that retires or deletes it is under way, or its outcome is unknown.
    Writing,
    /// It got the state and the folder of cases that are retired.
    Retired,
    /// It was deleted.
    Deleted,
    /// Nothing, as the mapping says.
    Left,
    /// Nothing: a person has edited it, or may have.
    Edited,
    /// Nothing: a person has commented it, worked on it or linked automation to it, or may have.
    Used,
    /// Nothing: a field that every request has to fill cannot be read.
    Unreadable,
    /// Testmo refused to write into it or to delete it.
    Refused,
    /// Nothing: it is not found in the project, or what is found there is not recognized as it.
    NotFound,
}

impl Dropped {
    /// Returns whether there is no such case.
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty() && !self.more
    }
}

impl DropChange {
    /// Returns the word in events and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Writing => "unclear",
            Self::Retired => "retired",
            Self::Deleted => "deleted",
            Self::Left => "left",
            Self::Edited | Self::Used | Self::Unreadable => "kept",
            Self::Refused => "refused",
            Self::NotFound => "not_found",
        }
    }
}

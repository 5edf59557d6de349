//! Defines what a batch does with a case that an earlier batch wrote into Testmo.

use serde::{Deserialize, Serialize};

/// What a batch did with a case that an earlier batch wrote; the record of the case says which case that is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeat {
    /// What was done.
    #[serde(rename = "c")]
    pub change: Change,
    /// The columns that are or were written.
    #[serde(rename = "w", default, skip_serializing_if = "Vec::is_empty")]
    pub written: Vec<String>,
    /// The fields that the generator changed and that stay, as a person has edited them.
    #[serde(rename = "k", default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<KeptText>,
}

/// What was done with a case that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A request that writes fields of it is under way, or its outcome is unknown.
    Writing,
    /// Fields of it were written.
    Updated,
    /// Nothing: it has what the generator wrote.
    Unchanged,
    /// Nothing: a person has edited every field that the generator changed.
    Kept,
    /// Nothing: it has another template, which no request can change.
    OtherTemplate,
    /// Nothing: a field that every request has to fill cannot be read.
    Unreadable,
    /// Nothing: the batch only creates what is new.
    Skipped,
    /// Nothing: a later generation has written it, or no longer has it.
    Superseded,
    /// Nothing: it is not found in the project, or what is found there is not recognized as it.
    NotFound,
}

/// A field that stays as it is, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptText {
    /// The column.
    #[serde(rename = "c")]
    pub column: String,
    /// The beginning of what the generator wrote.
    #[serde(rename = "g")]
    pub generated: String,
    /// The beginning of what Testmo shows; `None` if it does not show the field.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<String>,
}

impl Change {
    /// Returns the word in events and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Writing => "unclear",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Kept | Self::OtherTemplate | Self::Unreadable => "kept",
            Self::Skipped => "skipped",
            Self::Superseded => "superseded",
            Self::NotFound => "not_found",
        }
    }
}

impl Repeat {
    /// Returns that something was done for which no field was written or kept.
    pub fn only(change: Change) -> Self {
        Self { change, written: Vec::new(), kept: Vec::new() }
    }
}

//! Describes what was done with a case that an earlier batch wrote.

use schemars::JsonSchema;
use serde::Serialize;

use crate::batch::ledger::{CaseRecord, Change, KeptText};

/// What was done with the case of an earlier batch.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Repeated {
    /// What was done.
    pub change: CaseChange,
    /// The fields that were written, by column; absent if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub fields_written: Vec<String>,
    /// The fields that the generator changed and that stay, as a person has edited them; absent if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub fields_kept: Vec<KeptField>,
    /// Why nothing of the case was written although it differs; absent unless `change` is `kept`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_because: Option<KeptBecause>,
}

/// What was done with a case that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CaseChange {
    /// Fields of it were written.
    Updated,
    /// Nothing: it has what the generator wrote.
    Unchanged,
    /// Nothing, although it differs: `kept_because` says why.
    Kept,
    /// Nothing: the batch creates only what is new.
    Skipped,
    /// Nothing: a later generation has written it, or no longer has it.
    Superseded,
    /// Nothing: it is not found in the project, or what is found there is not recognized as it.
    NotFound,
}

/// Why nothing of a case was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeptBecause {
    /// A person has edited every field that the generator changed.
    Edited,
    /// It has another template, which no request can change.
    Template,
    /// A field that every request has to fill cannot be read, so the case cannot be updated safely.
    CannotBeUpdated,
}

/// A field that stays as a person has edited it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KeptField {
    /// The column.
    pub field: String,
    /// The beginning of what the generator wrote.
    pub generated: String,
    /// The beginning of what Testmo shows; absent if it does not show the field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown: Option<String>,
}

impl Repeated {
    /// Describes what was done with a case; `None` unless it stands for one of an earlier batch.
    pub(super) fn of(case: &CaseRecord) -> Option<Self> {
        let repeat = case.state.repeat()?;
        let (change, kept_because) = match repeat.change {
            Change::Writing => return None,
            Change::Updated => (CaseChange::Updated, None),
            Change::Unchanged => (CaseChange::Unchanged, None),
            Change::Kept => (CaseChange::Kept, Some(KeptBecause::Edited)),
            Change::OtherTemplate => (CaseChange::Kept, Some(KeptBecause::Template)),
            Change::Unreadable => (CaseChange::Kept, Some(KeptBecause::CannotBeUpdated)),
            Change::Skipped => (CaseChange::Skipped, None),
            Change::Superseded => (CaseChange::Superseded, None),
            Change::NotFound => (CaseChange::NotFound, None),
        };
        let field = |KeptText { column, generated, shown }: &KeptText| KeptField {
            field: column.clone(),
            generated: generated.clone(),
            shown: shown.clone(),
        };
        Some(Self {
            change,
            fields_written: repeat.written.clone(),
            fields_kept: repeat.kept.iter().map(field).collect(),
            kept_because,
        })
    }
}

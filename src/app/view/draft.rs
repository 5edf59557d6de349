//! Shows a message of the shelf that can be edited, and what an edit changes, to programs.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::edit::{Change, Draft};
use super::super::plan::PlannedEntry;

/// A message of the shelf as it can be edited.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct DraftView {
    id: String,
    batch: String,
    /// What an edit names as the state that it starts from.
    version: i64,
    /// The message as the generator wrote it, with its JSON indented.
    message: String,
    /// The cases that cannot be edited.
    locked_cases: Vec<LockedCaseView>,
}

/// A case that cannot be edited.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct LockedCaseView {
    /// Its position, from 1.
    position: usize,
    why: &'static str,
}

/// What an edit of one entry changes.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct StoredEditView {
    id: String,
    batch: String,
    /// Whether the edited message was stored: not where it was only checked, or where nothing differs.
    stored: bool,
    /// The difference to the message before.
    changes: Vec<Change>,
}

impl DraftView {
    /// Shows a draft.
    pub fn of(draft: &Draft) -> Self {
        let locked = |(at, why): (usize, &'static str)| LockedCaseView { position: at + 1, why };
        Self {
            id: draft.entry.id.to_string(),
            batch: draft.entry.batch.clone(),
            version: draft.version(),
            message: draft.text(),
            locked_cases: draft.locks().into_iter().map(locked).collect(),
        }
    }
}

impl StoredEditView {
    /// Shows the difference that an edit makes.
    pub fn of(entry: &PlannedEntry, changes: &[Change], stored: bool) -> Self {
        Self { id: entry.id.to_string(), batch: entry.batch.clone(), stored, changes: changes.to_vec() }
    }
}

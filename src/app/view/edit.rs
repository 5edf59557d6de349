//! Shows what has been done with edited messages, to programs.

use serde::Serialize;

use super::super::edit::{Change, EditOutcome, EditPlan, RefusedEdit};
use super::super::plan::PlannedEntry;

/// What an edit has done.
#[derive(Clone, Debug, Serialize)]
pub struct EditOutcomeView {
    edited: Vec<EditedEntryView>,
    unaffected: Vec<EditedEntryView>,
    refused: Vec<EditedEntryView>,
    gone: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct EditedEntryView {
    id: String,
    batch: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<Change>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl EditOutcomeView {
    /// Shows what became of one edited message; an edit without changes stores nothing.
    pub fn of_one(entry: &PlannedEntry, changes: &[Change]) -> Self {
        let shown = EditedEntryView { changes: changes.to_vec(), ..shown(entry) };
        let (edited, unaffected) = if changes.is_empty() { (vec![], vec![shown]) } else { (vec![shown], vec![]) };
        Self { edited, unaffected, refused: Vec::new(), gone: Vec::new() }
    }

    /// Shows what became of a plan, whose outcome follows from [`Self::with_outcome`].
    pub fn of_plan(plan: &EditPlan) -> Self {
        Self {
            edited: Vec::new(),
            unaffected: plan.unaffected.iter().map(shown).collect(),
            refused: Vec::new(),
            gone: Vec::new(),
        }
    }

    /// Adds what was done with the entries.
    #[must_use]
    pub fn with_outcome(self, outcome: &EditOutcome) -> Self {
        Self {
            edited: outcome.done.iter().map(shown).collect(),
            refused: outcome.refused.iter().map(refused).collect(),
            gone: outcome.gone.iter().map(ToString::to_string).collect(),
            ..self
        }
    }
}

fn shown(entry: &PlannedEntry) -> EditedEntryView {
    EditedEntryView { id: entry.id.to_string(), batch: entry.batch.clone(), changes: Vec::new(), why: None }
}

fn refused(refused: &RefusedEdit) -> EditedEntryView {
    EditedEntryView { why: Some(refused.why.to_string()), ..shown(&refused.entry) }
}

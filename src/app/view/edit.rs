//! Shows what has been done with edited messages, to programs.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::edit::{Change, EditOutcome, EditPlan, PlannedEdit, RefusedEdit};
use super::super::plan::PlannedEntry;

/// What an edit has done.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EditOutcomeView {
    edited: Vec<EditedEntryView>,
    unaffected: Vec<EditedEntryView>,
    refused: Vec<EditedEntryView>,
    gone: Vec<String>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct EditedEntryView {
    id: String,
    batch: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<Change>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// What a change of a field in several entries would do, and what it has done.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EditPlanView {
    /// How many entries are edited, or would be.
    planned: usize,
    /// How many places change in all of them.
    changes: usize,
    /// What changes in the first entries.
    samples: Vec<EditedEntryView>,
    /// The entries in which nothing changes.
    unaffected: Vec<EditedEntryView>,
    /// The entries that cannot be edited so.
    refused: Vec<EditedEntryView>,
    /// What was done; null where this was only asked for.
    outcome: Option<EditOutcomeView>,
}

impl EditPlanView {
    /// Shows a plan.
    pub fn of(plan: &EditPlan) -> Self {
        let sample = |sample: &PlannedEdit| EditedEntryView { changes: sample.changes.clone(), ..shown(&sample.entry) };
        Self {
            planned: plan.len(),
            changes: plan.changes,
            samples: plan.samples.iter().map(sample).collect(),
            unaffected: plan.unaffected.iter().map(shown).collect(),
            refused: plan.refused.iter().map(refused).collect(),
            outcome: None,
        }
    }

    /// Adds what was done.
    #[must_use]
    pub fn with(self, outcome: EditOutcomeView) -> Self {
        Self { outcome: Some(outcome), ..self }
    }
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

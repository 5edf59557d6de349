//! Shows what has been done with entries of the shelf, to programs.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::plan::{DoneStep, Plan, PlanOutcome, PlannedEntry};
use crate::batch::Reason;

/// What a discard has done.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PlanOutcomeView {
    discarded: Vec<PlannedEntryView>,
    skipped: Vec<PlannedEntryView>,
    changed: Vec<PlannedEntryView>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct PlannedEntryView {
    id: String,
    batch: String,
    reason: Reason,
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for_connection: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl PlanOutcomeView {
    /// Shows what a discard has done.
    pub fn of_discard(outcome: &PlanOutcome) -> Self {
        let skipped = outcome
            .skipped
            .iter()
            .map(|skipped| PlannedEntryView { why: Some(skipped.why.to_string()), ..shown(&skipped.entry) });
        Self {
            discarded: done(outcome),
            skipped: skipped.collect(),
            changed: outcome.changed.iter().map(shown).collect(),
        }
    }
}

fn done(outcome: &PlanOutcome) -> Vec<PlannedEntryView> {
    let waits = |step: &DoneStep| PlannedEntryView { waits_for_connection: Some(step.waits), ..shown(&step.entry) };
    outcome.done.iter().map(waits).collect()
}

fn shown(entry: &PlannedEntry) -> PlannedEntryView {
    PlannedEntryView {
        id: entry.id.to_string(),
        batch: entry.batch.clone(),
        reason: entry.reason,
        waits_for_connection: None,
        why: None,
    }
}

/// What a change of entries of the shelf would do, and what it has done.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ShelfChangeView {
    /// How many entries are changed, or would be.
    planned: usize,
    /// What was done; null where this was only asked for.
    outcome: Option<PlanOutcomeView>,
}

impl ShelfChangeView {
    /// Shows a plan.
    pub fn of(plan: &Plan) -> Self {
        Self { planned: plan.steps.len(), outcome: None }
    }

    /// Adds what was done.
    #[must_use]
    pub fn with(self, outcome: PlanOutcomeView) -> Self {
        Self { outcome: Some(outcome), ..self }
    }
}

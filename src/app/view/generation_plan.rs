//! Shows to programs what a batch would do with cases that earlier batches wrote.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::messages::plan::{GenerationPlan, PlannedCase, PlannedDrop};
use crate::batch::message::OnRepeat;

/// What a batch would do with cases that earlier batches wrote.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct GenerationPlanView {
    on_repeat: OnRepeat,
    cases: Vec<PlannedCaseView>,
    dropped: Vec<PlannedDropView>,
    reads: usize,
    creates: usize,
    updates: usize,
    removals: usize,
    requests: usize,
    seconds: u64,
    notes: Vec<String>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct PlannedCaseView {
    position: usize,
    key: String,
    plan: &'static str,
    testmo_id: Option<u64>,
    link: Option<String>,
    fields_written: Vec<String>,
    fields_kept: Vec<String>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct PlannedDropView {
    testmo_id: u64,
    link: String,
    batch_id: Option<String>,
    plan: &'static str,
}

impl GenerationPlanView {
    /// Shows a plan.
    pub(super) fn of(plan: &GenerationPlan) -> Self {
        let case = |case: &PlannedCase| PlannedCaseView {
            position: case.position,
            key: case.key.clone(),
            plan: case.what.word(),
            testmo_id: case.testmo_id,
            link: case.link.clone(),
            fields_written: case.fields_written.clone(),
            fields_kept: case.fields_kept.clone(),
        };
        let drop = |drop: &PlannedDrop| PlannedDropView {
            testmo_id: drop.testmo_id,
            link: drop.link.clone(),
            batch_id: drop.batch_id.clone(),
            plan: drop.what.word(),
        };
        let requests = &plan.requests;
        Self {
            on_repeat: plan.mode,
            cases: plan.cases.iter().map(case).collect(),
            dropped: plan.dropped.iter().map(drop).collect(),
            reads: requests.reads,
            creates: requests.creates,
            updates: requests.updates,
            removals: requests.removals,
            requests: requests.total(),
            seconds: plan.seconds,
            notes: plan.notes.clone(),
        }
    }
}

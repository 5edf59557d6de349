//! Shows what a plan does with entries of the shelf, and what has been done.

use testmo_courier::app::plan::{Plan, PlanOutcome};

use super::super::failure::Failure;
use super::super::output::Output;
use super::super::table::{List, counted};

/// Lists each entry that something is done with.
pub(crate) fn entries(plan: &Plan) -> List {
    let mut list = List::new(&["id", "reason", "batch"]);
    for entry in plan.steps.iter().map(|step| &step.entry) {
        list.add(vec![entry.id.to_string(), entry.reason.to_string(), entry.batch.clone()]);
    }
    list
}

/// Prints what is left alone, and why.
pub(crate) fn print_skipped(plan: &Plan, out: &mut Output) -> Result<(), Failure> {
    if plan.skipped.is_empty() {
        return Ok(());
    }
    out.line(format_args!("Skipped: {}", counted(plan.skipped.len(), "entry", "entries")))?;
    let mut list = List::new(&["id", "reason", "batch", "why"]);
    for skipped in &plan.skipped {
        let entry = &skipped.entry;
        list.add(vec![entry.id.to_string(), entry.reason.to_string(), entry.batch.clone(), skipped.why.to_string()]);
    }
    list.columns().iter().try_for_each(|line| out.line(format_args!("  {line}")))
}

/// Returns how a command ends that should have done something with every entry that was named.
pub(crate) fn end(outcome: &PlanOutcome, by_name: bool) -> Result<(), Failure> {
    if !outcome.changed.is_empty() {
        let what = counted(outcome.changed.len(), "entry was", "entries were");
        return Err(Failure::finding(
            format!("{what} changed meanwhile and skipped"),
            "check them with `testmo-courier shelf list`",
        ));
    }
    if outcome.done.is_empty() || (by_name && !outcome.skipped.is_empty()) { Err(Failure::Printed) } else { Ok(()) }
}

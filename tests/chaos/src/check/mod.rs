//! Checks against the stand-in's own record that nothing was lost, duplicated, reordered or reported wrongly.

mod cases;
mod events;
pub(crate) mod late;
mod ledger;
mod rate_limit_pauses;

use crate::drain::Heard;
use crate::plan::Plan;
use crate::stage::Stage;

/// Returns every violated invariant.
pub(crate) async fn check(plan: &Plan, stage: &Stage, heard: &Heard) -> anyhow::Result<Vec<String>> {
    let there = cases::There::of(stage);
    let mut broken = if plan.form.late { late::check(plan, stage, heard)? } else { cases::check(plan, &there)? };
    broken.extend(events::check(plan, &there, heard));
    broken.extend(ledger::check(plan, stage).await?);
    broken.extend(rate_limit_pauses::check(plan, stage).await?);
    Ok(broken)
}

//! Checks against the stand-in's own record that nothing was lost, duplicated, reordered or reported wrongly.

mod arrived;
mod audit;
mod cases;
mod events;
pub(crate) mod late;
mod ledger;
mod pace;
mod rate_limit_pauses;
mod replays;
mod starts;

use crate::drain::Drained;
use crate::generations;
use crate::plan::Plan;
use crate::replays::Replays;
use crate::stage::Stage;

/// Returns every violated invariant.
pub(crate) async fn check(plan: &Plan, stage: &Stage, drained: &Drained) -> anyhow::Result<Vec<String>> {
    let (there, replays) = (cases::There::of(stage), Replays::of(stage).await?);
    let mut broken = match plan.form.late {
        true => late::check(plan, stage, &drained.heard)?,
        false => cases::check(plan, &there, drained, &replays)?,
    };
    broken.extend(events::check(plan, &there, drained, &replays));
    broken.extend(generations::check(&plan.generations, stage, drained).await?);
    broken.extend(ledger::check(plan, stage, drained).await?);
    broken.extend(rate_limit_pauses::check(plan, stage).await?);
    broken.extend(replays::check(stage, &replays));
    broken.extend(pace::check(stage, &replays).await?);
    broken.extend(audit::check(stage, &replays).await?);
    if !plan.form.late {
        broken.extend(starts::check(stage, drained, &replays).await?);
    }
    Ok(broken)
}

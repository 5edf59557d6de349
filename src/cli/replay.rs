//! `replay`: sends batches from the shelf out again.

use std::path::PathBuf;

use clap::Args;
use testmo_courier::app::actor::Actor;
use testmo_courier::app::plan::{DoneStep, Plan, PlanOutcome};
use testmo_courier::app::view::PlanOutcomeView;
use testmo_courier::app::{BatchKey, replay, store_now};

use super::confirm::confirm;
use super::failure::Failure;
use super::open::{configuration, store};
use super::output::Output;
use super::shelf::{Selected, end, print_skipped, summary};
use super::table::counted;
use super::tenant_hint::note_if_unknown;

const EXAMPLES: &str = "\
Fix the cause first; a batch that fails again returns to the shelf. Cases that are in Testmo are never created again:
only the missing cases of a batch are sent, and a case whose outcome is unknown is reconciled first.

Examples:
  testmo-courier replay 0000001a
  testmo-courier replay acme/shop-142-1
  testmo-courier replay --state dead --reason retries_exhausted --since 2h
  testmo-courier replay --tenant acme --yes --json";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    selection: Selected,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    /// Print what was done as JSON, for programs
    #[arg(long, requires = "yes")]
    json: bool,
}

pub(super) async fn execute(
    arguments: Arguments,
    files: &[PathBuf],
    actor: &Actor,
    out: &mut Output,
) -> Result<(), Failure> {
    let Arguments { selection, because, yes, json } = arguments;
    let config = configuration(files)?;
    let store = store(&config).await?;
    let tenant = selection.tenant().cloned();
    let selection = selection.selection(store_now(&store))?;
    let ids = selection.ids(&store).await?;
    if ids.is_empty() {
        note_if_unknown(&store, tenant.as_ref()).await?;
    }
    let plan = replay::plan(&store, &ids, config.amqp.max_message_bytes).await?;
    if !json {
        if ids.is_empty() {
            return out.line("No matching entry is on the shelf.");
        }
        print(&plan, out)?;
        if !plan.steps.is_empty() && !yes && !confirm(out)? {
            return Err(Failure::finding("Cancelled; nothing was replayed.", "Type yes, or add --yes, to go on."));
        }
    }
    let outcome = plan.carry_out(&store, actor, because.as_deref()).await?;
    if json {
        out.json(&PlanOutcomeView::of_replay(&outcome))?;
    } else if !outcome.done.is_empty() {
        requested(&outcome).iter().try_for_each(|line| out.line(line))?;
    }
    if ids.is_empty() { Ok(()) } else { end(&outcome, selection.is_by_name()) }
}

/// Says what has happened, which is only a request, and where its end can be seen.
fn requested(outcome: &PlanOutcome) -> Vec<String> {
    let done = &outcome.done;
    let taken = match done.iter().filter(|step| step.waits).count() {
        0 => "a running worker takes what is marked when it has room".to_owned(),
        waits if waits == done.len() => "it is sent once the tenant's connection is verified".to_owned(),
        waits => {
            format!(
                "a running worker takes what is marked when it has room, {waits} of them once the connection is verified"
            )
        }
    };
    let end = match done.as_slice() {
        [DoneStep { entry, .. }] if entry.batch.parse::<BatchKey>().is_ok() => {
            format!("`testmo-courier batches show {}` shows what becomes of it", entry.batch)
        }
        _ => {
            "`testmo-courier batches list` shows what becomes of them, and `testmo-courier shelf list` what fails again"
                .to_owned()
        }
    };
    vec![
        format!("Marked {} to be sent again. Nothing was sent yet: {taken}.", counted(done.len(), "batch", "batches")),
        format!("{end}."),
    ]
}

fn print(plan: &Plan, out: &mut Output) -> Result<(), Failure> {
    if !plan.steps.is_empty() {
        out.line(format_args!("To be retried: {}", counted(plan.steps.len(), "batch", "batches")))?;
        summary(plan).columns().iter().try_for_each(|line| out.line(format_args!("  {line}")))?;
    }
    print_skipped(plan, out)
}

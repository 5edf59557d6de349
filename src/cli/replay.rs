//! `replay`: how does what is on the shelf get another chance?

use std::path::PathBuf;

use clap::Args;
use testmo_courier::store::shelf::Shelved;

use super::confirm::confirm;
use super::desk::{configuration, store};
use super::failure::Failure;
use super::output::Output;
use super::shelf::{Plan, Selection};
use super::table::counted;

const EXAMPLES: &str = "\
What is in Testmo already is never created again: of a batch that arrived in part only the rest is tried, and a case
whose fate is not known is looked for first. What fails anew is on the shelf again. Mend the cause before.

Examples:
  testmo-courier replay 0000001a
  testmo-courier replay acme/shop-142-1
  testmo-courier replay --state dead --reason retries_exhausted --since 2h
  testmo-courier replay --tenant acme --yes --json";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Print what was done as JSON, for programs
    #[arg(long, requires = "yes")]
    json: bool,
}

pub(super) async fn execute(arguments: Arguments, files: &[PathBuf], out: &mut Output) -> Result<(), Failure> {
    let config = configuration(files)?;
    let store = store(&config).await?;
    let ids = arguments.selection.ids(&store).await?;
    let decide = async |row: &Shelved| {
        let replay = store.replaying(row, config.amqp.max_message_bytes).await?;
        Ok(replay.map(|replay| (replay.change, replay.waits)))
    };
    let plan = Plan::of(&store, &ids, decide).await?;
    if !arguments.json {
        if ids.is_empty() {
            return out.line("Nothing like that is on the shelf.");
        }
        tell(&plan, out)?;
        if !plan.steps.is_empty() && !arguments.yes && !confirm(out)? {
            return Err(Failure::finding("nothing was replayed", "type yes, or give --yes, to go on"));
        }
    }
    let done = plan.carry_out(&store).await?;
    if arguments.json {
        out.json(&done.object("replayed"))?;
    } else if !done.done.is_empty() {
        let batches = counted(done.done.len(), "batch", "batches");
        out.line(format_args!("Replayed {batches}. A running worker takes them as it has room."))?;
    }
    if ids.is_empty() { Ok(()) } else { done.end(arguments.selection.is_by_name()) }
}

fn tell(plan: &Plan, out: &mut Output) -> Result<(), Failure> {
    if !plan.steps.is_empty() {
        out.line(format_args!("To be tried again: {}", counted(plan.steps.len(), "batch", "batches")))?;
        plan.summary().columns().iter().try_for_each(|line| out.line(format_args!("  {line}")))?;
    }
    plan.tell_left(out)
}

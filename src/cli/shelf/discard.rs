//! `shelf discard`: how is a batch given up, so that it is known everywhere that it was?

use clap::Args;
use testmo_courier::store::Store;
use testmo_courier::store::shelf::Shelved;

use super::super::confirm::confirm;
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::table::counted;
use super::plan::Plan;
use super::selection::Selection;

const EXAMPLES: &str = "\
The message goes for good. A batch that was not settled yet becomes discarded: an event tells so, and when it is
published again, it is not pushed.

Examples:
  testmo-courier shelf discard 0000001a
  testmo-courier shelf discard acme/shop-142-1
  testmo-courier shelf discard --reason not_json --until 2026-11-20 --yes";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Print what was done as JSON, for programs
    #[arg(long, requires = "yes")]
    json: bool,
}

pub(crate) async fn execute(arguments: Arguments, store: &Store, out: &mut Output) -> Result<(), Failure> {
    let ids = arguments.selection.ids(store).await?;
    let decide = async |row: &Shelved| Ok(store.discarding(row).await?.map(|change| (change, false)));
    let plan = Plan::of(store, &ids, decide).await?;
    if !arguments.json {
        plan.entries().write(out, false, "Nothing like that is on the shelf to be discarded.")?;
        plan.tell_left(out)?;
        if ids.is_empty() {
            return Ok(());
        }
        if !plan.steps.is_empty() && !arguments.yes && !confirm(out)? {
            return Err(Failure::finding("nothing was discarded", "type yes, or give --yes, to go on"));
        }
    }
    let done = plan.carry_out(store).await?;
    if arguments.json {
        out.json(&done.object("discarded"))?;
    } else if !done.done.is_empty() {
        out.line(format_args!("Discarded {}.", counted(done.done.len(), "entry", "entries")))?;
    }
    done.end(arguments.selection.is_by_name())
}

//! `shelf discard`: gives up batches, each with an event and a record.

use clap::Args;
use testmo_courier::app::actor::Actor;
use testmo_courier::app::view::PlanOutcomeView;
use testmo_courier::app::{Store, discard, store_now};

use super::super::confirm::{agree, ask_why, can_ask};
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::table::counted;
use super::super::tenant_hint::note_if_unknown;
use super::plan::{end, entries, print_skipped};
use super::selection::Selected;

const EXAMPLES: &str = "\
A batch that has no outcome yet is marked discarded. An event reports this, and a copy that is published later is not
sent. `shelf restore` undoes a discard for as long as store.retention says; `shelf discarded` lists what can be restored.

Examples:
  testmo-courier shelf discard 0000001a
  testmo-courier shelf discard acme/shop-142-1 --because 'the suite was withdrawn'
  testmo-courier shelf discard --reason not_json --until 2026-11-20 --because 'published by mistake' --yes";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    selection: Selected,
    /// Why, for the audit; the command asks for it on a terminal
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
    /// Do not keep the message, so that its space is free at once; this cannot be undone
    #[arg(long)]
    no_undo: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    /// Print what was done as JSON, for programs
    #[arg(long, requires = "yes")]
    json: bool,
}

pub(crate) async fn execute(
    arguments: Arguments,
    store: &Store,
    actor: &Actor,
    out: &mut Output,
) -> Result<(), Failure> {
    let Arguments { selection, because, no_undo, yes, json } = arguments;
    let tenant = selection.tenant().cloned();
    let selection = selection.selection(store_now(store))?;
    let ids = selection.ids(store).await?;
    if ids.is_empty() {
        note_if_unknown(store, tenant.as_ref()).await?;
    }
    let plan = match no_undo {
        true => discard::plan_without_undo(store, &ids).await?,
        false => discard::plan(store, &ids).await?,
    };
    if !json {
        entries(&plan).write(out, false, "No matching entry on the shelf can be discarded.")?;
        print_skipped(&plan, out)?;
        if ids.is_empty() {
            return Ok(());
        }
        agree(yes || plan.steps.is_empty(), "nothing was discarded", out)?;
    }
    let because = match because {
        None if !plan.steps.is_empty() && !json && can_ask() => ask_why(out)?,
        given => given.unwrap_or_default(),
    };
    if because.trim().is_empty() && !plan.steps.is_empty() {
        return Err(Failure::usage(
            "Nothing was discarded: a discard needs a reason.",
            "Say why with --because TEXT; the audit keeps it.",
        ));
    }
    let outcome = plan.carry_out(store, actor, Some(&because)).await?;
    if json {
        out.json(&PlanOutcomeView::of_discard(&outcome))?;
    } else if !outcome.done.is_empty() {
        let undone = if no_undo { "" } else { " `testmo-courier shelf discarded` lists what can be restored." };
        out.line(format_args!("Discarded {}.{undone}", counted(outcome.done.len(), "entry", "entries")))?;
    }
    end(&outcome, selection.is_by_name())
}

//! `batches undo`, `batches restore` and `batches remove-duplicates`: take back what a batch did in Testmo.

use std::path::PathBuf;

use clap::Args;
use testmo_courier::app::BatchKey;
use testmo_courier::app::actor::Actor;
use testmo_courier::app::undo::{Outcome, Plan, Tools, UndoError, UndoItem, UndoKind, carry_out, plan};
use testmo_courier::app::view::UndoView;

use super::super::confirm::{agree, ask_why, can_ask};
use super::super::failure::Failure;
use super::super::open::context;
use super::super::output::{Output, visible};
use super::super::table::{List, counted};

const EXAMPLES: &str = "\
Cases that the batch created and that nobody touched are retired: they get the state or folder that `retired` in the mapping
names. With --delete they are deleted where Testmo shows that nothing of people is lost: no comments, no automation links, no
history but the creation. Deleted cases also leave test runs. Fields that the batch updated go back to what they were before,
unless a person has edited them since. What a person touched is listed and left. Folders are never deleted.

What is about to be done is stored before each request. If the command is interrupted, run it again: it goes on.
`batches restore` takes an undo back, for as long as store.retention says.

Examples:
  testmo-courier batches undo acme/shop-142-1 --dry-run
  testmo-courier batches undo acme/shop-142-1 --because 'generated from the wrong story'";

const RESTORE_EXAMPLES: &str = "\
Retired cases get their former state and folder again, and fields the content that the batch had written, unless a person
has changed them since the undo. Deleted cases are created again, with new ids: test runs and issues that had them stay without
them.

Example:
  testmo-courier batches restore acme/shop-142-1 --because 'the generation was right after all'";

const DUPLICATES_EXAMPLES: &str = "\
Duplicates are rows that Testmo created late, beside the rows of the same cases; an event has reported them, and
`batches show` lists them. Those that nobody touched are retired or deleted as by `batches undo`. The row that the event of
the batch named stays; if it is not found any more, its duplicate stays.

Example:
  testmo-courier batches remove-duplicates acme/shop-142-1 --because 'reported on 2026-11-20'";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    change: Change,
    /// Delete untouched cases where that loses nothing of people; the others are retired
    #[arg(long)]
    delete: bool,
}

#[derive(Args, Debug)]
#[command(after_help = RESTORE_EXAMPLES)]
pub(crate) struct RestoreArguments {
    #[command(flatten)]
    change: Change,
}

#[derive(Args, Debug)]
#[command(after_help = DUPLICATES_EXAMPLES)]
pub(crate) struct DuplicatesArguments {
    #[command(flatten)]
    change: Change,
    /// Delete untouched rows where that loses nothing of people; the others are retired
    #[arg(long)]
    delete: bool,
}

#[derive(Args, Debug)]
struct Change {
    /// The batch, as TENANT/BATCH
    #[arg(value_name = "TENANT/BATCH")]
    batch: BatchKey,
    /// Why, for the audit; the command asks for it on a terminal
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
    /// Only print what would be done
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(crate) async fn undo(a: Arguments, files: &[PathBuf], actor: &Actor, out: &mut Output) -> Result<(), Failure> {
    change(a.change, UndoKind::Undo, a.delete, (files, actor), out).await
}

pub(crate) async fn restore(
    a: RestoreArguments,
    files: &[PathBuf],
    actor: &Actor,
    out: &mut Output,
) -> Result<(), Failure> {
    change(a.change, UndoKind::Restore, false, (files, actor), out).await
}

pub(crate) async fn remove_duplicates(
    a: DuplicatesArguments,
    files: &[PathBuf],
    actor: &Actor,
    out: &mut Output,
) -> Result<(), Failure> {
    change(a.change, UndoKind::Duplicates, a.delete, (files, actor), out).await
}

async fn change(
    change: Change,
    kind: UndoKind,
    deletes: bool,
    (files, actor): (&[PathBuf], &Actor),
    out: &mut Output,
) -> Result<(), Failure> {
    let Change { batch, because, dry_run, yes, json } = change;
    if json && !yes && !dry_run {
        return Err(Failure::usage(
            "cannot ask for confirmation with --json",
            "add --yes, or --dry-run to see the plan",
        ));
    }
    let context = context(files).await?;
    let client = context.client().map_err(UndoError::from)?;
    let tools = Tools::of(&context, &client);
    let plan = plan(&tools, &batch, kind, deletes).await?;
    let view = UndoView::of(&plan);
    if !json {
        print_plan(&plan, out)?;
    }
    if dry_run || !plan.changes_anything() {
        return if json { out.json(&view) } else { Ok(()) };
    }
    agree(json || yes, "nothing was changed", out)?;
    let because = match because {
        None if !json && can_ask() => ask_why(out)?,
        given => given.unwrap_or_default(),
    };
    let outcome = carry_out(&tools, plan, actor, &because).await?;
    if json {
        out.json(&view.with(&outcome))?
    } else {
        print_outcome(&outcome, out)?
    }
    match &outcome.interrupted {
        None => Ok(()),
        Some(interrupted) => Err(Failure::finding(
            format!("It did not come to its end: {}", visible(&interrupted.why)),
            format!("Run the same command again after {} s: it goes on.", interrupted.wait.as_secs()),
        )),
    }
}

fn print_plan(plan: &Plan, out: &mut Output) -> Result<(), Failure> {
    if plan.is_begun {
        out.line("This was begun before and did not come to its end. It goes on.\n")?;
    }
    let mut list = List::new(&["case", "testmo", "change", "why"]);
    for item in &plan.forecast.items {
        let id = if item.id > 0 { item.id.to_string() } else { String::new() };
        list.add(vec![plan.label(item).to_owned(), id, planned(plan.forecast.word(item)).into(), why(item)]);
    }
    list.write(out, false, "There is nothing to change.")?;
    let retired = plan.forecast.count("retired");
    let deleted = plan.forecast.count("deleted");
    let restored = plan.forecast.count("restored");
    let left = plan.forecast.count("left");
    out.line(format_args!(
        "\n{}: {retired} to retire, {deleted} to delete, {restored} to restore, {left} to leave as they are",
        counted(plan.forecast.items.len(), "case", "cases")
    ))?;
    if deleted > 0 {
        out.line("Deleted cases also leave test runs, and nobody can bring them back with their ids.")?;
    }
    Ok(())
}

/// Returns the word for what would be done with a row.
fn planned(word: &'static str) -> &'static str {
    match word {
        "retired" => "retire",
        "deleted" => "delete",
        "restored" => "restore",
        "left" => "leave",
        other => other,
    }
}

fn why(item: &UndoItem) -> String {
    use testmo_courier::app::undo::Intent;
    match (item.left(), item.done()) {
        (Some(left), _) => visible(&left.sentence()).into_owned(),
        (None, Some(Intent::Set(setting))) if !setting.kept.is_empty() => {
            format!("A person has edited {}, which stays.", setting.kept.join(", "))
        }
        (None, _) if item.again.is_some() => match item.new_id {
            Some(id) => format!("It was deleted, and is case {id} now."),
            None => "It was deleted: it is created again, with a new id.".into(),
        },
        (None, _) => String::new(),
    }
}

fn print_outcome(outcome: &Outcome, out: &mut Output) -> Result<(), Failure> {
    let count = |word| outcome.undo.count(word);
    let (retired, deleted, restored, left) = (count("retired"), count("deleted"), count("restored"), count("left"));
    out.line(format_args!(
        "Done: {retired} retired, {deleted} deleted, {restored} restored, {left} left as they are."
    ))?;
    for item in outcome.undo.items.iter().filter(|item| item.new_id.is_some()) {
        out.line(format_args!("  case {} in Testmo: {}", item.id, why(item)))?;
    }
    for item in outcome.undo.items.iter().filter(|item| item.left().is_some()) {
        out.line(format_args!("  left: case {} in Testmo. {}", item.id, why(item)))?;
    }
    if !outcome.empty_folders.is_empty() {
        out.line("These folders seem empty. Delete them in Testmo if nobody needs them:")?;
    }
    outcome.empty_folders.iter().try_for_each(|(_, link)| out.line(format_args!("  {link}")))
}

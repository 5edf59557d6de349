//! `batches`: shows what became of the batches that were received, and takes back what they did.

mod compare;
mod list;
mod show;
mod timeline;
mod undo;

use std::path::PathBuf;

use clap::Subcommand;
use testmo_courier::app::actor::Actor;

use super::failure::Failure;
use super::open::{configuration, store};
use super::output::Output;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the latest batches, newest first
    List(list::Arguments),
    /// Show the story of a batch: its cases, and everything that happened to it, in order
    Show(show::Arguments),
    /// Compare what was delivered with what Testmo shows now: present, twice, changed, moved or missing
    Compare(compare::Arguments),
    /// Take back what a batch did in Testmo, as far as nobody has touched it since
    Undo(undo::Arguments),
    /// Take an undo of a batch back
    Restore(undo::RestoreArguments),
    /// Retire or delete rows that Testmo created late, beside the rows of the same cases
    RemoveDuplicates(undo::DuplicatesArguments),
}

pub(super) async fn execute(
    command: Command,
    files: &[PathBuf],
    actor: &Actor,
    out: &mut Output,
) -> Result<(), Failure> {
    let open = async || store(&configuration(files)?).await;
    match command {
        Command::List(arguments) => list::execute(&arguments, &open().await?, out).await,
        Command::Show(arguments) => show::execute(&arguments, &open().await?, out).await,
        Command::Compare(arguments) => compare::execute(&arguments, files, out).await,
        Command::Undo(arguments) => undo::undo(arguments, files, actor, out).await,
        Command::Restore(arguments) => undo::restore(arguments, files, actor, out).await,
        Command::RemoveDuplicates(arguments) => undo::remove_duplicates(arguments, files, actor, out).await,
    }
}

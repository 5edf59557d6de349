//! `shelf`: shows and gives up the batches that cannot be delivered now.

mod candidates;
mod discard;
mod discarded;
mod edit;
mod editor;
mod groups;
mod list;
mod note;
mod plan;
mod restore;
mod selection;
mod show;

use std::path::PathBuf;

use clap::Subcommand;
use testmo_courier::app::actor::Actor;

pub(super) use self::list::DeadLetters;
pub(super) use self::selection::Selected;
use super::failure::Failure;
use super::open::{configuration, store};
use super::output::Output;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the entries of the shelf, newest first
    List(list::Arguments),
    /// Show what is on the shelf by its cause, with what to do
    Groups(groups::Arguments),
    /// Write or remove the note on a group
    Note(note::Arguments),
    /// Show entries with their cause, their remedy and their message
    Show(show::Arguments),
    /// Edit the message of an entry, or one field in many
    Edit(edit::Arguments),
    /// Show which cases in Testmo may be missing ones of a batch, and decide about them
    Candidates(candidates::Arguments),
    /// Discard batches that are not to be delivered any more
    Discard(discard::Arguments),
    /// List discarded entries
    Discarded(discarded::Arguments),
    /// Put discarded entries back onto the shelf
    Restore(restore::Arguments),
}

pub(super) async fn execute(
    command: Command,
    files: &[PathBuf],
    actor: &Actor,
    out: &mut Output,
) -> Result<(), Failure> {
    let config = configuration(files)?;
    let store = store(&config).await?;
    match command {
        Command::List(arguments) => list::execute(arguments, &store, out).await,
        Command::Groups(arguments) => groups::execute(arguments, &store, out).await,
        Command::Note(arguments) => note::execute(arguments, &store, actor, out).await,
        Command::Show(arguments) => show::execute(&arguments, &store, out).await,
        Command::Edit(arguments) => edit::execute(arguments, (&config, &store), actor, out).await,
        Command::Candidates(arguments) => candidates::execute(arguments, files, actor, out).await,
        Command::Discard(arguments) => discard::execute(arguments, &store, actor, out).await,
        Command::Discarded(arguments) => discarded::execute(arguments, &store, out).await,
        Command::Restore(arguments) => restore::execute(arguments, &store, actor, out).await,
    }
}

/// Carries out `dead-letters`, another name for `shelf list --state dead`.
pub(super) async fn dead_letters(
    arguments: list::DeadLetters,
    files: &[PathBuf],
    out: &mut Output,
) -> Result<(), Failure> {
    list::dead_letters(arguments, &store(&configuration(files)?).await?, out).await
}

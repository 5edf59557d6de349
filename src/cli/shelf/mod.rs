//! `shelf`: which batches cannot be delivered now, why, and what is to be done?

mod discard;
mod list;
mod plan;
mod selection;
mod show;

use std::path::PathBuf;

use clap::Subcommand;
use testmo_courier::store::shelf::{Identity, Shelved, Until};

pub(super) use self::list::{DeadLetters, object};
pub(super) use self::plan::Plan;
pub(super) use self::selection::Selection;
use super::desk::{configuration, store};
use super::failure::Failure;
use super::output::Output;
use super::time_format::relative;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List what is on the shelf, oldest first
    List(list::Arguments),
    /// Show entries with their cause, their remedy and their message
    Show(show::Arguments),
    /// Give up what is not to be delivered any more
    Discard(discard::Arguments),
}

pub(super) async fn execute(command: Command, files: &[PathBuf], out: &mut Output) -> Result<(), Failure> {
    let store = store(&configuration(files)?).await?;
    match command {
        Command::List(arguments) => list::execute(arguments, &store, out).await,
        Command::Show(arguments) => show::execute(&arguments, &store, out).await,
        Command::Discard(arguments) => discard::execute(arguments, &store, out).await,
    }
}

/// `dead-messages`: another name for `shelf list --state dead`.
pub(super) async fn dead_letters(
    arguments: list::DeadLetters,
    files: &[PathBuf],
    out: &mut Output,
) -> Result<(), Failure> {
    list::dead_letters(arguments, &store(&configuration(files)?).await?, out).await
}

/// Which batch an entry is, as far as that could be read.
fn name(entry: &Shelved) -> String {
    match &entry.content.identity {
        Identity::Batch(key, _) => key.to_string(),
        Identity::Raw(_, Some(tenant), Some(batch)) => format!("{tenant}/{batch}"),
        Identity::Raw(_, Some(tenant), None) => format!("{tenant}/?"),
        Identity::Raw(hash, None, _) => format!("message {}", hash.chars().take(12).collect::<String>()),
    }
}

/// When an entry comes back.
pub(super) fn due(entry: &Shelved, now: i64) -> String {
    match entry.content.until {
        _ if entry.leased => "being worked on".into(),
        Until::After(_) if entry.due_at <= now => "as soon as there is room".into(),
        Until::After(_) => relative(entry.due_at, now),
        Until::Connection => "when the connection is mended".into(),
        Until::Person => "not by itself".into(),
    }
}

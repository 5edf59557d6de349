//! `shelf`: which batches cannot be delivered now, why, and what is to be done?

mod discard;
mod list;
mod plan;
mod selection;
mod show;

use std::path::PathBuf;

use clap::Subcommand;
use testmo_courier::store::shelf::{ShelfIdentity, Shelved, ShelvedUntil};

pub(super) use self::list::{DeadLetters, object};
pub(super) use self::plan::Plan;
pub(super) use self::selection::Selection;
use super::desk::{configuration, store};
use super::failure::Failure;
use super::moment::relative;
use super::out::Out;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List what is on the shelf, oldest first
    List(list::Arguments),
    /// Show entries with their cause, their remedy and their message
    Show(show::Arguments),
    /// Give up what is not to be delivered any more
    Discard(discard::Arguments),
}

pub(super) async fn execute(command: Command, files: &[PathBuf], out: &mut Out) -> Result<(), Failure> {
    let store = store(&configuration(files)?).await?;
    match command {
        Command::List(arguments) => list::execute(arguments, &store, out).await,
        Command::Show(arguments) => show::execute(&arguments, &store, out).await,
        Command::Discard(arguments) => discard::execute(arguments, &store, out).await,
    }
}

/// `dead-letters`: another name for `shelf list --state dead`.
pub(super) async fn dead_letters(
    arguments: list::DeadLetters,
    files: &[PathBuf],
    out: &mut Out,
) -> Result<(), Failure> {
    list::dead_letters(arguments, &store(&configuration(files)?).await?, out).await
}

/// Which batch an entry is, as far as that could be read.
fn name(entry: &Shelved) -> String {
    match &entry.content.identity {
        ShelfIdentity::Batch(key, _) => key.to_string(),
        ShelfIdentity::Raw(_, Some(tenant), Some(batch)) => format!("{tenant}/{batch}"),
        ShelfIdentity::Raw(_, Some(tenant), None) => format!("{tenant}/?"),
        ShelfIdentity::Raw(hash, None, _) => format!("message {}", hash.chars().take(12).collect::<String>()),
    }
}

/// When an entry comes back.
pub(super) fn due(entry: &Shelved, now: i64) -> String {
    match entry.content.until {
        _ if entry.leased => "being worked on".into(),
        ShelvedUntil::After(_) if entry.due_at <= now => "as soon as there is room".into(),
        ShelvedUntil::After(_) => relative(entry.due_at, now),
        ShelvedUntil::Connection => "when the connection is mended".into(),
        ShelvedUntil::Person => "not by itself".into(),
    }
}

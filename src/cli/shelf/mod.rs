//! `shelf`: which batches cannot be delivered now, why, and what is to be done?

mod list;
mod show;

use std::path::PathBuf;

use clap::Subcommand;
use testmo_courier::store::shelf::{Identity, Shelved, Until};

use super::desk::{configuration, store};
use super::failure::Failure;
use super::moment::relative;
use super::out::Out;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List what is on the shelf, oldest first
    List(list::Arguments),
    /// Show one entry with its cause, its remedy and its message
    Show(show::Arguments),
}

pub(super) async fn execute(command: Command, files: &[PathBuf], out: &mut Out) -> Result<(), Failure> {
    let store = store(&configuration(files)?).await?;
    match command {
        Command::List(arguments) => list::execute(arguments, &store, out).await,
        Command::Show(arguments) => show::execute(&arguments, &store, out).await,
    }
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
fn due(entry: &Shelved, now: i64) -> String {
    match entry.content.until {
        _ if entry.leased => "being worked on".into(),
        Until::After(_) if entry.due_at <= now => "as soon as there is room".into(),
        Until::After(_) => relative(entry.due_at, now),
        Until::Connection => "when the connection is mended".into(),
        Until::Person => "not by itself".into(),
    }
}

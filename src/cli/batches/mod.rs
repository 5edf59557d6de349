//! `batches`: shows what became of the batches that were received.

mod compare;
mod list;
mod show;
mod timeline;

use std::path::PathBuf;

use clap::Subcommand;

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
}

pub(super) async fn execute(command: Command, files: &[PathBuf], out: &mut Output) -> Result<(), Failure> {
    let open = async || store(&configuration(files)?).await;
    match command {
        Command::List(arguments) => list::execute(&arguments, &open().await?, out).await,
        Command::Show(arguments) => show::execute(&arguments, &open().await?, out).await,
        Command::Compare(arguments) => compare::execute(&arguments, files, out).await,
    }
}

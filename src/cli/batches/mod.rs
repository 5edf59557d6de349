//! `batches`: shows what became of the batches that were received.

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
}

pub(super) async fn execute(command: Command, files: &[PathBuf], out: &mut Output) -> Result<(), Failure> {
    let store = store(&configuration(files)?).await?;
    match command {
        Command::List(arguments) => list::execute(&arguments, &store, out).await,
        Command::Show(arguments) => show::execute(&arguments, &store, out).await,
    }
}

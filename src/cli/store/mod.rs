//! `store`: backs the store up, restores it, moves it, and changes what it knows of itself.

mod backup;
mod copy;
mod counts;
mod restore;
mod restored_at;

use std::path::PathBuf;

use clap::Subcommand;
use testmo_courier::app::actor::Actor;

use super::failure::Failure;
use super::output::Output;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write everything that the store holds into a file, also while workers use it
    Backup(backup::Arguments),
    /// Restore a backup into a store that holds nothing
    Restore(restore::Arguments),
    /// Move the store to another place, such as from a file to PostgreSQL
    Copy(copy::Arguments),
    /// Say that the store was restored from a copy, so that nothing delivered since is created again
    RestoredAt(restored_at::Arguments),
}

pub(super) async fn execute(
    command: Command,
    files: &[PathBuf],
    actor: &Actor,
    out: &mut Output,
) -> Result<(), Failure> {
    match command {
        Command::Backup(arguments) => backup::execute(arguments, files, actor, out).await,
        Command::Restore(arguments) => restore::execute(arguments, files, actor, out).await,
        Command::Copy(arguments) => copy::execute(arguments, files, actor, out).await,
        Command::RestoredAt(arguments) => restored_at::execute(arguments, files, actor, out).await,
    }
}

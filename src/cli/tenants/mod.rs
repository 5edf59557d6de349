//! `tenants`: enters, verifies, shows and removes the tenants' connections.

mod api_key;
mod list;
mod mapping;
mod preview;
mod preview_plan;
mod probe;
mod remove;
mod report;
mod rotate;
mod set;
mod show;
mod status_light;
mod verify;

use std::path::PathBuf;

use clap::Subcommand;
use testmo_courier::app::actor::Actor;

use super::failure::Failure;
use super::output::Output;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add or change a tenant's connection, and verify it
    Set(set::Arguments),
    /// Verify connections
    Verify(verify::Arguments),
    /// Check what is assumed of a tenant's Testmo
    Probe(probe::Arguments),
    /// List the connections
    List(list::Arguments),
    /// Show a connection without its API key
    Show(show::Arguments),
    /// Show how a batch would look in the tenant's Testmo
    Preview(preview::Arguments),
    /// Draft how a tenant's cases become Testmo's fields
    #[command(subcommand)]
    Mapping(mapping::Command),
    /// Remove a tenant's connection
    Remove(remove::Arguments),
    /// Replace the master key that encrypts the API keys
    RotateMasterKey(rotate::Arguments),
}

pub(super) async fn execute(
    command: Command,
    files: &[PathBuf],
    actor: &Actor,
    out: &mut Output,
) -> Result<(), Failure> {
    match command {
        Command::Set(arguments) => set::execute(arguments, files, actor, out).await,
        Command::Verify(arguments) => verify::execute(arguments, files, actor, out).await,
        Command::Probe(arguments) => probe::execute(arguments, files, actor, out).await,
        Command::List(arguments) => list::execute(arguments, files, out).await,
        Command::Show(arguments) => show::execute(arguments, files, out).await,
        Command::Preview(arguments) => preview::execute(arguments, files, out).await,
        Command::Mapping(command) => mapping::execute(command, files, out).await,
        Command::Remove(arguments) => remove::execute(arguments, files, actor, out).await,
        Command::RotateMasterKey(arguments) => rotate::execute(arguments, files, actor, out).await,
    }
}

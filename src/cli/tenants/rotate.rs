//! `tenants rotate-master-key`: replaces the master key, and gives up the former one once a person has agreed.

use std::path::PathBuf;

use clap::Args;
use testmo_courier::app::actor::Actor;
use testmo_courier::app::rotation::{FileAfter, Rotated, RotationOrder, finish, rotate};
use testmo_courier::config::Config;

use super::super::confirm::agree;
use super::super::failure::Failure;
use super::super::open::configuration;
use super::super::output::Output;
use super::super::table::counted;

const EXAMPLES: &str = "\
The command encrypts every API key with a new master key while workers go on, and puts the file of the new key into the place of
keys.master_key_file. If it is interrupted, run it again. Then
  1. copy the file to every other machine that uses this store, and keep a copy elsewhere;
  2. restart the workers when it suits you: until then they use the former key, which leads to the new one;
  3. run the command with --finish. The former key is of no use any more for this store, but for its earlier backups.

Examples:
  testmo-courier tenants rotate-master-key --because 'an admin has left'
  testmo-courier tenants rotate-master-key --new-key /run/keys/courier.key.new
  testmo-courier tenants rotate-master-key --finish";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The file of the new key, made if it is not there, where keys.master_key_file cannot be replaced on this machine
    #[arg(long, value_name = "FILE", conflicts_with = "finish")]
    new_key: Option<PathBuf>,
    /// Give up the former key, once every machine and every worker has the new one
    #[arg(long)]
    finish: bool,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
    /// Do not ask for confirmation
    #[arg(long, requires = "finish")]
    yes: bool,
}

pub(crate) async fn execute(
    arguments: Arguments,
    files: &[PathBuf],
    actor: &Actor,
    out: &mut Output,
) -> Result<(), Failure> {
    let config = configuration(files)?;
    let Arguments { new_key, finish: is_finish, because, yes } = arguments;
    if !is_finish {
        let rotated = rotate(&config, actor, &RotationOrder { new_file: new_key, reason: because }).await?;
        return print(&rotated, &config, out);
    }
    out.line("This gives up the former master key: workers that still use it can no longer send anything.")?;
    agree(yes, "the former master key stays", out)?;
    let former = finish(&config, actor, because.as_deref()).await?;
    out.line(format_args!("Finished. The master key {former} is of use only for backups of this store from before."))
}

fn print(rotated: &Rotated, config: &Config, out: &mut Output) -> Result<(), Failure> {
    let Rotated { former, present, connections, unreadable, file } = rotated;
    let connections = counted(*connections, "connection was", "connections were");
    out.line(format_args!("{connections} encrypted again. All are encrypted with the master key {present} now."))?;
    for tenant in unreadable {
        out.line(format_args!("The API key of {tenant} could not be decrypted before either. Enter it again."))?;
    }
    let key_file = config.keys.master_key_file.display();
    match file {
        FileAfter::Replaced { former: kept } => {
            let kept = kept.display();
            out.line(format_args!("{key_file} holds it. The former key {former}, which backups need, is in {kept}."))?;
        }
        FileAfter::Left { new, error } => {
            let why = error.as_ref().map(|error| format!(" It could not be replaced ({error}).")).unwrap_or_default();
            let new = new.display();
            out.line(format_args!("{key_file} still holds the former key.{why} Put {new} into its place."))?;
        }
    }
    out.line(
        "Copy the file to the other machines, restart the workers when it suits you, and then run `testmo-courier tenants \
         rotate-master-key --finish`.",
    )
}

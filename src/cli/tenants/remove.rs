//! `tenants remove`: removes a tenant once a person has agreed.

use std::path::PathBuf;

use clap::Args;
use testmo_courier::app::TenantId;
use testmo_courier::app::actor::Actor;
use testmo_courier::app::connections::remove::{self, HOLD, Removal, RemoveError};

use super::super::confirm::confirm;
use super::super::failure::Failure;
use super::super::open::{configuration, store};
use super::super::output::Output;
use super::super::table::counted;

const EXAMPLES: &str = "\
The tenant is paused while the command waits for your answer, for at most 10 minutes. The connection is removed only if
no request with the tenant's cases is in flight and no outcome is unknown. --purge discards the tenant's batches on the shelf as `shelf
discard` does, with an event for each; if the command is interrupted, run it again. The records of finished batches
stay, so that none of them is delivered a second time.

Examples:
  testmo-courier tenants remove acme
  testmo-courier tenants remove acme --purge --because 'the contract has ended' --yes";

/// How many unfinished batches are shown.
const MOST_SHOWN: usize = 10;

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The tenant whose connection this is
    tenant: TenantId,
    /// Also discard the tenant's batches on the shelf
    #[arg(long)]
    purge: bool,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
}

pub(crate) async fn execute(
    arguments: Arguments,
    files: &[PathBuf],
    actor: &Actor,
    out: &mut Output,
) -> Result<(), Failure> {
    let config = configuration(files)?;
    let store = store(&config).await?;
    let Arguments { tenant, purge, because, yes } = arguments;
    let agreed = async |removal: &Removal| {
        announce(removal, out)?;
        if yes { Ok(true) } else { Ok(confirm(out)?) }
    };
    let end = remove::remove((&store, &config.tenants), actor, &tenant, purge, because.as_deref(), agreed).await;
    if let Err(Unremoved::Refused(error)) = &end.result {
        explain(error, out)?;
    }
    if let Some(error) = end.pause_error {
        let minutes = HOLD.as_secs() / 60;
        out.line(format_args!(
            "The pause of {tenant} could not be ended ({error}). The pause ends automatically within {minutes} minutes."
        ))?;
    }
    match end.result {
        Ok(discarded) => {
            print_discarded(discarded, out)?;
            out.line("Removed. Also revoke the API key in Testmo, on the user profile page or in the Admin panel.")
        }
        Err(Unremoved::Unasked(failure)) => Err(failure),
        Err(Unremoved::Refused(error)) => Err(error.into()),
    }
}

/// Why a tenant stays.
enum Unremoved {
    /// The use case refused.
    Refused(RemoveError),
    /// The person could not be asked.
    Unasked(Failure),
}

impl From<RemoveError> for Unremoved {
    fn from(error: RemoveError) -> Self {
        Self::Refused(error)
    }
}

impl From<Failure> for Unremoved {
    fn from(failure: Failure) -> Self {
        Self::Unasked(failure)
    }
}

/// Prints what the removal will do.
fn announce(removal: &Removal, out: &mut Output) -> Result<(), Failure> {
    let connection = &removal.connection;
    out.line(format_args!(
        "This removes the connection of {} to {}, with its API key.",
        connection.tenant, connection.origin
    ))?;
    if removal.shelved.is_empty() {
        return Ok(());
    }
    out.line(format_args!("It also discards the tenant's batches on the shelf: {}.", remove::load(removal)))
}

fn print_discarded(discarded: usize, out: &mut Output) -> Result<(), Failure> {
    if discarded == 0 {
        return Ok(());
    }
    out.line(format_args!("Discarded {}.", counted(discarded, "entry", "entries")))
}

/// Prints what belongs to an error and does not fit into its sentence.
fn explain(error: &RemoveError, out: &mut Output) -> Result<(), Failure> {
    match error {
        RemoveError::NotFinished { batches, .. } => {
            for (batch, why) in batches.iter().take(MOST_SHOWN) {
                out.line(format_args!("{batch}  {why}"))?;
            }
            if batches.len() > MOST_SHOWN { out.line("and more") } else { Ok(()) }
        }
        RemoveError::Changed { discarded, .. } => print_discarded(*discarded, out),
        RemoveError::Connection(_)
        | RemoveError::KeptInFile(_)
        | RemoveError::NotAllowed(_)
        | RemoveError::HasShelved { .. }
        | RemoveError::Cancelled
        | RemoveError::Store(_) => Ok(()),
    }
}

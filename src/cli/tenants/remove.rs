//! `tenants remove`: how does a tenant leave, without batches being thrown away by mistake?

use std::path::PathBuf;

use clap::Args;
use testmo_courier::batch::TenantId;
use testmo_courier::store::Store;
use testmo_courier::store::shelf::{Filter, ShelfState};

use super::super::ask::agreed;
use super::super::desk::{configuration, known, store};
use super::super::failure::Failure;
use super::super::out::Out;

const EXAMPLES: &str = "\
What is known of delivered batches stays, so that none of them is delivered a second time.

Examples:
  testmo-courier tenants remove acme
  testmo-courier tenants remove acme --purge --yes";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Whose connection
    tenant: TenantId,
    /// Throw away the tenant's batches on the shelf too
    #[arg(long)]
    purge: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// What goes with a tenant.
struct Load {
    parked: i64,
    dead: usize,
}

pub(crate) async fn execute(arguments: Arguments, files: &[PathBuf], out: &mut Out) -> Result<(), Failure> {
    let store = store(&configuration(files)?).await?;
    let tenant = arguments.tenant;
    let row = known(&store, &tenant).await?;
    let load = load_of(&store, &tenant).await?;
    if !load.is_empty() && !arguments.purge {
        return Err(Failure::finding(
            format!("{tenant} has batches on the shelf: {load}"),
            format!("`testmo-courier shelf list --tenant {tenant}` shows them; --purge throws them away"),
        ));
    }
    out.line(format_args!("This removes the connection of {tenant} to {}, with its API key.", row.origin))?;
    if !load.is_empty() {
        out.line(format_args!("It throws away the batches on the shelf too: {load}."))?;
    }
    if !arguments.yes && !agreed(out)? {
        return Err(Failure::finding("nothing was removed", "type yes, or give --yes, to go on"));
    }
    store.remove_tenant(&tenant).await?;
    out.line("Removed. Revoke the key in Testmo too: on the user profile page, or in the Admin panel.")
}

async fn load_of(store: &Store, tenant: &TenantId) -> Result<Load, Failure> {
    let dead = Filter { tenant: Some(tenant.clone()), state: Some(ShelfState::Dead), ..Filter::default() };
    Ok(Load { parked: store.parked_of(tenant).await?, dead: store.shelf(&dead, u32::MAX).await?.len() })
}

impl Load {
    fn is_empty(&self) -> bool {
        self.parked == 0 && self.dead == 0
    }
}

impl std::fmt::Display for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} parked, {} dead", self.parked, self.dead)
    }
}

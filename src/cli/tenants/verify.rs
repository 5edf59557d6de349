//! `tenants verify`: verifies connections and prints what was found.

use std::path::PathBuf;

use clap::Args;
use testmo_courier::app::actor::Actor;
use testmo_courier::app::connections::verify::{self, ChangeEnd, Verified};
use testmo_courier::app::connections::{self, Status, StatusLight, Verification};
use testmo_courier::app::view::VerifiedView;
use testmo_courier::app::{TenantId, store_now};

use super::super::failure::Failure;
use super::super::open::context;
use super::super::output::Output;
use super::report::{print_changed, print_consequence, print_finding, print_not_in_force, print_unfilled};

const EXAMPLES: &str = "\
Reads from Testmo whom the API key belongs to, whether the project and the folder exist, and which ids the names in the
mapping have; nothing is changed in Testmo.
Batches that wait for a connection are sent as soon as it is verified. Whether the key's user may create cases is not
tried. A change that is not in force is verified too, and put in force if it works. The exit code is 1 if a connection or its
change does not work, or its light is red.

Examples:
  testmo-courier tenants verify acme
  testmo-courier tenants verify --all
  testmo-courier tenants verify --all --json";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The tenant whose connection this is
    #[arg(required_unless_present = "all")]
    tenant: Option<TenantId>,
    /// Verify the connections of all tenants
    #[arg(long, conflicts_with = "tenant")]
    all: bool,
    /// Print JSON, for programs: an object, or a list with --all
    #[arg(long)]
    json: bool,
}

pub(crate) async fn execute(
    arguments: Arguments,
    files: &[PathBuf],
    actor: &Actor,
    out: &mut Output,
) -> Result<(), Failure> {
    let context = context(files).await?;
    let client = context.client()?;
    let rows = match &arguments.tenant {
        Some(tenant) => vec![connections::connection(&context.store, tenant).await?],
        None => connections::list(&context.store).await?,
    };
    if rows.is_empty() && !arguments.json {
        return out.line("No connection is stored yet.");
    }
    let (mut all_work, mut views) = (true, Vec::new());
    for listed in &rows {
        let Some(verified) = verify::verify(&context, actor, &client, &listed.tenant).await? else { continue };
        let status = connections::status(&context.store, &verified.row).await?;
        all_work &= works(&verified) && status.light != StatusLight::Red;
        if arguments.json {
            views.push(VerifiedView::of(&verified, &status, store_now(&context.store)));
        } else {
            print(&verified, &status, out)?;
        }
    }
    match views.as_slice() {
        [view] if arguments.json && !arguments.all => out.json(view)?,
        views if arguments.json => out.json(&views)?,
        _ => {}
    }
    if all_work { Ok(()) } else { Err(Failure::Printed) }
}

/// Returns whether verifying found nothing that a person has to act on.
fn works(verified: &Verified) -> bool {
    let Verified { finding, is_saved, change, .. } = verified;
    *is_saved && matches!(finding, Verification::Works { .. }) && !matches!(change, Some(ChangeEnd::NotInForce(_)))
}

/// Prints the result for one connection.
fn print(verified: &Verified, status: &Status, out: &mut Output) -> Result<(), Failure> {
    let Verified { row, finding, unfilled, is_saved, change } = verified;
    if !is_saved {
        return print_changed(&row.tenant, out);
    }
    let works = print_finding(row, status, finding, out)?;
    print_unfilled(unfilled, out)?;
    if !works {
        print_consequence(row, finding, "", out)?;
    }
    match change {
        Some(ChangeEnd::InForce) => out.line("       The last change works now and is in force."),
        Some(ChangeEnd::NotInForce(finding)) => print_not_in_force(row, finding, out),
        None => Ok(()),
    }
}

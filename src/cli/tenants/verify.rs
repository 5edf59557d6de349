//! `tenants verify`: verifies connections and prints what was found.

use std::path::PathBuf;

use clap::Args;
use testmo_courier::app::connections::verify::{self, Consequence, Verified};
use testmo_courier::app::connections::{self, Verification};
use testmo_courier::app::{Reason, Store, TenantId};

use super::super::failure::Failure;
use super::super::open::context;
use super::super::output::{Colour, Output, visible};

const EXAMPLES: &str = "\
Reads from Testmo whom the API key belongs to, whether the project and the folder exist, and which ids the names in the
mapping have; nothing is changed in Testmo.
Batches that wait for a connection are sent as soon as it is verified.

Examples:
  testmo-courier tenants verify acme
  testmo-courier tenants verify --all";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The tenant whose connection this is
    #[arg(required_unless_present = "all")]
    tenant: Option<TenantId>,
    /// Verify the connections of all tenants
    #[arg(long, conflicts_with = "tenant")]
    all: bool,
}

pub(crate) async fn execute(arguments: Arguments, files: &[PathBuf], out: &mut Output) -> Result<(), Failure> {
    let context = context(files).await?;
    let client = context.client()?;
    let rows = match &arguments.tenant {
        Some(tenant) => vec![connections::connection(&context.store, tenant).await?],
        None => connections::list(&context.store).await?,
    };
    if rows.is_empty() {
        return out.line("No connection is stored yet.");
    }
    let mut all_work = true;
    for listed in &rows {
        let Some(verified) = verify::verify(&context, &client, &listed.tenant).await? else { continue };
        all_work &= print(&context.store, &verified, out).await?;
    }
    if all_work { Ok(()) } else { Err(Failure::Printed) }
}

/// Prints the result for one connection; returns whether it works.
async fn print(store: &Store, verified: &Verified, out: &mut Output) -> Result<bool, Failure> {
    let Verified { tenant, finding, unfilled, is_saved } = verified;
    if !is_saved {
        print_changed(tenant, out)?;
        return Ok(false);
    }
    let works = print_finding(tenant, finding, out)?;
    print_unfilled(unfilled, out)?;
    if !works {
        print_consequence(store, tenant, finding, "", out).await?;
    }
    Ok(works)
}

/// Prints that the result is outdated already.
fn print_changed(tenant: &TenantId, out: &mut Output) -> Result<(), Failure> {
    let mark = out.paint(Colour::Amber, "amber");
    out.line(format_args!("{mark}  {tenant}  was changed meanwhile: this result was not saved"))?;
    out.line(format_args!("       → Run it again: testmo-courier tenants verify {tenant}"))
}

/// Prints what a connection that does not work means for batches.
pub(super) async fn print_consequence(
    store: &Store,
    tenant: &TenantId,
    finding: &Verification,
    saved: &str,
    out: &mut Output,
) -> Result<(), Failure> {
    let until = match verify::consequence(store, tenant, finding).await? {
        None => return Ok(()),
        Some(Consequence::StillUsed) => {
            return out.line("       The connection worked before, so batches are still sent.");
        }
        Some(Consequence::RetriedAutomatically) => {
            "until the connection works: a running worker verifies it again automatically, in 5 minutes and then \
             less often"
        }
        Some(Consequence::NeedsFix) => "until the connection is fixed",
    };
    out.line(format_args!("       {saved}This tenant's batches are held {until}."))
}

/// Prints which required fields stay empty: unless cases set them, Testmo refuses the cases.
pub(super) fn print_unfilled(labels: &[String], out: &mut Output) -> Result<(), Failure> {
    labels.iter().try_for_each(|label| {
        let (mark, label) = (out.paint(Colour::Amber, "note"), visible(label));
        out.line(format_args!("       {mark}: the mapping does not fill the required field \"{label}\""))
    })
}

/// Prints whether a connection works, and returns it.
pub(super) fn print_finding(tenant: &TenantId, finding: &Verification, out: &mut Output) -> Result<bool, Failure> {
    match finding {
        Verification::Works { user, project, folder } => {
            let mark = out.paint(Colour::Green, "green");
            let (user, project, folder) = (visible(user), visible(project), visible(folder));
            out.line(format_args!(
                "{mark}  {tenant}  connected as {user} to project \"{project}\", folder \"{folder}\""
            ))?;
            Ok(true)
        }
        Verification::Fails { reason, detail } => {
            let mark = out.paint(Colour::Red, "red");
            out.line(format_args!("{mark}    {tenant}  {}", reason.cause()))?;
            out.line(format_args!("       {}", visible(detail)))?;
            out.line(format_args!("       → {}", remedy(*reason, tenant)))?;
            Ok(false)
        }
    }
}

/// Returns what to do; batches wait until a Testmo instance has recovered, but a person who verifies has to try again.
fn remedy(reason: Reason, tenant: &TenantId) -> String {
    if !verify::is_about_account(reason) {
        return reason.remedy().to_owned();
    }
    format!(
        "Check the base URL for typing errors. If it is right, try again later: testmo-courier tenants verify {tenant}"
    )
}

//! `tenants verify`: do connections work now?

use std::path::PathBuf;

use clap::Args;
use testmo_courier::batch::verdict::reason::Class;
use testmo_courier::batch::verdict::recheck_after;
use testmo_courier::batch::{Reason, TenantId};
use testmo_courier::store::connections::{ConnectionRow, Verification};
use testmo_courier::store::{ConnectionStore, StoreError};
use testmo_courier::tenants::Examined;
use testmo_courier::testmo::Client;

use super::super::desk::Desk;
use super::super::failure::Failure;
use super::super::out::{Colour, Out, visible};

const EXAMPLES: &str = "\
Asks Testmo who the key belongs to, whether the project and the folder are there, and what the names in the mapping
stand for; nothing is changed in Testmo.
Batches that wait for a connection go out as soon as it is verified.

Examples:
  testmo-courier tenants verify acme
  testmo-courier tenants verify --all";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Whose connection
    #[arg(required_unless_present = "all")]
    tenant: Option<TenantId>,
    /// Those of all tenants
    #[arg(long, conflicts_with = "tenant")]
    all: bool,
}

pub(crate) async fn execute(arguments: Arguments, files: &[PathBuf], out: &mut Out) -> Result<(), Failure> {
    let desk = Desk::open(files).await?;
    let client = desk.client()?;
    let rows = match &arguments.tenant {
        Some(tenant) => vec![desk.connection(tenant).await?],
        None => desk.store.connections().await?,
    };
    if rows.is_empty() {
        return out.line("No connection is entered yet.");
    }
    let mut all_work = true;
    for listed in &rows {
        // Read again, as verifying those before it took a while.
        let Some(row) = &desk.store.connection(&listed.tenant).await? else { continue };
        let examined = look(&desk, &client, row).await?;
        if !desk.tenants.note(row, &examined).await?.is_done() {
            tell_changed(&row.tenant, out)?;
            all_work = false;
            continue;
        }
        let Examined { finding, unfilled, .. } = examined;
        let works = tell(&row.tenant, &finding, out)?;
        tell_unfilled(&unfilled, out)?;
        if !works {
            tell_what_follows(&desk, &row.tenant, &finding, "", out).await?;
        }
        all_work &= works;
    }
    if all_work { Ok(()) } else { Err(Failure::Told) }
}

/// Whether a stored connection works, and what its mapping means now.
async fn look(desk: &Desk, client: &Client, row: &ConnectionRow) -> Result<Examined, StoreError> {
    match desk.tenants.access(row) {
        Ok(access) => desk.tenants.examine(client, &access, row.project, row.folder, &row.mapping).await,
        Err((reason, detail)) => Ok(Examined::failed(reason, detail)),
    }
}

/// Says that what was found out is outdated already.
fn tell_changed(tenant: &TenantId, out: &mut Out) -> Result<(), Failure> {
    let mark = out.paint(Colour::Amber, "amber");
    out.line(format_args!("{mark}  {tenant}  changed meanwhile: this result was not saved"))?;
    out.line(format_args!("       → Run it again: testmo-courier tenants verify {tenant}"))
}

/// Says what a connection that does not work means for batches.
pub(super) async fn tell_what_follows(
    desk: &Desk,
    tenant: &TenantId,
    finding: &Verification,
    saved: &str,
    out: &mut Out,
) -> Result<(), Failure> {
    let row = desk.connection(tenant).await?;
    let Verification::Fails { reason, .. } = finding else { return Ok(()) };
    if row.is_verified() {
        return out.line("       It worked before, so batches still go out.");
    }
    let until = match recheck_after(*reason, 0) {
        Some(_) => "a running worker looks again by itself, in 5 minutes and then less often",
        None => "it has to be mended",
    };
    out.line(format_args!("       {saved}Batches wait: {until}."))
}

/// Says which required fields stay empty: cases have to bring them, or Testmo refuses them.
pub(super) fn tell_unfilled(labels: &[String], out: &mut Out) -> Result<(), Failure> {
    labels.iter().try_for_each(|label| {
        let (mark, label) = (out.paint(Colour::Amber, "note"), visible(label));
        out.line(format_args!("       {mark}: nothing in the mapping fills the required field \"{label}\""))
    })
}

/// Says what a look found; gives whether the connection works.
pub(super) fn tell(tenant: &TenantId, finding: &Verification, out: &mut Out) -> Result<bool, Failure> {
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

/// What a Testmo without room or health heals by itself for batches; a person who verifies has to come again.
fn remedy(reason: Reason, tenant: &TenantId) -> String {
    match reason.class() {
        Class::Account => format!(
            "Check the base URL for typing errors; if it is right, try again later: testmo-courier tenants verify {tenant}"
        ),
        Class::Connection | Class::Message | Class::Case | Class::Person => reason.remedy().to_owned(),
    }
}

//! Prints what verifying a connection showed and what follows for its batches.

use testmo_courier::app::connections::verify::{self, Consequence};
use testmo_courier::app::connections::{ConnectionRow, Status, StatusLight, Verification};
use testmo_courier::app::shelf::{ShelfCommand, commands_of_connection};
use testmo_courier::app::{Reason, TenantId};

use super::super::failure::Failure;
use super::super::output::{Colour, Output, visible};
use super::super::time_format::both;
use super::status_light::colour;

/// Prints the light of a connection and what was found, and returns whether it works. Remarks follow where it does.
pub(super) fn print_finding(
    row: &ConnectionRow,
    status: &Status,
    finding: &Verification,
    out: &mut Output,
) -> Result<bool, Failure> {
    let (mark, tenant) = (mark(status.light, out), &row.tenant);
    match finding {
        Verification::Works { user, project, folder, not_there } => {
            let (user, project, folder) = (visible(user), visible(project), visible(folder));
            out.line(format_args!(
                "{mark}  {tenant}  connected as {user} to project \"{project}\", folder \"{folder}\""
            ))?;
            status.remarks.iter().try_for_each(|remark| out.line(format_args!("       {}", visible(remark))))?;
            if let Some(reason) = refused(row) {
                out.line(format_args!("       → {}", reason.remedy()))?;
            } else if !not_there.is_empty() {
                out.line(
                    "       → Correct the mapping with `tenants set --mapping`, or the project in Testmo. The mapping is in \
                     force as it is.",
                )?;
            }
            Ok(true)
        }
        Verification::Fails { reason, detail } => {
            out.line(format_args!("{mark}  {tenant}  {}", reason.cause()))?;
            out.line(format_args!("       {}", visible(detail)))?;
            out.line(format_args!("       → {}", remedy(*reason, row)))?;
            Ok(false)
        }
    }
}

/// Returns the commands that help with a connection that does not work.
pub(super) fn commands(row: &ConnectionRow) -> Vec<ShelfCommand> {
    match &row.finding {
        Some(Verification::Fails { reason, .. }) if !row.is_verified() => commands_of_connection(*reason, &row.tenant),
        Some(Verification::Works { .. } | Verification::Fails { .. }) | None => Vec::new(),
    }
}

/// Returns why Testmo refused the last request over a connection that verifying finds nothing wrong with.
pub(super) fn refused(row: &ConnectionRow) -> Option<Reason> {
    row.refusal.as_ref().filter(|_| row.is_verified()).map(|refusal| refusal.reason)
}

/// Says that names were read by an earlier verification.
pub(super) fn as_of(at: i64, now: i64) -> String {
    format!("as of the last successful check, {}", both(at, now))
}

/// Returns a light's word in its colour, as wide as the longest.
fn mark(light: StatusLight, out: &Output) -> String {
    let gap = " ".repeat(5_usize.saturating_sub(light.name().len()));
    out.paint(colour(light), light.name()) + &gap
}

/// Prints that a result is outdated already.
pub(super) fn print_changed(tenant: &TenantId, out: &mut Output) -> Result<(), Failure> {
    let mark = out.paint(Colour::Amber, "amber");
    out.line(format_args!("{mark}  {tenant}  was changed meanwhile: this result was not saved"))?;
    out.line(format_args!("       → Run it again: testmo-courier tenants verify {tenant}"))
}

/// Prints what a connection that does not work means for batches.
pub(super) fn print_consequence(
    row: &ConnectionRow,
    finding: &Verification,
    saved: &str,
    out: &mut Output,
) -> Result<(), Failure> {
    let until = match verify::consequence(row, finding) {
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

/// Prints why a change is not in force, beside the connection that is.
pub(super) fn print_not_in_force(row: &ConnectionRow, finding: &Verification, out: &mut Output) -> Result<(), Failure> {
    let tenant = &row.tenant;
    if let Verification::Fails { reason, detail } = finding {
        out.line(format_args!("       The last change is not in force: {}", reason.cause()))?;
        out.line(format_args!("       {}", visible(detail)))?;
    }
    out.line(format_args!(
        "       → Correct it with `testmo-courier tenants set {tenant}`, or drop it with `testmo-courier tenants set \
         {tenant} --discard-change`"
    ))
}

/// Prints which required fields stay empty: unless cases set them, Testmo refuses the cases.
pub(super) fn print_unfilled(labels: &[String], out: &mut Output) -> Result<(), Failure> {
    labels.iter().try_for_each(|label| {
        let (mark, label) = (out.paint(Colour::Amber, "note"), visible(label));
        out.line(format_args!("       {mark}: the mapping does not fill the required field \"{label}\""))
    })
}

/// Returns what to do; batches wait until a Testmo instance has recovered, but a person who verifies has to try again. A
/// base URL at which a Testmo answered is right.
fn remedy(reason: Reason, row: &ConnectionRow) -> String {
    if !verify::is_about_account(reason) {
        return reason.remedy().to_owned();
    }
    let is_reached = row.verified_at.is_some() || reason == Reason::Throttled;
    let check = if is_reached {
        "Try again later"
    } else {
        "Check the base URL for typing errors. If it is right, try again later"
    };
    format!("{check}: testmo-courier tenants verify {}", row.tenant)
}

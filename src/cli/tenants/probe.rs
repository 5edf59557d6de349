//! `tenants probe`: checks what is assumed of a tenant's Testmo, and prints what holds.

use std::path::{Path, PathBuf};

use clap::Args;
use testmo_courier::app::actor::Actor;
use testmo_courier::app::connections::probe::{self, Done, Found, Probed, TAG, consequence, sentence, word};
use testmo_courier::app::connections::verify::Verified;
use testmo_courier::app::connections::{self, ConnectionRow, Verification};
use testmo_courier::app::view::{ProbeReport, ProbedView, VerifiedView};
use testmo_courier::app::{AppContext, TenantId, store_now};

use super::super::confirm::agree;
use super::super::failure::Failure;
use super::super::open::context;
use super::super::output::{Colour, Output, visible};
use super::super::table::List;
use super::report::{print_consequence, print_finding};

const EXAMPLES: &str = "\
Verifies the connection, and then checks by some more reads what Testmo's documentation leaves open and the worker relies
on: the order, pages and filters of lists, times, ids and fields.
With --write it also creates one case in the folder with this id, edits it, and deletes it again, and so tries the right
to create cases, names, texts and tags. It creates no folder. It deletes only the case whose id Testmo's answer and the
list of the folder both show under the tag `courier-probe`. If anything is unclear, it deletes nothing, and says what is
left and where.
What was found is stored with the connection: `tenants show` has it, and the light says what was tried.
The exit code is 1 if the connection does not work, a case could not be created, or one is left.

Examples:
  testmo-courier tenants probe acme
  testmo-courier tenants probe acme --write 428
  testmo-courier tenants probe acme --write 428 --yes --out probe.json";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The tenant whose connection this is
    tenant: TenantId,
    /// Also create, edit and delete one case in the folder with this id
    #[arg(long, value_name = "FOLDER", value_parser = super::set::id)]
    write: Option<u64>,
    /// Do not ask for confirmation
    #[arg(long, requires = "write")]
    yes: bool,
    /// Write what was found to a new file for a bug report, without key, addresses, names and cases
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print JSON, for programs
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
    let row = connections::connection(&context.store, &arguments.tenant).await?;
    if let Some(file) = arguments.out.as_deref().filter(|file| file.exists()) {
        return Err(exists(file));
    }
    if let (Some(folder), false) = (arguments.write, arguments.yes) {
        let (project, _) = connections::names(&row);
        out.line(format_args!(
            "This creates one case in folder {folder} of project {}, edits it, and deletes it again. People who watch the \
             project may be notified. Testmo may go on offering the tags that begin with `{TAG}`.",
            visible(&project)
        ))?;
        agree(false, "nothing was sent", out)?;
    }
    match probe::probe(&context, actor, &arguments.tenant, arguments.write).await? {
        Probed::NotVerified(verified) => not_verified(&context, &verified, arguments.json, out).await,
        Probed::Done(done) => {
            report(&context, &done, &arguments, out).await?;
            if done.is_well() { Ok(()) } else { Err(Failure::Printed) }
        }
    }
}

/// Prints that the connection does not work, so that nothing else was tried.
async fn not_verified(context: &AppContext, verified: &Verified, json: bool, out: &mut Output) -> Result<(), Failure> {
    let Verified { row, finding, .. } = verified;
    let status = connections::status(&context.store, row).await?;
    if json {
        out.json(&VerifiedView::of(verified, &status, store_now(&context.store)))?;
    } else {
        print_finding(row, &status, finding, out)?;
        print_consequence(row, finding, "", out)?;
        out.line("       Nothing else was tried, and nothing was created.")?;
    }
    Err(Failure::Printed)
}

/// Prints what was found, and writes the file.
async fn report(context: &AppContext, done: &Done, arguments: &Arguments, out: &mut Output) -> Result<(), Failure> {
    let status = connections::status(&context.store, &done.row).await?;
    let verification = done.verification();
    if let Some(file) = &arguments.out {
        write(file, done)?;
    }
    if arguments.json {
        return out.json(&ProbedView::of(done, verification, &status, store_now(&context.store)));
    }
    print(done, out)?;
    if let Some(file) = &arguments.out {
        out.line(format_args!("\n{} has the findings without key, addresses, names and cases.", file.display()))?;
    }
    print_light(&done.row, &status, &verification, out)
}

fn print_light(
    row: &ConnectionRow,
    status: &connections::Status,
    finding: &Verification,
    out: &mut Output,
) -> Result<(), Failure> {
    out.line("")?;
    print_finding(row, status, finding, out).map(drop)
}

fn print(done: &Done, out: &mut Output) -> Result<(), Failure> {
    let mut list = List::new(&["result", "assumption", "observed"]);
    for found in &done.probe.findings {
        list.add(vec![word(found.result).into(), sentence(found.assumption).into(), found.observed.clone()]);
    }
    list.write(out, false, "")?;
    let wrong = || done.probe.findings.iter().filter(|found| found.result == Found::DoesNotHold);
    if wrong().next().is_some() {
        out.line("\nWhat follows from what does not hold:")?;
    }
    wrong().try_for_each(|found| {
        out.line(format_args!("- {}: {}", sentence(found.assumption), consequence(found.assumption)))
    })?;
    for left in &done.left {
        let mark = out.paint(Colour::Amber, "left:");
        let case = left.case.map_or_else(|| "perhaps a case".into(), |id| format!("case {id}"));
        let name = visible(&left.name);
        out.line(format_args!(
            "\n{mark} {case} in folder {} of project {}, with \"{name}\" in its name and the tag `{TAG}`: {}",
            left.folder,
            left.project,
            visible(&left.why)
        ))?;
        out.line("  → Nothing was deleted that is not certain to be the probe's own. Delete this case in Testmo.")?;
    }
    if !done.is_saved {
        out.line("\nThe connection was removed meanwhile: nothing was stored.")?;
    }
    Ok(())
}

fn write(file: &Path, done: &Done) -> Result<(), Failure> {
    let report = serde_json::to_string_pretty(&ProbeReport::of(&done.probe)).unwrap_or_default();
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).open(file);
    opened.and_then(|mut opened| std::io::Write::write_all(&mut opened, format!("{report}\n").as_bytes())).map_err(
        |error| {
            Failure::finding(
                format!("{} cannot be written ({error})", file.display()),
                "What was found is stored: `testmo-courier tenants show` has it. Name another file with --out.",
            )
        },
    )
}

fn exists(file: &Path) -> Failure {
    Failure::usage(format!("{} exists already", file.display()), "name a new file with --out; nothing was sent")
}

//! `store restore`: restores a backup into a store that holds nothing.

use std::path::PathBuf;

use clap::Args;
use testmo_courier::app::actor::Actor;
use testmo_courier::app::backup::place;
use testmo_courier::app::backup::restoring::{BackupContents, Examined, RestoreTarget, check, restore};
use testmo_courier::app::shelf::TimeBound;
use testmo_courier::app::time::{now, rfc3339};

use super::super::confirm::confirm;
use super::super::failure::{Failure, NOT_EMPTY};
use super::super::open::configuration;
use super::super::output::Output;
use super::counts;

const EXAMPLES: &str = "\
Stop every worker first. The store has to be empty or missing. Until the restore is complete no worker uses the store; if it is
interrupted, run it again: it begins from the start. It then does what `store restored-at` does, with the time at which the
backup began: what may have been delivered since is looked up in Testmo before it is sent.

--check reads the whole backup, tries it in a temporary store (in $TMPDIR, about as large as the store), and changes nothing. Workers may go on meanwhile.

Examples:
  testmo-courier store restore /backup/courier-2026-11-30.gz --check
  testmo-courier store restore /backup/courier-2026-11-30.gz --because 'the disk failed'";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only examine the backup, and whether it could be restored
    #[arg(long, conflicts_with_all = ["until", "because", "yes"])]
    check: bool,
    /// Until when batches that were delivered since may be published again; store.retention from now by default
    #[arg(long, value_name = "TIME")]
    until: Option<TimeBound>,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
    /// Go on without asking
    #[arg(long)]
    yes: bool,
}

pub(super) async fn execute(
    arguments: Arguments,
    files: &[PathBuf],
    actor: &Actor,
    out: &mut Output,
) -> Result<(), Failure> {
    let config = configuration(files)?;
    if arguments.check {
        return examined(check(&config, &arguments.file, actor).await?, &arguments.file, out);
    }
    out.line(format!("{} is restored into the store at {}.", arguments.file.display(), place(&config)))?;
    if !arguments.yes && !confirm(out)? {
        return Err(Failure::finding("Cancelled; nothing was restored.", "Type yes, or add --yes, to go on."));
    }
    let until = arguments.until.map(|until| until.at(now()));
    let (contents, restored) = restore(&config, &arguments.file, until, actor, arguments.because.as_deref()).await?;
    out.line(format!("Restored {} rows, as of {}.", counts::total(&contents.tables), shown(contents.begun_at)))?;
    out.line(format!(
        "Noted as restore {}. Start the workers: unfinished batches, and batches that arrive until {}, are looked up in \
         Testmo before they are sent. Replays that were under way are cancelled; `testmo-courier lanes resume` opens lanes \
         that were paused. Revoke again what was revoked since the backup, such as tokens.",
        restored.number,
        shown(restored.until)
    ))
}

fn examined(examined: Examined, file: &std::path::Path, out: &mut Output) -> Result<(), Failure> {
    let Examined { contents, place, target, tenants, unreadable_keys } = examined;
    describe(&contents, file, out)?;
    counts::show(out, &contents.tables)?;
    out.line(format!(
        "The master key decrypts the API keys of {} of {tenants} tenants.",
        tenants - unreadable_keys.len()
    ))?;
    let found = match &target {
        RestoreTarget::Missing => format!("{place} does not exist and would be created."),
        RestoreTarget::Empty => format!("{place} is empty and would be filled."),
        RestoreTarget::Interrupted => format!("{place} was filled only partly and would be filled from the start."),
        RestoreTarget::Occupied(table) => {
            format!("{place} is not empty: its table `{table}` has rows. Before a restore: {NOT_EMPTY}")
        }
        RestoreTarget::InUse => format!("{place} is in use. Before a restore: stop every worker. {NOT_EMPTY}"),
    };
    out.line(found)?;
    if !unreadable_keys.is_empty() {
        let tenants: Vec<&str> = unreadable_keys.iter().map(|tenant| tenant.as_str()).collect();
        return Err(Failure::finding(
            format!("The API keys of these tenants cannot be decrypted: {}.", tenants.join(", ")),
            "Enter their keys again after the restore.",
        ));
    }
    out.line("The backup is sound. Nothing was changed.")
}

fn describe(contents: &BackupContents, file: &std::path::Path, out: &mut Output) -> Result<(), Failure> {
    let age = now().saturating_sub(contents.begun_at) / 60_000;
    out.line(format!(
        "{} is whole: begun {}, ended {}, {} h {} min old, written by version {}, schema {}.",
        file.display(),
        shown(contents.begun_at),
        shown(contents.ended_at),
        age / 60,
        age % 60,
        contents.program,
        contents.schema
    ))?;
    if contents.later_steps > 0 {
        out.line(format!("{} migrations would follow.", contents.later_steps))?;
    }
    Ok(())
}

fn shown(at: i64) -> String {
    rfc3339(at).unwrap_or_else(|| at.to_string())
}

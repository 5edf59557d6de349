//! `store restored-at`: notes that the store was set back to an earlier state.

use std::path::PathBuf;

use clap::Args;
use testmo_courier::app::actor::Actor;
use testmo_courier::app::restore::{Copied, restored_store};
use testmo_courier::app::shelf::TimeBound;
use testmo_courier::app::time::{now, rfc3339};

use super::super::confirm::agree;
use super::super::failure::Failure;
use super::super::open::configuration;
use super::super::output::Output;

const EXAMPLES: &str = "\
Stop every worker that uses the store first, and start them again afterwards. From then on
  - batches that are unfinished in the copy, and batches that arrive until --until, are looked up in Testmo by their
    tag before anything of them is sent; what is found is not created again;
  - batches of tenants without the batch tag wait for a person;
  - events get numbers that were never used before.
A time that is earlier than that of the copy does no harm as long as the store knows of nothing later.

Examples:
  testmo-courier store restored-at 2026-11-30T02:00:00Z
  testmo-courier store restored-at 6h --until 2026-12-07 --yes";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// When the copy was made: a time such as 2026-11-30T02:00:00Z, a day, or an age such as 6h
    #[arg(value_name = "TIME")]
    time: TimeBound,
    /// Until when batches that were delivered since may be published again; store.retention from now by default
    #[arg(long, value_name = "TIME")]
    until: Option<TimeBound>,
    /// The number of this restore, if the store was restored before and neither the copy nor the file beside it knows of that
    #[arg(long, value_name = "N", default_value_t = 1)]
    number: u32,
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
    let (config, now) = (configuration(files)?, now());
    let at = arguments.time.at(now);
    let until = arguments.until.map(|until| until.at(now));
    let restored = restored_store(&config, Copied { at, until, number: arguments.number }, actor).await?;
    let (made, last) = (shown(at), shown(restored.until()));
    out.line(format!(
        "Copy of {made}: unfinished batches, and batches that arrive until {last}, are looked up in Testmo before they are \
         sent."
    ))?;
    if let Err(failure) = agree(arguments.yes, "nothing was noted", out) {
        restored.leave().await;
        return Err(failure);
    }
    let restore = restored.note(&config, arguments.because.as_deref()).await?;
    out.line(format!(
        "Noted as restore {}. Start the workers again: numbers of outcomes continue from {}.",
        restore.number,
        u64::from(restore.number) * 1_000 + 1
    ))
}

fn shown(at: i64) -> String {
    rfc3339(at).unwrap_or_else(|| at.to_string())
}

//! `store backup`: writes everything that the store holds into a file.

use std::path::PathBuf;

use clap::Args;
use testmo_courier::app::actor::Actor;
use testmo_courier::app::backup::back_up;
use testmo_courier::app::time::rfc3339;

use super::super::failure::Failure;
use super::super::open::configuration;
use super::super::output::Output;
use super::counts;

const EXAMPLES: &str = "\
Workers may go on meanwhile. The file is one for both databases: what was backed up from a file can be restored into
PostgreSQL, and the other way round. It appears under its name once it is whole, and only its owner can read it.
It holds messages and, encrypted, the API keys. The master key is not in it: keep a copy of that elsewhere.

Examples:
  testmo-courier store backup /backup/courier-2026-11-30.gz
  testmo-courier store backup /backup/courier.gz --replace";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The file to write
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace the file if it is there, once the new one is whole
    #[arg(long)]
    replace: bool,
}

pub(super) async fn execute(
    arguments: Arguments,
    files: &[PathBuf],
    actor: &Actor,
    out: &mut Output,
) -> Result<(), Failure> {
    let config = configuration(files)?;
    let backup = back_up(&config, &arguments.file, arguments.replace, actor).await?;
    let begun = rfc3339(backup.begun_at).unwrap_or_default();
    let seconds = u64::try_from(backup.ended_at.saturating_sub(backup.begun_at)).unwrap_or(0).div_ceil(1_000);
    out.line(format!(
        "Backed up the store of {begun} into {}: {} rows, {} bytes, in {seconds} s.",
        arguments.file.display(),
        counts::total(&backup.tables),
        backup.size
    ))?;
    counts::show(out, &backup.tables)?;
    if backup.tables.get("connections").is_none_or(|sum| sum.rows == 0) {
        return out.line("It holds no API key.");
    }
    let key = backup.master_key.map(|key| format!(" {key}")).unwrap_or_default();
    out.line(format!(
        "The API keys in it are encrypted. Keep the master key{key} ({}) elsewhere: it is not in the backup.",
        config.keys.master_key_file.display()
    ))
}

//! `init`: makes the master key and the store of a new installation.

use std::path::PathBuf;

use clap::Args;
use testmo_courier::app::init::initialise;

use super::failure::Failure;
use super::open::configuration;
use super::output::Output;
use super::table::facts;

const NEXT: &str = "
Next:
  testmo-courier topology declare
  testmo-courier tenants set TENANT --base-url https://NAME.testmo.net --project ID --folder ID
  testmo-courier run
";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Create an empty store although a master key exists: use it if the former store was lost, or the key was copied here
    #[arg(long)]
    new_store: bool,
}

pub(super) async fn execute(arguments: &Arguments, files: &[PathBuf], out: &mut Output) -> Result<(), Failure> {
    let made = initialise(&configuration(files)?, arguments.new_store).await?;
    let word = |is_new| if is_new { "created" } else { "exists already" };
    out.text(&facts(&[
        ("store", format!("{} ({})", made.store, word(made.store_is_new))),
        ("master key", format!("{} ({})", made.key_file.display(), word(made.key_is_new))),
    ]))?;
    if made.key_is_new {
        out.line(
            "Keep a copy of the master key elsewhere: without this file the API keys in the store cannot be read.",
        )?;
    }
    out.text(NEXT)
}

//! `tenants mapping`: drafts a mapping.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use testmo_courier::app::TenantId;
use testmo_courier::app::connections::{connection, draft};

use super::super::failure::Failure;
use super::super::open::{configuration, store};
use super::super::output::Output;

const EXAMPLES: &str = "\
The draft goes to the standard output. It is JSON with comments, which `tenants set --mapping` takes as it is. Nothing is
read from Testmo: it shows what the project had when the connection was last verified.

Examples:
  testmo-courier tenants mapping draft acme > mapping.json
  testmo-courier tenants set acme --mapping mapping.json";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Draft a mapping with comments from what the tenant's project has
    Draft(Arguments),
}

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The tenant whose project it is for
    tenant: TenantId,
}

pub(crate) async fn execute(command: Command, files: &[PathBuf], out: &mut Output) -> Result<(), Failure> {
    let Command::Draft(Arguments { tenant }) = command;
    let row = connection(&store(&configuration(files)?).await?, &tenant).await?;
    let text = draft(&row).map_err(|not_read| {
        Failure::finding(not_read.to_string(), format!("Run `testmo-courier tenants verify {tenant}` to read it."))
    })?;
    out.text(&text)
}

//! `topology declare` and `topology check`: does the broker have the exchanges and queues?

use std::path::PathBuf;

use clap::Subcommand;
use testmo_courier::amqp::{self, Mismatch, topology::topology};

use super::failure::Failure;
use super::open::configuration;
use super::output::{Colour, Output};
use super::table::counted;

#[derive(Clone, Copy, Debug, Subcommand)]
pub(super) enum Command {
    /// Create what is missing; what exists is left as it is
    Declare,
    /// Look for each exchange and queue without creating it
    Check,
}

pub(super) async fn execute(command: Command, files: &[PathBuf], out: &mut Output) -> Result<(), Failure> {
    let config = configuration(files)?;
    let objects = topology(&config.amqp);
    let link = amqp::connect_once(&config.amqp, "topology").await?;
    let found = match command {
        Command::Declare => amqp::declare(&link, &objects).await,
        Command::Check => amqp::check(&link, &objects).await,
    };
    link.close().await;
    tell(&found?, objects.len(), command, out)
}

fn tell(findings: &[Mismatch], objects: usize, command: Command, out: &mut Output) -> Result<(), Failure> {
    for finding in findings {
        let mark = out.paint(Colour::Red, "not as it should be:");
        out.line(format_args!("{mark} {finding}\n  {}", finding.remedy()))?;
    }
    if !findings.is_empty() {
        return Err(Failure::Told);
    }
    let what = counted(objects, "object", "exchanges, queues and bindings");
    let green = |text| out.paint(Colour::Green, text);
    match command {
        Command::Declare => out.line(format_args!("{} {what} are declared", green("ok:"))),
        // AMQP offers no look at bindings, so nothing is said of them.
        Command::Check => out.line(format_args!("{} every exchange and queue is there", green("ok:"))),
    }
}

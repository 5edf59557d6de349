//! `topology`: declares or checks the exchanges and queues at the broker.

use std::path::PathBuf;

use clap::Subcommand;
use testmo_courier::app::topology::{TopologyReport, check, declare};

use super::failure::Failure;
use super::open::configuration;
use super::output::{Colour, Output};
use super::table::counted;

#[derive(Clone, Copy, Debug, Subcommand)]
pub(super) enum Command {
    /// Create missing exchanges and queues; existing ones are not changed
    Declare,
    /// Check that each exchange and queue exists as configured, without creating any
    Check,
}

pub(super) async fn execute(command: Command, files: &[PathBuf], out: &mut Output) -> Result<(), Failure> {
    let config = configuration(files)?;
    let report = match command {
        Command::Declare => declare(&config.amqp).await?,
        Command::Check => check(&config.amqp).await?,
    };
    print(&report, command, out)
}

fn print(report: &TopologyReport, command: Command, out: &mut Output) -> Result<(), Failure> {
    for finding in &report.mismatches {
        let mark = out.paint(Colour::Red, "mismatch:");
        out.line(format_args!("{mark} {finding}\n  {}", finding.remedy()))?;
    }
    if !report.mismatches.is_empty() {
        return Err(Failure::Printed);
    }
    let what = counted(report.objects, "object", "exchanges, queues and bindings");
    let green = |text| out.paint(Colour::Green, text);
    match command {
        Command::Declare => out.line(format_args!("{} {what} are declared", green("ok:"))),
        Command::Check => {
            let ok = green("ok:");
            if report.uncompared.is_empty() {
                out.line(format_args!("{ok} every exchange and queue exists, with the configured type and arguments"))?;
            } else {
                out.line(format_args!("{ok} every exchange and queue exists"))?;
            }
            for object in &report.uncompared {
                out.line(format_args!(
                    "not checked: type and arguments of {object}; for that the broker's user needs the configure \
                     permission"
                ))?;
            }
            out.line(
                "not checked: bindings, which AMQP cannot show; `testmo-courier topology declare` adds missing ones",
            )
        }
    }
}

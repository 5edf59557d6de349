//! `lint`: would this message be accepted, and will it look in Testmo as it was meant?

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use testmo_courier::batch::Fault;

use super::failure::Failure;
use super::message_file::{self, MessageFile};
use super::output::{Colour, Output, visible};
use super::table::counted;

const EXAMPLES: &str = "\
A fault keeps a message from being a batch; the exit code is then 1. A warning names what will look
otherwise in Testmo than it was written. Neither broker nor configuration is needed.

Examples:
  testmo-courier lint batches/*.json
  generate | testmo-courier lint --json -";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Files with one message each; - is the standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: &Arguments, out: &mut Output) -> Result<(), Failure> {
    let messages = message_file::read_all(&arguments.files)?;
    if arguments.json {
        out.json(&messages.iter().map(object).collect::<Vec<_>>())?;
    } else {
        messages.iter().try_for_each(|message| tell(message, out))?;
    }
    if messages.iter().all(|message| message.faults.is_empty()) { Ok(()) } else { Err(Failure::Told) }
}

/// Says what was found in a message.
pub(super) fn tell(message: &MessageFile, out: &mut Output) -> Result<(), Failure> {
    let mut found = Vec::new();
    if !message.faults.is_empty() {
        found.push(out.paint(Colour::Red, &counted(message.faults.len(), "fault", "faults")));
    }
    if !message.warnings.is_empty() {
        found.push(out.paint(Colour::Amber, &counted(message.warnings.len(), "warning", "warnings")));
    }
    if found.is_empty() {
        found.push(out.paint(Colour::Green, "fine"));
    }
    out.line(format_args!("{}: {}  {message}", visible(&message.name), found.join(", ")))?;
    message.faults.iter().chain(&message.warnings).try_for_each(|fault| tell_one(fault, out))
}

fn tell_one(fault: &Fault, out: &mut Output) -> Result<(), Failure> {
    let Fault { what, remedy, .. } = fault;
    out.line(format_args!("  {}  {}\n    → {}", visible(fault.place()), visible(what), visible(remedy)))
}

fn object(message: &MessageFile) -> Value {
    json!({
        "file": message.name,
        "batch": message.key.as_ref().map(ToString::to_string),
        "faults": message.faults,
        "warnings": message.warnings,
    })
}

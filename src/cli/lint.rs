//! `lint`: would this message be accepted, and will it look in Testmo as it was meant?

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use testmo_courier::batch::Fault;

use super::failure::Failure;
use super::letter::{self, Letter};
use super::out::{Colour, Out, visible};
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

pub(super) fn execute(arguments: &Arguments, out: &mut Out) -> Result<(), Failure> {
    let letters = letter::read_all(&arguments.files)?;
    if arguments.json {
        out.json(&letters.iter().map(object).collect())?;
    } else {
        letters.iter().try_for_each(|letter| tell(letter, out))?;
    }
    if letters.iter().all(|letter| letter.faults.is_empty()) { Ok(()) } else { Err(Failure::Told) }
}

/// Says what was found in a message.
pub(super) fn tell(letter: &Letter, out: &mut Out) -> Result<(), Failure> {
    let mut found = Vec::new();
    if !letter.faults.is_empty() {
        found.push(out.paint(Colour::Red, &counted(letter.faults.len(), "fault", "faults")));
    }
    if !letter.warnings.is_empty() {
        found.push(out.paint(Colour::Amber, &counted(letter.warnings.len(), "warning", "warnings")));
    }
    if found.is_empty() {
        found.push(out.paint(Colour::Green, "fine"));
    }
    out.line(format_args!("{}: {}  {letter}", visible(&letter.name), found.join(", ")))?;
    letter.faults.iter().chain(&letter.warnings).try_for_each(|fault| tell_one(fault, out))
}

fn tell_one(fault: &Fault, out: &mut Out) -> Result<(), Failure> {
    let Fault { what, remedy, .. } = fault;
    out.line(format_args!("  {}  {}\n    → {}", visible(fault.place()), visible(what), visible(remedy)))
}

fn object(letter: &Letter) -> Value {
    json!({
        "file": letter.name,
        "batch": letter.key.as_ref().map(ToString::to_string),
        "faults": letter.faults,
        "warnings": letter.warnings,
    })
}

//! `lint`: checks messages without publishing them.

use std::path::PathBuf;

use clap::Args;
use testmo_courier::app::messages::Fault;
use testmo_courier::app::view::MessageView;

use super::failure::Failure;
use super::message_file::{MessageFile, read_all};
use super::output::{Colour, Output, visible};
use super::table::counted;

const EXAMPLES: &str = "\
A message with a fault is not a batch; the exit code is then 1. A warning names what was probably not intended, such as what
will look different in Testmo from what was written. Neither a broker nor a configuration is needed.

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
    let files = read_all(&arguments.files)?;
    if arguments.json {
        let view = |file: &MessageFile| MessageView::of(&file.name, &file.message);
        out.json(&files.iter().map(view).collect::<Vec<_>>())?;
    } else {
        files.iter().try_for_each(|file| print(file, out))?;
    }
    if files.iter().all(|file| file.message.faults.is_empty()) { Ok(()) } else { Err(Failure::Printed) }
}

/// Prints what was found in a message.
pub(super) fn print(MessageFile { name, message }: &MessageFile, out: &mut Output) -> Result<(), Failure> {
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
    out.line(format_args!("{}: {}  {message}", visible(name), found.join(", ")))?;
    message.faults.iter().chain(&message.warnings).try_for_each(|fault| print_fault(fault, out))
}

fn print_fault(fault: &Fault, out: &mut Output) -> Result<(), Failure> {
    let Fault { what, remedy, .. } = fault;
    out.line(format_args!("  {}  {}\n    → {}", visible(&fault.place()), visible(what), visible(remedy)))
}

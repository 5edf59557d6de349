//! `lint`: checks messages without publishing them.

use std::path::PathBuf;

use clap::Args;
use testmo_courier::app::connections::{ConnectionRow, connection};
use testmo_courier::app::messages::{Finding, TenantCheck, check_for};
use testmo_courier::app::view::MessageView;
use testmo_courier::app::{TenantId, store_now};

use super::failure::Failure;
use super::message_file::{MessageFile, read_all};
use super::open::{configuration, store};
use super::output::{Colour, Output, visible};
use super::table::counted;
use super::time_format::both;

const EXAMPLES: &str = "\
A fault outside of the cases rejects the whole message; a fault in a case refuses this case alone. The exit code is 1 if
there is a fault. A warning names what was probably not intended, such as what will look different in Testmo from what was
written. Neither a broker nor a configuration is needed, except for --tenant.

With --tenant, values are compared with the fields and options that the tenant's project had when its connection was last
verified. Cases that an earlier batch wrote for the same source.key and external_id are named. Nothing is read from Testmo,
which decides in the end: such findings do not change the exit code.

Examples:
  testmo-courier lint batches/*.json
  testmo-courier lint --tenant acme batches/*.json
  generate | testmo-courier lint --json -";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Files with one message each; - is the standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Also report what this tenant's Testmo will probably refuse, and which cases it has already
    #[arg(long, value_name = "TENANT")]
    tenant: Option<TenantId>,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(super) async fn execute(arguments: &Arguments, config: &[PathBuf], out: &mut Output) -> Result<(), Failure> {
    let files = read_all(&arguments.files)?;
    let tenant = match &arguments.tenant {
        Some(tenant) => {
            let store = store(&configuration(config)?).await?;
            Some((connection(&store, tenant).await?, store))
        }
        None => None,
    };
    let mut views = Vec::new();
    for file in &files {
        let check = match &tenant {
            Some((row, store)) => Some((row, check_for(store, row, &file.message).await?, store_now(store))),
            None => None,
        };
        if arguments.json {
            let view = MessageView::of(&file.name, &file.message);
            views.push(match &check {
                Some((row, check, _)) => view.checked_for(&row.tenant, check),
                None => view,
            });
            continue;
        }
        print(file, out)?;
        if let Some((row, check, now)) = check.as_ref().filter(|_| file.message.faults.is_empty()) {
            print_for(row, check, *now, out)?;
        }
    }
    if arguments.json {
        out.json(&views)?;
    }
    if files.iter().all(|file| file.message.faults.is_empty()) { Ok(()) } else { Err(Failure::Printed) }
}

/// Prints what a tenant's Testmo will probably refuse.
fn print_for(row: &ConnectionRow, check: &TenantCheck, now: i64, out: &mut Output) -> Result<(), Failure> {
    let found = match check.findings.len() {
        0 => out.paint(Colour::Green, "fine"),
        count => out.paint(Colour::Amber, &counted(count, "finding", "findings")),
    };
    let read = check.read_at.map(|at| format!(", whose fields were read {}", both(at, now))).unwrap_or_default();
    out.line(format_args!("  for {}{read}: {found}", row.tenant))?;
    check.notes.iter().try_for_each(|note| out.line(format_args!("  note: {}", visible(note))))?;
    check.findings.iter().try_for_each(|finding| print_finding(finding, out))
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
    message.faults.iter().chain(&message.warnings).try_for_each(|finding| print_finding(finding, out))
}

/// Prints one finding with its place, its rule and its remedy.
pub(super) fn print_finding(Finding { rule, fault }: &Finding, out: &mut Output) -> Result<(), Failure> {
    let (what, remedy) = (visible(&fault.what), visible(&fault.remedy));
    out.line(format_args!("  {}  {what}  [{rule}]\n    → {remedy}", visible(&fault.place())))
}

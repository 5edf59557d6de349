//! `doctor`: examines everything that a worker needs, and says what is wrong and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use testmo_courier::app::doctor::bundle::{self, Shown};
use testmo_courier::app::doctor::{Examination, Finding, Outcome, Report, Scope, Severity, examine};
use testmo_courier::app::view::DoctorView;
use testmo_courier::config::{self, Sources};

use super::failure::Failure;
use super::output::{Colour, Output, in_shell, visible};
use super::settings;
use super::table::{List, counted, note, wrapped};

/// How wide sentences and remedies are.
const WIDTH: usize = 118;

pub(super) const EXAMPLES: &str = "\
Examines the settings, files, disk, limits and addresses of this machine, the broker with its topology and limits, the store
with its tables and clock, and a sample of the tenants with their Testmo. Run it as the worker's user on the worker's machine.
It changes nothing, needs no worker, and may run beside one. Each finding has a remedy and, where there is one, a command. The
exit code is 0 if nothing was found but notes, and 1 otherwise.

To try the largest message, one is sent to a queue that does not exist; the broker keeps nothing of it. Each Testmo of the
sample gets one request without a key, unless its account is paused.

Examples:
  testmo-courier doctor
  testmo-courier doctor --before-upgrade
  testmo-courier doctor --bundle ticket.tar.gz --log /var/log/testmo-courier.log";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Also examine what matters before an upgrade: versions, migrations, requests under way
    #[arg(long)]
    before_upgrade: bool,
    /// How many tenants are examined at most, spread over all
    #[arg(long, value_name = "N", default_value_t = 20)]
    tenants: usize,
    /// Write a new archive (tar.gz) for a support ticket, without keys, tokens, passwords and texts of cases
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Add the last lines of a worker's log to the archive
    #[arg(long, value_name = "FILE", requires = "bundle")]
    log: Option<PathBuf>,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(super) async fn execute(arguments: &Arguments, files: &[PathBuf], out: &mut Output) -> Result<(), Failure> {
    let Arguments { before_upgrade, tenants, bundle, log, json } = arguments;
    let scope = Scope { before_upgrade: *before_upgrade, tenants: *tenants };
    let found = examine(&Sources::of_process(files.to_vec()), scope).await;
    if *json {
        out.json(&DoctorView::of(&found.report))?;
    } else {
        let text = text(&found.report, &|severity| painted(severity, out));
        out.text(&text)?;
    }
    if let Some(file) = bundle {
        write_bundle(file, &found, log.as_deref())?;
    }
    if found.report.is_healthy() { Ok(()) } else { Err(Failure::Printed) }
}

fn painted(severity: Severity, out: &Output) -> String {
    let colour = match severity {
        Severity::Note => Colour::Green,
        Severity::Warning => Colour::Amber,
        Severity::Error => Colour::Red,
    };
    out.paint(colour, severity.name())
}

/// Returns the report for people: the checks as a table, then each finding with its remedy.
fn text(report: &Report, severity: &dyn Fn(Severity) -> String) -> String {
    let mut list = List::new(&["check", "result"]);
    for outcome in &report.outcomes {
        list.add(vec![outcome.check.name().into(), result(outcome)]);
    }
    let mut lines = list.columns();
    let findings = report.findings();
    for finding in &findings {
        let Finding { check, sentence, remedy, command, .. } = finding;
        lines.push(String::new());
        let first = format!("{} {}: {}", severity(finding.severity), check.name(), visible(sentence));
        lines.extend(wrapped(&first, WIDTH));
        lines.extend(wrapped(&format!("→ {}", visible(remedy)), WIDTH - 2).into_iter().map(|line| format!("  {line}")));
        lines.extend(command.iter().map(|command| format!("  $ {}", visible(command))));
    }
    lines.push(String::new());
    let to_act = findings.iter().filter(|finding| finding.severity > Severity::Note).count();
    let not_done = report.outcomes.iter().filter(|outcome| outcome.skipped.is_some()).count();
    lines.push(match to_act {
        0 if not_done == 0 => "All checks passed.".into(),
        0 => format!("All checks that were done passed; {} not done.", counted(not_done, "was", "were")),
        n => format!("{}.", counted(n, "finding needs somebody to act", "findings need somebody to act")),
    });
    lines.join("\n") + "\n"
}

fn result(outcome: &Outcome) -> String {
    let worst = outcome.findings.iter().map(|finding| finding.severity).max();
    match (worst, &outcome.skipped) {
        (Some(worst), _) => worst.name().into(),
        (None, Some(why)) => format!("not done: {why}"),
        (None, None) => "ok".into(),
    }
}

fn write_bundle(file: &Path, found: &Examination, log: Option<&Path>) -> Result<(), Failure> {
    let json =
        serde_json::to_value(DoctorView::of(&found.report)).map_err(|error| Failure::from_output(error.into()))?;
    let defaults = config::load(&Sources::default())?;
    let settings = found.config.as_ref().map(|config| settings::annotated(config::DEFAULTS, config, &defaults));
    let plain = text(&found.report, &|severity| severity.name().into());
    let shown = Shown { json: format!("{json:#}\n"), text: plain, settings: settings.unwrap_or_default() };
    bundle::write(file, found, shown, log).map_err(|error| {
        let name = in_shell(&file.display().to_string()).into_owned();
        if error.kind() == io::ErrorKind::AlreadyExists {
            return Failure::usage(format!("{name} exists already"), "Name a new file, or remove that one.");
        }
        let what = format!("the archive {name} cannot be written ({error})");
        Failure::usage(what, "Check the folder of the archive, and the file named by --log.")
    })?;
    note(&format!("Written: {}. Read it before you pass it on.", file.display()))
}

#[cfg(test)]
mod tests {
    use testmo_courier::app::doctor::Check;

    use super::*;

    #[test]
    fn a_report_reads_like_this() {
        let finding = |severity, check, command: Option<&str>| Finding {
            severity,
            check,
            sentence: "queue `testmo.cases` does not exist.".into(),
            remedy:
                "run `testmo-courier topology declare` with a user that has the configure permission, or import the \
                     object as definitions"
                    .into(),
            command: command.map(Into::into),
        };
        let outcome =
            |check, findings, skipped: Option<&str>| Outcome { check, findings, skipped: skipped.map(Into::into) };
        let report = Report {
            at: 1_800_000_000_000,
            outcomes: vec![
                outcome(Check::Configuration, vec![], None),
                outcome(Check::Addresses, vec![finding(Severity::Note, Check::Addresses, None)], None),
                outcome(
                    Check::Topology,
                    vec![finding(Severity::Error, Check::Topology, Some("testmo-courier topology declare"))],
                    None,
                ),
                outcome(Check::Store, vec![], Some("there is no store")),
            ],
        };
        let healthy = Report { at: 0, outcomes: vec![outcome(Check::Disk, vec![], None)] };
        let without_tls = Some("the address of the broker is not amqps");
        let partly = Report { at: 0, outcomes: vec![outcome(Check::BrokerCertificate, vec![], without_tls)] };
        let plain = |severity: Severity| severity.name().to_owned();
        let texts = [&report, &healthy, &partly].map(|report| text(report, &plain));
        insta::assert_snapshot!(texts.join("\n"));
        insta::assert_snapshot!(serde_json::to_string_pretty(&DoctorView::of(&report)).unwrap());
    }
}

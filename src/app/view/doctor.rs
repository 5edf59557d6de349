//! Shows an examination to programs.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::Value;

use super::super::doctor::{Finding, Outcome, Report};
use super::super::time::rfc3339;

/// What an examination of everything that a worker needs has found.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct DoctorView {
    /// The version of the program that examined it.
    version: &'static str,
    examined_at: Option<String>,
    /// Whether nothing was found but notes.
    healthy: bool,
    /// The most severe first.
    findings: Vec<FindingView>,
    /// Every check, in the order of the table.
    checks: Vec<CheckView>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct FindingView {
    /// `error`: something does not work; `warning`: somebody should act soon; `note`: nothing has to be done.
    severity: &'static str,
    check: &'static str,
    /// What was found.
    sentence: String,
    /// What to do.
    remedy: String,
    /// The command that does it, or that shows more.
    command: Option<String>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct CheckView {
    check: &'static str,
    findings: usize,
    /// Why the check was not done, or not to its end; null if it was.
    not_done: Option<String>,
}

impl DoctorView {
    /// Shows a report.
    pub fn of(report: &Report) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            examined_at: rfc3339(report.at),
            healthy: report.is_healthy(),
            findings: report.findings().into_iter().map(finding).collect(),
            checks: report.outcomes.iter().map(check).collect(),
        }
    }
}

/// Returns the JSON Schema of what `doctor --json` prints.
pub fn doctor_schema() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<DoctorView>().into()
}

fn finding(finding: &Finding) -> FindingView {
    let Finding { severity, check, sentence, remedy, command } = finding;
    FindingView {
        severity: severity.name(),
        check: check.name(),
        sentence: sentence.clone(),
        remedy: remedy.clone(),
        command: command.clone(),
    }
}

fn check(outcome: &Outcome) -> CheckView {
    let Outcome { check, findings, skipped } = outcome;
    CheckView { check: check.name(), findings: findings.len(), not_done: skipped.clone() }
}

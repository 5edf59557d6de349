//! Runs single checks, each within a time limit, so that none stops the others or has the examination wait forever.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::timeout;

use super::finding::{Check, Finding};

/// How long a check may take, beyond the time limits of the settings it uses.
const LIMIT: Duration = Duration::from_secs(15);

/// What a check has found, or why it was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The check.
    pub check: Check,
    /// What it found; empty where all is well.
    pub findings: Vec<Finding>,
    /// Why it was not done, if it was not.
    pub skipped: Option<String>,
}

impl Outcome {
    /// Returns the outcome of a check that was done.
    pub(super) fn done(check: Check, findings: Vec<Finding>) -> Self {
        Self { check, findings, skipped: None }
    }

    /// Returns the outcome of a check that does not apply, or that another finding makes impossible.
    pub(super) fn skipped(check: Check, why: impl Into<String>) -> Self {
        Self { check, findings: Vec::new(), skipped: Some(why.into()) }
    }

    /// Returns the outcome of a check that failed itself, so that nobody takes its silence for health.
    pub(super) fn failed(check: Check, error: impl Display) -> Self {
        let sentence = format!("The check `{}` could not be done: {error}", check.name());
        let remedy = "Correct what the message names, and run the command again.";
        let findings = vec![Finding::warning(check, sentence, remedy)];
        Self { check, findings, skipped: Some(error.to_string()) }
    }
}

/// Runs a check within the time limit and `more`.
pub(super) async fn limited(check: Check, more: Duration, found: impl Future<Output = Outcome>) -> Outcome {
    within(check, LIMIT + more, found).await
}

async fn within(check: Check, limit: Duration, found: impl Future<Output = Outcome>) -> Outcome {
    timeout(limit, found).await.unwrap_or_else(|_| too_slow(check, limit))
}

/// Runs a check that reads files or waits for the system, likewise. Its thread may go on when the time is over.
pub(super) async fn blocking(check: Check, facts: impl FnOnce() -> Vec<Finding> + Send + 'static) -> Outcome {
    let reading = async {
        match tokio::task::spawn_blocking(facts).await {
            Ok(findings) => Outcome::done(check, findings),
            Err(_) => Outcome::failed(check, "a defect stopped it"),
        }
    };
    limited(check, Duration::ZERO, reading).await
}

fn too_slow(check: Check, limit: Duration) -> Outcome {
    let sentence = format!("The check `{}` did not end within {} s.", check.name(), limit.as_secs());
    let remedy = "Find out what is slow, such as the disk, the name server, the broker or the database, and run the \
                  command again.";
    Outcome { check, findings: vec![Finding::warning(check, sentence, remedy)], skipped: Some("too slow".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_check_that_never_ends_is_a_finding() {
        let outcome = within(Check::Broker, Duration::from_millis(1), std::future::pending()).await;
        assert_eq!(outcome.findings.len(), 1);
        assert_eq!(outcome.findings[0].sentence, "The check `broker` did not end within 0 s.");
        assert!(outcome.skipped.is_some());
    }

    #[tokio::test]
    async fn a_check_that_panics_is_a_finding() {
        let outcome = blocking(Check::Disk, || panic!("in a check")).await;
        assert_eq!(outcome.findings[0].sentence, "The check `disk` could not be done: a defect stopped it.");
        assert!(outcome.skipped.is_some());
    }
}

//! Sums up an examination.

use super::finding::{Finding, Severity};
use super::outcome::Outcome;

/// What an examination has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// When it ended, in milliseconds since 1970.
    pub at: i64,
    /// The outcome of each check, in the order in which they are shown.
    pub outcomes: Vec<Outcome>,
}

impl Report {
    /// Returns all findings, the most severe first.
    pub fn findings(&self) -> Vec<&Finding> {
        let mut found: Vec<&Finding> = self.outcomes.iter().flat_map(|outcome| &outcome.findings).collect();
        // Stable, so that findings of one severity keep the order of their checks.
        found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        found
    }

    /// Returns whether nothing was found but notes.
    pub fn is_healthy(&self) -> bool {
        self.findings().iter().all(|finding| finding.severity == Severity::Note)
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Check;
    use super::*;

    #[test]
    fn the_most_severe_come_first_and_notes_are_no_fault() {
        let note = Finding::note(Check::Files, "a", "b");
        let error = Finding::error(Check::Disk, "c", "d");
        let report = |findings: Vec<Finding>| Report { at: 0, outcomes: vec![Outcome::done(Check::Files, findings)] };
        assert!(report(vec![]).is_healthy() && report(vec![note.clone()]).is_healthy());
        let both = report(vec![note.clone(), error.clone()]);
        assert!(!both.is_healthy());
        assert_eq!(both.findings(), [&error, &note]);
    }
}

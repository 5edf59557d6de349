//! Writes the figures to files: a measured row replaces its part of the JSON, and the Markdown is written from the
//! JSON.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::machine::Machine;

/// All results.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    /// The machine and versions of the last measured row.
    pub(crate) machine: Machine,
    pub(crate) rows: BTreeMap<u8, RowResult>,
}

/// The result of a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RowResult {
    pub(crate) number: u8,
    pub(crate) scenario: String,
    /// When the row was measured, to the minute.
    pub(crate) taken_at: String,
    /// The commit that was measured.
    pub(crate) revision: String,
    pub(crate) runs: usize,
    /// Whether this was only a try of the harness, whose figures mean nothing.
    pub(crate) quick: bool,
    pub(crate) header: Vec<String>,
    pub(crate) lines: Vec<Vec<String>>,
    pub(crate) checks: Vec<Check>,
    pub(crate) notes: Vec<String>,
    /// Every run as it was measured.
    pub(crate) samples: BTreeMap<String, Value>,
}

/// A goal to reach.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Check {
    pub(crate) what: String,
    /// The measured figure.
    pub(crate) figure: String,
    /// `None` if there is no goal, or nothing was measured.
    pub(crate) reached: Option<bool>,
}

impl Check {
    /// Returns a check of a figure that is good enough or not; `None` if the figure could not be measured.
    pub(crate) fn judged(what: &str, figure: Option<(String, bool)>) -> Self {
        let (figure, reached) = figure.map_or_else(|| ("not measured".to_owned(), None), |(f, ok)| (f, Some(ok)));
        Self { what: what.to_owned(), figure, reached }
    }

    /// Returns a figure without a goal.
    pub(crate) fn told(what: &str, figure: Option<String>) -> Self {
        Self { what: what.to_owned(), figure: figure.unwrap_or_else(|| "not measured".to_owned()), reached: None }
    }

    /// Returns the verdict in words.
    pub(crate) fn verdict(&self) -> &'static str {
        match self.reached {
            Some(true) => "reached",
            Some(false) => "NOT REACHED",
            None => "–",
        }
    }
}

impl RowResult {
    pub(crate) fn new(number: u8, scenario: &str, runs: usize) -> Self {
        Self {
            number,
            scenario: scenario.to_owned(),
            taken_at: String::new(),
            revision: String::new(),
            runs,
            quick: false,
            header: vec![],
            lines: vec![],
            checks: vec![],
            notes: vec![],
            samples: BTreeMap::new(),
        }
    }

    /// Returns the text that a person reads during the measurement.
    pub(crate) fn told(&self) -> String {
        let mut text = format!("{}\n", table(&self.header, &self.lines));
        for check in &self.checks {
            text.push_str(&format!("  {:<12} {:<14} {}\n", check.verdict(), check.figure, check.what));
        }
        text
    }
}

impl Results {
    /// Reads the results in a folder, or returns empty results if there are none.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join(JSON);
        if !file.exists() {
            return Ok(Self::default());
        }
        serde_json::from_slice(&std::fs::read(&file)?).with_context(|| file.display().to_string())
    }

    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join(JSON), format!("{}\n", serde_json::to_string_pretty(self)?))?;
        std::fs::write(folder.join(MARKDOWN), self.markdown())?;
        Ok(())
    }

    fn markdown(&self) -> String {
        let mut text =
            String::from("# Results\n\nWritten by `make bench`; what each row means is in [README.md](README.md).\n\n");
        let facts: Vec<Vec<String>> = self.machine.facts().into_iter().map(|(k, v)| vec![k, v]).collect();
        text.push_str(&table(&["".into(), "".into()], &facts));
        text.push_str("\n## Reached\n\n");
        let checks = |row: &RowResult| -> Vec<Vec<String>> {
            let line = |check: &Check| {
                vec![row.number.to_string(), check.what.clone(), check.figure.clone(), check.verdict().to_owned()]
            };
            row.checks.iter().map(line).collect()
        };
        let all: Vec<Vec<String>> = self.rows.values().flat_map(checks).collect();
        text.push_str(&table(&["row", "what", "figure", ""].map(str::to_owned), &all));
        self.rows.values().for_each(|row| row.write_to(&mut text));
        text
    }
}

impl RowResult {
    fn write_to(&self, text: &mut String) {
        let Self { number, scenario, taken_at, revision, runs, .. } = self;
        let tried = if self.quick { " **A try of the harness: the figures mean nothing.**" } else { "" };
        text.push_str(&format!("\n## {number}: {scenario}\n\n{runs} runs, {taken_at}, commit {revision}.{tried}\n\n"));
        text.push_str(&table(&self.header, &self.lines));
        for note in &self.notes {
            text.push_str(&format!("\n{note}\n"));
        }
    }
}

const JSON: &str = "results.json";
const MARKDOWN: &str = "results.md";

/// Returns a Markdown table with aligned columns.
fn table(header: &[String], lines: &[Vec<String>]) -> String {
    let cell = |line: &Vec<String>, at: usize| line.get(at).map_or(String::new(), |cell| cell.replace('|', "/"));
    let wide = |at: usize| {
        let longest = lines.iter().map(|line| cell(line, at).chars().count()).max().unwrap_or(0);
        longest.max(header[at].chars().count()).max(3)
    };
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = row((0..header.len()).map(|at| format!("{:<width$}", header[at], width = wide(at))).collect());
    text.push_str(&row((0..header.len()).map(|at| "-".repeat(wide(at))).collect()));
    for line in lines {
        let one = |at: usize| format!("{:<width$}", cell(line, at), width = wide(at));
        text.push_str(&row((0..header.len()).map(one).collect()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: u8, figure: &str) -> RowResult {
        let mut row = RowResult::new(number, "a scenario", 5);
        (row.header, row.lines) = (vec!["who".into(), "n".into()], vec![vec!["us".into(), figure.into()]]);
        row.checks = vec![Check::judged("at least 2", Some((figure.into(), false)))];
        row
    }

    #[test]
    fn a_row_that_is_measured_again_replaces_only_its_own_part() {
        let folder = tempfile::tempdir().unwrap();
        let mut results = Results::read(folder.path()).unwrap();
        results.rows.extend([(1, row(1, "1.0")), (2, row(2, "1.5"))]);
        results.write(folder.path()).unwrap();
        let mut results = Results::read(folder.path()).unwrap();
        results.rows.insert(2, row(2, "1.9"));
        results.write(folder.path()).unwrap();
        let text = std::fs::read_to_string(folder.path().join(MARKDOWN)).unwrap();
        assert!(text.contains("| 1   | at least 2 | 1.0    | NOT REACHED |"), "{text}");
        assert!(text.contains("| 2   | at least 2 | 1.9    | NOT REACHED |"), "{text}");
        assert!(text.contains("\n## 2: a scenario\n") && !text.contains("1.5"), "{text}");
    }

    #[test]
    fn what_was_not_measured_is_not_called_reached() {
        let check = Check::judged("x", None);
        assert_eq!((check.figure.as_str(), check.verdict()), ("not measured", "–"));
    }
}

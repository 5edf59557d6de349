//! Writes a comparison with Testmo as CSV, for spreadsheets.

use super::super::batches::compare::{ComparedBatch, ComparedCase, Comparison};
use super::super::time::rfc3339;
use super::super::visible::visible;

/// The columns of the CSV form.
const COLUMNS: [&str; 12] = [
    "batch",
    "case",
    "testmo_id",
    "name",
    "findings",
    "changed_fields",
    "unsure_fields",
    "edited_by",
    "edited_at",
    "folder_now",
    "other_ids",
    "link",
];

/// Returns the lines of a comparison as CSV: the names of the columns, and one line for each case.
pub fn comparison_csv(comparison: &Comparison) -> impl Iterator<Item = String> {
    std::iter::once(COLUMNS.join(",")).chain(comparison.cases().map(|(batch, case)| line(batch, case)))
}

fn line(batch: &ComparedBatch, case: &ComparedCase) -> String {
    let differences = case.differences.as_deref().cloned().unwrap_or_default();
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let others: Vec<String> = differences.others.iter().map(|other| other.id.to_string()).collect();
    let findings: Vec<&str> = case.findings.iter().map(|finding| finding.name()).collect();
    let cells = [
        batch.key.batch.as_str().to_owned(),
        case.key.clone(),
        number(case.id),
        case.name.clone().unwrap_or_default(),
        findings.join(", "),
        differences.changed.join(" "),
        differences.unsure.join(" "),
        differences.edited_by.unwrap_or_default(),
        differences.edited_at.and_then(rfc3339).unwrap_or_default(),
        number(differences.folder),
        others.join(" "),
        case.link.clone().unwrap_or_default(),
    ];
    cells.map(|cell| csv_cell(&cell)).join(",")
}

/// Writes a cell so that a spreadsheet takes it for a text: one that would begin a formula gets an apostrophe in front.
fn csv_cell(text: &str) -> String {
    let begins_formula = text.trim_start().starts_with(['=', '+', '-', '@']) || text.starts_with(['\t', '\r', '\n']);
    let text = format!("{}{text}", if begins_formula { "'" } else { "" });
    let shown = visible(&text);
    if shown.contains(['"', ',', ';', '\'']) || shown.starts_with(' ') || shown.ends_with(' ') {
        return format!("\"{}\"", shown.replace('"', "\"\""));
    }
    shown.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_cannot_begin_a_formula() {
        for (text, cell) in [
            ("Sign in", "Sign in"),
            ("=cmd()", "\"'=cmd()\""),
            (" +1", "\"' +1\""),
            ("-1", "\"'-1\""),
            ("@x", "\"'@x\""),
            ("\t=1", "\"' =1\""),
            ("a,\"b\"", "\"a,\"\"b\"\"\""),
            ("two\nlines", "two lines"),
            ("a\u{202e}b", "a\\u{202e}b"),
        ] {
            assert_eq!(csv_cell(text), cell, "{text:?}");
        }
    }
}

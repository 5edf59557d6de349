//! `batches compare`: shows what became of delivered cases in Testmo.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use testmo_courier::app::batches::compare::{ComparedCase, Comparison, Finding, Selected, compare};
use testmo_courier::app::plural::counted;
use testmo_courier::app::time::rfc3339;
use testmo_courier::app::view::{ComparisonView, comparison_csv};

use super::super::failure::Failure;
use super::super::open::context;
use super::super::output::{Output, visible};
use super::super::table::{List, note, shortened};

const EXAMPLES: &str = "\
Reads the cases of the tenant's project from Testmo, with the same permits as a worker: it never exceeds the account's pace,
and ends when the account or the tenant is paused. Nothing is changed.

  once           it is there once, as it was written
  twice          a further row has its batch tag and its name: a late commit, or a copy that a person made
  changed        fields have another content than was written; with who edited the case last, and when
  maybe_changed  it was edited, and what was written is not remembered exactly
  moved          it is in another folder of the project
  missing        its row is no longer in the project: deleted, or moved to another project
  not_seen       as missing, but cases were removed while Testmo was read: run the command again
  not_delivered  it was refused or is still to be sent, so nothing is expected
  undone         its batch was taken back, so nothing is expected

Times and users of edits are what Testmo shows. The table lists all cases of a batch, and of a tenant those that are not there
once; CSV and JSON have every case.

Examples:
  testmo-courier batches compare acme/shop-142-1
  testmo-courier batches compare acme --format csv > acme.csv";

/// The form of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Csv,
    Json,
}

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A tenant, or a batch as TENANT/BATCH
    #[arg(value_name = "TENANT[/BATCH]")]
    selected: Selected,
    /// The form of the output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(crate) async fn execute(arguments: &Arguments, files: &[PathBuf], out: &mut Output) -> Result<(), Failure> {
    let comparison = compare(&context(files).await?, &arguments.selected).await?;
    match arguments.format {
        Format::Table => {
            let is_batch = matches!(arguments.selected, Selected::Batch(_));
            table(&comparison, is_batch, out)
        }
        Format::Csv => {
            comparison.notes.iter().try_for_each(|text| note(text))?;
            comparison_csv(&comparison).try_for_each(|line| out.line(line))
        }
        Format::Json => out.json(&ComparisonView::of(&comparison)),
    }
}

fn table(comparison: &Comparison, all: bool, out: &mut Output) -> Result<(), Failure> {
    listed(comparison, all).write(out, false, "Every case is in Testmo once, as it was written.")?;
    let total = comparison.cases().count();
    let counts = Finding::ALL.iter().filter_map(|finding| match comparison.count(*finding) {
        0 => None,
        count => Some(format!("{count} {}", finding.name())),
    });
    let counts: Vec<String> = counts.collect();
    out.line(format!("\n{}: {}", counted(total, "case", "cases"), counts.join(", ")))?;
    for batch in &comparison.batches {
        for row in &batch.further {
            let by = row.created_by.as_deref().unwrap_or("an unknown user");
            out.line(format!(
                "Row {} \"{}\" carries the tag of {} and is none of its cases (created by {}): {}",
                row.id,
                visible(&row.name),
                batch.key,
                visible(by),
                visible(&row.link)
            ))?;
        }
    }
    comparison.notes.iter().try_for_each(|text| out.line(text))
}

fn listed(comparison: &Comparison, all: bool) -> List {
    let mut list = List::new(&["batch", "case", "id", "finding", "name", "details"]);
    let is_listed = |case: &ComparedCase| all || case.findings != [Finding::Once];
    for (batch, case) in comparison.cases().filter(|(_, case)| is_listed(case)) {
        list.add(vec![
            batch.key.batch.as_str().to_owned(),
            case.key.clone(),
            case.id.map(|id| id.to_string()).unwrap_or_default(),
            findings(case),
            shortened(case.name.as_deref().unwrap_or_default(), 50),
            details(case),
        ]);
    }
    list
}

fn findings(case: &ComparedCase) -> String {
    case.findings.iter().map(|finding| finding.name()).collect::<Vec<_>>().join(", ")
}

/// Says in words how a case differs.
fn details(case: &ComparedCase) -> String {
    let Some(differences) = case.differences.as_deref() else { return String::new() };
    let mut parts = Vec::new();
    let fields =
        |what: &str, columns: &[String]| (!columns.is_empty()).then(|| format!("{what} {}", columns.join(", ")));
    parts.extend(fields("changed:", &differences.changed));
    parts.extend(fields("perhaps changed:", &differences.unsure));
    let at = differences.edited_at.and_then(rfc3339);
    parts.extend(at.map(|at| {
        let by = differences.edited_by.as_deref().unwrap_or("an unknown user");
        format!("edited by {by} at {at}")
    }));
    parts.extend(differences.folder.map(|folder| format!("now in folder {folder}")));
    parts.extend(differences.others.iter().map(|other| {
        let by = other.created_by.as_deref().unwrap_or("an unknown user");
        format!("also as {} (created by {by})", other.id)
    }));
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use testmo_courier::app::batches::compare::{ComparedBatch, Differences, OtherRow};

    use super::*;

    fn case(key: &str, id: Option<u64>, findings: &[Finding], differences: Option<Differences>) -> ComparedCase {
        ComparedCase {
            key: key.into(),
            id,
            name: id.map(|id| format!("Sign in {id}")),
            link: id.map(|id| format!("https://acme.testmo.net/repositories/3?group_id=7&case_id={id}")),
            findings: findings.to_vec(),
            differences: differences.map(Box::new),
        }
    }

    fn comparison() -> Comparison {
        let other = OtherRow {
            id: 40,
            name: "=cmd()".into(),
            created_by: Some("Ann".into()),
            link: "https://acme.testmo.net/repositories/3?group_id=7&case_id=40".into(),
        };
        let edited = Differences {
            changed: vec!["name".into(), "custom_steps".into()],
            edited_by: Some("Ann".into()),
            edited_at: Some(1_793_613_600_000),
            folder: Some(9),
            ..Differences::default()
        };
        let twice = Differences { others: vec![other.clone()], ..Differences::default() };
        let cases = vec![
            case("TC-1", Some(10), &[Finding::Once], None),
            case("TC-2", Some(11), &[Finding::Moved, Finding::Changed], Some(edited)),
            case("TC-3", Some(12), &[Finding::Twice], Some(twice)),
            ComparedCase { name: None, ..case("TC-4", Some(13), &[Finding::Missing], None) },
            case("TC-5", None, &[Finding::NotDelivered], None),
        ];
        let batch = ComparedBatch { key: "acme/b-1".parse().expect("a key"), cases, further: vec![other] };
        let notes = vec!["1 batch is left out: the ids of their cases are no longer kept (store.retention).".into()];
        Comparison { tenant: "acme".parse().expect("a tenant"), batches: vec![batch], notes, read_at: 0 }
    }

    #[test]
    fn a_comparison_reads_like_this() {
        let of = |all| listed(&comparison(), all).columns().join("\n");
        insta::assert_snapshot!(format!("{}\n\n{}", of(true), of(false)));
    }
}

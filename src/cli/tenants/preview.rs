//! `tenants preview`: shows what a batch would become in a tenant's Testmo.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;
use testmo_courier::app::TenantId;
use testmo_courier::app::connections::{connection, names};
use testmo_courier::app::messages::preview::{
    CasePreview, FaultyCase, FolderPreview, Preview, PreviewInput, RequestSize, batch_of, preview,
};
use testmo_courier::app::view::PreviewView;

use super::super::failure::Failure;
use super::super::lint::print_finding;
use super::super::message_file::read;
use super::super::open::{configuration, context, store};
use super::super::output::{Colour, Output, visible};
use super::super::table::{counted, facts};
use super::preview_plan::plan_text;

const EXAMPLES: &str = "\
Nothing is sent or created: the preview uses the stored connection. With --online it also reads the project's folders
from Testmo and, for a batch that updates cases of earlier batches, these cases: it shows which are new, the same, changed,
kept or no longer generated.

Examples:
  testmo-courier tenants preview acme batch.json
  testmo-courier tenants preview acme batch.json --case 3 --online";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Whose connection and mapping
    tenant: TenantId,
    /// A file with one batch; - is the standard input
    file: PathBuf,
    /// Show only the case at this position, from 1
    #[arg(long, value_name = "N")]
    case: Option<usize>,
    /// Read from Testmo whether the folder exists, and the cases that earlier batches wrote
    #[arg(long)]
    online: bool,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(crate) async fn execute(arguments: Arguments, files: &[PathBuf], out: &mut Output) -> Result<(), Failure> {
    let config = configuration(files)?;
    let row = connection(&store(&config).await?, &arguments.tenant).await?;
    let batch = batch_of(&read(&arguments.file)?).map_err(|faults| not_a_batch(&arguments.file, &faults))?;
    let context = if arguments.online { Some(context(files).await?) } else { None };
    let limits = (config.requests.max_cases, config.requests.max_bytes);
    let input = PreviewInput { row, batch, case: arguments.case, limits };
    let preview = preview(input, context.as_ref()).await?;
    if arguments.json { out.json(&PreviewView::of(&preview)) } else { print(&preview, out) }
}

fn not_a_batch(file: &Path, faults: &[String]) -> Failure {
    let faults: Vec<_> = faults.iter().map(|fault| visible(fault)).collect();
    Failure::finding(format!("{} is not a batch", file.display()), faults.join("\n  "))
}

fn print(preview: &Preview, out: &mut Output) -> Result<(), Failure> {
    let size = |r: &RequestSize| format!("{} ({} bytes)", counted(r.cases, "case", "cases"), r.bytes);
    let sizes: Vec<String> = preview.requests.iter().map(size).collect();
    let mut head = vec![
        ("batch", preview.batch.key.to_string()),
        ("account", preview.row.origin.clone()),
        ("project", names(&preview.row).0),
    ];
    head.extend(preview.folders.iter().map(|one| ("folder", folder(one, preview.folders.len()))));
    head.push(("requests", format!("{}: {}", sizes.len(), sizes.join(", "))));
    head.extend(preview.notes.iter().map(|note| ("note", note.clone())));
    out.text(&facts(&head))?;
    if !preview.findings.is_empty() {
        out.line(format_args!("\n{}", out.paint(Colour::Amber, "This Testmo will probably refuse:")))?;
        preview.findings.iter().try_for_each(|finding| print_finding(finding, out))?;
    }
    if !preview.faulty.is_empty() {
        out.line(format_args!(
            "\n{}",
            out.paint(Colour::Red, "The worker will refuse these cases and send the others:")
        ))?;
        preview.faulty.iter().try_for_each(|case| print_faulty(case, out))?;
    }
    if let Some(plan) = &preview.plan {
        out.line("\nCases that earlier batches wrote:")?;
        plan_text(plan).lines().try_for_each(|line| out.line(format_args!("  {line}")))?;
    }
    for (position, case) in &preview.cases {
        out.line("")?;
        let (of, key, bytes) = (preview.batch.cases.len(), visible(&case.sent.key), case.sent.entry.len());
        out.line(format_args!("case {position} of {of}  {key}  {bytes} bytes"))?;
        let own = preview.folders.iter().filter(|one| preview.folders.len() > 1 && one.cases.contains(position));
        let mut all = lines(case);
        all.extend(own.map(|one| ("→ folder", one.folder.clone())));
        facts(&all).lines().try_for_each(|line| out.line(format_args!("  {line}")))?;
    }
    Ok(())
}

fn print_faulty(FaultyCase { position, key, faults, more }: &FaultyCase, out: &mut Output) -> Result<(), Failure> {
    out.line(format_args!("  case {position}  {}", visible(key)))?;
    for fault in faults {
        out.line(format_args!("    {}  {}", visible(&fault.pointer), visible(&fault.what)))?;
        out.line(format_args!("      → {}", visible(&fault.remedy)))?;
    }
    match more {
        0 => Ok(()),
        more => {
            out.line(format_args!("    and {}: run testmo-courier lint", counted(*more, "more fault", "more faults")))
        }
    }
}

/// Writes a folder, with its cases if there are several folders.
fn folder(one: &FolderPreview, of: usize) -> String {
    match one.cases[..] {
        [first] if of > 1 => format!("{}: case {first}", one.folder),
        [first, ref others @ ..] if of > 1 => format!("{}: case {first} and {} more", one.folder, others.len()),
        _ => one.folder.clone(),
    }
}

/// Writes a case field by field, and what of it is not sent.
fn lines(case: &CasePreview) -> Vec<(&str, String)> {
    let mut lines = Vec::new();
    for (column, value) in &case.entry {
        let mut name = column.as_str();
        for text in texts(value) {
            lines.push((std::mem::take(&mut name), text));
        }
    }
    for text in &case.texts {
        let before = text.written.lines().map(|line| format!("  {line}"));
        let after = text.sent.lines().map(|line| format!("  {line}"));
        let before = std::iter::once(format!("{}, written as {}:", text.place, text.format.name())).chain(before);
        let mut name = "→ text";
        for line in before.chain(std::iter::once("is sent as:".to_owned())).chain(after) {
            lines.push((std::mem::take(&mut name), line));
        }
    }
    for tag in &case.tags {
        let sent = tag.sent.as_ref().map_or_else(|| "is not sent".into(), |sent| format!("is sent as {sent}"));
        lines.push(("→ tag", format!("\"{}\" {sent}", tag.written)));
    }
    lines.extend(case.left_out.iter().map(|left| ("→ left out", format!("{}: {}", left.what, left.why))));
    lines
}

/// Writes a value on several lines where that reads better: each step has its own, with its data below.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) if items.iter().any(|item| item.get("text1").is_some()) => {
            items.iter().zip(1..).flat_map(|(item, n)| step(item, n)).collect()
        }
        Value::Array(items) if items.iter().all(Value::is_string) => {
            vec![items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")]
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => vec![value.to_string()],
    }
}

fn step(item: &Value, n: usize) -> Vec<String> {
    let text = |key: &str| item.get(key).and_then(Value::as_str);
    let mut lines = vec![format!("{n}. {}", text("text1").unwrap_or_default())];
    lines.extend(text("text2").map(|data| format!("   data      {data}")));
    lines.extend(text("text3").map(|expected| format!("   expected  {expected}")));
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use testmo_courier::batch::message::decode::decode;
    use testmo_courier::batch::render::kinds::FieldKinds;
    use testmo_courier::batch::render::mapping::Mapping;
    use testmo_courier::batch::render::preview::preview;

    use super::facts;
    use super::lines;

    #[test]
    fn texts_read_like_this_before_and_after() {
        let message = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme", "format": "markdown",
            "generated_at": "2026-11-23T09:30:00Z",
            "cases": [{"name": "Pay", "description": "**Goal:** pay\n\n- by card\n- by `iban`", "preconditions": "None",
                       "gherkin": "Scenario: pay\n  Given <b>"}]});
        let batch = decode(message.to_string().as_bytes()).unwrap();
        insta::assert_snapshot!(facts(&lines(&preview(&batch, &Mapping::default(), &FieldKinds::default())[0])));
    }

    #[test]
    fn a_case_reads_like_this() {
        let message = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
            "generated_at": "2026-11-23T09:30:00Z", "source": {"key": "SHOP-1", "title": "Sign in"},
            "cases": [{"external_id": "TC-1", "name": "Sign in & out", "priority": "high",
                       "steps": [{"action": "Open", "data": "<url>", "expected": "Form"}, {"action": "Close"}],
                       "tags": ["Smoke Test"], "issues": ["SHOP-1"], "fields": {"custom_risk": [1, 2]}}]});
        let batch = decode(message.to_string().as_bytes()).unwrap();
        insta::assert_snapshot!(facts(&lines(&preview(&batch, &Mapping::default(), &FieldKinds::default())[0])));
    }
}

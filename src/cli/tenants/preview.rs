//! `tenants preview`: what would a batch become in a tenant's Testmo?

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use testmo_courier::batch::message::FolderWish;
use testmo_courier::batch::message::decode::decode;
use testmo_courier::batch::render::preview::{CasePreview, RequestSize, preview, requests};
use testmo_courier::batch::{Batch, RenderedCase, TenantId};
use testmo_courier::store::AccountStore;
use testmo_courier::store::accounts::{Pause, Permit};
use testmo_courier::store::connections::ConnectionRow;
use testmo_courier::tenants::{descend, lies_under, path_of};
use testmo_courier::testmo::Folder;

use super::super::desk::{Desk, configuration, known, store};
use super::super::failure::Failure;
use super::super::letter::read;
use super::super::out::{Out, visible};
use super::super::table::{counted, facts};
use super::list::names;

const EXAMPLES: &str = "\
Nothing is sent: what is shown rests on the connection as it is stored. With --online the project's folders are read,
and nothing is created.

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
    /// Only the case at this position, from 1
    #[arg(long, value_name = "N")]
    case: Option<usize>,
    /// Ask Testmo whether the folder is there
    #[arg(long)]
    online: bool,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

/// What is shown.
struct Seen {
    row: ConnectionRow,
    batch: Batch,
    notes: Vec<String>,
    folder: String,
    requests: Vec<RequestSize>,
    cases: Vec<(usize, CasePreview)>,
}

pub(crate) async fn execute(arguments: Arguments, files: &[PathBuf], out: &mut Out) -> Result<(), Failure> {
    let config = configuration(files)?;
    let row = known(&store(&config).await?, &arguments.tenant).await?;
    let batch = batch_of(&arguments.file)?;
    let Some(mapping) = row.resolved.clone() else {
        return Err(Failure::finding(
            "the names in the mapping are not known yet",
            format!("testmo-courier tenants verify {}", row.tenant),
        ));
    };
    let all = preview(&batch, &mapping);
    let sent: Vec<RenderedCase> = all.iter().map(|case| case.sent.clone()).collect();
    let there = if arguments.online { Some(folders(&row, files).await?) } else { None };
    let cases = chosen(all, arguments.case)?;
    let seen = Seen {
        notes: notes(&row, &batch),
        folder: folder(&row, &batch, there.as_deref()),
        requests: requests(row.folder, &sent, config.push.max_cases, config.push.max_bytes),
        cases,
        row,
        batch,
    };
    if arguments.json { out.json(&seen.object()) } else { seen.tell(out) }
}

fn batch_of(file: &Path) -> Result<Batch, Failure> {
    decode(&read(file)?).map_err(|broken| {
        let faults: Vec<String> = broken.faults().iter().map(ToString::to_string).collect();
        Failure::finding(format!("{} is not a batch", file.display()), visible_lines(&faults))
    })
}

fn visible_lines(lines: &[String]) -> String {
    let lines: Vec<_> = lines.iter().map(|line| visible(line)).collect();
    lines.join("\n  ")
}

async fn folders(row: &ConnectionRow, files: &[PathBuf]) -> Result<Vec<Folder>, Failure> {
    let desk = Desk::open(files).await?;
    let mend = || format!("testmo-courier tenants verify {}", row.tenant);
    let access = desk.tenants.access(row).map_err(|(_, why)| Failure::finding(why, mend()))?;
    if let Permit::Wait(Pause { wait, .. }) = desk.store.permit(&row.origin, None, Duration::ZERO).await? {
        let seconds = wait.as_secs() + 1;
        return Err(Failure::finding("Testmo takes no requests now", format!("try again in {seconds} s")));
    }
    let listed = desk.client()?.folders(&access, row.project).await;
    listed.map_err(|trouble| Failure::finding(format!("the folders cannot be read: {trouble}"), mend()))
}

fn chosen(all: Vec<CasePreview>, position: Option<usize>) -> Result<Vec<(usize, CasePreview)>, Failure> {
    let count = all.len();
    let numbered = all.into_iter().enumerate().map(|(index, case)| (index + 1, case));
    let cases: Vec<_> = numbered.filter(|(at, _)| position.is_none_or(|wanted| wanted == *at)).collect();
    if cases.is_empty() {
        return Err(Failure::usage(
            format!("the batch has {}", counted(count, "case", "cases")),
            format!("give --case a number from 1 to {count}"),
        ));
    }
    Ok(cases)
}

fn notes(row: &ConnectionRow, batch: &Batch) -> Vec<String> {
    let mut notes = Vec::new();
    if batch.key.tenant != row.tenant {
        notes.push(format!("the batch is for {}, and shown as if it were for {}", batch.key.tenant, row.tenant));
    }
    if !row.is_verified() {
        notes.push("the connection is not verified, so batches wait".into());
    }
    notes
}

/// Where the cases go, in words; with the project's folders also whether it is there.
fn folder(row: &ConnectionRow, batch: &Batch, there: Option<&[Folder]>) -> String {
    let (_, own) = names(row);
    match (&batch.folder, there) {
        (FolderWish::Tenant, None) => own,
        (FolderWish::Tenant, Some(there)) => match path_of(there, row.folder) {
            Some(path) => format!("{} {path} (it is there)", row.folder),
            None => format!("{} (it is not there: batches will wait)", row.folder),
        },
        (FolderWish::Path(names), None) => format!("{own}, below it {}", names.join("/")),
        (FolderWish::Path(names), Some(there)) => match descend(there, row.folder, names) {
            (reached, []) => format!("{own}, below it {} (it is there, {reached})", names.join("/")),
            (_, missing) => format!("{own}, below it {} (to be created: {})", names.join("/"), missing.join("/")),
        },
        (FolderWish::Id(id), None) => format!("{id}, if it is {own} or below it"),
        (FolderWish::Id(id), Some(there)) if lies_under(there, *id, row.folder) => {
            format!("{id} {} (it is there)", path_of(there, *id).unwrap_or_default())
        }
        (FolderWish::Id(id), Some(_)) => format!("{id} (it is not below {own}: the batch will wait)"),
    }
}

impl Seen {
    fn object(&self) -> Value {
        let case = |(position, case): &(usize, CasePreview)| {
            let tags = case.tags.iter().map(|tag| json!({"written": tag.written, "sent": tag.sent}));
            let left_out = case.left_out.iter().map(|left| json!({"what": left.what, "why": left.why}));
            json!({
                "position": position,
                "key": case.sent.key,
                "bytes": case.sent.entry.len(),
                "entry": case.entry,
                "changed_tags": tags.collect::<Value>(),
                "left_out": left_out.collect::<Value>(),
            })
        };
        json!({
            "batch": self.batch.key.to_string(),
            "account": self.row.origin,
            "project_id": self.row.project,
            "folder": self.folder,
            "notes": self.notes,
            "requests": self.requests.iter().map(|r| json!({"cases": r.cases, "bytes": r.bytes})).collect::<Value>(),
            "cases": self.cases.iter().map(case).collect::<Value>(),
        })
    }

    fn tell(&self, out: &mut Out) -> Result<(), Failure> {
        let size = |r: &RequestSize| format!("{} ({} bytes)", counted(r.cases, "case", "cases"), r.bytes);
        let sizes: Vec<String> = self.requests.iter().map(size).collect();
        let mut head = vec![
            ("batch", self.batch.key.to_string()),
            ("account", self.row.origin.clone()),
            ("project", names(&self.row).0),
            ("folder", self.folder.clone()),
            ("requests", format!("{}: {}", sizes.len(), sizes.join(", "))),
        ];
        head.extend(self.notes.iter().map(|note| ("note", note.clone())));
        out.text(&facts(&head))?;
        for (position, case) in &self.cases {
            out.line("")?;
            let (of, key, bytes) = (self.batch.cases.len(), visible(&case.sent.key), case.sent.entry.len());
            out.line(format_args!("case {position} of {of}  {key}  {bytes} bytes"))?;
            facts(&lines(case)).lines().try_for_each(|line| out.line(format_args!("  {line}")))?;
        }
        Ok(())
    }
}

/// A case field by field, and what is not sent of it.
fn lines(case: &CasePreview) -> Vec<(&str, String)> {
    let mut lines = Vec::new();
    for (column, value) in &case.entry {
        let mut name = column.as_str();
        for text in texts(value) {
            lines.push((std::mem::take(&mut name), text));
        }
    }
    for tag in &case.tags {
        let sent = tag.sent.as_ref().map_or_else(|| "is not sent".into(), |sent| format!("is sent as {sent}"));
        lines.push(("→ tag", format!("\"{}\" {sent}", tag.written)));
    }
    lines.extend(case.left_out.iter().map(|left| ("→ left out", format!("{}: {}", left.what, left.why))));
    lines
}

/// A value on as many lines as it reads well on: each step has its own, and what belongs to it below.
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
    use testmo_courier::batch::render::mapping::Mapping;

    use super::*;

    #[test]
    fn a_case_reads_like_this() {
        let message = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
            "generated_at": "2026-11-23T09:30:00Z", "source": {"key": "SHOP-1", "title": "Sign in"},
            "cases": [{"external_id": "TC-1", "name": "Sign in & out", "priority": "high",
                       "steps": [{"action": "Open", "data": "<url>", "expected": "Form"}, {"action": "Close"}],
                       "tags": ["Smoke Test"], "issues": ["SHOP-1"], "fields": {"custom_risk": [1, 2]}}]});
        let batch = decode(message.to_string().as_bytes()).unwrap();
        insta::assert_snapshot!(facts(&lines(&preview(&batch, &Mapping::default())[0])));
    }
}

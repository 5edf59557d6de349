//! `audit`: lists what people have changed.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use testmo_courier::app::audit::{self, AuditAction, AuditFilter, AuditId, AuditItem, AuditPage, Since};
use testmo_courier::app::shelf::TimeBound;
use testmo_courier::app::time::relative;
use testmo_courier::app::view::{AuditPageView, difference};
use testmo_courier::app::{BatchKey, TenantId, store_now};

use super::failure::Failure;
use super::open::{configuration, store};
use super::output::{Output, visible};
use super::table::{Form, List, note, shortened, wrapped};
use super::tenant_hint::note_if_unknown;
use super::time_format::absolute;

/// How wide the list is.
const WIDTH: usize = 100;
/// How far what belongs to an entry is indented.
const INDENT: usize = 2;
/// The most characters of a changed value that are shown.
const LONGEST: usize = 90;

const EXAMPLES: &str = "\
Every change that a person makes is listed, the newest first: who, through which part of the program, when, to what, why, and
what is different now. API keys are never shown. Below an entry that sends a batch stands what became of the batch since.
Entries are kept for store.audit_retention, also those of a tenant that was removed.

Examples:
  testmo-courier audit
  testmo-courier audit --tenant acme --since 2days
  testmo-courier audit --batch acme/shop-142-1
  testmo-courier audit --action shelf.discard --actor anna
  testmo-courier audit --subject 'lane https://acme.testmo.net' --json";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Only changes of this tenant
    #[arg(long)]
    tenant: Option<TenantId>,
    /// Only changes of this batch
    #[arg(long, value_name = "TENANT/BATCH", conflicts_with = "tenant")]
    batch: Option<BatchKey>,
    /// Only changes by the person or token of this name
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only this action, such as lane.pause
    #[arg(long, value_parser = actions(), hide_possible_values = true)]
    action: Option<AuditAction>,
    /// Only changes of what is named so in the list, such as `shelf 0000001a`
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// Only changes since this time: an age such as 2h, or a day or time in UTC such as 2026-11-20
    #[arg(long, value_name = "TIME")]
    since: Option<TimeBound>,
    /// Only changes before this time, in the same forms; a day begins at 00:00
    #[arg(long, value_name = "TIME")]
    until: Option<TimeBound>,
    /// The maximum number of changes; 0 for all
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    /// Go on behind the change with this number
    #[arg(long, value_name = "NUMBER")]
    after: Option<AuditId>,
    #[command(flatten)]
    form: Form,
}

fn actions() -> impl TypedValueParser<Value = AuditAction> {
    let names = AuditAction::ALL.iter().map(|action| action.name());
    PossibleValuesParser::new(names).try_map(|name| name.parse::<AuditAction>())
}

pub(super) async fn execute(arguments: Arguments, files: &[PathBuf], out: &mut Output) -> Result<(), Failure> {
    let store = store(&configuration(files)?).await?;
    let now = store_now(&store);
    let filter = arguments.filter(now);
    let page = audit::list(&store, &filter, arguments.after, arguments.limit).await?;
    if page.entries.is_empty() {
        note_if_unknown(&store, filter.tenant.as_ref()).await?;
    }
    if arguments.form.json {
        return out.json(&AuditPageView::of(&page));
    }
    if arguments.form.plain {
        plain(&page).write(out, true, "")?;
    } else if page.entries.is_empty() {
        out.line("No person has changed anything that these options name.")?;
    } else {
        let texts: Vec<String> = page.entries.iter().map(|item| text(item, now)).collect();
        out.text(&texts.join("\n"))?;
    }
    page.next.map_or(Ok(()), |next| note(&format!("There are more: --after {next} goes on, --limit 0 lists all.")))
}

impl Arguments {
    fn filter(&self, now: i64) -> AuditFilter {
        let batch = self.batch.clone();
        AuditFilter {
            tenant: batch.as_ref().map(|key| key.tenant.clone()).or_else(|| self.tenant.clone()),
            batch: batch.map(|key| key.batch),
            actor: self.actor.clone(),
            action: self.action,
            subject: self.subject.clone(),
            since: self.since.map(|bound| bound.at(now)),
            until: self.until.map(|bound| bound.at(now)),
            behind: None,
        }
    }
}

/// Writes one line for each entry, for scripts.
fn plain(page: &AuditPage) -> List {
    let mut list = List::new(&["number", "time", "actor", "through", "action", "subject", "because"]);
    for AuditItem { row, .. } in &page.entries {
        let reason = row.reason.clone().unwrap_or_default();
        let (actor, face, action) = (row.actor.clone(), row.face.clone(), row.action.clone());
        list.add(vec![row.id.to_string(), absolute(row.at), actor, face, action, row.subject.clone(), reason]);
    }
    list
}

/// Describes an entry in a few lines.
fn text(item: &AuditItem, now: i64) -> String {
    let row = &item.row;
    let batch = match (&row.tenant, &row.batch) {
        (Some(tenant), Some(batch)) if !row.subject.contains(batch.as_str()) => format!(" ({tenant}/{batch})"),
        (Some(_) | None, _) => String::new(),
    };
    let mut text = format!("{}  {}  {}  {}\n", row.id, absolute(row.at), row.action, visible(&row.subject));
    let mut add = |line: &str| {
        for line in wrapped(&visible(line), WIDTH - INDENT) {
            text.push_str(&format!("{:INDENT$}{line}\n", ""));
        }
    };
    add(&format!("by {} through the {}{batch}", row.actor, row.face.replace('_', " ")));
    if let Some(reason) = &row.reason {
        add(&format!("because: {reason}"));
    }
    if let Some(trace) = &row.trace_id {
        add(&format!("trace: {trace}"));
    }
    for line in difference(row.before.as_deref(), row.after.as_deref()) {
        add(&shortened(&line, LONGEST));
    }
    if let Some(since) = &item.since {
        add(&described(since, now));
    }
    text
}

fn described(since: &Since, now: i64) -> String {
    match since {
        Since::Finished(state, at) => {
            format!("since then: the batch was finished as {} {}", state.name(), relative(*at, now))
        }
        Since::Open => "since then: the batch is not finished yet".into(),
        Since::Nothing => "since then: the batch has no outcome".into(),
    }
}

#[cfg(test)]
mod tests {
    use testmo_courier::app::audit::AuditRow;
    use testmo_courier::batch::ledger::BatchState;

    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn row(action: AuditAction, subject: &str) -> AuditRow {
        AuditRow {
            id: AuditId(41),
            at: NOW - 3_600_000,
            actor: "anna".into(),
            role: "admin".into(),
            face: "command_line".into(),
            action: action.name().into(),
            tenant: None,
            batch: None,
            subject: subject.into(),
            reason: None,
            before: None,
            after: None,
            trace_id: None,
        }
    }

    #[test]
    fn the_audit_reads_like_this() {
        let pause = AuditRow {
            reason: Some("maintenance of their Testmo until Tuesday ".repeat(4)),
            before: Some(r#"{"paused":false,"limit":2}"#.into()),
            after: Some(r#"{"paused":true,"limit":2}"#.into()),
            ..row(AuditAction::PauseLane, "lane https://acme.testmo.net")
        };
        let replay = AuditRow {
            tenant: Some("acme".into()),
            batch: Some("shop-142-1".into()),
            before: Some(r#"{"state":"dead","reason":"retries_exhausted"}"#.into()),
            after: Some(r#"{"state":"parked","batch":"open"}"#.into()),
            trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736".into()),
            ..row(AuditAction::ReplayEntry, "shelf 0000001a")
        };
        let remove = AuditRow {
            tenant: Some("acme".into()),
            before: Some(format!(
                r#"{{"base_url":"https://acme.testmo.net","mapping":{{"notes":"{}"}}}}"#,
                "x".repeat(400)
            )),
            after: Some(r#"{"discarded_entries":3}"#.into()),
            ..row(AuditAction::RemoveTenant, "tenant acme\u{1b}[2J")
        };
        let items = [
            AuditItem { row: pause, since: None },
            AuditItem { row: replay.clone(), since: Some(Since::Finished(BatchState::Delivered, NOW - 600_000)) },
            AuditItem { row: replay, since: Some(Since::Nothing) },
            AuditItem { row: remove, since: None },
        ];
        let texts: Vec<String> = items.iter().map(|item| text(item, NOW)).collect();
        let page = AuditPage { entries: items[..2].to_vec(), next: Some(AuditId(7)) };
        insta::assert_snapshot!(texts.join("\n"));
        insta::assert_snapshot!(serde_json::to_string_pretty(&AuditPageView::of(&page)).unwrap());
        assert!(texts.iter().flat_map(|text| text.lines()).all(|line| line.chars().count() <= WIDTH));
        assert_eq!(plain(&page).columns().len(), 3);
    }
}

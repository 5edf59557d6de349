//! `batches show`: shows everything that is known of one batch.

use clap::Args;
use testmo_courier::app::batches::{self, BatchDetails, BatchRecord, dropped_link, link, testmo_id};
use testmo_courier::app::view::{BatchDetailsView, TimelineView, due};
use testmo_courier::app::{BatchKey, Store};

use super::super::failure::Failure;
use super::super::output::Output;
use super::super::table::{List, facts};
use super::super::time_format::both;
use super::timeline::timeline;

const EXAMPLES: &str = "\
Examples:
  testmo-courier batches show acme/shop-142-1
  testmo-courier batches show acme/shop-142-1 --json";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The batch, as TENANT/BATCH
    #[arg(value_name = "TENANT/BATCH")]
    batch: BatchKey,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(crate) async fn execute(arguments: &Arguments, store: &Store, out: &mut Output) -> Result<(), Failure> {
    let details = batches::show(store, &arguments.batch).await?;
    if arguments.json { out.json(&BatchDetailsView::of(&details)) } else { out.text(&text(&details)) }
}

fn text(details: &BatchDetails) -> String {
    let mut text = facts(&summary(details));
    if let Some(record) = details.record() {
        section(&mut text, "cases", &cases(details, record));
        section(&mut text, "cases that are no longer generated", &dropped(record));
        if record.arrived().next().is_some() {
            text += &format!("  as they are in Testmo now: `testmo-courier batches compare {}`\n", details.key);
        }
    }
    text += &timeline(&TimelineView::of(details));
    section(&mut text, "shelf", &shelved(details));
    if !details.shelf.is_empty() {
        text += &format!("  cause and remedy: `testmo-courier shelf show {}`\n", details.key);
    }
    text
}

fn summary(details: &BatchDetails) -> Vec<(&'static str, String)> {
    let mut lines = vec![("batch", details.key.to_string())];
    let tag = match details.is_tagged {
        true => details.batch_tag.clone(),
        false => format!("{} (the mapping of the tenant switches it off)", details.batch_tag),
    };
    let Some(record) = details.record() else {
        lines.push(("state", "no case was sent yet".into()));
        lines.push(("batch tag", tag));
        return lines;
    };
    lines.push(("state", record.state.name().into()));
    lines.push(("revision", record.revision.to_string()));
    lines.extend(BatchDetails::was_sent(record).then(|| ("first sent", both(record.first_seen_at, details.now))));
    lines.extend(record.settled_at.map(|at| ("finished", both(at, details.now))));
    lines.extend(record.target().map(|target| {
        let folders = folders(record, target.folder);
        ("target", format!("{}, project {}, {folders}", target.account, target.project))
    }));
    lines.push(("batch tag", tag));
    lines.push(("fingerprint", record.fingerprint.clone()));
    lines.extend(record.trace.as_ref().map(|trace| ("trace", trace.trace_id().to_string())));
    if BatchDetails::is_pruned(record) {
        lines
            .push(("pruned", "the details of its cases and create requests were removed after store.retention".into()));
    }
    lines
}

/// Writes the folders that cases of a batch arrived in; before that, the one that they are sent to.
fn folders(record: &BatchRecord, sent_to: u64) -> String {
    let folder_of = |position: usize| Some(record.targets.get(record.cases[position].target)?.folder);
    let mut folders: Vec<u64> = record.arrived().filter_map(|(position, _)| folder_of(position)).collect();
    folders.sort_unstable();
    folders.dedup();
    match folders[..] {
        [] => format!("folder {sent_to}"),
        [one] => format!("folder {one}"),
        [first, ref others @ ..] if others.len() > 9 => format!("folders {first} and {} more", others.len()),
        [..] => format!("folders {}", folders.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
    }
}

fn cases(details: &BatchDetails, record: &BatchRecord) -> List {
    let mut list = List::new(&["case", "state", "id", "link or reason", "duplicates"]);
    for (index, case) in record.cases.iter().enumerate() {
        let id = testmo_id(case);
        let place = [id.and_then(|id| link(record, index, id)), BatchDetails::remark(case)];
        let place: Vec<String> = place.into_iter().flatten().collect();
        list.add(vec![
            case.key.clone(),
            details.case_state(record, case).into(),
            id.map(|id| id.to_string()).unwrap_or_default(),
            place.join(": "),
            case.duplicates.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
        ]);
    }
    list
}

fn dropped(record: &BatchRecord) -> List {
    let mut list = List::new(&["id", "done", "link", "written by"]);
    for case in &record.dropped.cases {
        let by = case.batch.as_ref().map_or_else(String::new, |batch| format!("batch {batch}"));
        list.add(vec![
            case.id.to_string(),
            BatchDetails::removal(case).into(),
            dropped_link(record, case).unwrap_or_default(),
            by,
        ]);
    }
    list
}

fn shelved(details: &BatchDetails) -> List {
    let mut list = List::new(&["id", "state", "reason", "next retry"]);
    for entry in &details.shelf {
        list.add(vec![
            entry.id.to_string(),
            entry.state.name().into(),
            entry.content.reason.to_string(),
            due(entry, &details.pauses, details.now),
        ]);
    }
    list
}

/// Appends a list under its heading, unless it is empty.
fn section(text: &mut String, heading: &str, list: &List) {
    if list.is_empty() {
        return;
    }
    text.push_str(&format!("\n{heading}\n"));
    text.extend(list.columns().iter().map(|line| format!("  {line}\n")));
}

#[cfg(test)]
mod tests {
    use testmo_courier::app::Reason;
    use testmo_courier::app::batches::{Happening, PushRow, Reconciliation};
    use testmo_courier::app::shelf::Pauses;
    use testmo_courier::batch::event::{EventInput, Waiting, deferred, of_settlement};
    use testmo_courier::batch::ledger::{BatchState, OpenPush, Refusal, Target};
    use testmo_courier::batch::message::Source;
    use testmo_courier::batch::verdict::answer::FieldRefusal;
    use testmo_courier::store::history::{EventRow, History, HistoryEntry, Holder};
    use testmo_courier::store::ledger::StoredBatch;
    use testmo_courier::store::shelf::ShelvedUntil;
    use testmo_courier::trace::TraceContext;

    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    #[test]
    fn a_batch_that_was_discarded_before_its_first_request_was_not_sent() {
        let trace = TraceContext::of_stored("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let discarded = BatchRecord { state: BatchState::Discarded, settled_at: Some(NOW), trace, ..fresh() };
        let facts = summary(&details(stored(discarded, None), History::default()));
        assert!(facts.iter().all(|(name, _)| *name != "first sent"), "{facts:?}");
    }

    fn details(stored: Option<StoredBatch>, history: History) -> BatchDetails {
        BatchDetails {
            key: "acme/b-1".parse().unwrap(),
            stored,
            shelf: vec![],
            pauses: Pauses::default(),
            history,
            audit: vec![],
            batch_tag: "sqai-b-1".into(),
            is_tagged: true,
            now: NOW,
        }
    }

    fn fresh() -> BatchRecord {
        let keys = ["TC-1".to_owned(), "TC-2".to_owned(), "#3".to_owned()];
        let fresh = BatchRecord::fresh("acme/b-1".parse().unwrap(), "1:0123".into(), keys);
        BatchRecord { first_seen_at: NOW - 700_000, ..fresh }
    }

    fn claimed() -> BatchRecord {
        let mut record = fresh();
        let open = OpenPush { id: "p".into(), connection: "v".into(), batch_tag: None, committed: false };
        let target = Target { account: "https://acme.testmo.net".into(), project: 3, folder: 428 };
        record.claim(&[0, 1, 2], open, &target);
        record
    }

    fn partial() -> BatchRecord {
        let mut record = claimed();
        let said = vec![FieldRefusal { field: "tags".into(), message: "invalid\u{1b}[2J".into() }];
        record.not_created(vec![(1, Refusal { reason: Reason::CaseRefused, said })]);
        record.created(&[(0, 3_721), (2, 3_722)]);
        record.duplicated(&[(2, 3_801)]);
        BatchRecord { state: BatchState::Partial, settled_at: Some(NOW - 600_000), ..record }
    }

    fn push(id: &str, ms_ago: i64, answer: Option<&str>, ids: Option<(u64, u64)>) -> PushRow {
        PushRow {
            id: id.into(),
            account: "https://acme.testmo.net".into(),
            project: 3,
            folder: 428,
            cases: 3,
            batches: 1,
            holder: "w1".into(),
            claimed_at: NOW - ms_ago,
            ended_at: answer.map(|_| NOW - ms_ago + 230),
            answer: answer.map(Into::into),
            detail: answer
                .filter(|answer| *answer == "422")
                .map(|_| "Testmo answered 422: tags: invalid\u{1b}[2J".into()),
            ids,
        }
    }

    fn event_row(event: &testmo_courier::batch::event::Event, ms_ago: i64, announced: bool) -> EventRow {
        EventRow {
            id: event.id.clone(),
            kind: event.kind.into(),
            body: event.body.clone(),
            created_at: NOW - ms_ago,
            sent_at: announced.then_some(NOW - ms_ago + 40),
        }
    }

    fn history() -> History {
        let record = partial();
        let waits = deferred(Waiting::of(&record), Reason::ServerError, None, None, NOW);
        let input = EventInput {
            source: &Source::default(),
            cases: &[],
            now: NOW,
            reason: Some(Reason::CaseRefused),
            detail: None,
            replay: None,
        };
        let settled = of_settlement(&record, &input).unwrap();
        History {
            pushes: vec![
                push("0123456789abcde0", 700_000, None, None),
                push("0123456789abcde1", 660_000, Some("422"), None),
                push("0123456789abcde2", 600_000, Some("timeout, adopted"), Some((3_721, 3_722))),
            ],
            events: vec![event_row(&waits, 690_000, true), event_row(&settled, 600_000, false)],
            entries: entries(),
            ..History::default()
        }
    }

    fn entries() -> Vec<HistoryEntry> {
        let found = Reconciliation { unknown: 2, adopted: 2, ..Reconciliation::default() };
        let wait = ShelvedUntil::After(std::time::Duration::ZERO);
        let parked = Happening::shelved(Reason::ServerError, Some("Testmo answered 503"), wait);
        vec![
            HistoryEntry {
                times: 12,
                last_at: NOW - 670_000,
                ..HistoryEntry::once(parked, NOW - 695_000, Some(NOW - 661_000))
            },
            HistoryEntry::once(Happening::Reconciled(found), NOW - 600_100, None),
            HistoryEntry::once(
                Happening::shelved(Reason::CaseRefused, None, ShelvedUntil::Person),
                NOW - 600_000,
                None,
            ),
        ]
    }

    fn stored(record: BatchRecord, lease_until: Option<i64>) -> Option<StoredBatch> {
        Some(StoredBatch { record, claimed_at: None, lease_until })
    }

    #[test]
    fn a_settled_batch_reads_like_this() {
        let details = details(stored(partial(), None), history());
        insta::assert_snapshot!(text(&details));
        insta::assert_snapshot!(serde_json::to_string_pretty(&BatchDetailsView::of(&details)).unwrap());
    }

    #[test]
    fn batches_in_other_states_read_like_this() {
        let pushes = vec![push("p", 1_000, None, None)];
        let under_way = details(stored(claimed(), Some(NOW + 1)), History { pushes, ..History::default() });
        let unclear = details(stored(claimed(), Some(NOW)), History::default());
        let pruned = BatchRecord { cases: vec![], targets: vec![], ..partial() };
        let pruned = details(stored(pruned, None), History::default());
        let holders = vec![Holder { worker: "w2".into(), until: NOW + 60_000 }];
        let waits = History { pushes: vec![], dropped: 7, holders, ..history() };
        let entries = waits.entries[..1].to_vec();
        let unsent = details(None, History { events: waits.events[..1].to_vec(), entries, ..waits });
        insta::assert_snapshot!([under_way, unclear, pruned, unsent].map(|details| text(&details)).join("\n----\n\n"));
    }
}

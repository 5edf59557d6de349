//! `batches show`: where are the cases of a batch, how did they get there, and what was told of it?

use clap::Args;
use serde_json::{Value, json};
use testmo_courier::batch::event::link;
use testmo_courier::batch::ledger::{BatchRecord, BatchState, CaseRecord, CaseState};
use testmo_courier::batch::{BatchKey, Reason};
use testmo_courier::store::history::{EventRow, History, PushRow};
use testmo_courier::store::ledger::StoredBatch;
use testmo_courier::store::shelf::{ShelfFilter, Shelved};
use testmo_courier::store::{LedgerStore, Store};

use super::super::failure::Failure;
use super::super::moment::{absolute, both, rfc3339};
use super::super::out::Out;
use super::super::shelf;
use super::super::table::{List, counted, facts};
use super::list;

/// The most entries of the shelf that are shown of one batch.
const MOST_ENTRIES: u32 = 20;

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

/// All that is known of a batch.
struct Known {
    key: BatchKey,
    stored: Option<StoredBatch>,
    shelf: Vec<Shelved>,
    history: History,
    now: i64,
}

pub(crate) async fn execute(arguments: &Arguments, store: &Store, out: &mut Out) -> Result<(), Failure> {
    let key = &arguments.batch;
    let (stored, now) = store.batch_at(key).await?;
    let filter =
        ShelfFilter { tenant: Some(key.tenant.clone()), batch: Some(key.batch.clone()), ..ShelfFilter::default() };
    let known = Known {
        key: key.clone(),
        stored,
        shelf: store.shelf(&filter, MOST_ENTRIES).await?,
        history: store.history(key).await?,
        now,
    };
    if known.stored.is_none() && known.shelf.is_empty() && known.history.events.is_empty() {
        return Err(Failure::finding(
            format!("no batch {key} is known: it was not received, or waits in the broker or with a worker"),
            "check the ids, as in `testmo-courier batches list`, and whether its publisher was told that it is stored",
        ));
    }
    if arguments.json { out.json(&known.object()) } else { out.text(&known.text()) }
}

impl Known {
    fn text(&self) -> String {
        let mut text = facts(&self.facts());
        if let Some(StoredBatch { record, .. }) = &self.stored {
            section(&mut text, "cases", &self.cases(record));
        }
        section(&mut text, "pushes", &self.pushes());
        section(&mut text, "settlements", &self.settlements());
        section(&mut text, "events", &self.events());
        section(&mut text, "shelf", &self.shelved());
        text
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut told = vec![("batch", self.key.to_string())];
        let Some(StoredBatch { record, .. }) = &self.stored else {
            told.push(("state", "nothing of it was sent yet".into()));
            return told;
        };
        told.push(("state", record.state.name().into()));
        told.push(("revision", record.revision.to_string()));
        told.push(("first sent", both(record.first_seen_at, self.now)));
        told.extend(record.settled_at.map(|at| ("settled", both(at, self.now))));
        told.extend(record.target().map(|target| {
            ("target", format!("{}, project {}, folder {}", target.account, target.project, target.folder))
        }));
        told.push(("fingerprint", record.fingerprint.clone()));
        if is_pruned(record) {
            told.push(("pruned", "what its cases and pushes were is not kept any more".into()));
        }
        told
    }

    fn cases(&self, record: &BatchRecord) -> List {
        let mut list = List::new(&["case", "state", "id", "link or reason", "there once more"]);
        for (index, case) in record.cases.iter().enumerate() {
            let id = id_of(&case.state);
            let place = id.and_then(|id| link(record, index, id)).or_else(|| reason_of(case));
            list.add(vec![
                case.key.clone(),
                self.word_of(record, index).into(),
                id.map(|id| id.to_string()).unwrap_or_default(),
                place.unwrap_or_default(),
                case.duplicates.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
            ]);
        }
        list
    }

    /// The word for a case's state; those of events where there is one.
    fn word_of(&self, record: &BatchRecord, index: usize) -> &'static str {
        let case = &record.cases[index];
        let leased = self.stored.as_ref().and_then(|stored| stored.lease_until).is_some_and(|until| until > self.now);
        match case.state {
            CaseState::Waiting if record.state != BatchState::Open && !case.doubt => "not_sent",
            CaseState::Waiting if !case.doubt => "waiting",
            CaseState::Claimed if leased => "being_sent",
            CaseState::Created(_) => "created",
            CaseState::Adopted(_) => "adopted",
            CaseState::Refused(_) => "refused",
            CaseState::Waiting | CaseState::Claimed | CaseState::Lost => "unclear",
        }
    }

    fn pushes(&self) -> List {
        let mut list = List::new(&["push", "sent", "known after", "cases", "answer", "ids"]);
        for push in &self.history.pushes {
            list.add(vec![
                // The first digits are the time.
                push.id.chars().skip(push.id.chars().count().saturating_sub(8)).collect(),
                absolute(push.claimed_at),
                push.ended_at.map(|at| format!("{} ms", at - push.claimed_at)).unwrap_or_default(),
                push.cases.to_string(),
                push.answer.clone().unwrap_or_else(|| "not known".into()),
                push.ids.map(|(first, last)| format!("{first} to {last}")).unwrap_or_default(),
            ]);
        }
        list
    }

    fn settlements(&self) -> List {
        let mut list = List::new(&["revision", "settled", "outcome", "cases"]);
        for (event, settled) in self.history.events.iter().filter_map(settlement) {
            list.add(vec![
                settled["revision"].to_string(),
                absolute(event.created_at),
                settled["outcome"].as_str().unwrap_or_default().into(),
                tally(&settled),
            ]);
        }
        list
    }

    fn events(&self) -> List {
        let mut list = List::new(&["event", "stored", "announced", "type"]);
        for event in &self.history.events {
            list.add(vec![
                event.id.clone(),
                absolute(event.created_at),
                event.sent_at.map_or_else(|| "not yet".into(), absolute),
                event.kind.clone(),
            ]);
        }
        list
    }

    fn shelved(&self) -> List {
        let mut list = List::new(&["id", "state", "reason", "comes back"]);
        for entry in &self.shelf {
            list.add(vec![
                entry.id.to_string(),
                entry.state.name().into(),
                entry.content.reason.to_string(),
                shelf::due(entry, self.now),
            ]);
        }
        list
    }

    fn object(&self) -> Value {
        let mut value = match &self.stored {
            Some(StoredBatch { record, .. }) => {
                let mut value = list::object(record);
                value["fingerprint"] = json!(record.fingerprint);
                value["pruned"] = json!(is_pruned(record));
                value["cases"] = (0..record.cases.len()).map(|index| self.case_object(record, index)).collect();
                value
            }
            None => json!({"tenant_id": self.key.tenant.as_str(), "batch_id": self.key.batch.as_str(), "state": null}),
        };
        value["pushes"] = self.history.pushes.iter().map(push_object).collect();
        value["settlements"] = self.history.events.iter().filter_map(settlement).map(settlement_object).collect();
        value["events"] = self.history.events.iter().map(event_object).collect();
        value["shelf"] = self.shelf.iter().map(|entry| shelf::object(entry, self.now)).collect();
        value
    }

    fn case_object(&self, record: &BatchRecord, index: usize) -> Value {
        let case = &record.cases[index];
        let id = id_of(&case.state);
        json!({
            "key": case.key,
            "state": self.word_of(record, index),
            "testmo_id": id,
            "link": id.and_then(|id| link(record, index, id)),
            "reason": reason_of(case),
            "duplicate_ids": case.duplicates,
        })
    }
}

/// Appends a list under its heading, unless it is empty.
fn section(text: &mut String, heading: &str, list: &List) {
    if list.is_empty() {
        return;
    }
    text.push_str(&format!("\n{heading}\n"));
    text.extend(list.columns().iter().map(|line| format!("  {line}\n")));
}

/// Only what was settled is pruned, and no batch has no case.
fn is_pruned(record: &BatchRecord) -> bool {
    record.cases.is_empty()
}

fn id_of(state: &CaseState) -> Option<u64> {
    match state {
        CaseState::Created(id) | CaseState::Adopted(id) => Some(*id),
        CaseState::Waiting | CaseState::Claimed | CaseState::Refused(_) | CaseState::Lost => None,
    }
}

/// Why a case was refused, with Testmo's words.
fn reason_of(case: &CaseRecord) -> Option<String> {
    if let Some(status) = case.rejected_unclear() {
        return Some(format!("{}; Testmo answered {status}", Reason::RejectedUnclear));
    }
    let CaseState::Refused(refusal) = &case.state else { return None };
    let said = refusal.said.iter().map(|said| format!("; {}: {}", said.field, said.message));
    Some(refusal.reason.to_string() + &said.collect::<String>())
}

/// What an event says of a settlement, if it is about one.
fn settlement(event: &EventRow) -> Option<(&EventRow, Value)> {
    let mut body: Value = serde_json::from_str(&event.body).ok()?;
    let settled = body["data"].take();
    settled["revision"].is_u64().then_some((event, settled)).filter(|(_, settled)| settled["outcome"].is_string())
}

/// How many cases of a settlement had which outcome, in the order in which these occur.
fn tally(settled: &Value) -> String {
    let mut tally: Vec<(&str, usize)> = Vec::new();
    for outcome in settled["cases"].as_array().into_iter().flatten().filter_map(|case| case["outcome"].as_str()) {
        match tally.iter_mut().find(|(word, _)| *word == outcome) {
            Some((_, count)) => *count += 1,
            None => tally.push((outcome, 1)),
        }
    }
    tally.into_iter().map(|(word, count)| counted(count, word, word)).collect::<Vec<_>>().join(", ")
}

fn push_object(push: &PushRow) -> Value {
    json!({
        "id": push.id,
        "account": push.account,
        "project": push.project,
        "folder": push.folder,
        "cases": push.cases,
        "holder": push.holder,
        "claimed_at": rfc3339(push.claimed_at),
        "ended_at": push.ended_at.and_then(rfc3339),
        "answer": push.answer,
        "first_id": push.ids.map(|ids| ids.0),
        "last_id": push.ids.map(|ids| ids.1),
    })
}

fn settlement_object((event, settled): (&EventRow, Value)) -> Value {
    json!({
        "revision": settled["revision"],
        "outcome": settled["outcome"],
        "settled_at": rfc3339(event.created_at),
        "event": event.id,
    })
}

fn event_object(event: &EventRow) -> Value {
    json!({
        "id": event.id,
        "type": event.kind,
        "stored_at": rfc3339(event.created_at),
        "announced_at": event.sent_at.and_then(rfc3339),
    })
}

#[cfg(test)]
mod tests {
    use testmo_courier::batch::Reason;
    use testmo_courier::batch::event::{Telling, deferred, of_settlement};
    use testmo_courier::batch::ledger::{OpenPush, Refusal, Target};
    use testmo_courier::batch::message::Source;
    use testmo_courier::batch::verdict::answer::FieldRefusal;

    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn known(stored: Option<StoredBatch>, history: History) -> Known {
        Known { key: "acme/b-1".parse().unwrap(), stored, shelf: vec![], history, now: NOW }
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
            holder: "w1".into(),
            claimed_at: NOW - ms_ago,
            ended_at: answer.map(|_| NOW - ms_ago + 230),
            answer: answer.map(Into::into),
            ids,
        }
    }

    fn told(event: &testmo_courier::batch::event::Event, ms_ago: i64, announced: bool) -> EventRow {
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
        let waits = deferred(&record, Reason::ServerError, None, None, NOW);
        let telling = Telling { source: &Source::default(), now: NOW, reason: Some(Reason::CaseRefused), detail: None };
        let settled = of_settlement(&record, &telling).unwrap();
        History {
            pushes: vec![
                push("0123456789abcde0", 700_000, None, None),
                push("0123456789abcde1", 660_000, Some("422"), None),
                push("0123456789abcde2", 600_000, Some("timeout, adopted"), Some((3_721, 3_722))),
            ],
            events: vec![told(&waits, 690_000, true), told(&settled, 600_000, false)],
        }
    }

    fn stored(record: BatchRecord, lease_until: Option<i64>) -> Option<StoredBatch> {
        Some(StoredBatch { record, claimed_at: None, lease_until })
    }

    #[test]
    fn a_settled_batch_reads_like_this() {
        let known = known(stored(partial(), None), history());
        insta::assert_snapshot!(known.text());
        insta::assert_snapshot!(format!("{:#}", known.object()));
    }

    #[test]
    fn batches_in_other_states_read_like_this() {
        let pushes = vec![push("0123456789abcde0", 1_000, None, None)];
        let under_way = known(stored(claimed(), Some(NOW + 1)), History { pushes, ..History::default() });
        let in_doubt = known(stored(claimed(), Some(NOW)), History::default());
        let pruned = BatchRecord { cases: vec![], targets: vec![], ..partial() };
        let pruned = known(stored(pruned, None), History::default());
        let waits = History { pushes: vec![], ..history() };
        let unsent = known(None, History { events: waits.events[..1].to_vec(), ..waits });
        insta::assert_snapshot!([under_way, in_doubt, pruned, unsent].map(|known| known.text()).join("\n----\n\n"));
    }
}

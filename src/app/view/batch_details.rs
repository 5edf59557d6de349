//! Shows everything that is known of a batch to programs.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::super::batches::{BatchDetails, Settlement, dropped_link, links, settlements, testmo_id};
use super::super::time::rfc3339;
use super::shelf::ShelfEntryView;
use super::timeline::TimelineView;
use crate::batch::event::link;
use crate::batch::ledger::{BatchRecord, DroppedCase};
use crate::store::history::{EventRow, PushRow};

/// A batch with its cases, its create requests, its outcomes, its events and its entries on the shelf.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct BatchDetailsView {
    tenant_id: String,
    batch_id: String,
    state: Option<&'static str>,
    batch_tag: String,
    batch_tag_in_use: bool,
    #[serde(flatten)]
    record: Option<RecordView>,
    requests: Vec<RequestView>,
    outcomes: Vec<OutcomeView>,
    events: Vec<EventView>,
    shelf: Vec<ShelfEntryView>,
    timeline: TimelineView,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct RecordView {
    revision: u32,
    cases: Vec<CaseView>,
    dropped: Vec<DroppedView>,
    first_seen_at: Option<String>,
    finished_at: Option<String>,
    links: Vec<String>,
    published_at: Option<String>,
    taken_at: Option<String>,
    fingerprint: String,
    /// The trace that the message named, as 32 hexadecimal digits.
    trace_id: Option<String>,
    pruned: bool,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct CaseView {
    key: String,
    state: &'static str,
    testmo_id: Option<u64>,
    link: Option<String>,
    reason: Option<String>,
    duplicate_ids: Vec<u64>,
}

/// A case of the source that the batch does not have.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct DroppedView {
    testmo_id: u64,
    link: Option<String>,
    batch_id: Option<String>,
    change: &'static str,
    detail: &'static str,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct RequestView {
    id: String,
    account: String,
    project_id: u64,
    folder_id: u64,
    cases: u64,
    worker: String,
    claimed_at: Option<String>,
    ended_at: Option<String>,
    result: Option<String>,
    detail: Option<String>,
    first_id: Option<u64>,
    last_id: Option<u64>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct OutcomeView {
    revision: u64,
    outcome: String,
    finished_at: Option<String>,
    event: String,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct EventView {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    stored_at: Option<String>,
    published_at: Option<String>,
}

/// An event about a batch with its content.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct BatchEventView {
    #[serde(flatten)]
    event: EventView,
    /// The event as it is published; see the schemas of events.
    content: Value,
}

impl BatchEventView {
    /// Shows an event.
    pub fn of(event: &EventRow) -> Self {
        Self { event: EventView::of(event), content: serde_json::from_str(&event.body).unwrap_or(Value::Null) }
    }
}

impl BatchDetailsView {
    /// Shows a batch.
    pub fn of(details: &BatchDetails) -> Self {
        let record = details.record();
        Self {
            tenant_id: details.key.tenant.to_string(),
            batch_id: details.key.batch.as_str().to_owned(),
            state: record.map(|record| record.state.name()),
            batch_tag: details.batch_tag.clone(),
            batch_tag_in_use: details.is_tagged,
            record: record.map(|record| RecordView::of(details, record)),
            requests: details.history.pushes.iter().map(RequestView::of).collect(),
            outcomes: settlements(&details.history.events).map(OutcomeView::of).collect(),
            events: details.history.events.iter().map(EventView::of).collect(),
            shelf: details.shelf.iter().map(|entry| ShelfEntryView::of(entry, &details.pauses, details.now)).collect(),
            timeline: TimelineView::of(details),
        }
    }
}

impl RecordView {
    fn of(details: &BatchDetails, record: &BatchRecord) -> Self {
        Self {
            revision: record.revision,
            cases: (0..record.cases.len()).map(|index| CaseView::of(details, record, index)).collect(),
            dropped: record.dropped.cases.iter().map(|case| DroppedView::of(record, case)).collect(),
            first_seen_at: rfc3339(record.first_seen_at),
            finished_at: record.settled_at.and_then(rfc3339),
            links: links(record).collect(),
            published_at: record.published_at.and_then(rfc3339),
            taken_at: record.arrived_at.and_then(rfc3339),
            fingerprint: record.fingerprint.clone(),
            trace_id: record.trace.as_ref().map(|trace| trace.trace_id().to_string()),
            pruned: BatchDetails::is_pruned(record),
        }
    }
}

impl CaseView {
    fn of(details: &BatchDetails, record: &BatchRecord, index: usize) -> Self {
        let case = &record.cases[index];
        let id = testmo_id(case);
        Self {
            key: case.key.clone(),
            state: details.case_state(record, case),
            testmo_id: id,
            link: id.and_then(|id| link(record, index, id)),
            reason: BatchDetails::remark(case),
            duplicate_ids: case.duplicates.clone(),
        }
    }
}

impl DroppedView {
    fn of(record: &BatchRecord, case: &DroppedCase) -> Self {
        Self {
            testmo_id: case.id,
            link: dropped_link(record, case),
            batch_id: case.batch.clone(),
            change: case.change.word(),
            detail: BatchDetails::removal(case),
        }
    }
}

impl RequestView {
    fn of(push: &PushRow) -> Self {
        Self {
            id: push.id.clone(),
            account: push.account.clone(),
            project_id: push.project,
            folder_id: push.folder,
            cases: push.cases,
            worker: push.holder.clone(),
            claimed_at: rfc3339(push.claimed_at),
            ended_at: push.ended_at.and_then(rfc3339),
            result: push.answer.clone(),
            detail: push.detail.clone(),
            first_id: push.ids.map(|(first, _)| first),
            last_id: push.ids.map(|(_, last)| last),
        }
    }
}

impl OutcomeView {
    fn of(settlement: Settlement) -> Self {
        let Settlement { revision, outcome, settled_at, event, .. } = settlement;
        Self { revision, outcome, finished_at: rfc3339(settled_at), event }
    }
}

impl EventView {
    fn of(event: &EventRow) -> Self {
        Self {
            id: event.id.clone(),
            kind: event.kind.clone(),
            stored_at: rfc3339(event.created_at),
            published_at: event.sent_at.and_then(rfc3339),
        }
    }
}

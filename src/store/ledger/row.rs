//! Turns the record of a batch into a row.

use serde::Serialize;

use super::super::sql::Kind;
use super::RecordUpdate;
use crate::trace::TraceContext;

pub(super) const BATCH_COLUMNS: [(&str, Kind); 23] = [
    ("tenant_id", Kind::Text),
    ("batch_id", Kind::Text),
    ("fingerprint", Kind::Text),
    ("edited_from", Kind::Text),
    ("state", Kind::Text),
    ("revision", Kind::Int),
    ("epoch", Kind::Int),
    ("from_epoch", Kind::Int),
    ("source", Kind::Text),
    ("replaced", Kind::Text),
    ("targets", Kind::Text),
    ("cases", Kind::Text),
    ("dropped", Kind::Text),
    ("open_push", Kind::Text),
    ("doubt_since", Kind::Int),
    ("late_since", Kind::Int),
    ("floor", Kind::Int),
    ("settled_at", Kind::Int),
    ("lease_until", Kind::Int),
    ("published_at", Kind::Int),
    ("arrived_at", Kind::Int),
    ("restores", Kind::Int),
    ("trace", Kind::Text),
];

#[derive(Serialize)]
pub(super) struct BatchRow<'a> {
    tenant_id: &'a str,
    batch_id: &'a str,
    fingerprint: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    edited_from: Option<String>,
    state: &'static str,
    revision: u32,
    epoch: u64,
    from_epoch: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced: Option<&'a str>,
    targets: String,
    cases: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<String>,
    open_push: Option<String>,
    doubt_since: Option<i64>,
    late_since: Option<i64>,
    floor: Option<u64>,
    settled_at: Option<i64>,
    lease_until: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    published_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arrived_at: Option<i64>,
    restores: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
}

impl<'a> BatchRow<'a> {
    /// The order in which rows are stored, so that replicas which store the same ones wait for each other in it.
    pub(super) fn order(&self) -> (&'a str, &'a str) {
        (self.tenant_id, self.batch_id)
    }

    /// The same with another floor.
    pub(super) fn above(self, floor: Option<u64>) -> Self {
        Self { floor, ..self }
    }

    pub(super) fn of(update: &'a RecordUpdate, lease_until: Option<i64>) -> Self {
        let record = &update.record;
        Self {
            tenant_id: record.key.tenant.as_str(),
            batch_id: record.key.batch.as_str(),
            fingerprint: &record.fingerprint,
            edited_from: (!record.earlier.is_empty()).then(|| text(&record.earlier)),
            state: record.state.name(),
            revision: record.revision,
            epoch: record.epoch,
            from_epoch: update.from_epoch,
            source: record.source.as_deref(),
            replaced: record.replaced.as_deref(),
            targets: text(&record.targets),
            cases: text(&record.cases),
            dropped: (!record.dropped.is_empty()).then(|| text(&record.dropped)),
            open_push: record.open_push.as_ref().map(text),
            doubt_since: record.unclear_since,
            late_since: record.late_since,
            floor: record.floor,
            settled_at: record.settled_at,
            lease_until,
            // They are stored with the first claim, and stay.
            published_at: record.published_at.filter(|_| update.from_epoch == 0),
            arrived_at: record.arrived_at.filter(|_| update.from_epoch == 0),
            restores: record.restores,
            trace: record.trace.as_ref().filter(|_| update.from_epoch == 0).map(TraceContext::stored),
        }
    }
}

fn text(of: &impl Serialize) -> String {
    crate::batch::json_of(of)
}

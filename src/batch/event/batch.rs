//! Builds the events about the outcome of a batch, and about one that waits for long.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::batch::BatchKey;
use crate::batch::event::bounded::{cut_left_out, cut_said};
use crate::batch::event::case_input::{CaseFolder, CaseInput, folder};
use crate::batch::event::dropped::DroppedEntry;
use crate::batch::event::previous::{Previous, address};
use crate::batch::event::repeated::Repeated;
use crate::batch::event::{
    DEFERRED, DELIVERED, Event, FAILED, MOMENT, PARTIALLY_DELIVERED, UNDONE, Why, event, event_id,
};
use crate::batch::ledger::{BatchRecord, BatchState, CaseState};
use crate::batch::message::text::excerpt;
use crate::batch::message::{Source, key_by_position};
use crate::batch::render::left_out::LeftOut;
use crate::batch::verdict::answer::FieldRefusal;
use crate::batch::verdict::reason::Reason;
use crate::trace::TraceContext;

/// The most characters of a case's name in an event.
const LONGEST_NAME: usize = 200;
/// The most characters of a case's label in an event.
const LONGEST_LABEL: usize = 64;

/// The event data of a finished batch.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Settled {
    /// The tenant that the batch belongs to.
    pub tenant_id: String,
    /// The id of the batch within the tenant.
    pub batch_id: String,
    /// The number of the batch's outcome: 1 for the first, one more after each replay or discard, so that numbers may be
    /// missing. Of two events of a batch the one with the higher revision is newer.
    pub revision: u32,
    /// The outcome of the batch.
    pub outcome: Outcome,
    /// The number of the replay that led to this outcome; absent if none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<i64>,
    /// The source of the batch.
    pub source: Source,
    /// The cases of the batch, in order.
    pub cases: Vec<SettledCase>,
    /// The cases in Testmo that earlier batches of the source wrote and that this batch does not have, with what was done with
    /// them; absent if there are none, or if the batch does not update cases.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub dropped: Vec<DroppedEntry>,
    /// Whether there are more than 1,000 of them, so that the others are left to a later batch of the source; absent if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(default)]
    pub dropped_more: bool,
    /// Whether parts of what Testmo reported about the cases, or of what was left out of them, are missing, because the
    /// event would have become too large; absent if the event is whole.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(default)]
    pub details_cut: bool,
    /// Why some cases did not arrive; absent if all arrived.
    #[serde(flatten)]
    pub why: Option<Why>,
}

/// The outcome of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every case is in Testmo.
    Delivered,
    /// Some cases are in Testmo; the others will not be created.
    Partial,
    /// No case is in Testmo.
    Failed,
    /// A person discarded the batch.
    Discarded,
    /// A person had the cases of the batch removed.
    Undone,
}

/// The outcome of one case.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SettledCase {
    /// The position of the case in the batch, from 1.
    pub position: usize,
    /// What people call the case: its `external_id` or, without one, `#` and its position; at most 64 characters.
    pub label: String,
    /// The name of the case, at most 200 characters; absent if the worker does not hold it any more or cannot read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The generator's own id of the case, if the generator gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The outcome of the case.
    pub outcome: CaseOutcome,
    /// The id of the case in Testmo, if the case is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub testmo_id: Option<u64>,
    /// The address of the case in Testmo's web pages, if the case is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The folder of the case, if the case is in Testmo and requests another folder than its batch; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<CaseFolder>,
    /// The case that an earlier batch wrote into the same project for the same source key and external id; absent if none
    /// is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    /// What was done with the case of an earlier batch that this case stands for; absent if there is none, or if the batch
    /// creates such cases again.
    #[serde(flatten)]
    pub repeated: Option<Repeated>,
    /// The parts of the case that were not sent to Testmo although the case was; absent if nothing was left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub left_out: Vec<LeftOut>,
    /// Why the case was refused or needs a person's decision; absent otherwise.
    #[serde(flatten)]
    pub refused: Option<Refused>,
}

/// The outcome of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CaseOutcome {
    /// The case is in Testmo.
    Created,
    /// The case is in Testmo: reconciliation found it there after a response was lost.
    Adopted,
    /// An earlier batch wrote the case, and this batch creates none: `change` says what was done with the case that exists.
    Repeated,
    /// Testmo refused the case, or the worker did because the case breaks the contract; it is not sent again.
    Refused,
    /// The case may have been created: the outcome of its request is unknown, and the case was not found in Testmo or
    /// is not reconciled any more.
    Unclear,
    /// The case was never sent.
    NotSent,
}

/// Why a case was refused or needs a person's decision.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Refused {
    /// The reason, as a word that does not change; see docs/reasons.md.
    pub reason: Reason,
    /// What to do, as a text for people.
    pub remedy: &'static str,
    /// What Testmo reported about each field, in Testmo's words. For `case_invalid`: the JSON pointer of each fault in
    /// the message, with what is wrong there and how to fix it; with more than 3 faults the last entry says how many
    /// are not listed.
    pub said: Vec<FieldRefusal>,
}

/// The event data of a batch that is expected to wait for more than 5 minutes; published once for each revision, and once
/// more if the tenant still has no connection a day later.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Deferred {
    /// The tenant that the batch belongs to.
    pub tenant_id: String,
    /// The id of the batch within the tenant.
    pub batch_id: String,
    /// The number of the outcome that is still to come; an event of this or a higher revision about the outcome is newer.
    pub revision: u32,
    /// What the batch waits for.
    #[serde(flatten)]
    pub why: Why,
    /// When the batch is expected to be tried again, as RFC 3339; absent if the time is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time", "pattern" = MOMENT))]
    pub expected_until: Option<String>,
}

/// The parts of a finished batch's event that are not in its record.
#[derive(Clone, Copy, Debug)]
pub struct EventInput<'a> {
    /// The source of the batch.
    pub source: &'a Source,
    /// What is known of its cases, in order; empty if that is nothing.
    pub cases: &'a [CaseInput<'a>],
    /// The time of the event, in milliseconds since 1970-01-01 UTC.
    pub now: i64,
    /// Why some cases did not arrive.
    pub reason: Option<Reason>,
    /// Details about the reason.
    pub detail: Option<&'a str>,
    /// The number of the replay that led to the outcome.
    pub replay: Option<i64>,
}

/// Returns the event of a finished batch; `None` while the batch is open, and of a batch that was taken back, which has
/// [`undone`](super::undone()).
pub fn of_settlement(record: &BatchRecord, input: &EventInput<'_>) -> Option<Event> {
    let (kind, outcome) = end_of(record.state).filter(|(kind, _)| *kind != UNDONE)?;
    let (tenant, batch) = (&record.key.tenant, &record.key.batch);
    let described = |index| case(record, index, input.cases.get(index).copied());
    let mut cases: Vec<SettledCase> = (0..record.cases.len()).map(described).collect();
    let said_cut = cut_said(cases.iter_mut().filter_map(|case| Some(&mut case.refused.as_mut()?.said)).collect());
    let details_cut = cut_left_out(cases.iter_mut().map(|case| &mut case.left_out)) || said_cut;
    let data = Settled {
        tenant_id: tenant.to_string(),
        batch_id: batch.to_string(),
        revision: record.revision,
        outcome,
        replay: input.replay,
        source: input.source.clone(),
        cases,
        dropped: record.dropped.cases.iter().map(|case| DroppedEntry::of(record, case)).collect(),
        dropped_more: record.dropped.more,
        details_cut,
        why: input.reason.map(|reason| Why::new(reason, input.detail)),
    };
    Some(event(settlement_id(record)?, kind, Some(tenant), Some(batch), record.trace.as_ref(), data, input.now))
}

/// Returns the id of the event of a finished batch; `None` while the batch is open.
pub fn settlement_id(record: &BatchRecord) -> Option<String> {
    let (kind, _) = end_of(record.state)?;
    let (tenant, batch) = (&record.key.tenant, &record.key.batch);
    Some(event_id(&[tenant.as_str(), batch.as_str(), &record.revision.to_string(), kind]))
}

fn end_of(state: BatchState) -> Option<(&'static str, Outcome)> {
    match state {
        BatchState::Open => None,
        BatchState::Delivered => Some((DELIVERED, Outcome::Delivered)),
        BatchState::Partial => Some((PARTIALLY_DELIVERED, Outcome::Partial)),
        BatchState::Failed => Some((FAILED, Outcome::Failed)),
        BatchState::Discarded => Some((FAILED, Outcome::Discarded)),
        BatchState::Undone => Some((UNDONE, Outcome::Undone)),
    }
}

/// A batch that waits for long.
#[derive(Clone, Copy, Debug)]
pub struct Waiting<'a> {
    /// The batch.
    pub key: &'a BatchKey,
    /// The number of the outcome that is still to come.
    pub revision: u32,
    /// The trace of the batch.
    pub trace: Option<&'a TraceContext>,
}

impl<'a> Waiting<'a> {
    /// Names the batch of a record.
    pub fn of(record: &'a BatchRecord) -> Self {
        Self { key: &record.key, revision: record.revision, trace: record.trace.as_ref() }
    }
}

/// Returns the event of a batch that waits for long; the id is the same for every delay of one revision.
/// `expected_until` and `now` are in milliseconds since 1970-01-01 UTC.
pub fn deferred(
    batch: Waiting<'_>,
    reason: Reason,
    detail: Option<&str>,
    expected_until: Option<i64>,
    now: i64,
) -> Event {
    deferral(batch, &[], Why::new(reason, detail), expected_until, now)
}

/// Returns the event of a batch that still waits a day later; the id is the same however often that is reported.
pub fn still_deferred(batch: Waiting<'_>, reason: Reason, detail: Option<&str>, now: i64) -> Event {
    deferral(batch, &["again"], Why::new(reason, detail), None, now)
}

/// Returns the event of a delay; `which` tells it from other delays of the revision.
fn deferral(
    Waiting { key, revision, trace }: Waiting<'_>,
    which: &[&str],
    why: Why,
    expected_until: Option<i64>,
    now: i64,
) -> Event {
    let BatchKey { tenant, batch } = key;
    let until = expected_until.and_then(|at| Timestamp::from_millisecond(at).ok());
    let data = Deferred {
        tenant_id: tenant.to_string(),
        batch_id: batch.to_string(),
        revision,
        why,
        expected_until: until.map(|at| at.to_string()),
    };
    let id = event_id(&[&[tenant.as_str(), batch.as_str(), &revision.to_string(), DEFERRED], which].concat());
    event(id, DEFERRED, Some(tenant), Some(batch), trace, data, now)
}

fn case(record: &BatchRecord, index: usize, input: Option<CaseInput<'_>>) -> SettledCase {
    let case = &record.cases[index];
    let (outcome, id) = match &case.state {
        CaseState::Created(id) => (CaseOutcome::Created, Some(*id)),
        CaseState::Adopted(id) => (CaseOutcome::Adopted, Some(*id)),
        CaseState::Repeated(_) if case.is_writing() => (CaseOutcome::Unclear, case.repeated_id()),
        CaseState::Repeated(_) => (CaseOutcome::Repeated, case.repeated_id()),
        CaseState::Refused(_) => (CaseOutcome::Refused, None),
        CaseState::Lost | CaseState::Claimed => (CaseOutcome::Unclear, None),
        CaseState::Waiting if case.unclear => (CaseOutcome::Unclear, None),
        CaseState::Waiting => (CaseOutcome::NotSent, None),
    };
    let refused = match &case.state {
        CaseState::Lost => case.rejected_unclear().map(|status| Refused {
            reason: Reason::RejectedUnclear,
            remedy: Reason::RejectedUnclear.remedy(),
            said: vec![FieldRefusal { field: String::new(), message: format!("Testmo answered {status}") }],
        }),
        CaseState::Refused(refusal) => {
            Some(Refused { reason: refusal.reason, remedy: refusal.reason.remedy(), said: refusal.said.clone() })
        }
        CaseState::Created(_)
        | CaseState::Adopted(_)
        | CaseState::Repeated(_)
        | CaseState::Waiting
        | CaseState::Claimed => None,
    };
    SettledCase {
        position: index + 1,
        label: label(&case.key),
        name: input.filter(|input| !input.name.is_empty()).map(|input| excerpt(input.name, LONGEST_NAME)),
        external_id: Some(case.key.clone()).filter(|key| *key != key_by_position(index)),
        outcome,
        testmo_id: id,
        link: id.and_then(|id| link(record, index, id)),
        folder: id.and_then(|_| folder(record, index, input?.path?)),
        previous: case.previous.as_ref().map(|previous| Previous::of(record, index, previous)),
        repeated: Repeated::of(case),
        left_out: input.filter(|_| id.is_some()).map(|input| input.left_out.to_vec()).unwrap_or_default(),
        refused,
    }
}

/// Returns what people call a case, from its key.
pub(super) fn label(key: &str) -> String {
    excerpt(key, LONGEST_LABEL)
}

/// Returns the address of a case in Testmo's web pages; its form is known from third-party clients.
pub fn link(record: &BatchRecord, index: usize, id: u64) -> Option<String> {
    let case = &record.cases[index];
    let target = record.targets.get(case.target)?;
    let written_to = case.previous.as_ref().filter(|_| case.repeated_id() == Some(id)).map(|previous| previous.folder);
    Some(address(target, written_to.unwrap_or(target.folder), id))
}

#[cfg(test)]
mod tests;

//! Shows what happened to a batch, in order: to programs as fields, and to people as a sentence each.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::batches::{BatchDetails, link};
use super::super::batches::{Happening, Moment, Reconciliation, Request, Timeline, UnderWay, WaitsFor, What};
use super::super::plural::counted;
use super::super::time::{absolute, relative, rfc3339};
use crate::batch::Reason;
pub use crate::batch::event::{Certainty, OverwrittenEdit};
use crate::batch::ledger::{BatchRecord, CaseState};

/// The beginning of the type of every event.
const EVENTS: &str = "com.sqai-suite.testmo.";
/// The number of digits by which people name a request: the last ones, as the first ones are the time.
const SHORT: usize = 8;

/// What happened to a batch, and what is being done for it now.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TimelineView {
    /// What happened, the first thing first.
    pub entries: Vec<TimelineEntryView>,
    /// How many waits, retries and reconciliations are no longer kept.
    pub dropped_entries: u64,
    /// What is being done now.
    pub under_way: Vec<UnderWayView>,
}

/// Something that happened once or several times.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TimelineEntryView {
    /// When it happened first.
    pub at: Option<String>,
    /// How far that is from now, in words.
    pub age: String,
    /// How often it happened.
    pub times: u32,
    /// When it happened last.
    pub last_at: Option<String>,
    /// What kind of thing it is.
    pub kind: &'static str,
    /// What happened, for people.
    pub text: String,
    /// More about that, in the words of Testmo, of the network or of a person.
    pub detail: Option<String>,
    /// The reason of a wait or a retry.
    pub reason: Option<Reason>,
    /// Until when it waited the last time.
    pub until: Option<String>,
    /// The id of the request.
    pub request: Option<String>,
    /// The id of the event.
    pub event: Option<String>,
    /// Who did it.
    pub actor: Option<String>,
    /// Cases in Testmo that may be those which were not found.
    pub candidates: Vec<CandidateView>,
    /// Edits by people that were overwritten, or may have been.
    pub overwritten: Vec<OverwrittenEdit>,
}

/// A case in Testmo that may be one which was not found.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CandidateView {
    /// Its id.
    pub testmo_id: u64,
    /// Its address.
    pub link: Option<String>,
}

/// Something that is being done now.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct UnderWayView {
    /// What kind of thing it is.
    pub kind: &'static str,
    /// What is being done, for people.
    pub text: String,
    /// Since when, where known.
    pub since: Option<String>,
    /// The worker, where known.
    pub worker: Option<String>,
    /// Until when the batch is the worker's.
    pub until: Option<String>,
    /// The id of the request.
    pub request: Option<String>,
}

impl TimelineView {
    /// Shows what happened to a batch.
    pub fn of(details: &BatchDetails) -> Self {
        let timeline = Timeline::of(details);
        Self {
            entries: timeline.moments.iter().map(|moment| TimelineEntryView::of(moment, details)).collect(),
            dropped_entries: timeline.dropped,
            under_way: timeline.under_way.iter().map(|under_way| UnderWayView::of(under_way, details.now)).collect(),
        }
    }
}

impl TimelineEntryView {
    fn of(moment: &Moment, details: &BatchDetails) -> Self {
        let mut view = Self {
            at: rfc3339(moment.at),
            age: relative(moment.at, details.now),
            times: moment.times,
            last_at: rfc3339(moment.last_at),
            kind: kind(&moment.what),
            text: String::new(),
            detail: None,
            reason: None,
            until: None,
            request: None,
            event: None,
            actor: None,
            candidates: Vec::new(),
            overwritten: Vec::new(),
        };
        view.describe(&moment.what, details);
        if moment.times > 1 {
            view.text += &format!(" ({} times, last {})", moment.times, absolute(moment.last_at));
        }
        view
    }

    fn describe(&mut self, what: &What, details: &BatchDetails) {
        match what {
            What::Published => self.text = "published".into(),
            What::Taken => self.text = "taken by a worker".into(),
            What::Acted(row) => {
                self.text = format!("{} ({}): {} {}", row.actor, row.face.replace('_', " "), row.action, row.subject);
                (self.actor, self.detail) = (Some(row.actor.clone()), row.reason.clone());
            }
            What::Requested(request) => {
                self.text = request_text(request);
                (self.request, self.detail) = (Some(request.id.clone()), request.detail.clone());
            }
            What::Happened(happening, until) => self.describe_happening(happening, *until, details),
            What::Finished(settlement) => {
                let cases = settlement.cases.iter().map(|(outcome, count)| format!("{count} {outcome}"));
                let cases = cases.collect::<Vec<_>>().join(", ");
                self.text = format!("outcome {}: {}", settlement.revision, settlement.outcome);
                self.text += &if cases.is_empty() { String::new() } else { format!("; {cases}") };
                self.event = Some(settlement.event.clone());
            }
            What::EventStored(id, kind) => {
                self.text = format!("event {} stored: {id}", short_kind(kind));
                self.event = Some(id.clone());
            }
            What::EventConfirmed(id, kind) => {
                self.text = format!("event {} confirmed by the broker: {id}", short_kind(kind));
                self.event = Some(id.clone());
            }
        }
    }

    fn describe_happening(&mut self, happening: &Happening, until: Option<i64>, details: &BatchDetails) {
        self.until = until.and_then(rfc3339);
        let end =
            until.map_or_else(String::new, |at| format!(" until {} ({})", absolute(at), relative(at, details.now)));
        match happening {
            Happening::Shelved { reason, detail, waits_for } => {
                self.text = match waits_for {
                    WaitsFor::Time => format!("parked as {reason}{end}"),
                    WaitsFor::Connection => format!("parked as {reason} until its connection works"),
                    WaitsFor::Person => format!("dead as {reason}: waits for a person"),
                };
                (self.reason, self.detail) = (Some(*reason), detail.clone());
            }
            Happening::Retried { reason, detail } => {
                self.text = format!("failed as {reason}; the worker waited{end} and tried again");
                (self.reason, self.detail) = (Some(*reason), detail.clone());
            }
            Happening::Reconciled(found) => {
                self.text = reconciliation_text(found);
                let of_record = |id| details.record().and_then(|record| link_of(record, id));
                let candidates = found.candidates.iter();
                self.candidates = candidates.map(|id| CandidateView { testmo_id: *id, link: of_record(*id) }).collect();
            }
            Happening::LateChecked { duplicates: 0 } => {
                self.text = "late-duplicate check: no case is in Testmo twice".into()
            }
            Happening::LateChecked { duplicates } => {
                let cases = counted(usize::try_from(*duplicates).unwrap_or(usize::MAX), "case is", "cases are");
                self.text = format!("late-duplicate check: {cases} in Testmo twice");
            }
            Happening::Overwritten(edits) => {
                let count = counted(edits.len(), "edit by a person was", "edits by people were");
                let possibly = if edits.iter().any(|edit| edit.is_certain) { "" } else { ", or may have been" };
                self.text = format!("{count} overwritten{possibly}");
                if let Some((record, target)) = details.record().and_then(|record| Some((record, record.target()?))) {
                    let place = (target.account.as_str(), target.project);
                    self.overwritten = edits.iter().map(|edit| OverwrittenEdit::of(record, place, edit)).collect();
                }
            }
        }
    }
}

/// Returns the word for a kind of moment.
fn kind(what: &What) -> &'static str {
    match what {
        What::Published => "published",
        What::Taken => "taken",
        What::Acted(_) => "action",
        What::Requested(_) => "request",
        What::Happened(Happening::Shelved { waits_for: WaitsFor::Person, .. }, _) => "dead",
        What::Happened(Happening::Shelved { .. }, _) => "parked",
        What::Happened(Happening::Retried { .. }, _) => "retry",
        What::Happened(Happening::Reconciled(_), _) => "reconciliation",
        What::Happened(Happening::LateChecked { .. }, _) => "late_duplicate_check",
        What::Happened(Happening::Overwritten(_), _) => "overwritten",
        What::Finished(_) => "outcome",
        What::EventStored(..) => "event_stored",
        What::EventConfirmed(..) => "event_confirmed",
    }
}

fn request_text(request: &Request) -> String {
    let whole = usize::try_from(request.cases).unwrap_or(usize::MAX);
    let cases = match (request.batches, request.own) {
        (..=1, _) => counted(whole, "case", "cases"),
        (_, Some(own)) => format!("{own} of {} (shared with other batches)", counted(whole, "case", "cases")),
        (batches, None) => format!("{} of {batches} batches", counted(whole, "case", "cases")),
    };
    let mut text = format!("request {}: {cases}; ", short(&request.id));
    match (&request.answer, request.took) {
        (Some(answer), Some(took)) => text += &format!("answer {answer} after {took} ms"),
        (Some(answer), None) => text += &format!("answer {answer}"),
        (None, _) if request.is_under_way => text += "no answer yet",
        (None, _) => text += "no answer is known",
    }
    if let Some((first, last)) = request.ids {
        text += &if first == last { format!("; id {first}") } else { format!("; ids {first} to {last}") };
    }
    text
}

fn reconciliation_text(found: &Reconciliation) -> String {
    let Reconciliation { unknown, adopted, lost, candidates, elsewhere } = found;
    let cases = counted(usize::try_from(*unknown).unwrap_or(usize::MAX), "case", "cases");
    if *elsewhere {
        return format!("not reconciled: {cases} of unknown outcome went to an account that is no longer the tenant's");
    }
    let mut text = format!("reconciled {cases} of unknown outcome: {adopted} found in Testmo");
    match unknown.saturating_sub(*adopted).saturating_sub(*lost) {
        0 => {}
        again if *adopted == 0 && *lost == 0 && again == *unknown => text += ", so they are sent again",
        again => text += &format!(", {again} to be sent again"),
    }
    if *lost > 0 {
        text += &format!(", {lost} not found; a person decides about them");
    }
    if !candidates.is_empty() {
        let ids: Vec<String> = candidates.iter().map(u64::to_string).collect();
        text += &format!("; possible matches: {}", ids.join(", "));
    }
    text
}

/// Returns the address of a case that may be one of the batch: where the first one that was not found was sent.
fn link_of(record: &BatchRecord, id: u64) -> Option<String> {
    let lost = record.cases.iter().position(|case| case.state == CaseState::Lost);
    let index = lost.or((!record.cases.is_empty()).then_some(0))?;
    link(record, index, id)
}

fn short(id: &str) -> String {
    id.chars().skip(id.chars().count().saturating_sub(SHORT)).collect()
}

fn short_kind(kind: &str) -> &str {
    kind.strip_prefix(EVENTS).unwrap_or(kind)
}

impl UnderWayView {
    fn of(under_way: &UnderWay, now: i64) -> Self {
        let by = |worker: &str| format!("worker {worker}");
        let at_latest = |until: i64| format!("at the latest until {} ({})", absolute(until), relative(until, now));
        let since_when = |at: i64| format!("since {} ({})", absolute(at), relative(at, now));
        match under_way {
            UnderWay::Request { id, since, worker, until } => {
                let who = worker.as_deref().map_or_else(|| "a worker".into(), by);
                Self {
                    kind: "request",
                    text: format!("request {} of {who} is under way {}", short(id), since_when(*since)),
                    since: rfc3339(*since),
                    worker: worker.clone(),
                    until: rfc3339(*until),
                    request: Some(id.clone()),
                }
            }
            UnderWay::Settling { id, since, worker, until } => Self {
                kind: "settling",
                text: format!(
                    "the outcome of request {} is unknown {}; {} has the batch in hand, {}",
                    short(id),
                    since_when(*since),
                    by(worker),
                    at_latest(*until)
                ),
                since: rfc3339(*since),
                worker: Some(worker.clone()),
                until: rfc3339(*until),
                request: Some(id.clone()),
            },
            UnderWay::InHand { worker, until } => Self {
                kind: "in_hand",
                text: format!("{} has taken the batch from the shelf, {}", by(worker), at_latest(*until)),
                since: None,
                worker: Some(worker.clone()),
                until: rfc3339(*until),
                request: None,
            },
        }
    }
}

#[cfg(test)]
mod tests;

//! Puts everything that is known of a batch into the order in which it happened.

use super::{BatchDetails, Settlement, settlements, testmo_id};
use crate::batch::ledger::BatchRecord;
pub use crate::store::audit::AuditRow;
pub use crate::store::history::{Happening, Reconciliation, WaitsFor};
use crate::store::history::{HistoryEntry, PushRow};
use crate::store::shelf::ShelfIdentity;

/// What happened to a batch, and what is being done for it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// What happened, the first thing first.
    pub moments: Vec<Moment>,
    /// How many waits, retries and reconciliations are no longer kept, because newer ones took their place.
    pub dropped: u64,
    /// What is being done now.
    pub under_way: Vec<UnderWay>,
}

/// Something that happened once or several times. Times are milliseconds on the store's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When it happened first.
    pub at: i64,
    /// When it happened last.
    pub last_at: i64,
    /// How often it happened.
    pub times: u32,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The message was published, by its publisher's clock.
    Published,
    /// A worker took the message for the first time.
    Taken,
    /// A person did something.
    Acted(Box<AuditRow>),
    /// A create request was sent.
    Requested(Box<Request>),
    /// It waited, was retried or was reconciled; the last value is the end of the last wait.
    Happened(Happening, Option<i64>),
    /// It reached an outcome.
    Finished(Box<Settlement>),
    /// An event was stored: its id and type.
    EventStored(String, String),
    /// The broker confirmed an event: its id and type.
    EventConfirmed(String, String),
}

/// A create request with cases of the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its id; of several equal requests, that of the last one.
    pub id: String,
    /// How many cases it had.
    pub cases: u64,
    /// Of how many batches they are.
    pub batches: u64,
    /// How many of them are of this batch, where the ids of several batches show it.
    pub own: Option<usize>,
    /// What was received, followed by `adopted` where its cases were found later; `None` without an answer.
    pub answer: Option<String>,
    /// What was received in words, if it was no success.
    pub detail: Option<String>,
    /// For how many milliseconds the answer was waited for, where that is known.
    pub took: Option<i64>,
    /// The lowest and highest id that came of it.
    pub ids: Option<(u64, u64)>,
    /// Whether a worker waits for its answer.
    pub is_under_way: bool,
}

/// What a worker is doing for the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnderWay {
    /// A create request with cases of the batch is under way.
    Request {
        /// Its id.
        id: String,
        /// Since when.
        since: i64,
        /// The worker, where known.
        worker: Option<String>,
        /// Until when the batch is the worker's.
        until: i64,
    },
    /// The outcome of a request is unknown, and the batch is reconciled once the request can create nothing more.
    Settling {
        /// The id of the request.
        id: String,
        /// When the request ended.
        since: i64,
        /// The worker.
        worker: String,
        /// Until when the batch is the worker's.
        until: i64,
    },
    /// A worker has taken the batch from the shelf.
    InHand {
        /// The worker.
        worker: String,
        /// Until when the batch is the worker's.
        until: i64,
    },
}

impl Timeline {
    /// Orders what is known of a batch.
    pub fn of(details: &BatchDetails) -> Self {
        let history = &details.history;
        let mut moments: Vec<Moment> = arrival(details).into_iter().collect();
        moments.extend(details.audit.iter().map(|row| Moment::once(row.at, What::Acted(Box::new(row.clone())))));
        let request = request_under_way(details);
        let is_under_way = |push: &PushRow| matches!(&request, Some(UnderWay::Request { id, .. }) if *id == push.id);
        let pushes = history.pushes.iter();
        moments.extend(pushes.map(|push| requested(push, details.record(), is_under_way(push))));
        moments.extend(history.entries.iter().map(happened));
        let finished =
            |settlement: Settlement| Moment::once(settlement.settled_at, What::Finished(Box::new(settlement)));
        moments.extend(settlements(&history.events).map(finished));
        for event in &history.events {
            let name = || (event.id.clone(), event.kind.clone());
            let ((id, kind), (same, of)) = (name(), name());
            moments.push(Moment::once(event.created_at, What::EventStored(id, kind)));
            moments.extend(event.sent_at.map(|at| Moment::once(at, What::EventConfirmed(same, of))));
        }
        // Stable, so that equal moments keep the order in which they were stored.
        moments.sort_by_key(Moment::order);
        Self { moments: folded(moments), dropped: history.dropped, under_way: under_way(details) }
    }
}

impl Moment {
    fn once(at: i64, what: What) -> Self {
        Self { at, last_at: at, times: 1, what }
    }

    /// Returns its place: a message is published before anything else happens, whatever its publisher's clock says. At one
    /// time, causes come before what they lead to.
    fn order(&self) -> (u8, i64, u8) {
        let (first, rank) = match &self.what {
            What::Published => (0, 0),
            What::Taken => (1, 0),
            What::Acted(_) => (1, 1),
            What::Requested(_) => (1, 2),
            What::Happened(Happening::Reconciled(_) | Happening::LateChecked { .. } | Happening::Overwritten(_), _) => {
                (1, 3)
            }
            What::Happened(Happening::Retried { .. }, _) => (1, 4),
            What::Finished(_) => (1, 5),
            What::Happened(Happening::Shelved { .. }, _) => (1, 6),
            What::EventStored(..) => (1, 7),
            What::EventConfirmed(..) => (1, 8),
        };
        (first, self.at, rank)
    }
}

/// Returns when the message was published and first taken, by the record or by what is on the shelf.
fn arrival(details: &BatchDetails) -> Vec<Moment> {
    let is_own = |identity: &ShelfIdentity| matches!(identity, ShelfIdentity::Batch(..)) || details.stored.is_none();
    let shelved = details.shelf.iter().map(|entry| &entry.content).filter(|content| is_own(&content.identity));
    let shelved = shelved.min_by_key(|content| content.arrived_at);
    let record = details.record();
    let published = record.and_then(|record| record.published_at).or(shelved.and_then(|content| content.published_at));
    let taken = record.and_then(|record| record.arrived_at).or(shelved.map(|content| content.arrived_at));
    let published = published.map(|at| Moment::once(at, What::Published));
    let taken = taken.map(|at| Moment::once(at, What::Taken));
    published.into_iter().chain(taken).collect()
}

fn requested(push: &PushRow, record: Option<&BatchRecord>, is_under_way: bool) -> Moment {
    let was_adopted = push.answer.as_ref().is_some_and(|answer| answer.contains("adopted"));
    let request = Request {
        id: push.id.clone(),
        cases: push.cases,
        batches: push.batches,
        own: if push.batches > 1 { own_cases(push, record) } else { None },
        answer: push.answer.clone(),
        detail: push.detail.clone(),
        // Its end was stored again when its cases were found.
        took: push.ended_at.filter(|_| !was_adopted).map(|at| at.saturating_sub(push.claimed_at)),
        ids: push.ids,
        is_under_way,
    };
    Moment::once(push.claimed_at, What::Requested(Box::new(request)))
}

/// Counts the cases of a batch that came of a request. What the request had of other batches is not theirs.
fn own_cases(push: &PushRow, record: Option<&BatchRecord>) -> Option<usize> {
    let (first, last) = push.ids?;
    let ids = record?.cases.iter().filter_map(testmo_id);
    Some(ids.filter(|id| (first..=last).contains(id)).count())
}

fn happened(entry: &HistoryEntry) -> Moment {
    let HistoryEntry { what, first_at, last_at, until, times } = entry.clone();
    Moment { at: first_at, last_at, times, what: What::Happened(what, until) }
}

/// Makes one moment of requests that follow each other, created nothing and were answered alike.
fn folded(moments: Vec<Moment>) -> Vec<Moment> {
    let mut folded: Vec<Moment> = Vec::new();
    for moment in moments {
        match (folded.last_mut(), &moment.what) {
            (Some(Moment { last_at, times, what: What::Requested(before), .. }), What::Requested(request))
                if is_repeated(before, request) =>
            {
                (*last_at, *times) = (moment.last_at, times.saturating_add(1));
                (before.id, before.took) = (request.id.clone(), request.took);
            }
            _ => folded.push(moment),
        }
    }
    folded
}

fn is_repeated(before: &Request, request: &Request) -> bool {
    let says = |request: &Request| (request.answer.clone(), request.detail.clone(), request.cases, request.batches);
    request.answer.is_some() && request.ids.is_none() && before.ids.is_none() && says(before) == says(request)
}

fn under_way(details: &BatchDetails) -> Vec<UnderWay> {
    let mut under_way: Vec<UnderWay> = request_under_way(details).into_iter().collect();
    let holders = details.history.holders.iter();
    under_way.extend(holders.map(|held| UnderWay::InHand { worker: held.worker.clone(), until: held.until }));
    under_way
}

fn request_under_way(details: &BatchDetails) -> Option<UnderWay> {
    let stored = details.stored.as_ref()?;
    let open = stored.record.open_push.as_ref()?;
    let until = stored.lease_until.filter(|until| *until > details.now)?;
    let push = details.history.pushes.iter().find(|push| push.id == open.id);
    let id = open.id.clone();
    if let Some(PushRow { ended_at: Some(since), holder, .. }) = push {
        return Some(UnderWay::Settling { id, since: *since, worker: holder.clone(), until });
    }
    let since = push.map(|push| push.claimed_at).or(stored.claimed_at)?;
    Some(UnderWay::Request { id, since, worker: push.map(|push| push.holder.clone()), until })
}

#[cfg(test)]
mod tests;

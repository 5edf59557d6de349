//! Defines the next step of a batch, its disposition, and what a step learnt about its account.

use std::time::Duration;

use super::active_batch::ActiveBatch;
use crate::batch::Reason;
use crate::lane::{QueuePosition, Report, RequestReport};
use crate::store::UnreadableRow;

/// What follows a step for a batch: a decision that is still to be carried out.
#[derive(Clone, Debug)]
pub(in crate::worker) enum NextStep {
    /// The next step, at the batch's next turn.
    NextTurn,
    /// The next step, after a pause.
    Pause(Duration),
    /// Retry while attempts and time are left, with the reason, its detail and the shortest pause.
    Retry(Reason, Option<String>, Duration),
    /// Shelve until the connection is fixed.
    AwaitConnection(Reason, Option<String>),
    /// Shelve for a time that grows with each attempt and never runs out; the last value is how long that is expected
    /// to take.
    Defer(Reason, Option<String>, Duration),
    /// Shelve for a time, because a row of the store that decides about the batch cannot be read.
    AwaitStore(UnreadableRow),
    /// Shelve until a person resumes the lane.
    Paused,
    /// Resolve the connection and render again.
    ResolveAgain,
    /// Read the record again: another worker or a person has changed it.
    Refresh,
    /// Nothing: everything is stored.
    Finished,
}

impl NextStep {
    /// Returns whether the batch waits until its connection is fixed.
    pub(in crate::worker) fn awaits_connection(&self) -> bool {
        matches!(self, Self::AwaitConnection(..))
    }
}

/// What became of a batch in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum Disposition {
    /// It is stored as finished: its deliveries are acknowledged, and its rows on the shelf removed.
    Finished,
    /// It is on the shelf: its deliveries are acknowledged.
    Shelved,
    /// It goes on in its lane.
    Enqueue(QueuePosition),
    /// Its connection has changed: it is resolved and rendered again.
    ResolveAgain,
    /// The store does not answer: it goes back to where it came from.
    GiveBack,
}

/// Batches with what became of each.
pub(in crate::worker) type Dispositions = Vec<(Box<ActiveBatch>, Disposition)>;

/// What a step learnt about an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum LaneUpdate {
    /// How many requests at once it takes.
    Limit(u32),
    /// It takes no more requests at once than are under way.
    Full(u32),
    /// It takes nothing for a time, for this reason.
    Closed(Duration, Reason),
}

/// What work on batches learnt about their account, and what it took.
#[derive(Default)]
pub(in crate::worker) struct PushFeedback {
    pub(in crate::worker) updates: Vec<LaneUpdate>,
    pub(in crate::worker) requests: u32,
    pub(in crate::worker) push: Option<RequestReport>,
}

impl PushFeedback {
    /// Notes that nothing may be sent to the account for a time.
    pub(in crate::worker) fn close(&mut self, wait: Duration, reason: Reason) {
        self.updates.push(LaneUpdate::Closed(wait, reason));
    }

    /// Returns what the lane has to know of the work.
    pub(in crate::worker) fn report(&self) -> Report {
        Report { requests: self.requests, push: self.push }
    }
}

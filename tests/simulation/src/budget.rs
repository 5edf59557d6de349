//! Limits how long recovery may take once everything is healed, so that a run that is merely slow fails.

use std::fmt;
use std::time::Duration;

use testmo_courier::batch::ledger::BatchState;
use testmo_courier::store::folders::FolderLimits;
use testmo_courier::store::shelf::ShelfState;
use tokio::time::{Instant, sleep};

use crate::plan::{Action, Plan};
use crate::stage::Stage;
use crate::store::tables::{BatchEntry, ShelfRow, Tables, is_of};

/// What recovery may take beyond the waits that no worker can shorten: connecting again, polls of the shelf, the settle
/// time of requests that were in flight, and the requests themselves, which take milliseconds here.
const SLACK: Duration = Duration::from_secs(18);
/// How often a run is checked for whether it has recovered.
const STEP: Duration = Duration::from_millis(500);
/// After this time no request is in flight any more that began before everything was healed.
const IN_FLIGHT: Duration = Duration::from_secs(10);
const DAY_MS: i64 = 86_400_000;

/// The longest wait since the moment of healing that no worker can shorten, and what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LongestWait {
    time: Duration,
    cause: &'static str,
}

/// How long a run took to recover, and what it had to wait for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recovery {
    took: Duration,
    wait: LongestWait,
}

impl Recovery {
    pub(crate) fn is_too_long(&self) -> bool {
        self.took > self.wait.time + SLACK
    }
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { took, wait: LongestWait { time, cause } } = self;
        write!(f, "recovery took {took:?}; {cause} explains {time:?}, and {SLACK:?} more are allowed")
    }
}

impl LongestWait {
    /// Finds it in the store's own rows, which say until when each worker has to wait; `since` healing.
    fn now(stage: &Stage, plan: &Plan, since: Duration) -> Self {
        let (limits, backoff) = (folder_limits(stage), stage.config.retry.shelf_backoff_max);
        let waits = stage.store.at_once(|tables, now| waits(tables, &limits, backoff, now));
        let longest =
            waits.into_iter().map(|(cause, ms)| (Duration::from_millis(ms.max(0).unsigned_abs()), cause)).max();
        let (time, cause) = longest.unwrap_or_default();
        // The store's clock measures settle times and leases: set back, it makes them last that much longer.
        Self { time: since + time + set_back(plan), cause }
    }
}

/// Returns the waits that the store holds, each with its cause, in milliseconds from now.
fn waits(tables: &Tables, limits: &FolderLimits, backoff: Duration, now: i64) -> Vec<(&'static str, i64)> {
    let mut waits = Vec::new();
    for throttle in tables.throttles.values() {
        waits.push(("a rate-limit pause", throttle.rate_limited_until - now));
        waits.extend(throttle.breaker_until.map(|until| ("a circuit breaker", until - now)));
    }
    let open = tables.pushes.values().filter(|push| !push.ended);
    waits.extend(open.map(|push| ("the lease of a request", push.lease_until - now)));
    waits.extend(tables.folder_claims.values().map(|claim| ("the lease of a folder", claim.until - now)));
    for row in tables.shelf.values() {
        waits.extend(row.lease_until.map(|until| ("the lease of a shelved batch", until - now)));
        let is_timed = row.state == ShelfState::Parked && row.due_at < now + DAY_MS;
        waits.extend(is_timed.then_some(("a time on the shelf", row.due_at - now)));
    }
    for folder in tables.folders.values().filter(|folder| folder.known.is_none()) {
        // A batch that waits for it is tried again at intervals.
        let wait = folder.requests.clone().begin(limits, now).err().map(|wait| wait + backoff).unwrap_or_default();
        waits.push(("the limit of create requests for a folder", i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)));
    }
    waits
}

/// Returns the limits of create requests for a folder where the account's list is not known to show new ones.
fn folder_limits(stage: &Stage) -> FolderLimits {
    let window = stage.config.testmo.folder_create_window;
    FolderLimits { window, unknown: window, spacing: stage.config.retry.shelf_backoff_min }
}

/// Returns how far the plan sets the store's clock back in all.
pub(crate) fn set_back(plan: &Plan) -> Duration {
    let back = plan.actions.iter().filter_map(|(_, action)| {
        let Action::Jump { ms } = action else { return None };
        (*ms < 0).then(|| Duration::from_millis(ms.unsigned_abs()))
    });
    back.sum()
}

/// Waits until every batch has its outcome and nothing waits in a queue or on the shelf, for at most `limit`.
pub(crate) async fn recovery(stage: &Stage, plan: &Plan, limit: Duration) -> Recovery {
    let (began, mut longest) = (Instant::now(), LongestWait::now(stage, plan, Duration::ZERO));
    let mut seen_in_flight = false;
    while !is_recovered(stage) && began.elapsed() < limit {
        sleep(STEP).await;
        if began.elapsed() >= IN_FLIGHT && !seen_in_flight {
            seen_in_flight = true;
            longest = longest.max(LongestWait::now(stage, plan, began.elapsed()));
        }
    }
    Recovery { took: began.elapsed(), wait: longest }
}

/// Whether nothing waits but what a replay has made due, which takes as long as the replay.
fn is_recovered(stage: &Stage) -> bool {
    let is_parked = |row: &ShelfRow| row.state == ShelfState::Parked && row.replay.is_none();
    let is_open = |tables: &Tables, entry: &BatchEntry| {
        let record = &entry.stored.record;
        let mut of_batch = tables.shelf.values().filter(|row| is_of(&row.content.identity, &record.key));
        record.state == BatchState::Open && !of_batch.any(|row| row.replay.is_some())
    };
    stage.broker.left() == 0
        && stage.store.at_once(|tables, _| {
            !tables.shelf.values().any(is_parked) && !tables.batches.values().any(|entry| is_open(tables, entry))
        })
}

/// Returns the longest wait from now on that no worker can shorten.
pub(crate) fn longest_wait(stage: &Stage, plan: &Plan) -> Duration {
    LongestWait::now(stage, plan, Duration::ZERO).time
}

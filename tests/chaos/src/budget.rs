//! Computes how soon everything has to be done once all faults are over.

use std::sync::Arc;
use std::time::Duration;

use testmo_courier::store::AccountStore;
use tokio::time::Instant;

use crate::generations::SOURCES;
use crate::plan::{Plan, TENANTS};
use crate::stage::Stage;

/// What the work itself may take: the requests that are left, at a few milliseconds each, and the waits of seconds that
/// they imply, such as the time until a request of unknown outcome is reconciled.
const WORK: Duration = Duration::from_secs(20);
/// How long a lease of a dead worker keeps others from its batches; with SQLite the next start takes them at once.
const LEASE: Duration = Duration::from_secs(10);
/// How long after the healing a pause may still be stored that an answer from before asks for.
const LAST_PAUSES: Duration = Duration::from_secs(5);
/// What bringing replays to their end may take: a replay of a dead worker is taken over late, and one that stops again and
/// again goes on by one batch each time.
const REPLAYS: Duration = Duration::from_secs(90);
/// In plans with late commits, the longest that draining may take: a duplicate is looked for long after its batch.
const LATE: Duration = Duration::from_secs(150);

/// The time until everything has to be done.
pub(crate) struct Budget {
    healed: Instant,
    deadline: Instant,
    work: Duration,
    leases: Duration,
    starts: Duration,
}

impl Budget {
    /// The budget of a run in which everything was healed just now.
    pub(crate) fn from_now(stage: &Stage, plan: &Plan) -> Self {
        let healed = Instant::now();
        let leases = if stage.workers.len() > 1 { LEASE } else { Duration::ZERO };
        let starts = start_delay(stage);
        let work = if plan.has_replays() { WORK + REPLAYS } else { WORK };
        let deadline = healed + if plan.form.late { LATE } else { work + leases + starts };
        Self { healed, deadline, work, leases, starts }
    }

    /// Takes into account what no worker can shorten: delays of starts after a crash that was ordered before the healing,
    /// and pauses of accounts.
    pub(crate) async fn extend(&mut self, stage: &Stage) {
        let starts = start_delay(stage);
        if starts > self.starts {
            self.starts = starts;
            self.deadline = self.deadline.max(Instant::now() + self.leases + starts + self.work);
        }
        if self.healed.elapsed() > LAST_PAUSES {
            return;
        }
        let everybody = TENANTS.into_iter().chain([SOURCES]);
        let accounts: Vec<Arc<str>> = everybody.map(|tenant| Arc::from(stage.origin(tenant))).collect();
        // The store may still be starting; it is asked again.
        let Ok(pauses) = stage.store.pauses(&accounts).await else { return };
        let longest = pauses.into_iter().flatten().max().unwrap_or_default();
        self.deadline = self.deadline.max(Instant::now() + longest + self.leases + self.starts + self.work);
    }

    pub(crate) fn is_over(&self) -> bool {
        Instant::now() > self.deadline
    }

    /// How long the draining has taken so far, and how long it may take.
    pub(crate) fn so_far(&self) -> String {
        format!("{} ms of {} ms", self.healed.elapsed().as_millis(), (self.deadline - self.healed).as_millis())
    }
}

fn start_delay(stage: &Stage) -> Duration {
    stage.workers.iter().map(|worker| worker.start_delay()).max().unwrap_or_default()
}

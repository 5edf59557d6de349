//! Carries out replays: starts their batches as fast as the outcomes allow, and stops when too many fail.

mod portion;
mod round;
mod start;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::round::Round;
use super::every::Every;
use super::pace::Pace;
use crate::batch::replay::Budget;
use crate::guard::Task;
use crate::store::StoreError;
use crate::store::replays::{PartProgress, ReplayId, RunningReplay};
use crate::worker::context::WorkerContext;
use crate::worker::unit::unit;

/// The longest time until running replays are read again, which is shorter than the lease.
const LONGEST_PERIOD: Duration = Duration::from_secs(5);
/// For how long a replay belongs to this worker without another sign of it.
const LEASE: Duration = Duration::from_secs(15);
/// The most replays that one worker carries out at once.
const MOST_REPLAYS: u32 = 20;

/// Carries out running replays until `stop`: at the interval at which the shelf is polled, whenever a batch of one of them has
/// an outcome in this worker, and as soon as a replay says that it has to go on.
pub(in crate::worker) async fn carry_out_replays(context: Arc<WorkerContext>, stop: CancellationToken) {
    let mut every = Every::new(context.config.shelf.poll_interval.min(LONGEST_PERIOD), stop);
    let (mut carried, mut soon) = (HashMap::new(), None);
    loop {
        let is_due = tokio::select! {
            biased;
            is_due = every.is_due() => is_due,
            () = context.replay_wanted.notified() => true,
            () = passed(soon) => true,
        };
        if !is_due {
            return;
        }
        let began = Instant::now();
        let carrying_out = unit(&context, Task::Replay, &"replays", carry_out(&context, &mut carried));
        let with_pause = async {
            let soon = carrying_out.await;
            // Each outcome asks for a round, and a round of a replay with many parts takes long.
            tokio::time::sleep(Pace::even_pause(began.elapsed())).await;
            soon
        };
        soon = match every.unless_stopped(with_pause).await {
            Some(Ok(soon)) => soon,
            Some(Err(error)) => {
                tracing::warn!(%error, "replays cannot be carried out");
                None
            }
            None => None,
        };
    }
}

/// Waits for a time; forever, if there is none.
async fn passed(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// What is known of a replay from one round to the next.
struct Carried {
    /// The replay's epoch.
    epoch: i64,
    /// Its parts that are not finished; `None` if they have to be read again.
    parts: Option<Vec<PartProgress>>,
    budget: Option<Budget>,
}

impl Carried {
    fn of(replay: &RunningReplay, now: i64) -> Self {
        Self { epoch: replay.epoch, parts: None, budget: replay.per_minute.map(|rate| Budget::new(rate, now)) }
    }
}

/// Goes on with each replay that this worker holds or gets; returns when to do so again at the latest, if soon.
async fn carry_out(
    context: &Arc<WorkerContext>,
    carried: &mut HashMap<ReplayId, Carried>,
) -> Result<Option<Duration>, StoreError> {
    let mut soonest: Option<Duration> = None;
    let known: Vec<(ReplayId, i64)> =
        carried.iter().filter(|(_, known)| known.parts.is_some()).map(|(id, known)| (*id, known.epoch)).collect();
    let running = context.store.lease_replays(&context.holder, LEASE, MOST_REPLAYS, &known).await?;
    carried.retain(|id, _| running.iter().any(|replay| replay.id == *id));
    for mut replay in running {
        let (id, now) = (replay.id, context.store.now());
        let known = carried.entry(id).or_insert_with(|| Carried::of(&replay, now));
        known.epoch = replay.epoch;
        // Taken out: if the round fails, they are read again.
        let (read, kept) = (replay.parts.take(), known.parts.take());
        let Some(parts) = read.or(kept) else { continue };
        let mut round = Round::new(context, &replay, parts, known.budget.as_mut());
        let end = unit(context, Task::Replay, &format!("replay {id}"), round.go_on()).await;
        known.parts = round.into_parts().filter(|_| end.is_ok());
        // What is wrong with one replay does not keep others from going on.
        match end {
            Ok(soon) => soonest = soonest.into_iter().chain(soon).min(),
            Err(error) => {
                tracing::warn!(%error, replay = %id, "a replay cannot be carried out; it is tried again");
            }
        }
    }
    Ok(soonest)
}

//! Keeps a store as values in memory: each call is atomic, takes time, and may fail.

mod accounts;
mod calls;
mod connections;
mod discarded;
mod history;
mod instances;
pub(crate) mod ledger;
mod notes;
mod outbox;
mod planning;
#[cfg(test)]
mod removal;
mod replay_calls;
pub(crate) mod replays;
mod shelf;
pub(crate) mod tables;
#[cfg(test)]
mod tests;
mod trend;
mod unbound;
mod undos;
mod view;
mod windows;
mod written;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use self::tables::Tables;
pub(crate) use self::view::StoreOf;
use crate::diary::{Diary, lock};
use crate::fuse::Fuse;
use crate::weather::Weather;

/// A tenant whose batches end a worker, as a message does that crashes it.
pub(crate) const POISON: &str = "poison";

/// The one store of a run.
#[derive(Debug)]
pub(crate) struct MemoryStore {
    tables: Mutex<Tables>,
    diary: Arc<Diary>,
    weather: Arc<Weather>,
    /// Calls that are carried out even if their callers are gone.
    under_way: TaskTracker,
    away: AtomicBool,
    /// The present moment, and how many calls there were in it.
    pace: Mutex<(Duration, u32)>,
    /// How often there were too many.
    hurried: AtomicU32,
    /// How long after they take effect claims and commits are answered.
    lag: Mutex<Duration>,
}

/// More calls in a single millisecond than all workers together need.
const TOO_MANY: u32 = 2_000;
/// So often a worker may be slow to see that it calls in a loop.
const FEW: u32 = 100;

impl MemoryStore {
    pub(crate) fn new(tables: Tables, diary: Arc<Diary>, weather: Arc<Weather>) -> Arc<Self> {
        let (tables, under_way, pace) = (Mutex::new(tables), TaskTracker::new(), Mutex::default());
        let (away, hurried, lag) = (AtomicBool::new(false), AtomicU32::new(0), Mutex::default());
        Arc::new(Self { tables, diary, weather, under_way, away, pace, hurried, lag })
    }

    /// Delays the answers to claims and commits after they take effect.
    pub(crate) fn lag(&self, lag: Duration) {
        *lock(&self.lag) = lag;
    }

    /// Returns whether workers called it in a loop without any time passing.
    pub(crate) fn was_hurried(&self) -> bool {
        self.hurried.load(Ordering::Relaxed) > 0
    }

    /// Counts a call, and lets time pass if there are too many, so that a run continues whose workers call in a loop.
    async fn pace(&self) {
        let too_many = {
            let mut pace = lock(&self.pace);
            let now = self.diary.elapsed();
            *pace = if pace.0 == now { (now, pace.1 + 1) } else { (now, 1) };
            pace.1 > TOO_MANY
        };
        if too_many {
            let before = self.hurried.fetch_add(1, Ordering::Relaxed);
            // A loop without an end has to come to the end of the run.
            sleep(if before < FEW { Duration::from_millis(1) } else { Duration::from_secs(1) }).await;
        }
    }

    /// Returns the store as a worker with a number and a fuse sees it.
    pub(crate) fn of(self: &Arc<Self>, worker: u64, fuse: Fuse) -> StoreOf {
        StoreOf { store: self.clone(), worker, fuse }
    }

    /// Reads or changes it at once and without faults: for operators and for checks.
    pub(crate) fn at_once<T>(&self, act: impl FnOnce(&mut Tables, i64) -> T) -> T {
        let now = self.diary.now();
        let mut tables = lock(&self.tables);
        tables.caller = 0;
        act(&mut tables, now)
    }

    /// Makes it unavailable, or available again.
    pub(crate) fn go_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }
}

//! Keeps the clocks of a run, and a record of what happens in the run.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use testmo_courier::clock::Clock;
use tokio::time::Instant;

/// When every plan begins, in milliseconds since 1970.
const BEGINNING: i64 = 1_800_000_000_000;

/// The clocks of a run, and a record of what happens in it.
#[derive(Debug)]
pub(crate) struct Diary {
    began: Instant,
    /// How far the store's clock was set forward or back, in milliseconds.
    jumped: AtomicI64,
    margin_spent: AtomicBool,
    keeps: bool,
    lines: Mutex<Vec<String>>,
}

/// Takes a lock. No code panics while it holds one; if it does, the run has failed anyway.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Diary {
    /// Begins the record now; notes are kept only if `keeps` is set, because they take time.
    pub(crate) fn begin(keeps: bool) -> Self {
        Self {
            began: Instant::now(),
            jumped: AtomicI64::new(0),
            margin_spent: AtomicBool::new(false),
            keeps,
            lines: Mutex::default(),
        }
    }

    /// Returns how long the run has lasted.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Returns the true time, which Testmo uses.
    pub(crate) fn true_time(&self) -> i64 {
        BEGINNING + i64::try_from(self.elapsed().as_millis()).unwrap_or(i64::MAX / 2)
    }

    /// Returns the time of the store's clock.
    pub(crate) fn now(&self) -> i64 {
        self.true_time() + self.jumped.load(Ordering::Relaxed)
    }

    /// Sets the store's clock forward or back.
    pub(crate) fn jump(&self, ms: i64) {
        self.jumped.fetch_add(ms, Ordering::Relaxed);
    }

    /// Uses up the only clock jump of a run that may shorten leases; returns whether it was still available.
    pub(crate) fn spend_margin(&self) -> bool {
        !self.margin_spent.swap(true, Ordering::Relaxed)
    }

    /// Records a line.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        if self.keeps {
            let at = self.elapsed();
            let line = format!("{:>5}.{:03} {}", at.as_secs(), at.subsec_millis(), line());
            tracing::debug!("{line}");
            lock(&self.lines).push(line);
        }
    }

    /// Returns every recorded line.
    pub(crate) fn lines(&self) -> Vec<String> {
        lock(&self.lines).clone()
    }
}

/// Returns the store's clock, as its workers read it.
pub(crate) fn clock_of(diary: &std::sync::Arc<Diary>) -> Clock {
    let diary = diary.clone();
    Clock::read_by(move || diary.now())
}

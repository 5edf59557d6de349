//! What time is it, and what has happened so far?

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

/// Takes a lock; nobody panics while holding one, and if so, the run has failed anyhow.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Diary {
    /// Begins now; `keeps` what it is told only if that is wanted, as it takes time.
    pub(crate) fn begin(keeps: bool) -> Self {
        Self {
            began: Instant::now(),
            jumped: AtomicI64::new(0),
            margin_spent: AtomicBool::new(false),
            keeps,
            lines: Mutex::default(),
        }
    }

    /// How long the run has been going on.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The time that is right, which Testmo goes by.
    pub(crate) fn true_time(&self) -> i64 {
        BEGINNING + i64::try_from(self.elapsed().as_millis()).unwrap_or(i64::MAX / 2)
    }

    /// The time on the store's clock.
    pub(crate) fn now(&self) -> i64 {
        self.true_time() + self.jumped.load(Ordering::Relaxed)
    }

    /// Sets the store's clock forward or back.
    pub(crate) fn jump(&self, ms: i64) {
        self.jumped.fetch_add(ms, Ordering::Relaxed);
    }

    /// Takes the one jump that shortens leases which a run may have; tells whether it was still to be had.
    pub(crate) fn spend_margin(&self) -> bool {
        !self.margin_spent.swap(true, Ordering::Relaxed)
    }

    /// Notes something.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        if self.keeps {
            let at = self.elapsed();
            let line = format!("{:>5}.{:03} {}", at.as_secs(), at.subsec_millis(), line());
            tracing::debug!("{line}");
            lock(&self.lines).push(line);
        }
    }

    /// Everything that was noted.
    pub(crate) fn lines(&self) -> Vec<String> {
        lock(&self.lines).clone()
    }
}

/// The store's clock, as its workers read it.
pub(crate) fn clock_of(diary: &std::sync::Arc<Diary>) -> Clock {
    let diary = diary.clone();
    Clock::read_by(move || diary.now())
}

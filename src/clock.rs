//! What time is it? The one place that reads the clock, so that tests and simulations can set it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A source of the time of day.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Set(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until it is [set](Self::set).
    pub fn standing_at(ms: i64) -> Self {
        Self(Source::Set(Arc::new(AtomicI64::new(ms))))
    }

    /// Sets a standing clock; the machine's own is left alone.
    pub fn set(&self, ms: i64) {
        if let Source::Set(now) = &self.0 {
            now.store(ms, Ordering::SeqCst);
        }
    }

    /// Milliseconds since 1970.
    pub fn now(&self) -> i64 {
        match &self.0 {
            Source::System => jiff::Timestamp::now().as_millisecond(),
            Source::Set(now) => now.load(Ordering::SeqCst),
        }
    }
}

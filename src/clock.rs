//! Reads the clock, as the only place that does, so that tests and simulations can set the time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

/// A source of the time of day.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Set(Arc<AtomicI64>),
    /// The time of day at `started`, which the machine's steady clock carries on.
    Led {
        started: Instant,
        time: Arc<AtomicI64>,
    },
    Read(Arc<dyn Fn() -> i64 + Send + Sync>),
}

impl Clock {
    /// Returns the machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// Returns a clock that stands still until it is [set](Self::set).
    pub fn standing_at(ms: i64) -> Self {
        Self(Source::Set(Arc::new(AtomicI64::new(ms))))
    }

    /// Returns a clock that follows another one: it is [set](Self::set) again and again, and runs on in between,
    /// whatever the machine's own time of day is.
    pub fn led_from(ms: i64) -> Self {
        Self(Source::Led { started: Instant::now(), time: Arc::new(AtomicI64::new(ms)) })
    }

    /// Returns a clock that is read by a function, which gives milliseconds since 1970.
    pub fn read_by(read: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self(Source::Read(Arc::new(read)))
    }

    /// Sets a standing or a led clock, in milliseconds since 1970; does nothing to any other.
    pub fn set(&self, ms: i64) {
        match &self.0 {
            Source::System | Source::Read(_) => {}
            Source::Set(now) => now.store(ms, Ordering::SeqCst),
            Source::Led { started, time } => time.store(ms - elapsed(*started), Ordering::SeqCst),
        }
    }

    /// Returns milliseconds since 1970.
    pub fn now(&self) -> i64 {
        match &self.0 {
            Source::System => jiff::Timestamp::now().as_millisecond(),
            Source::Set(now) => now.load(Ordering::SeqCst),
            Source::Led { started, time } => time.load(Ordering::SeqCst) + elapsed(*started),
            Source::Read(read) => read(),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Set(_) => "Set",
            Self::Led { .. } => "Led",
            Self::Read(_) => "Read",
        })
    }
}

fn elapsed(since: Instant) -> i64 {
    i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_led_clock_goes_on_from_where_it_was_set() {
        let clock = Clock::led_from(5);
        clock.set(1_000_000);
        let now = clock.now();
        assert!((1_000_000..1_005_000).contains(&now), "{now}");
        let later = Instant::now();
        while elapsed(later) < 3 {
            std::thread::yield_now();
        }
        assert!(clock.now() >= now + 3);
    }
}

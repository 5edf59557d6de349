//! Draws from the seed, call by call, how the neighbours fail, until the faults end.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;

use crate::diary::lock;

/// How often calls fail, in percent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    /// The store fails, before or after the call takes effect.
    pub(crate) store: u8,
    /// A create request fails.
    pub(crate) create: u8,
    /// Another request fails.
    pub(crate) read: u8,
    /// The broker does not confirm an event, whether it stored the event or not, or returns the event because no queue
    /// is bound for it.
    pub(crate) confirm: u8,
    /// An acknowledgement is lost.
    pub(crate) ack: u8,
    /// Requests take long, up to the time limit.
    pub(crate) slow: u8,
    /// Create requests take effect after the settle time.
    pub(crate) too_late: u8,
    /// How long each store call takes before and after it takes effect; if absent, that is drawn for each call.
    pub(crate) store_takes: Option<Duration>,
    /// How long each request to Testmo takes; if absent, that is drawn for each request.
    pub(crate) request_takes: Option<Duration>,
    /// Whether no queue is bound for the events of the first tenant.
    pub(crate) unbound: bool,
}

/// The dice of a run.
#[derive(Debug)]
pub(crate) struct Weather {
    rng: Mutex<Rng>,
    rates: Rates,
    calm: AtomicBool,
}

/// What the store does with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreEnd {
    Answers,
    FailsBefore,
    FailsAfter,
}

impl Weather {
    pub(crate) fn new(seed: u64, rates: Rates) -> Self {
        Self { rng: Mutex::new(Rng::with_seed(seed)), rates, calm: AtomicBool::new(false) }
    }

    /// Ends all faults.
    pub(crate) fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    pub(crate) fn rates(&self) -> Rates {
        if self.is_calm() { Rates::default() } else { self.rates }
    }

    /// Returns whether no queue is bound for a routing key.
    pub(crate) fn unbound(&self, routing_key: &str) -> bool {
        self.rates().unbound && routing_key.starts_with("t0.")
    }

    /// Returns true in `percent` of a hundred draws.
    pub(crate) fn chance(&self, percent: u8) -> bool {
        percent > 0 && lock(&self.rng).u8(..100) < percent
    }

    pub(crate) fn flip(&self) -> bool {
        lock(&self.rng).bool()
    }

    /// Draws a number below `of`.
    pub(crate) fn pick(&self, of: u8) -> u8 {
        lock(&self.rng).u8(..of)
    }

    /// Draws a time from a range of milliseconds.
    pub(crate) fn ms(&self, range: Range<u64>) -> Duration {
        Duration::from_millis(if range.is_empty() { range.start } else { lock(&self.rng).u64(range) })
    }

    /// Draws how a store call ends, and how long it takes before and after it takes effect.
    pub(crate) fn store_call(&self) -> (StoreEnd, Duration, Duration) {
        if self.is_calm() {
            return (StoreEnd::Answers, Duration::ZERO, Duration::ZERO);
        }
        let end = if self.chance(self.rates.store) {
            if self.flip() { StoreEnd::FailsBefore } else { StoreEnd::FailsAfter }
        } else {
            StoreEnd::Answers
        };
        if let Some(takes) = self.rates.store_takes {
            return (end, takes, takes);
        }
        let mut rng = lock(&self.rng);
        let mut takes = || match rng.u8(..100) {
            0..80 => Duration::ZERO,
            80..98 => Duration::from_millis(rng.u64(1..30)),
            _ => Duration::from_millis(rng.u64(30..4_000)),
        };
        (end, takes(), takes())
    }
}

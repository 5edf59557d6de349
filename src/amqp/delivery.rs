//! Holds a message as a queue delivers it, and the events and modes of an intake.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ack::AckHandle;
use super::message::Message;

/// What to consume.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// The queue.
    pub queue: String,
    /// How many messages may be unacknowledged at once; the bound on what waits in memory.
    pub prefetch: u16,
}

/// One unbroken time with the broker. Numbers are unique in the process and grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(u64);

/// A message and the right to acknowledge it.
#[derive(Debug)]
pub struct Delivery {
    /// What came.
    pub message: Message,
    /// Whether the broker has handed it out before.
    pub redelivered: bool,
    /// The session it belongs to; see [`Event::Lost`].
    pub generation: Generation,
    /// To be used exactly once.
    pub handle: AckHandle,
}

/// An event of an intake.
#[derive(Debug)]
pub enum Event {
    /// A message came.
    Delivery(Box<Delivery>),
    /// The session is over: its deliveries cannot be acknowledged any more and come again, here or
    /// at another worker. What was not started should be dropped.
    Lost(Generation),
}

/// The mode of an intake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Take messages.
    Taking,
    /// Take none for now.
    Paused,
    /// Take none any more.
    Stopped,
}

impl Generation {
    /// Returns a number that no session has had.
    pub fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

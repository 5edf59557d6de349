//! Holds a message as a queue delivers it, and the events and modes of an intake.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ack::AckHandle;
use super::message::Message;

/// A queue to consume, and how many of its messages at once.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// The queue.
    pub queue: String,
    /// How many messages the broker sends ahead at most.
    pub prefetch: u16,
    /// The memory for messages, in bytes: fewer are sent ahead than `prefetch` where that many would take more than a
    /// quarter of it.
    pub memory: u64,
}

/// The number of one uninterrupted session with the broker. Numbers are unique in the process and grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(u64);

/// A message and the right to acknowledge it.
#[derive(Debug)]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// Whether the broker has handed it out before.
    pub redelivered: bool,
    /// The session it belongs to; see [`Event::Lost`].
    pub generation: Generation,
    /// The right to acknowledge it, to be used exactly once.
    pub handle: AckHandle,
}

/// An event of an intake.
#[derive(Debug)]
pub enum Event {
    /// A message came.
    Delivery(Box<Delivery>),
    /// The session is over: its deliveries can no longer be acknowledged and are delivered again, to this or another
    /// worker. Work on them that has not started should be dropped.
    Lost(Generation),
}

/// The mode of an intake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Messages are taken.
    Taking,
    /// No messages are taken for now.
    Paused,
    /// No messages are taken any more.
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

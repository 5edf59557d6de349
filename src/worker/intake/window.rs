//! Reads messages side by side and hands their batches over in the order in which they arrived.
//!
//! What goes to the shelf is stored meanwhile, so that thousands of messages of one tenant whose connection is not ready
//! share a few commits, and no batch of another tenant waits for them.

use std::collections::VecDeque;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, FuturesUnordered};

use crate::worker::dispatch::DispatcherCommand;
use crate::worker::meanwhile::meanwhile;

/// The most messages that are read or stored at a time.
const SIDE_BY_SIDE: usize = 64;

/// What reading a message led to.
pub(super) enum Read<'a> {
    /// The dispatcher has something to do.
    Command(DispatcherCommand),
    /// Something has to be stored and acknowledged.
    Store(BoxFuture<'a, ()>),
    /// Nothing is left to do.
    Nothing,
}

impl<'a> Read<'a> {
    /// Something has to be stored and acknowledged.
    pub(super) fn store(storing: impl Future<Output = ()> + Send + 'a) -> Self {
        Self::Store(Box::pin(storing))
    }
}

/// The messages that are being read or stored.
#[derive(Default)]
pub(super) struct Window<'a> {
    reading: FuturesOrdered<BoxFuture<'a, Read<'a>>>,
    /// What was read while the loop waited for something else.
    read: VecDeque<Read<'a>>,
    storing: FuturesUnordered<BoxFuture<'a, ()>>,
}

impl<'a> Window<'a> {
    /// Returns whether another message may be added.
    pub(super) fn has_room(&self) -> bool {
        self.reading.len() + self.read.len() + self.storing.len() < SIDE_BY_SIDE
    }

    /// Adds a message behind all others.
    pub(super) fn add(&mut self, reading: impl Future<Output = Read<'a>> + Send + 'a) {
        self.reading.push_back(Box::pin(reading));
    }

    /// Waits until something has been read or stored, and returns the command that follows from it, if any; `None` once
    /// nothing is left. What is stored begins in the order of arrival. Cancelling the wait loses nothing.
    pub(super) async fn next(&mut self) -> Option<Option<DispatcherCommand>> {
        if let Some(read) = self.read.pop_front() {
            return Some(self.follow(read));
        }
        tokio::select! {
            biased;
            Some(()) = self.storing.next() => Some(None),
            Some(read) = self.reading.next() => Some(self.follow(read)),
            else => None,
        }
    }

    fn follow(&mut self, read: Read<'a>) -> Option<DispatcherCommand> {
        match read {
            Read::Command(command) => Some(command),
            Read::Store(storing) => {
                self.storing.push(storing);
                None
            }
            Read::Nothing => None,
        }
    }

    /// Waits for something else while messages are read and stored.
    pub(super) async fn meanwhile<T>(&mut self, other: impl Future<Output = T>) -> T {
        let reading = meanwhile(&mut self.reading, |read| self.read.push_back(read), other);
        meanwhile(&mut self.storing, |()| {}, reading).await
    }
}

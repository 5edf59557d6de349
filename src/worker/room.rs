//! Bounds the memory that large messages take while they are decoded and rendered.
//!
//! How many bodies are in hand is decided elsewhere, before they come. But many may be there at once, such as when large
//! messages follow small ones, and a message takes several times its size while it is read.

use tokio::sync::{Semaphore, SemaphorePermit};

/// A message below this size, in bytes, never waits.
const LARGE: usize = 256 * 1024;
/// So many times its size a message takes in memory: its document, its cases, and what is rendered of them.
const TIMES: usize = 4;
/// The bytes that one permit stands for.
const UNIT: usize = 1_024;

/// The memory for large messages that are being read.
#[derive(Debug)]
pub(super) struct ReadingRoom {
    free: Semaphore,
    all: u32,
}

impl ReadingRoom {
    /// Returns room for so many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        let all = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).max(1);
        Self { free: Semaphore::new(all.try_into().unwrap_or(usize::MAX)), all }
    }

    /// Waits until a message of so many bytes may be read, which ends with the reading of others. One that needs more than
    /// there is takes all of it. Small messages never wait.
    pub(super) async fn enter(&self, bytes: usize) -> Option<SemaphorePermit<'_>> {
        if bytes < LARGE {
            return None;
        }
        let wanted = u32::try_from(bytes.saturating_mul(TIMES) / UNIT).unwrap_or(u32::MAX).min(self.all);
        // It is never closed.
        self.free.acquire_many(wanted).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const MB: usize = 1_000_000;

    #[test]
    fn large_messages_wait_for_each_other_and_small_ones_never_wait() {
        let room = ReadingRoom::new(64 * MB);
        let mut inside = Vec::new();
        while let Some(entered) = room.enter(5 * MB).now_or_never() {
            inside.push(entered.unwrap());
        }
        assert_eq!(inside.len(), 3);
        for small in [100_000, LARGE - 1] {
            assert!(matches!(room.enter(small).now_or_never(), Some(None)), "{small} takes no room");
        }
        assert!(room.enter(2 * MB).now_or_never().is_none());
        inside.pop();
        assert!(room.enter(2 * MB).now_or_never().is_some());
    }

    #[test]
    fn a_message_that_needs_more_than_there_is_is_read_alone_and_comes_in_its_turn() {
        let room = ReadingRoom::new(MB);
        let first = room.enter(LARGE).now_or_never();
        let mut huge = Box::pin(room.enter(100 * MB));
        assert!(huge.as_mut().now_or_never().is_none());
        drop(first);
        assert!(room.enter(LARGE).now_or_never().is_none(), "the huge one came first");
        assert!(huge.now_or_never().is_some());
    }
}

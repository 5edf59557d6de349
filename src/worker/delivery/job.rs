//! Holds one piece of work under way: batches of one connection, and what follows for each.

use crate::worker::model::{ActiveBatch, NextStep, PushFeedback};

/// A batch of a job.
pub(super) struct Part {
    pub(super) batch: Box<ActiveBatch>,
    /// How many of its cases are to be sent.
    pub(super) count: usize,
    /// What follows, once the work on the batch has ended.
    pub(super) next: Option<NextStep>,
}

/// A piece of work under way. Its batches stay in it whatever fails, so that none is lost.
pub(super) struct Job {
    pub(super) parts: Vec<Part>,
    pub(super) feedback: PushFeedback,
    /// Whether one more refusal of a whole request puts the blame on the connection.
    pub(super) last_try: bool,
}

impl Job {
    /// Names its batches for the log.
    pub(super) fn name(&self) -> String {
        let batches: Vec<String> = self.parts.iter().map(|part| part.batch.key.batch.to_string()).collect();
        batches.join(", ")
    }

    /// Returns the batches that are still worked on.
    pub(super) fn open(&mut self) -> impl Iterator<Item = &mut Part> {
        self.parts.iter_mut().filter(|part| part.next.is_none())
    }

    /// Counts the cases of its batches that are in Testmo.
    pub(super) fn created_cases(&self) -> usize {
        self.parts.iter().map(|part| part.batch.record.arrived().count()).sum()
    }
}

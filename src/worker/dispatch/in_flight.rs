//! Tracks which deliveries and leases each batch in hand answers for, so that a batch that comes twice is worked on
//! once.

use std::collections::BTreeMap;

use crate::amqp::{AckHandle, Generation};
use crate::store::shelf::ShelfId;
use crate::worker::model::WorkKey;
use crate::worker::turns::Turn;

/// What is acknowledged when a batch is done.
#[derive(Debug)]
pub(in crate::worker) enum AckTarget {
    /// A delivery of the broker.
    Delivery { handle: AckHandle, generation: Generation, turn: Turn },
    /// A lease of a row on the shelf.
    Lease { id: ShelfId, generation: i64, turn: Turn },
}

/// The batches in hand.
#[derive(Debug, Default)]
pub(in crate::worker) struct InFlight {
    held: BTreeMap<WorkKey, Vec<AckTarget>>,
}

impl InFlight {
    /// Notes where a batch came from, and returns whether it was in hand already.
    pub(in crate::worker) fn attach(&mut self, key: &WorkKey, target: AckTarget) -> bool {
        let known = self.held.contains_key(key);
        self.held.entry(key.clone()).or_default().push(target);
        known
    }

    /// Returns whether a batch still has something to acknowledge.
    pub(in crate::worker) fn is_wanted(&self, key: &WorkKey) -> bool {
        self.held.get(key).is_some_and(|targets| !targets.is_empty())
    }

    /// Removes a batch, and returns what to acknowledge.
    pub(in crate::worker) fn release(&mut self, key: &WorkKey) -> Vec<AckTarget> {
        self.held.remove(key).unwrap_or_default()
    }

    /// Forgets the deliveries of a session that is over: the broker delivers them again.
    pub(in crate::worker) fn lose(&mut self, lost: Generation) {
        for targets in self.held.values_mut() {
            targets.retain(|target| match target {
                AckTarget::Delivery { generation, .. } => *generation != lost,
                AckTarget::Lease { .. } => true,
            });
        }
    }

    /// Returns the number of batches in hand.
    pub(in crate::worker) fn len(&self) -> usize {
        self.held.len()
    }

    /// Removes all batches, and returns what to give back.
    pub(in crate::worker) fn clear(&mut self) -> Vec<AckTarget> {
        std::mem::take(&mut self.held).into_values().flatten().collect()
    }
}

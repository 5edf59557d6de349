//! Which deliveries does each batch in hand answer for? A batch that comes twice is worked on once.

use std::collections::BTreeMap;

use super::entry::Identity;
use crate::amqp::{AckHandle, Generation};
use crate::store::shelf::ShelfId;

/// The right to tell where a batch came from that it is done with.
#[derive(Debug)]
pub(super) enum Origin {
    /// From the broker.
    Delivery { handle: AckHandle, generation: Generation },
    /// Off the shelf.
    Lease { id: ShelfId, generation: i64 },
}

/// What the worker has in hand.
#[derive(Debug, Default)]
pub(super) struct Desk {
    held: BTreeMap<Identity, Vec<Origin>>,
}

impl Desk {
    /// Notes where a batch came from; tells whether it was in hand already.
    pub(super) fn attach(&mut self, identity: &Identity, origin: Origin) -> bool {
        let known = self.held.contains_key(identity);
        self.held.entry(identity.clone()).or_default().push(origin);
        known
    }

    /// Whether anybody still waits to be told about a batch.
    pub(super) fn is_wanted(&self, identity: &Identity) -> bool {
        self.held.get(identity).is_some_and(|origins| !origins.is_empty())
    }

    /// Lets go of a batch.
    pub(super) fn release(&mut self, identity: &Identity) -> Vec<Origin> {
        self.held.remove(identity).unwrap_or_default()
    }

    /// Forgets the deliveries of a session that is over; they come again.
    pub(super) fn lose(&mut self, lost: Generation) {
        for origins in self.held.values_mut() {
            origins.retain(|origin| match origin {
                Origin::Delivery { generation, .. } => *generation != lost,
                Origin::Lease { .. } => true,
            });
        }
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// Lets go of everything.
    pub(super) fn clear(&mut self) -> Vec<Origin> {
        std::mem::take(&mut self.held).into_values().flatten().collect()
    }
}

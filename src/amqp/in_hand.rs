//! Counts the messages that were handed over and are not yet acknowledged or given back, and the bytes of their bodies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// What the reader of an intake holds, over all its sessions: a body takes memory until its reader is done with it,
/// also when it can no longer be acknowledged.
#[derive(Clone, Debug, Default)]
pub(super) struct InHand(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    bytes: AtomicU64,
    messages: AtomicU64,
    released: Notify,
}

/// How many messages of a subscription count against its prefetch limit: those of which the broker does not know the
/// end, also where nobody can report it any more.
#[derive(Clone, Debug, Default)]
pub(super) struct OfSubscription(Arc<AtomicU64>);

/// One message in hand, until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    bytes: u64,
    total: InHand,
    subscription: OfSubscription,
}

impl InHand {
    /// Counts a message of a subscription.
    pub(super) fn hold(&self, bytes: u64, subscription: &OfSubscription) -> Held {
        self.0.bytes.fetch_add(bytes, Ordering::AcqRel);
        self.0.messages.fetch_add(1, Ordering::AcqRel);
        subscription.0.fetch_add(1, Ordering::AcqRel);
        Held { bytes, total: self.clone(), subscription: subscription.clone() }
    }

    /// Returns the bytes of the bodies in hand.
    pub(super) fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Acquire)
    }

    /// Returns how many messages are in hand.
    pub(super) fn messages(&self) -> u64 {
        self.0.messages.load(Ordering::Acquire)
    }

    /// Waits until a message has been released since the last wait.
    pub(super) async fn released(&self) {
        self.0.released.notified().await;
    }
}

impl OfSubscription {
    /// Returns how many of its messages have no end that the broker knows.
    pub(super) fn messages(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

impl Held {
    /// Notes that the broker knows the end of the message.
    pub(super) fn settle(&self) {
        self.subscription.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.total.0.messages.fetch_sub(1, Ordering::AcqRel);
        self.total.0.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        self.total.0.released.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_counts_until_it_is_dropped_and_for_its_subscription_until_it_is_settled() {
        let (total, first, second) = (InHand::default(), OfSubscription::default(), OfSubscription::default());
        let held = [total.hold(5, &first), total.hold(7, &second)];
        assert_eq!((total.bytes(), total.messages(), first.messages(), second.messages()), (12, 2, 1, 1));
        held[0].settle();
        drop(held);
        total.released().await;
        assert_eq!((total.bytes(), total.messages(), first.messages(), second.messages()), (0, 0, 0, 1));
    }
}

//! Decides how many messages a subscription takes at once, by their size.
//!
//! What the broker sends ahead lies in memory, and only the number of its messages can be limited. So a subscription
//! begins with one and takes more as their size allows. A new subscription may take its whole number, whatever is
//! still in hand of earlier ones, so messages that stay in hand for long do not keep others from coming.

/// How many messages are taken at once before the size of any is known: the first one may be as large as the broker
/// accepts.
const START: u16 = 1;
/// What is sent ahead may take this part of the memory.
const PART: u64 = 4;
/// How fast a large message is forgotten: with each message by this part of its size.
const FORGETTING: u64 = 16;

/// How many messages a subscription takes at once, and what that depends on.
#[derive(Clone, Debug)]
pub(super) struct Prefetch {
    present: u16,
    most: u16,
    memory: u64,
    /// How many messages came since `present` changed.
    since: u32,
    /// The size of a large message that came recently, in bytes.
    largest: u64,
}

/// The messages that are handed over and not yet acknowledged or given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// The bytes of their bodies.
    pub(super) bytes: u64,
    /// How many there are.
    pub(super) messages: u64,
    /// How many count against the prefetch limit of the present subscription.
    pub(super) of_subscription: u64,
}

impl Prefetch {
    /// Begins with one message, of `most`, and `memory` in bytes.
    pub(super) fn new(most: u16, memory: u64) -> Self {
        Self { present: START.min(most), most, memory, since: 0, largest: 0 }
    }

    /// Returns how many messages are taken at once.
    pub(super) fn present(&self) -> u16 {
        self.present
    }

    /// Notes that a message came.
    pub(super) fn note(&mut self, bytes: u64) {
        self.since = self.since.saturating_add(1);
        self.largest = bytes.max(self.largest - self.largest / FORGETTING);
    }

    /// Returns whether the broker sends no more, because everything that it sent ahead is in hand.
    pub(super) fn is_exhausted(&self, load: Load) -> bool {
        load.of_subscription >= u64::from(self.present)
    }

    /// Returns how many messages a new subscription should take at once, if one is better than the present one.
    pub(super) fn next(&self, load: Load) -> Option<u16> {
        let part = self.memory / PART;
        let bytes_of = |messages: u16| self.largest.saturating_mul(u64::from(messages));
        if self.present > 1 && bytes_of(self.present) > part.saturating_mul(2) {
            return Some(self.fitting(part));
        }
        if load.messages >= u64::from(self.most) {
            return None;
        }
        // Of what a doubled number allows in addition, everything has come.
        let is_used = u64::from(self.since) >= u64::from(self.present).div_ceil(2);
        let doubled = self.present.saturating_mul(2).min(self.most);
        if is_used && doubled > self.present && load.bytes < part && bytes_of(doubled) <= part {
            return Some(doubled);
        }
        let has_memory = load.bytes.saturating_add(bytes_of(self.present)) <= self.memory;
        (self.is_exhausted(load) && has_memory).then_some(self.present)
    }

    /// Notes a new subscription.
    pub(super) fn change(&mut self, present: u16) {
        (self.present, self.since) = (present, 0);
    }

    /// Returns the largest of the halves of the present number that fits, or 1.
    fn fitting(&self, part: u64) -> u16 {
        let mut messages = self.present;
        while messages > 1 && self.largest.saturating_mul(u64::from(messages)) > part {
            messages /= 2;
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1_000_000;

    fn prefetch(present: u16, since: u32, largest: u64) -> Prefetch {
        Prefetch { present, most: 200, memory: 64 * MB, since, largest }
    }

    fn load(bytes: u64, messages: u64, of_subscription: u64) -> Load {
        Load { bytes, messages, of_subscription }
    }

    #[test]
    fn the_next_number_follows_from_size_and_load() {
        for (now, load, next) in [
            // It doubles once the messages of the last change have come, as long as they are small.
            (prefetch(1, 1, 2_000), load(2_000, 1, 1), Some(2)),
            (prefetch(4, 1, 2_000), load(2_000, 1, 1), None),
            (prefetch(4, 2, 2_000), load(4_000, 2, 2), Some(8)),
            (prefetch(128, 64, 2_000), load(0, 0, 0), Some(200)),
            (prefetch(200, 900, 2_000), load(0, 0, 0), None),
            // It does not where twice as many would not fit, or too much is in hand.
            (prefetch(4, 9, 2 * MB), load(0, 0, 0), Some(8)),
            (prefetch(8, 9, 2 * MB), load(0, 0, 0), None),
            (prefetch(4, 2, 2_000), load(16 * MB, 2, 2), None),
            (prefetch(4, 2, 2_000), load(4_000, 200, 2), None),
            // It shrinks once twice the part is exceeded, so that it does not alternate.
            (prefetch(16, 1, 2 * MB), load(2 * MB, 1, 1), None),
            (prefetch(17, 1, 2 * MB), load(2 * MB, 1, 1), Some(8)),
            (prefetch(200, 1, 2 * MB), load(2 * MB, 1, 1), Some(6)),
            (prefetch(4, 1, 100 * MB), load(100 * MB, 1, 1), Some(1)),
            (prefetch(1, 1, 100 * MB), load(100 * MB, 1, 1), None),
            // What stays in hand does not keep others from coming while there is memory.
            (prefetch(4, 9, 4 * MB), load(16 * MB, 4, 4), Some(4)),
            (prefetch(4, 9, 4 * MB), load(48 * MB, 12, 4), Some(4)),
            (prefetch(4, 9, 4 * MB), load(52 * MB, 13, 4), None),
            (prefetch(4, 9, 4 * MB), load(16 * MB, 4, 3), None),
            (prefetch(4, 9, 2_000), load(17 * MB, 200, 4), None),
        ] {
            assert_eq!(now.next(load), next, "{now:?} with {load:?}");
        }
    }

    #[test]
    fn small_messages_reach_the_most_within_eight_changes_and_stay_there() {
        let (mut prefetch, mut changes) = (Prefetch::new(200, 64 * MB), 0);
        for _ in 0..10_000 {
            prefetch.note(20_000);
            if let Some(next) = prefetch.next(load(400_000, 20, 1)) {
                prefetch.change(next);
                changes += 1;
            }
        }
        assert_eq!((prefetch.present(), changes), (200, 8));
    }

    #[test]
    fn a_mixture_of_sizes_does_not_alternate() {
        let mut prefetch = Prefetch::new(200, 64 * MB);
        let mut changes = 0;
        for n in 0..10_000 {
            prefetch.note(if n % 20 == 0 { 2 * MB } else { 20_000 });
            if let Some(next) = prefetch.next(load(3 * MB, 3, 3)) {
                prefetch.change(next);
                changes += 1;
            }
        }
        assert!(changes <= 10, "{changes} changes, {prefetch:?}");
        assert!((8..=16).contains(&prefetch.present()), "{prefetch:?}");
    }

    #[test]
    fn small_messages_bring_it_back_after_a_large_one() {
        let mut prefetch = prefetch(200, 1, 8 * MB);
        for _ in 0..500 {
            if let Some(next) = prefetch.next(Load::default()) {
                prefetch.change(next);
            }
            prefetch.note(2_000);
        }
        assert_eq!(prefetch.present(), 200);
    }

    #[test]
    fn a_subscription_that_may_take_one_message_takes_one() {
        let mut prefetch = Prefetch::new(1, 64 * MB);
        prefetch.note(10);
        assert_eq!((prefetch.present(), prefetch.next(load(10, 1, 1)), prefetch.next(load(0, 0, 0))), (1, None, None));
    }
}

//! Counts what a worker has under way, for those who wait for its end.

use std::sync::atomic::{AtomicUsize, Ordering};

/// What a worker has under way.
#[derive(Debug, Default)]
pub(super) struct Workload {
    batches: AtomicUsize,
    requests: AtomicUsize,
    events: AtomicUsize,
}

/// What was under way at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Busy {
    /// Batches that are neither finished nor shelved nor given back.
    pub(super) batches: usize,
    /// Packs of batches for which requests to Testmo are under way.
    pub(super) requests: usize,
    /// Events that the broker has not confirmed.
    pub(super) events: usize,
}

impl Workload {
    /// Sets how many batches are in hand, and for how many packs of them requests are under way.
    pub(super) fn set_work(&self, batches: usize, requests: usize) {
        self.batches.store(batches, Ordering::Relaxed);
        self.requests.store(requests, Ordering::Relaxed);
    }

    /// Counts events until the value is dropped.
    pub(super) fn events(&self, count: usize) -> UnconfirmedEvents<'_> {
        self.events.fetch_add(count, Ordering::Relaxed);
        UnconfirmedEvents { workload: self, count }
    }

    /// Returns what is under way now, with `waiting` events beside those that are being published.
    pub(super) fn now(&self, waiting: usize) -> Busy {
        Busy {
            batches: self.batches.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
            events: self.events.load(Ordering::Relaxed) + waiting,
        }
    }
}

/// Events that are counted as under way.
pub(super) struct UnconfirmedEvents<'a> {
    workload: &'a Workload,
    count: usize,
}

impl UnconfirmedEvents<'_> {
    /// Notes that so many of them have ended.
    pub(super) fn ended(&mut self, count: usize) {
        let count = count.min(self.count);
        self.count -= count;
        self.workload.events.fetch_sub(count, Ordering::Relaxed);
    }
}

impl Drop for UnconfirmedEvents<'_> {
    fn drop(&mut self) {
        self.ended(self.count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_count_until_each_has_ended_or_none_is_waited_for_any_more() {
        let workload = Workload::default();
        workload.set_work(3, 2);
        let mut events = workload.events(5);
        events.ended(2);
        assert_eq!(workload.now(4), Busy { batches: 3, requests: 2, events: 7 });
        events.ended(9);
        drop(workload.events(1));
        assert_eq!(workload.now(0), Busy { batches: 3, requests: 2, events: 0 });
    }
}

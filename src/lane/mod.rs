//! Whose turn is it? What waits for each account: tenants take turns in an account, accounts take turns in a worker.
//!
//! Invariant: this is a value. It starts nothing, waits for nothing and reads no clock.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::batch::TenantId;

/// What waits, for all accounts.
#[derive(Debug)]
pub struct Lanes<E> {
    lanes: BTreeMap<String, Lane<E>>,
    /// Accounts in the order of their turns.
    turns: VecDeque<String>,
    concurrency: usize,
    arrivals: u64,
}

#[derive(Debug)]
struct Lane<E> {
    /// Tenants in the order of their turns; each has something in its queue.
    turns: VecDeque<TenantId>,
    queues: BTreeMap<TenantId, VecDeque<Waiting<E>>>,
    /// What waits for a time, by that time and then by arrival.
    later: BTreeMap<(Instant, u64), (TenantId, Waiting<E>)>,
    in_flight: usize,
    gate: Option<Instant>,
}

#[derive(Debug)]
struct Waiting<E> {
    since: Instant,
    entry: E,
}

/// Where something joins its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Behind what the tenant has waiting.
    Back,
    /// Before it, as it has begun already.
    Front,
    /// Behind, but not before a time.
    NotBefore(Instant),
}

impl<E> Lanes<E> {
    /// No lanes yet; each will have at most `concurrency` in flight.
    pub fn new(concurrency: usize) -> Self {
        Self { lanes: BTreeMap::new(), turns: VecDeque::new(), concurrency, arrivals: 0 }
    }

    /// Lines up an entry, which has been waiting since `since`.
    pub fn join(&mut self, account: &str, tenant: &TenantId, entry: E, since: Instant, place: Place) {
        self.arrivals += 1;
        let arrival = self.arrivals;
        let lane = self.lane(account);
        let waiting = Waiting { since, entry };
        match place {
            Place::Back => lane.queue(tenant).push_back(waiting),
            Place::Front => lane.queue(tenant).push_front(waiting),
            Place::NotBefore(at) => {
                lane.later.insert((at, arrival), (tenant.clone(), waiting));
            }
        }
    }

    /// The next entry that may start now; it counts as in flight until [`finished`](Self::finished).
    pub fn next(&mut self, now: Instant) -> Option<E> {
        for _ in 0..self.turns.len() {
            self.turns.rotate_left(1);
            let account = self.turns.back()?;
            let Some(lane) = self.lanes.get_mut(account) else { continue };
            if lane.in_flight >= self.concurrency || lane.gate.is_some_and(|gate| gate > now) {
                continue;
            }
            if let Some(entry) = lane.take(now) {
                lane.in_flight += 1;
                return Some(entry);
            }
        }
        None
    }

    /// Tells that what was in flight for an account has ended.
    pub fn finished(&mut self, account: &str) {
        if let Some(lane) = self.lanes.get_mut(account) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
            self.forget_if_idle(account);
        }
    }

    /// Lets nothing start for an account until `until`; a gate never opens earlier than it was closed for.
    pub fn close_gate(&mut self, account: &str, until: Instant) {
        let lane = self.lane(account);
        lane.gate = Some(lane.gate.map_or(until, |gate| gate.max(until)));
    }

    /// When something may start that may not now, if that depends on time alone.
    pub fn wake_at(&self) -> Option<Instant> {
        let one = |lane: &Lane<E>| {
            if lane.in_flight >= self.concurrency {
                return None;
            }
            let ready = if lane.turns.is_empty() { lane.later.keys().next().map(|(at, _)| *at) } else { lane.gate };
            ready.map(|at| lane.gate.map_or(at, |gate| gate.max(at)))
        };
        self.lanes.values().filter_map(one).min()
    }

    /// Takes out what has been waiting for longer than `longest`, with the time until its gate opens.
    pub fn overdue(&mut self, now: Instant, longest: Duration) -> Vec<(E, Duration)> {
        self.take_out(now, |waiting| now.duration_since(waiting.since) > longest)
    }

    /// Takes out everything that waits for an account.
    pub fn drain(&mut self, account: &str, now: Instant) -> Vec<(E, Duration)> {
        let Some(lane) = self.lanes.get_mut(account) else { return Vec::new() };
        let out = lane.take_out(now, |_| true);
        self.forget_if_idle(account);
        out
    }

    /// Takes out what `unwanted` says.
    pub fn remove(&mut self, now: Instant, unwanted: impl Fn(&E) -> bool) -> Vec<E> {
        self.take_out(now, |waiting| unwanted(&waiting.entry)).into_iter().map(|(entry, _)| entry).collect()
    }

    fn take_out(&mut self, now: Instant, wanted: impl Fn(&Waiting<E>) -> bool) -> Vec<(E, Duration)> {
        let mut out = Vec::new();
        for lane in self.lanes.values_mut() {
            out.extend(lane.take_out(now, &wanted));
        }
        let accounts: Vec<String> = self.lanes.keys().cloned().collect();
        accounts.iter().for_each(|account| self.forget_if_idle(account));
        out
    }

    fn lane(&mut self, account: &str) -> &mut Lane<E> {
        if !self.lanes.contains_key(account) {
            self.turns.push_back(account.to_owned());
        }
        self.lanes.entry(account.to_owned()).or_insert_with(|| Lane {
            turns: VecDeque::new(),
            queues: BTreeMap::new(),
            later: BTreeMap::new(),
            in_flight: 0,
            gate: None,
        })
    }

    /// A lane without work costs nothing: its gate is in the store, too.
    fn forget_if_idle(&mut self, account: &str) {
        let idle =
            self.lanes.get(account).is_some_and(|l| l.in_flight == 0 && l.turns.is_empty() && l.later.is_empty());
        if idle {
            self.lanes.remove(account);
            self.turns.retain(|other| other != account);
        }
    }
}

impl<E> Lane<E> {
    fn queue(&mut self, tenant: &TenantId) -> &mut VecDeque<Waiting<E>> {
        let queue = self.queues.entry(tenant.clone()).or_default();
        if queue.is_empty() {
            self.turns.push_back(tenant.clone());
        }
        queue
    }

    fn take(&mut self, now: Instant) -> Option<E> {
        while self.later.keys().next().is_some_and(|(at, _)| *at <= now) {
            let (_, (tenant, waiting)) = self.later.pop_first()?;
            self.queue(&tenant).push_back(waiting);
        }
        let tenant = self.turns.pop_front()?;
        let queue = self.queues.get_mut(&tenant)?;
        let waiting = queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(&tenant);
        } else {
            self.turns.push_back(tenant);
        }
        waiting.map(|waiting| waiting.entry)
    }

    fn take_out(&mut self, now: Instant, wanted: impl Fn(&Waiting<E>) -> bool) -> Vec<(E, Duration)> {
        let gate = self.gate.map_or(Duration::ZERO, |gate| gate.saturating_duration_since(now));
        let mut out = Vec::new();
        for queue in self.queues.values_mut() {
            let (take, keep): (VecDeque<_>, VecDeque<_>) = std::mem::take(queue).into_iter().partition(&wanted);
            *queue = keep;
            out.extend(take.into_iter().map(|waiting| (waiting.entry, gate)));
        }
        self.queues.retain(|_, queue| !queue.is_empty());
        self.turns.retain(|tenant| self.queues.contains_key(tenant));
        for (key, (tenant, waiting)) in std::mem::take(&mut self.later) {
            if wanted(&waiting) {
                let wait = gate.max(key.0.saturating_duration_since(now));
                out.push((waiting.entry, wait));
            } else {
                self.later.insert(key, (tenant, waiting));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        name.parse().unwrap()
    }

    fn lanes(entries: &[(&str, &str, u32)], now: Instant) -> Lanes<u32> {
        let mut lanes = Lanes::new(100);
        for (account, name, entry) in entries {
            lanes.join(account, &tenant(name), *entry, now, Place::Back);
        }
        lanes
    }

    fn all(lanes: &mut Lanes<u32>, now: Instant) -> Vec<u32> {
        std::iter::from_fn(|| lanes.next(now)).collect()
    }

    #[test]
    fn tenants_of_an_account_take_turns_and_each_keeps_its_order() {
        let now = Instant::now();
        let mut lanes = lanes(&[("a", "x", 1), ("a", "x", 2), ("a", "x", 3), ("a", "y", 10), ("a", "y", 11)], now);
        assert_eq!(all(&mut lanes, now), [1, 10, 2, 11, 3]);
    }

    #[test]
    fn accounts_take_turns() {
        let now = Instant::now();
        let mut lanes = lanes(&[("a", "x", 1), ("a", "x", 2), ("b", "y", 10), ("b", "y", 11)], now);
        assert_eq!(all(&mut lanes, now), [1, 10, 2, 11]);
    }

    #[test]
    fn an_account_has_no_more_in_flight_than_it_may() {
        let now = Instant::now();
        let mut lanes = Lanes::new(1);
        for n in 0..2 {
            lanes.join("a", &tenant("x"), n, now, Place::Back);
        }
        assert_eq!(lanes.next(now), Some(0));
        assert_eq!(lanes.next(now), None);
        assert_eq!(lanes.wake_at(), None);
        lanes.finished("a");
        assert_eq!(lanes.next(now), Some(1));
    }

    #[test]
    fn nothing_starts_while_the_gate_is_closed_and_others_go_on() {
        let now = Instant::now();
        let minute = Duration::from_secs(60);
        let mut lanes = lanes(&[("a", "x", 1), ("b", "y", 2)], now);
        lanes.close_gate("a", now + minute);
        lanes.close_gate("a", now + minute / 2);
        assert_eq!(all(&mut lanes, now), [2]);
        assert_eq!(lanes.wake_at(), Some(now + minute));
        assert_eq!(all(&mut lanes, now + minute), [1]);
    }

    #[test]
    fn what_waits_for_a_time_starts_then() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut lanes: Lanes<u32> = Lanes::new(9);
        lanes.join("a", &tenant("x"), 2, now, Place::NotBefore(now + second * 2));
        lanes.join("a", &tenant("x"), 1, now, Place::NotBefore(now + second));
        assert_eq!((lanes.next(now), lanes.wake_at()), (None, Some(now + second)));
        assert_eq!(all(&mut lanes, now + second * 3), [1, 2]);
    }

    #[test]
    fn what_has_begun_goes_first() {
        let now = Instant::now();
        let mut lanes = lanes(&[("a", "x", 1), ("a", "x", 2)], now);
        lanes.join("a", &tenant("x"), 0, now, Place::Front);
        assert_eq!(all(&mut lanes, now), [0, 1, 2]);
    }

    #[test]
    fn what_waits_too_long_is_taken_out_and_idle_lanes_are_forgotten() {
        let now = Instant::now();
        let minute = Duration::from_secs(60);
        let mut lanes = lanes(&[("a", "x", 1)], now);
        lanes.join("a", &tenant("x"), 2, now + minute, Place::Back);
        lanes.close_gate("a", now + minute * 9);
        assert_eq!(lanes.overdue(now + minute + minute / 2, minute), [(1, minute * 9 - minute - minute / 2)]);
        assert_eq!(lanes.drain("a", now + minute * 2), [(2, minute * 7)]);
        assert!(lanes.lanes.is_empty() && lanes.turns.is_empty());
    }
}

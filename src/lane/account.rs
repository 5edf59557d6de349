//! Decides which tenant of an account sends next, by turns of requests, and which entries are surplus because they
//! cannot be sent soon.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Limits;
use super::doubt::Doubt;
use super::queue::{Pick, Queue, Waiting};
use super::throughput::Throughput;
use super::ticket::{QueuePosition, Report, RequestOutcome, Ticket};
use crate::batch::TenantId;

/// Entries that can be sent within this time wait in memory; the rest is surplus.
const SOON: Duration = Duration::from_secs(2);
/// The longest that an entry waits for others to share its request.
const LONGEST_GATHERING: Duration = Duration::from_secs(1);
/// The maximum number of batches that are taken off the shelf at once for a tenant.
const MOST_LEASED: usize = 100;

/// All entries that wait for one account.
#[derive(Debug)]
pub(super) struct Lane<E> {
    /// Tenants in the order of their turns; each has an entry in its queue.
    turns: VecDeque<TenantId>,
    queues: BTreeMap<TenantId, Queue<E>>,
    /// Entries that wait for a time, by that time and then by arrival.
    later: BTreeMap<(Instant, u64), Waiting<E>>,
    pub(super) in_flight: usize,
    /// The shared limit, as last read from the store.
    pub(super) limit: Option<usize>,
    /// Nothing starts before this: a rate-limit pause or an open circuit breaker.
    backs_off_until: Option<Instant>,
    /// When that was last set.
    backed_off_at: Option<Instant>,
    /// Nothing starts before this, because other workers use up the limit; always a short time.
    hold: Option<Instant>,
    throughput: Throughput,
    doubt: Doubt,
    /// Whether the lane waits until accounts that may hang have fewer requests under way.
    pub(super) is_held: bool,
    /// Whether the lane is among those that may have something to start.
    pub(super) is_ready: bool,
    /// When the lane is checked again.
    pub(super) wake: Option<Instant>,
}

/// What a lane does at its turn.
pub(super) enum Turn<E> {
    /// Starts a tenant's entries, each with its number of cases; the flag says whether one more refusal of the whole
    /// request is one too many.
    Go(TenantId, Vec<(Waiting<E>, usize)>, bool),
    /// Starts nothing until a request ends, or until this time.
    Wait(Option<Instant>),
}

impl<E> Lane<E> {
    pub(super) fn new() -> Self {
        Self {
            turns: VecDeque::new(),
            queues: BTreeMap::new(),
            later: BTreeMap::new(),
            in_flight: 0,
            limit: None,
            backs_off_until: None,
            backed_off_at: None,
            hold: None,
            throughput: Throughput::new(),
            doubt: Doubt::default(),
            is_held: false,
            is_ready: false,
            wake: None,
        }
    }

    pub(super) fn join(&mut self, waiting: Waiting<E>, place: QueuePosition, arrival: u64, limits: &Limits) {
        let tenant = waiting.ticket.tenant.clone();
        if let QueuePosition::NotBefore(at) = place {
            self.later.insert((at, arrival), waiting);
            return;
        }
        let queue = self.queues.entry(tenant.clone()).or_insert_with(|| Queue::new(limits));
        if queue.is_empty() {
            self.turns.push_back(tenant);
        }
        if place == QueuePosition::Front { queue.push_front(waiting) } else { queue.push_back(waiting) }
    }

    /// Returns the entries that start at `now`, if any.
    pub(super) fn take(&mut self, now: Instant, limits: &Limits) -> Turn<E> {
        if self.in_flight >= self.most(limits) {
            return Turn::Wait(None);
        }
        if let Some(until) = self.closed_until(now) {
            return Turn::Wait(Some(until));
        }
        self.wake_up(now, limits);
        let next_later = self.later.keys().next().map(|(at, _)| *at);
        let mut wait = next_later;
        let patience = (self.throughput.usual() * 2).min(LONGEST_GATHERING);
        self.forgive();
        for _ in 0..self.turns.len() {
            self.turns.rotate_left(1);
            let Some(tenant) = self.turns.back().cloned() else { break };
            let Some(queue) = self.queues.get_mut(&tenant) else { continue };
            if queue.owed > 0 {
                queue.owed -= 1;
                // The tenant is checked again in the same round of turns.
                wait = Some(now);
                continue;
            }
            match queue.pick(limits, now, patience) {
                Pick::Go(parts) => {
                    queue.in_flight += 1;
                    self.doubt.began(self.in_flight, now);
                    self.in_flight += 1;
                    let last = queue.bisect.is_exhausted_by(parts.iter().map(|(_, count)| count).sum());
                    if queue.is_empty() {
                        self.turns.pop_back();
                    }
                    return Turn::Go(tenant, parts, last);
                }
                Pick::Wait(until) => wait = [wait, until].into_iter().flatten().min(),
                Pick::Nothing => {}
            }
        }
        Turn::Wait(wait)
    }

    /// Cancels the turns that all waiting tenants owe alike, so that no tenant waits while all owe turns.
    fn forgive(&mut self) {
        let queues = &self.queues;
        let least = self.turns.iter().filter_map(|tenant| queues.get(tenant)).map(|queue| queue.owed).min();
        if let Some(least) = least.filter(|least| *least > 0) {
            self.queues.values_mut().for_each(|queue| queue.owed = queue.owed.saturating_sub(least));
        }
    }

    fn most(&self, limits: &Limits) -> usize {
        self.limit.map_or(limits.concurrency, |limit| limit.min(limits.concurrency)).max(1)
    }

    fn wake_up(&mut self, now: Instant, limits: &Limits) {
        while self.later.keys().next().is_some_and(|(at, _)| *at <= now) {
            let Some((_, waiting)) = self.later.pop_first() else { break };
            self.join(waiting, QueuePosition::Back, 0, limits);
        }
    }

    /// Records how the work on a tenant's pack ended; returns whether answers have become slow.
    pub(super) fn finished(&mut self, tenant: &TenantId, report: &Report, now: Instant) -> bool {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.doubt.ended(report, self.throughput.usual(), now);
        let mut slow = false;
        if let Some(push) = report.push {
            if push.end == RequestOutcome::Created {
                slow = self.throughput.note(push.cases, push.took, now);
            }
            if let Some(queue) = self.queues.get_mut(tenant) {
                match push.end {
                    RequestOutcome::Created => queue.bisect.created(),
                    RequestOutcome::RefusedWhole { counts } => queue.refused(push.cases, counts, now),
                    RequestOutcome::Unanswered | RequestOutcome::Unsent | RequestOutcome::Other => {}
                }
            }
        }
        if let Some(queue) = self.queues.get_mut(tenant) {
            queue.in_flight = queue.in_flight.saturating_sub(1);
            queue.owed = queue.owed.saturating_add(report.requests.saturating_sub(1));
            // A tenant that is alone owes no turns to others.
            if queue.is_forgettable(now) {
                self.queues.remove(tenant);
            }
        }
        slow
    }

    /// Returns whether the account may hang.
    pub(super) fn may_hang(&self, now: Instant) -> bool {
        self.doubt.may_hang(self.in_flight, self.throughput.usual(), now)
    }

    /// Lets nothing start until `until`; a rate-limit pause never ends earlier than it was set to.
    pub(super) fn back_off(&mut self, until: Instant, now: Instant) {
        self.throughput.throttled(now);
        self.backs_off_until = Some(self.backs_off_until.map_or(until, |present| present.max(until)));
        self.backed_off_at = Some(now);
    }

    /// Ends the pause if it was set before `as_of`; returns whether it did.
    pub(super) fn reopen(&mut self, as_of: Instant) -> bool {
        let ends = self.backed_off_at.is_some_and(|at| at < as_of);
        if ends {
            (self.backs_off_until, self.backed_off_at) = (None, None);
        }
        ends
    }

    /// Lets nothing start until `until`, because other workers use up the limit.
    pub(super) fn hold(&mut self, until: Instant) {
        self.hold = Some(until);
    }

    /// Returns until when nothing starts, if that is after `now`.
    pub(super) fn closed_until(&self, now: Instant) -> Option<Instant> {
        [self.backs_off_until, self.hold].into_iter().flatten().max().filter(|until| *until > now)
    }

    /// Returns until when the account is paused by rate limit, if it is.
    pub(super) fn backing_off_until(&self, now: Instant) -> Option<Instant> {
        self.backs_off_until.filter(|until| *until > now)
    }

    /// Returns whether the lane can be forgotten: it has no work, no rate-limit pause and no search for a case at fault,
    /// so forgetting it loses nothing.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        let no_work = self.in_flight == 0 && self.turns.is_empty() && self.later.is_empty();
        let no_search = self.queues.values().all(|queue| queue.is_forgettable(now));
        no_work && no_search && self.backing_off_until(now).is_none() && !self.doubt.is_remembered(now)
    }

    /// Returns how many requests can be sent soon.
    fn requests_soon(&self, now: Instant, limits: &Limits) -> usize {
        let opens_in = self.backing_off_until(now).map_or(Duration::ZERO, |until| until - now);
        let Some(left) = SOON.checked_sub(opens_in).filter(|left| !left.is_zero()) else { return 0 };
        let requests = self.throughput.rate(self.most(limits), now) * left.as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rough count, at least 1")]
        (requests.min(1e6) as usize).max(1)
    }

    /// Returns how many requests each tenant with work can send soon.
    fn share(&self, now: Instant, limits: &Limits) -> usize {
        match self.requests_soon(now, limits) {
            0 => 0,
            requests => (requests / self.turns.len().max(1)).max(1),
        }
    }

    /// Removes the entries that count against the broker's prefetch limit although they cannot be sent soon, the latest
    /// of each tenant, and returns them with the time until they could be sent.
    pub(super) fn surplus(&mut self, now: Instant, limits: &Limits) -> Vec<(Waiting<E>, Duration)> {
        let share = self.share(now, limits);
        let backing_off = self.backing_off_until(now).map_or(Duration::ZERO, |until| until - now);
        let mut out = Vec::new();
        for queue in self.queues.values_mut().filter(|queue| queue.len() > share || share == 0) {
            let (mut cases, mut entries) = (0, 0);
            let surplus = queue.take_out(|waiting| {
                cases += waiting.cases();
                entries += 1;
                let requests = if limits.pack { cases.div_ceil(limits.max_cases) } else { entries };
                waiting.ticket.in_window && requests > share
            });
            out.extend(surplus.into_iter().map(|waiting| (waiting, backing_off)));
        }
        self.forget_empty_turns(now);
        let pausing = if share == 0 { 0 } else { limits.pausing };
        let in_window = self.later.values().filter(|waiting| waiting.ticket.in_window).count();
        for _ in pausing..in_window {
            // The entry that waits longest is given up first.
            let last = self.later.iter().rev().find(|(_, waiting)| waiting.ticket.in_window).map(|(key, _)| *key);
            let Some((key, waiting)) = last.and_then(|key| self.later.remove_entry(&key)) else { break };
            out.push((waiting, backing_off.max(key.0.saturating_duration_since(now))));
        }
        out
    }

    /// Returns how many more batches of a tenant there is room for.
    pub(super) fn room(&self, tenant: &TenantId, now: Instant, limits: &Limits) -> usize {
        let share = self.share(now, limits);
        let allowed = share.saturating_mul(if limits.pack { limits.max_cases } else { 1 });
        let waiting = self.queues.get(tenant).map_or(0, |q| if limits.pack { q.cases() } else { q.len() });
        if waiting * 2 >= allowed { 0 } else { (allowed - waiting).min(MOST_LEASED) }
    }

    /// Removes the entries that `unwanted` selects, and returns them with the time for which they would have waited.
    pub(super) fn take_out(
        &mut self,
        now: Instant,
        unwanted: impl Fn(&Waiting<E>) -> bool,
    ) -> Vec<(Waiting<E>, Duration)> {
        let backing_off = self.backing_off_until(now).map_or(Duration::ZERO, |until| until - now);
        let mut out = Vec::new();
        for queue in self.queues.values_mut() {
            out.extend(queue.take_out(&unwanted).into_iter().map(|waiting| (waiting, backing_off)));
        }
        self.forget_empty_turns(now);
        let later: Vec<(Instant, u64)> =
            self.later.iter().filter(|(_, waiting)| unwanted(waiting)).map(|(key, _)| *key).collect();
        for key in later {
            let wait = backing_off.max(key.0.saturating_duration_since(now));
            out.extend(self.later.remove(&key).map(|waiting| (waiting, wait)));
        }
        out
    }

    fn forget_empty_turns(&mut self, now: Instant) {
        let queues = &self.queues;
        self.turns.retain(|tenant| queues.get(tenant).is_some_and(|queue| !queue.is_empty()));
        self.queues.retain(|_, queue| !queue.is_forgettable(now));
    }

    /// Returns a view of the lane: of the tenant `only` if one is given, otherwise of all tenants that have work.
    pub(super) fn view(&self, account: &Arc<str>, only: Option<&TenantId>, now: Instant, limits: &Limits) -> LaneView {
        let most = self.most(limits);
        let tenant = |(tenant, queue): (&TenantId, &Queue<E>)| {
            let requests = if limits.pack { queue.cases().div_ceil(limits.max_cases) } else { queue.len() };
            TenantView {
                tenant: tenant.clone(),
                batches: queue.len(),
                cases: queue.cases(),
                in_flight: queue.in_flight,
                requests,
            }
        };
        LaneView {
            account: account.clone(),
            in_flight: self.in_flight,
            limit: most,
            backing_off_for: self.backing_off_until(now).map(|until| until - now),
            pausing: self.later.len(),
            requests_per_second: self.throughput.rate(most, now),
            reported_rate: self.throughput.reported_rate(most, now),
            sharing: self.queues.values().filter(|queue| queue.has_work()).count(),
            tenants: match only {
                Some(only) => self.queues.get_key_value(only).map(tenant).into_iter().collect(),
                None => self.queues.iter().filter(|(_, queue)| queue.has_work()).map(tenant).collect(),
            },
        }
    }
}

/// A view of a lane.
#[derive(Clone, Debug)]
pub struct LaneView {
    /// The account.
    pub account: Arc<str>,
    /// Requests under way.
    pub in_flight: usize,
    /// The most requests at once.
    pub limit: usize,
    /// The remaining time of the rate-limit pause, if there is one.
    pub backing_off_for: Option<Duration>,
    /// Batches that wait for a time.
    pub pausing: usize,
    /// The present rate of requests per second.
    pub requests_per_second: f64,
    /// The rate from which waiting times are reported to tenants: not slower than was measured.
    pub reported_rate: f64,
    /// The number of tenants with work.
    pub sharing: usize,
    /// The requested tenants.
    pub tenants: Vec<TenantView>,
}

/// A view of a tenant in a lane.
#[derive(Clone, Debug)]
pub struct TenantView {
    /// The tenant.
    pub tenant: TenantId,
    /// Batches that wait.
    pub batches: usize,
    /// Cases that wait.
    pub cases: usize,
    /// Requests under way.
    pub in_flight: usize,
    /// Requests that the waiting cases take.
    pub requests: usize,
}

impl<E> Waiting<E> {
    pub(super) fn new(ticket: Ticket, entry: E) -> Self {
        Self { ticket, entry }
    }
}

//! Holds all lanes of a worker, and decides which account sends next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Limits;
use super::account::{Lane, LaneView, Turn};
use super::queue::Waiting;
use super::ticket::{Pack, QueuePosition, Report, Ticket};
use crate::batch::TenantId;

/// All waiting entries, by account.
#[derive(Debug)]
pub struct Lanes<E> {
    lanes: BTreeMap<Arc<str>, Lane<E>>,
    /// Accounts that may have something to start, in the order of their turns.
    ready: VecDeque<Arc<str>>,
    /// Accounts with requests under way.
    busy: BTreeSet<Arc<str>>,
    /// Accounts that may hang, and wait until such accounts have fewer requests under way.
    held: VecDeque<Arc<str>>,
    /// When the other accounts are checked again.
    wakes: BTreeSet<(Instant, Arc<str>)>,
    limits: Limits,
    in_flight: usize,
    arrivals: u64,
    bytes: usize,
}

impl<E> Lanes<E> {
    /// Returns an empty set of lanes.
    pub fn new(limits: Limits) -> Self {
        Self {
            lanes: BTreeMap::new(),
            ready: VecDeque::new(),
            busy: BTreeSet::new(),
            held: VecDeque::new(),
            wakes: BTreeSet::new(),
            limits,
            in_flight: 0,
            arrivals: 0,
            bytes: 0,
        }
    }

    /// Keeps to other limits from now on; what is under way beyond them ends first.
    pub fn keep_to(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Adds an entry to the lane of its account.
    pub fn join(&mut self, ticket: Ticket, entry: E, place: QueuePosition) {
        self.arrivals += 1;
        self.bytes += ticket.bytes;
        let (account, arrival) = (ticket.account.clone(), self.arrivals);
        let lane = self.lanes.entry(account.clone()).or_insert_with(Lane::new);
        lane.join(Waiting::new(ticket, entry), place, arrival, &self.limits);
        self.make_ready(&account);
    }

    /// Returns the pack to work on next, if anything starts at `now`; the pack counts as in flight until
    /// [`finished`](Self::finished).
    pub fn next(&mut self, now: Instant) -> Option<Pack<E>> {
        while self.wakes.first().is_some_and(|(at, _)| *at <= now) {
            let (_, account) = self.wakes.pop_first()?;
            if let Some(lane) = self.lanes.get_mut(&account) {
                lane.wake = None;
            }
            self.make_ready(&account);
        }
        while self.in_flight < self.limits.in_flight {
            if self.ready.is_empty() && self.has_room_for_doubt(now) {
                self.release_held();
            }
            let account = self.ready.pop_front()?;
            let has_room = self.has_room_for_doubt(now);
            let Some(lane) = self.lanes.get_mut(&account) else { continue };
            lane.is_ready = false;
            if !has_room && lane.may_hang(now) {
                lane.is_held = true;
                self.held.push_back(account);
                continue;
            }
            match lane.take(now, &self.limits) {
                Turn::Go(tenant, parts, last_try) => {
                    self.in_flight += 1;
                    self.busy.insert(account.clone());
                    self.bytes -= parts.iter().map(|(waiting, _)| waiting.ticket.bytes).sum::<usize>();
                    self.make_ready(&account);
                    let parts = parts.into_iter().map(|(waiting, count)| (waiting.entry, count)).collect();
                    return Some(Pack { account, tenant, parts, last_try });
                }
                Turn::Wait(Some(until)) if until <= now => self.make_ready(&account),
                Turn::Wait(until) => self.wake_lane(&account, until),
            }
        }
        None
    }

    /// Records how the work on a pack ended; returns whether the account's answers have become slow.
    pub fn finished(&mut self, account: &Arc<str>, tenant: &TenantId, report: &Report, now: Instant) -> bool {
        self.in_flight = self.in_flight.saturating_sub(1);
        let Some(lane) = self.lanes.get_mut(account) else { return false };
        let slow = lane.finished(tenant, report, now);
        if lane.in_flight == 0 {
            self.busy.remove(account);
        }
        if std::mem::take(&mut lane.is_held) {
            self.held.retain(|held| held != account);
        }
        self.make_ready(account);
        // Accounts that always have something to start must not keep one that is held from its turn.
        self.release_held();
        slow
    }

    /// Returns whether an account that may hang may start one more request: all such accounts together never have the
    /// last quarter of the worker's requests, so that they cannot stop the others.
    fn has_room_for_doubt(&self, now: Instant) -> bool {
        let most = self.limits.in_flight - self.limits.in_flight / 4;
        if self.in_flight < most {
            return true;
        }
        let lanes = self.busy.iter().filter_map(|account| self.lanes.get(account));
        lanes.filter(|lane| lane.may_hang(now)).map(|lane| lane.in_flight).sum::<usize>() < most
    }

    /// Gives the account that has been held longest its turn.
    fn release_held(&mut self) {
        let Some(account) = self.held.pop_front() else { return };
        if let Some(lane) = self.lanes.get_mut(&account) {
            lane.is_held = false;
        }
        self.make_ready(&account);
    }

    /// Lets nothing start for an account until `until`; a rate-limit pause never ends earlier than it was set to.
    pub fn back_off(&mut self, account: &Arc<str>, until: Instant, now: Instant) {
        self.lanes.entry(account.clone()).or_insert_with(Lane::new).back_off(until, now);
        self.make_ready(account);
    }

    /// Ends the pause of an account that was open at `as_of`; a pause that was set since then goes on. Returns whether it
    /// ended.
    pub fn reopen(&mut self, account: &Arc<str>, as_of: Instant) -> bool {
        let ends = self.lanes.get_mut(account).is_some_and(|lane| lane.reopen(as_of));
        if ends {
            self.make_ready(account);
        }
        ends
    }

    /// Returns the accounts for which nothing starts because of a pause.
    pub fn backing_off(&self, now: Instant) -> Vec<Arc<str>> {
        let backing_off = self.lanes.iter().filter(|(_, lane)| lane.backing_off_until(now).is_some());
        backing_off.map(|(account, _)| account.clone()).collect()
    }

    /// Lets nothing start for an account until `until`, because other workers use up the account's limit.
    pub fn hold(&mut self, account: &Arc<str>, until: Instant) {
        if let Some(lane) = self.lanes.get_mut(account) {
            lane.hold(until);
        }
    }

    /// Sets the limit that all workers share for an account.
    pub fn set_limit(&mut self, account: &Arc<str>, limit: u32) {
        if let Some(lane) = self.lanes.get_mut(account) {
            lane.limit = usize::try_from(limit).ok();
        }
    }

    /// Returns when something may start that may not start now, if that depends on time alone.
    pub fn wake_at(&self) -> Option<Instant> {
        if self.in_flight >= self.limits.in_flight { None } else { self.wakes.first().map(|(at, _)| *at) }
    }

    /// Removes the entries that count against the broker's prefetch limit although they cannot be sent soon, and
    /// returns them with the time until they could be sent.
    pub fn surplus(&mut self, account: &Arc<str>, now: Instant) -> Vec<(E, Duration)> {
        let Some(lane) = self.lanes.get_mut(account) else { return Vec::new() };
        // The memory that is left is for what can be sent: without it no message would be taken for any account.
        let is_scarce = self.bytes >= self.limits.memory / 2;
        let pausing = if is_scarce { 0 } else { self.limits.pausing };
        let out = lane.surplus(now, &Limits { pausing, ..self.limits });
        self.bytes -= out.iter().map(|(waiting, _)| waiting.ticket.bytes).sum::<usize>();
        out.into_iter().map(|(waiting, wait)| (waiting.entry, wait)).collect()
    }

    /// Returns how many more batches of an account's tenant there is room for.
    pub fn room(&self, account: &str, tenant: &TenantId, now: Instant) -> usize {
        if self.bytes >= self.limits.memory {
            return 0;
        }
        let lane = self.lanes.get(account);
        lane.map_or(self.limits.max_cases, |lane| lane.room(tenant, now, &self.limits))
    }

    /// Returns the memory that waiting entries take, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Removes the entries that have been in hand for longer than `longest`, and returns them with the time for which
    /// they would still have waited.
    pub fn overdue(&mut self, now: Instant, longest: Duration) -> Vec<(E, Duration)> {
        self.take_out(now, |waiting| now.saturating_duration_since(waiting.ticket.since) > longest)
    }

    /// Removes the entries that `unwanted` selects, and returns them with the time for which they would still have
    /// waited.
    pub fn remove(&mut self, now: Instant, unwanted: impl Fn(&E) -> bool) -> Vec<(E, Duration)> {
        self.take_out(now, |waiting| unwanted(&waiting.entry))
    }

    /// Returns a view of every lane.
    pub fn view(&self, now: Instant) -> Vec<LaneView> {
        self.lanes.iter().map(|(account, lane)| lane.view(account, None, now, &self.limits)).collect()
    }

    /// Returns a view of an account's lane for one of its tenants, if the lane exists.
    pub fn view_for(&self, account: &str, tenant: &TenantId, now: Instant) -> Option<LaneView> {
        let (account, lane) = self.lanes.get_key_value(account)?;
        Some(lane.view(account, Some(tenant), now, &self.limits))
    }

    /// Returns whether the account has a lane.
    pub fn has(&self, account: &str) -> bool {
        self.lanes.contains_key(account)
    }

    /// Returns the accounts that have a lane: with entries waiting or under way, or paused.
    pub fn accounts(&self) -> Vec<Arc<str>> {
        self.lanes.keys().cloned().collect()
    }

    /// Forgets lanes without work; the knowledge about their accounts stays in the store.
    pub fn forget_idle(&mut self, now: Instant) {
        let wakes = &mut self.wakes;
        self.lanes.retain(|account, lane| {
            let keep = !lane.is_idle(now);
            if let (false, Some(at)) = (keep, lane.wake) {
                wakes.remove(&(at, account.clone()));
            }
            keep
        });
    }

    fn take_out(&mut self, now: Instant, unwanted: impl Fn(&Waiting<E>) -> bool) -> Vec<(E, Duration)> {
        let mut out = Vec::new();
        for lane in self.lanes.values_mut() {
            out.extend(lane.take_out(now, &unwanted));
        }
        self.bytes -= out.iter().map(|(waiting, _)| waiting.ticket.bytes).sum::<usize>();
        out.into_iter().map(|(waiting, wait)| (waiting.entry, wait)).collect()
    }

    fn make_ready(&mut self, account: &Arc<str>) {
        if let Some(lane) = self.lanes.get_mut(account).filter(|lane| !lane.is_ready && !lane.is_held) {
            lane.is_ready = true;
            self.ready.push_back(account.clone());
        }
    }

    fn wake_lane(&mut self, account: &Arc<str>, until: Option<Instant>) {
        let (Some(lane), Some(until)) = (self.lanes.get_mut(account), until) else { return };
        if let Some(before) = lane.wake.replace(until) {
            self.wakes.remove(&(before, account.clone()));
        }
        self.wakes.insert((until, account.clone()));
    }
}

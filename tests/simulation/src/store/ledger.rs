//! Claims cases for pushes and stores changes of batches, as the real store does.

use std::collections::HashSet;
use std::time::Duration;

use testmo_courier::batch::BatchKey;
use testmo_courier::batch::ledger::{BatchRecord, BatchState, CaseState};
use testmo_courier::store::ledger::{
    Claim, ClaimOutcome, Commit, CommitOutcome, KnownIds, PushEnded, PushMembers, RecordUpdate, StoredBatch,
    given_before, happened,
};
use testmo_courier::store::shelf::{ShelfId, ShelfIdentity};
use testmo_courier::store::{HeldBack, PruneCounts, PruneRound, StoreError};

use super::accounts::Answer;
use super::tables::{BatchEntry, Grant, Push, Share, Tables, after};
use crate::mutation::Mutation;

impl Tables {
    /// Claims cases for a push, which must have an id of its own.
    pub(crate) fn claim(&mut self, claim: &Claim, now: i64) -> Result<ClaimOutcome, StoreError> {
        let current = self.connections.get(&claim.tenant);
        if !current.is_some_and(|entry| entry.row.is_verified() && entry.row.version == claim.connection) {
            return Ok(ClaimOutcome::ConnectionChanged);
        }
        let (fitting, unfit): (Vec<&RecordUpdate>, Vec<&RecordUpdate>) =
            claim.batches.iter().partition(|revised| self.fits(revised));
        let stored = |revised: &&RecordUpdate| self.batches.get(&revised.record.key).map(|entry| entry.stored.clone());
        let stale: Vec<StoredBatch> = unfit.iter().filter_map(stored).collect();
        if fitting.is_empty() {
            return Ok(ClaimOutcome::Stale { stored: stale, now });
        }
        // A batch that is not stored although the claim expects it was pruned: the worker reads it again.
        let unknown = unfit.iter().map(|revised| &revised.record.key).filter(|key| !self.batches.contains_key(key));
        let contested = unknown.cloned().collect();
        Ok(match self.ask(&claim.account, &claim.tenant, claim.ceiling, now) {
            Answer::Granted { .. } if self.pushes.contains_key(&claim.push) => {
                return Err(StoreError::Away(format!("there is a push {} already", claim.push)));
            }
            Answer::Granted { limit } => {
                let fitting: Vec<RecordUpdate> = fitting.into_iter().cloned().collect();
                let ids = self.known_ids(&claim.account);
                self.grant(claim, &fitting, ids.floor(), now);
                ClaimOutcome::Granted { at: now, limit, ids, stale, contested, unreadable: Vec::new() }
            }
            Answer::Full { limit } => ClaimOutcome::Full { limit },
            Answer::Wait(pause) => ClaimOutcome::Wait(pause),
            Answer::Probe => ClaimOutcome::Probe,
            Answer::Paused => ClaimOutcome::Paused,
        })
    }

    fn fits(&self, revised: &RecordUpdate) -> bool {
        let Some(entry) = self.batches.get(&revised.record.key) else { return revised.from_epoch == 0 };
        let stored = &entry.stored.record;
        let same = stored.epoch == revised.from_epoch || self.has(Mutation::NoEpochCheck);
        same && stored.fingerprint == revised.record.fingerprint
    }

    fn known_ids(&self, account: &str) -> KnownIds {
        let of_account = self.pushes.values().filter(|push| push.account == account);
        let highest = of_account.filter_map(|push| push.ids).map(|(_, last)| last).max();
        KnownIds { highest, disordered: self.throttle(account).ids_disordered }
    }

    fn grant(&mut self, claim: &Claim, fitting: &[RecordUpdate], highest: Option<u64>, now: i64) {
        let lease = if self.has(Mutation::ShortLease) { claim.lease / 8 } else { claim.lease };
        let lease_until = after(now, lease);
        for RecordUpdate { record, .. } in fitting {
            let before = self.batches.get(&record.key);
            let stored_before = before.map(|entry| &entry.stored.record);
            let record = BatchRecord {
                fingerprint: stored_before.unwrap_or(record).fingerprint.clone(),
                earlier: stored_before.unwrap_or(record).earlier.clone(),
                revision: stored_before.unwrap_or(record).revision,
                late_since: stored_before.and_then(|before| before.late_since),
                floor: stored_before.map_or(highest, |before| before.next_floor(&claim.account, highest)),
                first_seen_at: stored_before.map_or(now, |before| before.first_seen_at),
                settled_at: stored_before.unwrap_or(record).settled_at,
                published_at: stored_before.unwrap_or(record).published_at,
                arrived_at: stored_before.unwrap_or(record).arrived_at,
                trace: stored_before.unwrap_or(record).trace.clone(),
                ..record.clone()
            };
            let key = record.key.clone();
            self.parts.insert((key.clone(), claim.push.clone()));
            let stored = StoredBatch { record, claimed_at: Some(now), lease_until: Some(lease_until) };
            let (pruned, look_after) = before.map_or((false, 0), |entry| (entry.pruned, entry.look_after));
            self.batches.insert(key, BatchEntry { stored, pruned, look_after });
        }
        let (account, tenant) = (claim.account.clone(), claim.tenant.clone());
        let push = Push { account, tenant, claimed_at: now, lease_until, ended: false, ended_at: None, ids: None };
        self.pushes.insert(claim.push.clone(), push);
        let share = |RecordUpdate { record, .. }: &RecordUpdate| Share {
            batch: record.key.clone(),
            folders: record
                .cases
                .iter()
                .filter(|case| case.state == CaseState::Claimed)
                .map(|case| record.targets.get(case.target).map_or(0, |target| target.folder))
                .collect(),
        };
        self.grants.push(Grant {
            to: self.caller,
            push: claim.push.clone(),
            at: now,
            lease_until,
            account: claim.account.clone(),
            shares: fitting.iter().map(share).collect(),
            used: false,
        });
    }

    /// Stores a change whole or not at all; what a request showed of its account is stored in any case.
    pub(crate) fn commit(&mut self, change: &Commit, now: i64) -> CommitOutcome {
        let changed = self.store_change(change, now);
        if let Some(observation) = &change.observation {
            self.observe(observation, now);
        }
        changed
    }

    fn store_change(&mut self, change: &Commit, now: i64) -> CommitOutcome {
        if change.operator_action.as_ref().is_some_and(|operator_action| !self.is_untouched(operator_action, now)) {
            return CommitOutcome::Fenced;
        }
        if change.edit.as_ref().is_some_and(|edited| !self.may_be_edited(edited, now))
            || change.restore.is_some_and(|id| !self.may_be_restored(id))
        {
            return CommitOutcome::Fenced;
        }
        let is_open = |key| self.batches.get(key).is_some_and(|entry| entry.stored.record.state == BatchState::Open);
        if change.unless_open.as_ref().is_some_and(is_open) {
            return CommitOutcome::Fenced;
        }
        if change.batch.as_ref().is_some_and(|revised| !self.store_batch(revised, change.lease, now)) {
            return CommitOutcome::Fenced;
        }
        self.keep_discarded(change, now);
        if let Some(found) = &change.found {
            self.parts.insert((found.batch.clone(), found.push.clone()));
            let (account, tenant) = (found.target.account.clone(), found.batch.tenant.clone());
            let push =
                Push { account, tenant, claimed_at: now, lease_until: now, ended: false, ended_at: None, ids: None };
            self.pushes.insert(found.push.clone(), push);
        }
        if let Some(ended) = &change.ended {
            self.end_push(ended, now);
        }
        self.keep_undo(change);
        if let Some(step) = &change.window {
            self.keep_windows(step, now);
        }
        self.forget(&change.forgotten);
        self.remember(&change.written, now);
        if let Some(tenant) = &change.success {
            self.note_success(tenant, now);
        }
        let in_replay = change.operator_action.as_ref().and_then(|action| self.shelf.get(&action.id.0)?.replay);
        if let Some((id, generation)) = change.unshelve
            && let Some((replay, batch)) = self.unshelve(id, generation)
        {
            let before = batch.and_then(|key| self.batches.get(&key)).map(|entry| entry.stored.record.state);
            self.left_in_replay(change, ShelfId(id), replay, before);
        }
        if let Some(record) = change.batch.as_ref().map(|update| &update.record)
            && record.state != BatchState::Open
        {
            let identity = ShelfIdentity::Batch(record.key.clone(), record.fingerprint.clone());
            if change.shelve.as_ref().is_none_or(|shelving| shelving.identity != identity)
                && let Some((id, replay)) = self.remove_parked(&identity)
            {
                self.left_in_replay(change, id, replay, None);
            }
        }
        if let Some(operator_action) = &change.operator_action {
            self.handle(operator_action, now);
            if let Some(replay) = in_replay {
                self.acted_in_replay(operator_action, replay);
            }
        }
        if let Some(edited) = &change.edit {
            self.put_edited(edited, now);
        }
        if let Some(id) = change.restore {
            self.put_back(id, now);
        }
        let due_at = change.shelve.as_ref().and_then(|shelving| self.put_on_shelf(shelving, now));
        if let Some(shelving) = change.shelve.as_ref().filter(|_| due_at.is_some()) {
            self.put_in_replay(change, shelving);
        }
        self.pass_replays_on(change);
        self.audit.extend(change.audit.iter().cloned());
        self.add_to_histories(happened(change, due_at, now));
        CommitOutcome::Done(self.put_events(&change.events, change.owner_grace, now))
    }

    /// Stores a record if the stored epoch is the one that the change started from, and returns whether it is.
    fn store_batch(&mut self, revised: &RecordUpdate, lease: Option<Duration>, now: i64) -> bool {
        let ignores_epochs = self.has(Mutation::NoEpochCheck);
        let record = revised.record.clone();
        match self.batches.get_mut(&record.key) {
            None if revised.from_epoch == 0 => {
                let record = BatchRecord { first_seen_at: now, late_since: None, ..record };
                let stored = StoredBatch { record, claimed_at: None, lease_until: None };
                self.batches.insert(stored.record.key.clone(), BatchEntry { stored, pruned: false, look_after: 0 });
                true
            }
            None => false,
            Some(entry) => {
                let before = &entry.stored.record;
                let same = before.epoch == revised.from_epoch && revised.from_epoch > 0;
                if !same && !ignores_epochs {
                    return false;
                }
                entry.stored.record = BatchRecord {
                    first_seen_at: before.first_seen_at,
                    published_at: before.published_at,
                    arrived_at: before.arrived_at,
                    trace: before.trace.clone(),
                    ..record
                };
                if let Some(lease) = lease {
                    entry.stored.lease_until = Some(after(now, lease));
                }
                true
            }
        }
    }

    fn end_push(&mut self, ended: &PushEnded, now: i64) {
        let was_sent = self.grants.iter().any(|grant| grant.push == ended.push && grant.used);
        let is_kept = self.has(Mutation::KeepPermits) && !was_sent;
        if let Some(push) = self.pushes.get_mut(&ended.push) {
            push.ended = !is_kept;
            push.ended_at = Some(now);
            push.ids = match (push.ids, ended.ids) {
                (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
                (ids, None) | (None, ids) => ids,
            };
        }
    }

    /// Returns whether a push is known to have created cases, and the batches whose open push it still is.
    pub(crate) fn push_members(&self, push: &str) -> PushMembers {
        let parts = self.parts.iter().filter(|(_, of)| of == push);
        let records: Vec<&BatchRecord> =
            parts.filter_map(|(key, _)| Some(&self.batches.get(key)?.stored.record)).collect();
        let created = self.pushes.get(push).is_some_and(|push| push.ids.is_some());
        let waits = |record: &&&BatchRecord| record.open_push.as_ref().is_some_and(|open| open.id == push);
        let waiting = records.iter().filter(waits).map(|record| (*record).clone()).collect();
        PushMembers { committed: created && !records.is_empty(), waiting }
    }

    /// Returns the last push of a batch to an account, leaving out the push `but`.
    pub(crate) fn last_push(&self, batch: &BatchKey, account: &str, but: Option<&str>) -> Option<String> {
        let parts = self.parts.iter().filter(|(of, push)| of == batch && but != Some(push));
        let pushes = parts.filter_map(|(_, id)| Some((id, self.pushes.get(id)?)));
        let there = pushes.filter(|(_, push)| push.account == account);
        there.min_by_key(|(id, push)| (std::cmp::Reverse(push.claimed_at), *id)).map(|(id, _)| id.clone())
    }

    /// Takes batches that are due for a late-duplicate check, which no other worker is given for `lease`.
    pub(crate) fn take_late_checks(
        &mut self,
        settled_for: Duration,
        lease: Duration,
        most: u32,
        now: i64,
    ) -> Vec<StoredBatch> {
        let settled_by = now.saturating_sub(i64::try_from(settled_for.as_millis()).unwrap_or(i64::MAX));
        let is_due = |entry: &&mut BatchEntry| {
            let record = &entry.stored.record;
            awaits_late_check(record) && record.settled_at.is_some_and(|at| at <= settled_by) && entry.look_after <= now
        };
        let mut due: Vec<&mut BatchEntry> = self.batches.values_mut().filter(is_due).collect();
        due.sort_by_key(|entry| entry.stored.record.settled_at);
        due.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        let take = |entry: &mut BatchEntry| {
            entry.look_after = after(now, lease);
            entry.stored.clone()
        };
        due.into_iter().map(take).collect()
    }

    pub(crate) fn batch(&self, key: &BatchKey) -> Option<StoredBatch> {
        self.batches.get(key).map(|entry| entry.stored.clone())
    }

    /// Returns those of `ids` that the ledger holds for cases of an account: by the pushes whose ids lie around them.
    pub(crate) fn held_ids(&self, account: &str, ids: &[u64]) -> HashSet<u64> {
        let (Some(low), Some(high)) = (ids.iter().min(), ids.iter().max()) else { return HashSet::new() };
        if self.has(Mutation::AdoptHeld) {
            return HashSet::new();
        }
        let around = |push: &Push| {
            push.account == account && push.ids.is_some_and(|(first, last)| last >= *low && first <= *high)
        };
        let near = self.parts.iter().filter(|(_, push)| self.pushes.get(push).is_some_and(around));
        let records = near.filter_map(|(key, _)| self.batches.get(key)).map(|entry| &entry.stored.record);
        let held: HashSet<u64> = records.flat_map(|record| record.arrived_at(account)).map(|(_, id)| id).collect();
        ids.iter().copied().filter(|id| held.contains(id)).collect()
    }

    pub(crate) fn ids_given_before(&self, account: &str, ids: &[u64], before: i64) -> HashSet<u64> {
        let there = self.pushes.values().filter(|push| push.account == account);
        let span = |push: &Push| {
            let (first, last) = push.ids?;
            Some((first..=last, push.ended_at.is_some_and(|ended_at| ended_at < before)))
        };
        given_before(ids, &there.filter_map(span).collect::<Vec<_>>())
    }

    pub(crate) fn begin_pruning(&self, retention: Duration, now: i64) -> PruneRound {
        let mut round = PruneRound::new(now, retention);
        for record in self.batches.values().map(|entry| &entry.stored.record) {
            if let Some(since) = record.unclear_since.filter(|since| *since < HeldBack::latest(round.before)) {
                let (targets, open) = (Some(record.targets.as_slice()), record.open_push.as_ref());
                round.held_back.add(since, targets, open, round.before, round.retention_ms);
            }
        }
        round
    }

    #[cfg(test)]
    pub(crate) fn prune(&mut self, retention: Duration, most: u32, now: i64) -> PruneCounts {
        let mut round = self.begin_pruning(retention, now);
        self.prune_step(&mut round, most)
    }

    pub(crate) fn prune_step(&mut self, round: &mut PruneRound, most: u32) -> PruneCounts {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let discarded = self.remove_discarded(round.before, most);
        round.no_discarded_left = discarded < most as u64;
        let batches = self.prune_batches(round, most);
        let events = self.prune_events(round, most);
        let unheard = self.remove_unheard(round.retention_ms, most);
        round.no_unroutable_left = unheard < most as u64;
        self.prune_histories(round, most);
        PruneCounts { batches, events, unheard, discarded }
    }

    fn prune_batches(&mut self, round: &mut PruneRound, most: usize) -> u64 {
        let place = |record: &BatchRecord| {
            let (tenant, batch) = (record.key.tenant.as_str().to_owned(), record.key.batch.as_str().to_owned());
            Some((record.settled_at?, tenant, batch))
        };
        let mut old: Vec<((i64, String, String), BatchKey)> = self
            .batches
            .values()
            .filter(|entry| !entry.pruned)
            .filter_map(|entry| Some((place(&entry.stored.record)?, entry.stored.record.key.clone())))
            .filter(|(place, _)| place.0 < round.before && round.last_batch.as_ref().is_none_or(|last| place > last))
            .collect();
        old.sort();
        old.truncate(most);
        round.no_batches_left = old.len() < most;
        round.last_batch = old.last().map(|(place, _)| place.clone()).or(round.last_batch.take());
        old.retain(|((settled_at, ..), key)| {
            let record = &self.batches[key].stored.record;
            self.may_be_pruned(record) && !round.held_back.holds(*settled_at, &record.targets)
        });
        for (_, key) in &old {
            if let Some(entry) = self.batches.get_mut(key) {
                let record = &mut entry.stored.record;
                (record.cases, record.targets) = (Vec::new(), Vec::new());
                record.epoch += 1;
                entry.pruned = true;
            }
            self.parts.retain(|(of, _)| of != key);
            self.histories.remove(key);
            self.undos.retain(|(of, _), _| of != key);
            self.former.retain(|(of, _), _| of != key);
            self.windows.retain(|(of, _), _| of != key);
        }
        let parts = &self.parts;
        self.pushes.retain(|push, _| parts.iter().any(|(_, of)| of == push));
        old.len() as u64
    }

    fn may_be_pruned(&self, record: &BatchRecord) -> bool {
        let lost = record.cases.iter().any(|case| case.state == CaseState::Lost);
        let clear = record.open_push.is_none() && record.unclear_since.is_none() && !lost && !awaits_late_check(record);
        clear && record.state != BatchState::Open && !self.is_shelved(&record.key) && !self.is_discarded(&record.key)
    }
}

/// Returns whether rows of an abandoned request may appear that no late-duplicate check has covered yet.
pub(crate) fn awaits_late_check(record: &BatchRecord) -> bool {
    record.late_since.is_some() && matches!(record.state, BatchState::Delivered | BatchState::Partial)
}

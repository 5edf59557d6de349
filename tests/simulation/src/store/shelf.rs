//! Which batches are not to be worked on now? Parked until something, or dead until someone replays them.

use std::collections::BTreeMap;
use std::time::Duration;

use testmo_courier::batch::message::case_count::cases_of;
use testmo_courier::batch::verdict::FAILING;
use testmo_courier::batch::{BatchKey, Reason, TenantId};
use testmo_courier::store::audit::AuditAction;
use testmo_courier::store::replays::ReplayId;
use testmo_courier::store::shelf::{
    Action, DueTenant, OperatorAction, ShelfAge, ShelfAges, ShelfCount, ShelfId, ShelfIdentity, ShelfState, Shelved,
    ShelvedUntil, Shelving,
};

use super::replays::Note;
use super::tables::{ShelfRow, Tables, after, batch_of, is_of, tenant_of};
use crate::mutation::Mutation;

/// What is shelved because its tenant has no connection is due again so late.
const UNKNOWN_TENANT_AGAIN_MS: i64 = 86_400_000;
/// What is shelved over a pause that is over comes back so soon.
const PAUSE_IS_OVER_MS: i64 = 5_000;

impl Tables {
    /// Puts something onto the shelf, and returns when it is due; `None` if the row stays as it is.
    pub(crate) fn put_on_shelf(&mut self, shelving: &Shelving, now: i64) -> Option<i64> {
        let (state, due_at) = match shelving.until {
            ShelvedUntil::After(wait) => (ShelfState::Parked, after(now, wait)),
            ShelvedUntil::Connection if shelving.reason == Reason::UnknownTenant => {
                (ShelfState::Parked, now + UNKNOWN_TENANT_AGAIN_MS)
            }
            ShelvedUntil::Connection => (ShelfState::Parked, now),
            ShelvedUntil::Person => (ShelfState::Dead, now),
        };
        let tenant = tenant_of(&shelving.identity);
        let unordered =
            shelving.reason == Reason::Paused && !self.is_ordered_to_pause(tenant, shelving.account.as_deref());
        let over = self.removing_until(tenant, now).unwrap_or(now + PAUSE_IS_OVER_MS);
        let due_at = if unordered { due_at.min(over) } else { due_at };
        // As in a database, a number is used up also where a row is put anew.
        self.shelved += 1;
        let there = self.shelf.values_mut().find(|row| is_same(&row.content.identity, &shelving.identity));
        let Some(row) = there else {
            let content = shelving.clone();
            let (generation, shelved_at) = (1, now);
            let (lease_until, person_epoch, replay) = (None, 0, None);
            let row = ShelfRow { generation, state, content, due_at, shelved_at, lease_until, person_epoch, replay };
            self.shelf.insert(self.shelved, row);
            return Some(due_at);
        };
        // What is dead stays so until a person acts.
        if row.state == ShelfState::Dead && state == ShelfState::Parked {
            return None;
        }
        // What a person has replayed is not stopped by another copy that is undeliverable.
        let is_only_a_copy = matches!(shelving.reason, Reason::Undeliverable | Reason::UnreadableHeaders);
        if row.state == ShelfState::Parked && is_only_a_copy {
            return None;
        }
        let before = row.content.clone();
        row.content = Shelving {
            identity: before.identity,
            arrived_at: before.arrived_at,
            published_at: before.published_at,
            ..shelving.clone()
        };
        row.generation += 1;
        (row.state, row.due_at, row.shelved_at, row.lease_until) = (state, due_at, now, None);
        Some(due_at)
    }

    /// Takes a row off the shelf, and returns the replay that had it under way, with its batch.
    pub(crate) fn unshelve(&mut self, id: i64, generation: i64) -> Option<(ReplayId, Option<BatchKey>)> {
        let is_changed = |row: &ShelfRow| row.generation != generation && !self.has(Mutation::UnshelveChanged);
        if self.shelf.get(&id).is_some_and(|row| !is_changed(row)) {
            let row = self.shelf.remove(&id)?;
            return row.replay.map(|replay| (replay, batch_of(&row.content.identity)));
        }
        None
    }

    /// What is finished has nothing to wait for. Returns the row that a replay had under way, if one had.
    pub(crate) fn remove_parked(&mut self, identity: &ShelfIdentity) -> Option<(ShelfId, ReplayId)> {
        let is_meant = |row: &ShelfRow| row.state == ShelfState::Parked && is_same(&row.content.identity, identity);
        let id = *self.shelf.iter().find(|(_, row)| is_meant(row))?.0;
        self.shelf.remove(&id)?.replay.map(|replay| (ShelfId(id), replay))
    }

    /// Whether a row is as a person saw it, and in nobody's hand.
    pub(crate) fn is_untouched(&self, operator_action: &OperatorAction, now: i64) -> bool {
        let row = self.shelf.get(&operator_action.id.0).filter(|row| row.generation == operator_action.generation);
        let is_free = row.is_some_and(|row| !row.is_leased(now));
        let item = operator_action.item.as_ref();
        is_free && item.is_none_or(|item| row.is_some_and(|row| self.is_startable(row, item)))
    }

    pub(crate) fn handle(&mut self, operator_action: &OperatorAction, now: i64) {
        if operator_action.item.is_none() {
            let action = match operator_action.action {
                Action::Discard => AuditAction::DiscardEntry,
                Action::Replay => AuditAction::ReplayEntry,
            };
            self.journal.push(Note::Acted { by: self.caller, action, entry: operator_action.id, at: now });
        }
        match operator_action.action {
            Action::Discard => {
                self.shelf.remove(&operator_action.id.0);
            }
            Action::Replay => {
                let Some(row) = self.shelf.get_mut(&operator_action.id.0) else { return };
                row.generation += 1;
                (row.state, row.due_at, row.lease_until) = (ShelfState::Parked, now, None);
                (row.content.parks, row.content.failing_since) = (0, None);
                row.content.until = ShelvedUntil::After(Duration::ZERO);
                let person_epoch = row.person_epoch;
                row.person_epoch += 1;
                row.replay = operator_action.item.as_ref().map(|item| item.replay);
                if row.content.reason == Reason::CrashLoop {
                    row.content.reason = Reason::Suspect;
                }
                if let (ShelfIdentity::Raw(_, tenant, batch), Some(key)) =
                    (&mut row.content.identity, &operator_action.batch)
                {
                    tenant.get_or_insert_with(|| key.tenant.clone());
                    batch.get_or_insert_with(|| key.batch.clone());
                }
                if let Some(item) = &operator_action.item {
                    self.mark_started(item, operator_action.id, person_epoch);
                }
            }
        }
    }

    pub(crate) fn is_shelved(&self, key: &BatchKey) -> bool {
        self.shelf.values().any(|row| is_of(&row.content.identity, key))
    }

    fn is_due(&self, row: &ShelfRow, now: i64) -> bool {
        let due = match row.content.until {
            ShelvedUntil::After(_) => row.due_at <= now,
            ShelvedUntil::Connection => {
                let is_unknown = row.content.reason == Reason::UnknownTenant && row.due_at <= now;
                is_unknown || self.is_mended(row)
            }
            ShelvedUntil::Person => false,
        };
        let removing = self.removing_until(tenant_of(&row.content.identity), now).is_some();
        let parked = row.state == ShelfState::Parked && row.content.reason != Reason::Suspect;
        due && parked && !removing && !row.is_leased(now)
    }

    /// Tenants with parked batches, those first that have waited longest.
    pub(crate) fn due_tenants(&self, most: u32, now: i64) -> Vec<DueTenant> {
        let mut tenants: BTreeMap<&TenantId, (i64, bool, bool)> = BTreeMap::new();
        for row in self.shelf.values().filter(|row| row.state == ShelfState::Parked) {
            let Some(tenant) = tenant_of(&row.content.identity) else { continue };
            let (since, is_due, is_shed) = tenants.entry(tenant).or_insert((i64::MAX, false, false));
            *since = row.content.arrived_at.min(*since);
            *is_due |= self.is_due(row, now);
            *is_shed |= waits_for_room(row) && row.content.failing_since.is_none();
        }
        let mut tenants: Vec<_> = tenants.into_iter().collect();
        tenants.sort_by_key(|(tenant, (since, ..))| (*since, (*tenant).clone()));
        tenants.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        let due = |(tenant, (_, is_due, is_shed)): (&TenantId, (i64, bool, bool))| DueTenant {
            tenant: tenant.clone(),
            account: self.connections.get(tenant).map(|entry| entry.row.origin.clone()),
            is_due,
            is_shed,
        };
        tenants.into_iter().map(due).collect()
    }

    pub(crate) fn lease_due(
        &mut self,
        lease: Duration,
        asks: &[(TenantId, u32)],
        most_bytes: usize,
        now: i64,
    ) -> Vec<Shelved> {
        let (mut leased, mut left) = (Vec::new(), most_bytes);
        for (tenant, most) in asks {
            let is_meant = |row: &ShelfRow| tenant_of(&row.content.identity) == Some(tenant) && self.is_due(row, now);
            let meant = self.shelf.iter().filter(|(_, row)| is_meant(row));
            let order = |row: &ShelfRow| (row.content.goes_last(), row.content.arrived_at);
            let mut ids: Vec<((bool, i64), i64)> = meant.map(|(id, row)| (order(row), *id)).collect();
            ids.sort_unstable();
            ids.truncate(usize::try_from(*most).unwrap_or(usize::MAX));
            for (_, id) in ids {
                let Some(row) = (left > 0).then(|| self.lease(id, lease, now)).flatten() else { break };
                left = left.saturating_sub(row.content.body.len());
                leased.push(row);
            }
        }
        leased.sort_by_key(|row| (row.content.goes_last(), row.content.arrived_at, row.id));
        leased
    }

    /// The tenants with the most batches that wait for room, and how many.
    pub(crate) fn shed_counts(&self, most: u32) -> Vec<(TenantId, u64)> {
        let mut counts: BTreeMap<&TenantId, u64> = BTreeMap::new();
        for row in self.shelf.values().filter(|row| row.state == ShelfState::Parked && waits_for_room(row)) {
            if let Some(tenant) = tenant_of(&row.content.identity) {
                *counts.entry(tenant).or_default() += 1;
            }
        }
        let mut counts: Vec<(TenantId, u64)> = counts.into_iter().map(|(tenant, n)| (tenant.clone(), n)).collect();
        counts.sort_by_key(|(tenant, n)| (std::cmp::Reverse(*n), tenant.clone()));
        counts.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        counts
    }

    /// A connection mends what waits for it when it is verified and is another one, or was verified since.
    fn is_mended(&self, row: &ShelfRow) -> bool {
        let tenant = tenant_of(&row.content.identity);
        let Some(entry) = tenant.and_then(|tenant| self.connections.get(tenant)) else { return false };
        let connection = &entry.row;
        let other = row.content.connection.as_ref().is_none_or(|failed| *failed != connection.version);
        let since = connection.verified_at.is_some_and(|at| at > row.shelved_at);
        connection.is_verified() && (other || since)
    }

    pub(crate) fn lease_suspect(&mut self, lease: Duration, now: i64) -> Option<Shelved> {
        let suspect = |row: &&ShelfRow| row.content.reason == Reason::Suspect;
        if self.shelf.values().filter(suspect).any(|row| row.lease_until.is_some_and(|until| until > now)) {
            return None;
        }
        let is_due = |row: &ShelfRow| row.state == ShelfState::Parked && row.due_at <= now;
        let due = self.shelf.iter().filter(|(_, row)| suspect(row) && is_due(row));
        let (_, id) = due.map(|(id, row)| (row.due_at, *id)).min()?;
        self.shelf.get_mut(&id)?.content.parks += 1;
        self.lease(id, lease, now)
    }

    fn lease(&mut self, id: i64, lease: Duration, now: i64) -> Option<Shelved> {
        let row = self.shelf.get_mut(&id)?;
        row.lease_until = Some(after(now, lease));
        row.generation += 1;
        Some(row.as_shelved(id, now))
    }

    pub(crate) fn release(&mut self, leases: &[(ShelfId, i64)]) {
        for (id, generation) in leases {
            if let Some(row) = self.shelf.get_mut(&id.0).filter(|row| row.generation == *generation) {
                if row.content.reason == Reason::Suspect && row.lease_until.is_some() {
                    row.content.parks = row.content.parks.saturating_sub(1);
                }
                row.lease_until = None;
            }
        }
    }

    pub(crate) fn postpone_row(&mut self, id: ShelfId, generation: i64, wait: Duration, now: i64) {
        let is_leased = |row: &&mut ShelfRow| row.generation == generation && row.lease_until.is_some();
        if let Some(row) = self.shelf.get_mut(&id.0).filter(is_leased) {
            row.due_at = after(now, wait);
            self.release(&[(id, generation)]);
        }
    }

    pub(crate) fn shelf_counts(&self) -> Vec<ShelfCount> {
        let mut counts = BTreeMap::new();
        for row in self.shelf.values() {
            let key = (row.state.name(), row.content.reason.code());
            let counted = ShelfCount { state: row.state, reason: Some(row.content.reason), count: 0 };
            counts.entry(key).or_insert(counted).count += 1;
        }
        counts.into_values().collect()
    }

    pub(crate) fn shelf_ages(&self) -> ShelfAges {
        let (mut oldest, mut failing_since) = (BTreeMap::new(), None::<i64>);
        for row in self.shelf.values() {
            let (state, reason, since) = (row.state, row.content.reason, row.content.arrived_at);
            let age = ShelfAge { state, reason: Some(reason), since };
            let kept = oldest.entry(format!("{}:{}", state.name(), reason.code())).or_insert(age);
            kept.since = kept.since.min(since);
            let is_failing = state == ShelfState::Parked && FAILING.contains(&reason);
            if let Some(since) = row.content.failing_since.filter(|_| is_failing) {
                failing_since = Some(failing_since.map_or(since, |before| before.min(since)));
            }
        }
        ShelfAges { oldest: oldest.into_values().collect(), failing_since }
    }

    /// What was given up for want of a connection and has one now.
    pub(crate) fn connected_since(&self, after: ShelfId, most: u32, now: i64) -> Vec<Shelved> {
        let is_connected = |row: &ShelfRow| {
            let tenant = tenant_of(&row.content.identity);
            tenant.is_some_and(|tenant| self.connections.contains_key(tenant))
                && self.removing_until(tenant, now).is_none()
        };
        let given_up = self.shelf.range(after.0 + 1..).filter(|(_, row)| {
            row.state == ShelfState::Dead && row.content.reason == Reason::UnknownTenant && is_connected(row)
        });
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        given_up.take(most).map(|(id, row)| row.as_shelved(*id, now)).collect()
    }

    /// How many batches of a tenant wait for its connection.
    pub(crate) fn waiting_for(&self, tenant: &TenantId) -> u64 {
        let waits = |row: &&ShelfRow| {
            row.state == ShelfState::Parked
                && row.content.until == ShelvedUntil::Connection
                && tenant_of(&row.content.identity) == Some(tenant)
        };
        self.shelf.values().filter(waits).count() as u64
    }
}

impl ShelfRow {
    pub(crate) fn is_leased(&self, now: i64) -> bool {
        self.lease_until.is_some_and(|until| until > now)
    }

    pub(crate) fn as_shelved(&self, id: i64, now: i64) -> Shelved {
        let until = match self.content.until {
            ShelvedUntil::After(_) => {
                ShelvedUntil::After(Duration::from_millis(u64::try_from(self.due_at - now).unwrap_or(0)))
            }
            until @ (ShelvedUntil::Connection | ShelvedUntil::Person) => until,
        };
        Shelved {
            id: ShelfId(id),
            generation: self.generation,
            state: self.state,
            content: Shelving { until, ..self.content.clone() },
            due_at: self.due_at,
            shelved_at: self.shelved_at,
            leased: self.is_leased(now),
            person_epoch: self.person_epoch,
            replay: self.replay,
            cases: u64::try_from(cases_of(&self.content.body)).ok(),
        }
    }
}

fn waits_for_room(row: &ShelfRow) -> bool {
    matches!(row.content.reason, Reason::NoRoom | Reason::Throttled | Reason::Paused)
}

/// Raw bytes are the same by their hash, whoever's they are thought to be.
pub(crate) fn is_same(a: &ShelfIdentity, b: &ShelfIdentity) -> bool {
    match (a, b) {
        (ShelfIdentity::Raw(a, ..), ShelfIdentity::Raw(b, ..)) => a == b,
        (ShelfIdentity::Batch(..), ShelfIdentity::Batch(..)) => a == b,
        (ShelfIdentity::Raw(..), ShelfIdentity::Batch(..)) | (ShelfIdentity::Batch(..), ShelfIdentity::Raw(..)) => {
            false
        }
    }
}

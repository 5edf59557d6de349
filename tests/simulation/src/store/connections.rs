//! What did each tenant enter, and was it seen to work? And who may create a folder?

use std::collections::BTreeMap;
use std::time::Duration;

use testmo_courier::batch::event::{ConnectionChange, connection_failed, connection_restored};
use testmo_courier::batch::render::kinds::FieldKinds;
use testmo_courier::batch::verdict::reason::Class;
use testmo_courier::batch::verdict::reverify_after;
use testmo_courier::batch::{Reason, TenantId, folded_folder_name};
use testmo_courier::store::connections::{ConnectionCount, ConnectionRow, Refusal, Verification, WriteOutcome};
use testmo_courier::store::folders::{FolderClaim, FolderEnd, FolderLimits, FolderPermit, KnownFolder, NewFolder};

use super::tables::{ConnectionEntry, FolderClaimed, FolderKey, Tables, after};
use crate::mutation::Mutation;

/// A success is noted at most so often.
const SUCCESS_GRAIN_MS: i64 = 1_000;

impl Tables {
    pub(crate) fn connection(&self, tenant: &TenantId) -> Option<ConnectionRow> {
        self.connections.get(tenant).map(|entry| entry.row.clone())
    }

    pub(crate) fn keys_expiring_by(&self, day: &str) -> Vec<(TenantId, String)> {
        let keys = self.connections.values().filter_map(|ConnectionEntry { row, .. }| {
            let expires_on = row.expires_on.clone().filter(|expires_on| expires_on.as_str() <= day)?;
            Some((row.tenant.clone(), expires_on))
        });
        keys.collect()
    }

    pub(crate) fn connected_tenants(&self, most: u32) -> Vec<TenantId> {
        self.connections.keys().take(usize::try_from(most).unwrap_or(usize::MAX)).cloned().collect()
    }

    pub(crate) fn connection_counts(&self) -> Vec<ConnectionCount> {
        let mut counts = BTreeMap::new();
        for ConnectionEntry { row, .. } in self.connections.values() {
            *counts.entry((row.expires_on.clone(), row.is_verified())).or_insert(0) += 1;
        }
        let count = |((expires_on, verified), count)| ConnectionCount { expires_on, verified, count };
        counts.into_iter().map(count).collect()
    }

    pub(crate) fn set_connection(&mut self, row: &ConnectionRow, now: i64) -> WriteOutcome {
        let before = self.connection(&row.tenant);
        let fails = self.connections.get(&row.tenant).map_or(0, |entry| entry.rechecks);
        if before.as_ref().map_or(0, |before| before.epoch) != row.epoch {
            return WriteOutcome::ChangedMeanwhile;
        }
        let epoch = if row.epoch == 0 { u64::try_from(now).unwrap_or(0) } else { row.epoch + 1 };
        let row = kept_verified(row.clone(), before.as_ref(), now).remembering(before.as_ref(), now);
        let is_same = before.as_ref().is_some_and(|before| before.is_verified() && before.version == row.version);
        let fails = if is_same || row.refusal.is_some() { fails } else { 0 };
        let (recheck_at, rechecks) = match &row.finding {
            Some(Verification::Fails { reason, .. }) if !row.is_verified() => (recheck_at(*reason, 0, now), 1),
            Some(_) | None => (None, fails),
        };
        let recheck_at = recheck_at.into_iter().chain(row.successor_due_at()).min();
        let last_success_at = before.as_ref().and_then(|before| before.last_success_at);
        let (version, is_proven) = (row.version.clone(), row.is_verified() && row.refusal.is_none());
        let successor = row.successor.clone().filter(|next| next.replaces == row.version);
        let row = ConnectionRow { last_success_at, epoch, successor, ..row };
        let removing_until = self.connections.get(&row.tenant).and_then(|entry| entry.removing_until);
        let is_reported = self.connections.get(&row.tenant).is_some_and(|entry| entry.is_reported);
        let entry = ConnectionEntry { row, recheck_at, rechecks, is_reported, removing_until };
        self.connections.insert(entry.row.tenant.clone(), entry);
        if let Some(before) = before.filter(|_| is_proven) {
            self.report_restored(&before, &version, now);
        }
        WriteOutcome::Done
    }

    pub(crate) fn record_verification(
        &mut self,
        tenant: &TenantId,
        version: &str,
        epoch: u64,
        finding: &Verification,
        now: i64,
    ) -> WriteOutcome {
        let waiting = self.waiting_for(tenant);
        let judges_any = self.has(Mutation::JudgeChanged);
        let is_same =
            |entry: &&mut ConnectionEntry| judges_any || (entry.row.version == version && entry.row.epoch == epoch);
        let Some(entry) = self.connections.get_mut(tenant).filter(is_same) else {
            return WriteOutcome::ChangedMeanwhile;
        };
        let (before, fails) = (entry.row.clone(), entry.rechecks);
        (entry.row.checked_at, entry.row.epoch) = (Some(now), epoch + 1);
        entry.row.seen = before.seen_after(finding, now);
        if before.is_verified() && passes(Some(finding)) {
            return WriteOutcome::Done;
        }
        entry.row.finding = Some(finding.clone());
        let successor_due = before.successor_due_at();
        let earliest = |own: Option<i64>| own.into_iter().chain(successor_due).min();
        match finding {
            Verification::Works { .. } => {
                let is_proven = before.refusal.is_none() && (fails == 0 || waiting == 0);
                (entry.recheck_at, entry.rechecks) = (earliest(None), if is_proven { 0 } else { fails });
                (entry.row.verified_version, entry.row.verified_at) = (Some(version.to_owned()), Some(now));
                if is_proven {
                    self.report_restored(&before, version, now);
                }
            }
            Verification::Fails { reason, detail } => {
                (entry.recheck_at, entry.rechecks) = (earliest(recheck_at(*reason, fails, now)), fails + 1);
                entry.row.verified_version = None;
                if before.is_verified() && fails == 0 {
                    entry.is_reported = true;
                    let change = ConnectionChange { tenant, version, epoch: epoch + 1, at: now };
                    self.put_events(&[connection_failed(change, *reason, Some(detail))], None, now);
                }
            }
        }
        WriteOutcome::Done
    }

    pub(crate) fn note_fields(
        &mut self,
        tenant: &TenantId,
        version: &str,
        epoch: u64,
        fields: &FieldKinds,
    ) -> WriteOutcome {
        let is_same = |row: &&mut ConnectionRow| row.version == version && row.epoch == epoch;
        let entry = self.connections.get_mut(tenant).map(|entry| &mut entry.row).filter(is_same);
        let Some(row) = entry else { return WriteOutcome::ChangedMeanwhile };
        row.fields = fields.clone();
        WriteOutcome::Done
    }

    pub(crate) fn record_refusal(
        &mut self,
        tenant: &TenantId,
        version: &str,
        epoch: u64,
        finding: &Verification,
        now: i64,
    ) -> WriteOutcome {
        let written = self.record_verification(tenant, version, epoch, finding, now);
        if let (true, Some(refusal)) = (written.is_done(), Refusal::of(finding, now))
            && let Some(entry) = self.connections.get_mut(tenant)
        {
            entry.row.refusal = Some(refusal);
        }
        written
    }

    /// Notes that a case of a tenant has arrived: if its connection was reported as broken, its recovery is reported.
    pub(crate) fn note_success(&mut self, tenant: &TenantId, now: i64) {
        let Some(entry) = self.connections.get_mut(tenant) else { return };
        let is_new = entry.row.last_success_at.is_none_or(|at| at <= now - SUCCESS_GRAIN_MS);
        if !is_new && entry.rechecks == 0 && entry.row.refusal.is_none() {
            return;
        }
        entry.row.last_success_at = Some(now);
        if (entry.rechecks > 0 || entry.row.refusal.is_some()) && entry.row.is_verified() {
            let fails = std::mem::take(&mut entry.rechecks);
            (entry.row.refusal, entry.row.epoch) = (None, entry.row.epoch + 1);
            let version = entry.row.version.clone();
            if fails > 0 {
                self.tell(tenant, &version, now);
            }
        }
    }

    /// Stores the event that a connection works again, if it did not before.
    fn report_restored(&mut self, before: &ConnectionRow, version: &str, now: i64) {
        if !before.is_verified() && matches!(before.finding, Some(Verification::Fails { .. })) {
            self.tell(&before.tenant, version, now);
        }
    }

    fn tell(&mut self, tenant: &TenantId, version: &str, now: i64) {
        let Some(entry) = self.connections.get_mut(tenant).filter(|entry| entry.is_reported) else { return };
        entry.is_reported = false;
        let change = ConnectionChange { tenant, version, epoch: entry.row.epoch, at: now };
        let event = connection_restored(change, self.waiting_for(tenant));
        self.put_events(&[event], None, now);
    }

    pub(crate) fn take_reverifications(&mut self, lease: Duration, most: u32, now: i64) -> Vec<ConnectionRow> {
        let due = |entry: &&mut ConnectionEntry| entry.recheck_at.is_some_and(|at| at <= now);
        let mut due: Vec<&mut ConnectionEntry> = self.connections.values_mut().filter(due).collect();
        due.sort_by_key(|entry| entry.recheck_at);
        due.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        let take = |entry: &mut ConnectionEntry| {
            entry.recheck_at = Some(after(now, lease));
            entry.row.clone()
        };
        due.into_iter().map(take).collect()
    }

    pub(crate) fn claim_folder(&mut self, new: &NewFolder, holder: &str, lease: Duration, now: i64) -> FolderClaim {
        let is_shared = self.has(Mutation::ShareFolderClaims);
        match self.folder_claims.get(&key_of(new)).filter(|claimed| claimed.until > now && !is_shared) {
            Some(claimed) => FolderClaim::Busy(Duration::from_millis(u64::try_from(claimed.until - now).unwrap_or(0))),
            None => {
                let claimed = FolderClaimed { holder: holder.to_owned(), until: after(now, lease), counted: false };
                self.folder_claims.insert(key_of(new), claimed);
                let of_project = |key: &FolderKey| (&key.0, key.1) == (&new.account, new.project);
                let known =
                    self.folders.iter().filter(|(key, _)| of_project(key)).filter_map(|(_, row)| row.known.as_ref());
                let mut known: Vec<(i64, u64)> = known.map(|known| (known.since, known.id)).collect();
                known.sort_unstable_by(|one, other| other.cmp(one));
                FolderClaim::Granted { created: known.into_iter().take(5).map(|(_, id)| id).collect() }
            }
        }
    }

    pub(crate) fn begin_folder_request(
        &mut self,
        folder: &NewFolder,
        holder: &str,
        limits: &FolderLimits,
        now: i64,
    ) -> FolderPermit {
        let key = key_of(folder);
        let is_held = |claimed: &&mut FolderClaimed| claimed.holder == holder && claimed.until > now;
        let Some(claimed) = self.folder_claims.get_mut(&key).filter(is_held) else { return FolderPermit::Lost };
        if claimed.counted {
            return FolderPermit::Granted;
        }
        let row = self.folders.get_mut(&key);
        if row.as_ref().is_some_and(|row| row.known.is_some()) {
            return FolderPermit::Known;
        }
        let mut requests = row.map(|row| row.requests.clone()).unwrap_or_default();
        match requests.begin(limits, now) {
            Err(wait) => FolderPermit::Spent(wait),
            Ok(()) => {
                claimed.counted = true;
                self.folders.entry(key).or_default().requests = requests;
                FolderPermit::Granted
            }
        }
    }

    pub(crate) fn release_folder(&mut self, folder: &NewFolder, holder: &str, end: &FolderEnd, now: i64) {
        let key = key_of(folder);
        let claimed = self.folder_claims.get_mut(&key).filter(|claimed| claimed.holder == holder);
        if claimed.as_ref().is_some_and(|claimed| claimed.counted) {
            self.folders.entry(key.clone()).or_default().requests.end(end);
        }
        if let FolderEnd::Created { id, shown_as } = end {
            let known = KnownFolder { id: *id, shown_as: shown_as.clone(), since: now };
            self.folders.entry(key.clone()).or_default().known.get_or_insert(known);
        }
        let Some(claimed) = claimed else { return };
        match end {
            FolderEnd::NotCreated | FolderEnd::Created { .. } => {
                self.folder_claims.remove(&key);
            }
            FolderEnd::Astray(settle) | FolderEnd::Unknown(settle) => {
                (claimed.until, claimed.counted) = (after(now, *settle), false);
            }
        }
    }

    pub(crate) fn known_folder(&self, folder: &NewFolder) -> Option<KnownFolder> {
        self.folders.get(&key_of(folder))?.known.clone()
    }

    pub(crate) fn forget_folder(&mut self, folder: &NewFolder, id: u64) {
        if let Some(row) = self.folders.get_mut(&key_of(folder)) {
            row.known.take_if(|known| known.id == id);
        }
    }
}

/// The connection, still verified if nothing but the date of its key was changed and its Testmo was just not well.
fn kept_verified(row: ConnectionRow, before: Option<&ConnectionRow>, now: i64) -> ConnectionRow {
    match before {
        Some(before) if before.is_verified() && before.version == row.version && passes(row.finding.as_ref()) => {
            let seen = row.finding.as_ref().map(|finding| before.seen_after(finding, now)).unwrap_or_default();
            let ConnectionRow { verified_version, verified_at, finding, .. } = before.clone();
            ConnectionRow { verified_version, verified_at, finding, seen, ..row }
        }
        Some(_) | None => row,
    }
}

/// Whether a look failed over something that passes by itself.
fn passes(finding: Option<&Verification>) -> bool {
    match finding {
        Some(Verification::Fails { reason, .. }) => reason.class() == Class::Account || *reason == Reason::WrongHost,
        Some(Verification::Works { .. }) | None => false,
    }
}

fn recheck_at(reason: Reason, times: u32, now: i64) -> Option<i64> {
    reverify_after(reason, times).map(|wait| after(now, wait))
}

fn key_of(folder: &NewFolder) -> FolderKey {
    (folder.account.clone(), folder.project, folder.parent, folded_folder_name(&folder.name))
}

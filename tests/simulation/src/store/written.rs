//! Remembers which cases were written, as the real store does it.

use std::time::Duration;

use async_trait::async_trait;
use testmo_courier::batch::ledger::BatchState;
use testmo_courier::batch::written::{CaseIdentity, SourceId, WrittenCase};
use testmo_courier::batch::{BatchKey, Reason, TenantId};
use testmo_courier::store::written::{Remembered, SourceClaim, SourceOutcome, day};
use testmo_courier::store::{StoreError, WrittenStore};

use super::StoreOf;
use super::tables::{ShelfRow, Tables, is_of};
use crate::mutation::Mutation;

/// The batch that has a source, and the latest generation that was written before.
#[derive(Clone, Debug)]
pub(crate) struct SourceRow {
    owner: BatchKey,
    generated_at: i64,
    latest: Option<(i64, BatchKey)>,
    claimed_on: i64,
}

impl Tables {
    /// Gives sources to a batch, as the real store does it.
    pub(crate) fn claim_sources(&mut self, claim: &SourceClaim, now: i64) -> SourceOutcome {
        if self.has(Mutation::ShareSources) {
            return SourceOutcome::Granted { latest_at: None };
        }
        let before = self.sources.clone();
        let mut latest = None;
        for source in &claim.sources {
            match self.claim_source(*source, claim, now) {
                SourceOutcome::Granted { latest_at } => latest = latest.max(latest_at),
                refused @ (SourceOutcome::Busy(_) | SourceOutcome::Superseded(_)) => {
                    self.sources = before;
                    return refused;
                }
            }
        }
        SourceOutcome::Granted { latest_at: latest }
    }

    fn claim_source(&mut self, source: SourceId, claim: &SourceClaim, now: i64) -> SourceOutcome {
        let mut latest = None;
        if let Some(row) = self.sources.get(&source) {
            latest.clone_from(&row.latest);
            if row.owner != claim.batch {
                let owner = self.batches.get(&row.owner).map(|entry| &entry.stored);
                let is_leased = owner.and_then(|stored| stored.lease_until).is_some_and(|until| until > now);
                let is_unclear = |entry: &ShelfRow| Reason::UNCLEAR.contains(&entry.content.reason);
                if self.shelf.values().any(|entry| is_of(&entry.content.identity, &row.owner) && is_unclear(entry)) {
                    return SourceOutcome::Busy(row.owner.clone());
                }
                match owner.map(|stored| stored.record.state) {
                    Some(BatchState::Undone) if is_leased => return SourceOutcome::Busy(row.owner.clone()),
                    Some(BatchState::Open) => return SourceOutcome::Busy(row.owner.clone()),
                    Some(BatchState::Delivered | BatchState::Partial)
                        if latest.as_ref().is_none_or(|(at, _)| *at <= row.generated_at) =>
                    {
                        latest = Some((row.generated_at, row.owner.clone()));
                    }
                    Some(_) | None => {}
                }
            }
        }
        let own = self.sources.get(&source).filter(|row| row.owner == claim.batch).map(|row| row.generated_at);
        let own = own.or_else(|| latest.as_ref().filter(|(_, by)| *by == claim.batch).map(|(at, _)| *at));
        let generated_at = claim.generated_at.or(own).unwrap_or(i64::MIN);
        let later = latest.as_ref().filter(|(at, by)| *at > generated_at && *by != claim.batch);
        if let Some((_, later)) = later.filter(|_| claim.generated_at.is_some()) {
            return SourceOutcome::Superseded(later.clone());
        }
        let latest_at = latest.as_ref().map(|(at, _)| *at);
        let row = SourceRow { owner: claim.batch.clone(), generated_at, latest, claimed_on: day(now) };
        self.sources.insert(source, row);
        SourceOutcome::Granted { latest_at }
    }

    /// Returns which batch has written the latest generation of a source, and when its cases were generated.
    pub(crate) fn latest_of(&self, source: SourceId) -> Option<(i64, BatchKey)> {
        let row = self.sources.get(&source)?;
        let owner = self.batches.get(&row.owner).map(|entry| entry.stored.record.state);
        let has_written = matches!(owner, Some(BatchState::Delivered | BatchState::Partial));
        let is_latest = has_written && row.latest.as_ref().is_none_or(|(at, _)| *at <= row.generated_at);
        if is_latest { Some((row.generated_at, row.owner.clone())) } else { row.latest.clone() }
    }

    pub(crate) fn remember(&mut self, cases: &[WrittenCase], now: i64) {
        self.written.extend(cases.iter().map(|case| (case.identity, (case.clone(), day(now)))));
    }

    pub(crate) fn forget(&mut self, cases: &[(CaseIdentity, u64)]) {
        for (identity, id) in cases {
            if self.written.get(identity).is_some_and(|(case, _)| case.testmo_id == *id) {
                self.written.remove(identity);
            }
        }
    }

    /// Returns what is remembered of the cases of a source, after one of them.
    pub(crate) fn written_of_source(
        &self,
        tenant: &TenantId,
        source: SourceId,
        after: Option<CaseIdentity>,
        most: u32,
    ) -> Vec<Remembered> {
        let of_source =
            self.written.keys().filter(|case| case.source() == source && after.is_none_or(|after| **case > after));
        let cases: Vec<CaseIdentity> = of_source.copied().take(most_of(most)).collect();
        self.written(tenant, &cases)
    }

    /// Returns what is remembered of a tenant's cases.
    pub(crate) fn written(&self, tenant: &TenantId, cases: &[CaseIdentity]) -> Vec<Remembered> {
        let is_forgotten = self.has(Mutation::ForgetWritten);
        let wanted = self.written.iter().filter(|(identity, _)| !is_forgotten && cases.contains(identity));
        let batch_of = |case: &WrittenCase| {
            let records = self.batches.values().map(|entry| &entry.stored.record);
            let of_tenant = records.filter(|record| record.key.tenant == *tenant);
            let mut fitting = of_tenant
                .filter(|record| record.first_seen_at == case.batch.first_seen_at() && case.batch.fits(&record.key));
            let batch = fitting.next()?.key.batch.clone();
            fitting.next().is_none().then_some(batch)
        };
        wanted.map(|(_, (case, _))| Remembered { case: case.clone(), batch: batch_of(case) }).collect()
    }

    /// Forgets up to `most` cases that were last written too long ago, and returns how many.
    pub(crate) fn forget_written(&mut self, remember: Duration, most: u32, now: i64) -> u64 {
        let first_kept = day(now.saturating_sub(i64::try_from(remember.as_millis()).unwrap_or(i64::MAX)));
        let old = self.written.iter().filter(|(_, (_, on))| *on < first_kept).map(|(identity, _)| *identity);
        let old: Vec<CaseIdentity> = old.take(most_of(most)).collect();
        old.iter().for_each(|identity| drop(self.written.remove(identity)));
        let is_open = |owner: &BatchKey| {
            self.batches.get(owner).is_some_and(|entry| entry.stored.record.state == BatchState::Open)
        };
        let unused = self.sources.iter().filter(|(_, row)| row.claimed_on < first_kept && !is_open(&row.owner));
        let unused: Vec<SourceId> = unused.map(|(source, _)| *source).take(most_of(most)).collect();
        unused.iter().for_each(|source| drop(self.sources.remove(source)));
        old.len().max(unused.len()) as u64
    }
}

fn most_of(most: u32) -> usize {
    usize::try_from(most).unwrap_or(usize::MAX)
}

#[async_trait]
impl WrittenStore for StoreOf {
    async fn written(&self, tenant: &TenantId, cases: &[CaseIdentity]) -> Result<Vec<Remembered>, StoreError> {
        let (tenant, cases) = (tenant.clone(), cases.to_vec());
        self.ask("written", move |tables, _| tables.written(&tenant, &cases)).await
    }

    async fn written_of_source(
        &self,
        tenant: &TenantId,
        source: SourceId,
        after: Option<CaseIdentity>,
        most: u32,
    ) -> Result<Vec<Remembered>, StoreError> {
        let tenant = tenant.clone();
        self.ask("written_of_source", move |tables, _| tables.written_of_source(&tenant, source, after, most)).await
    }

    async fn claim_sources(&self, claim: &SourceClaim) -> Result<SourceOutcome, StoreError> {
        let claim = claim.clone();
        self.ask("claim_sources", move |tables, now| tables.claim_sources(&claim, now)).await
    }

    async fn forget_written(&self, remember: Duration, most: u32) -> Result<u64, StoreError> {
        self.ask("forget_written", move |tables, now| tables.forget_written(remember, most, now)).await
    }
}

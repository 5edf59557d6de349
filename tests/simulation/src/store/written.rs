//! Remembers which cases were written, as the real store does it.

use std::time::Duration;

use testmo_courier::batch::TenantId;
use testmo_courier::batch::written::{CaseIdentity, WrittenCase};
use testmo_courier::store::written::{Remembered, day};

use super::tables::Tables;

impl Tables {
    pub(crate) fn remember(&mut self, cases: &[WrittenCase], now: i64) {
        self.written.extend(cases.iter().map(|case| (case.identity, (case.clone(), day(now)))));
    }

    /// Returns what is remembered of a tenant's cases.
    pub(crate) fn written(&self, tenant: &TenantId, cases: &[CaseIdentity]) -> Vec<Remembered> {
        let wanted = self.written.iter().filter(|(identity, _)| cases.contains(identity));
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
        let old: Vec<CaseIdentity> = old.take(usize::try_from(most).unwrap_or(usize::MAX)).collect();
        old.iter().for_each(|identity| drop(self.written.remove(identity)));
        old.len() as u64
    }
}

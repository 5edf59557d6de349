//! Keeps what was known of cases before they were written, as the real store does it.

use std::time::Duration;

use async_trait::async_trait;
use testmo_courier::batch::BatchKey;
use testmo_courier::batch::ledger::BatchState;
use testmo_courier::store::StoreError;
use testmo_courier::store::ledger::WindowStep;
use testmo_courier::store::windows::{DueWindows, LEAST_POSTPONED, MOST_POSTPONED, POSTPONED_BY, WindowStore};

use super::StoreOf;
use super::tables::{Tables, after};

/// What is kept of one claim.
#[derive(Clone, Debug)]
pub(crate) struct WindowRow {
    opened_at: i64,
    look_after: i64,
    body: Vec<u8>,
}

impl Tables {
    /// Stores or removes what is kept of claims.
    pub(crate) fn keep_windows(&mut self, step: &WindowStep, now: i64) {
        for (epoch, body) in &step.claims {
            let place = (step.batch.clone(), *epoch);
            let Some(body) = body else {
                self.windows.remove(&place);
                continue;
            };
            let fresh = WindowRow { opened_at: now, look_after: now, body: Vec::new() };
            self.windows.entry(place).or_insert(fresh).body.clone_from(body);
        }
    }

    /// Takes what is kept of batches that are not open and that nobody works on, for `lease`.
    pub(crate) fn take_windows(&mut self, lease: Duration, most: u32, now: i64) -> Vec<DueWindows> {
        let mut first: Vec<(i64, BatchKey, u64)> = Vec::new();
        for ((key, epoch), row) in &self.windows {
            if first.last().is_none_or(|(_, last, _)| last != key) {
                first.push((row.look_after, key.clone(), *epoch));
            }
        }
        first.retain(|(look_after, key, _)| *look_after <= now && !self.is_worked_on(key, now));
        first.sort();
        first.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        let take = |(_, batch, epoch): (i64, BatchKey, u64)| {
            let lead = self.windows.get_mut(&(batch.clone(), epoch))?;
            lead.look_after = after(now, lease);
            let since = lead.opened_at;
            let of_batch = self.windows.range((batch.clone(), 0)..=(batch.clone(), u64::MAX));
            let claims = of_batch.map(|((_, epoch), row)| (*epoch, row.body.clone())).collect();
            Some(DueWindows { batch, since, claims })
        };
        let taken = first.into_iter().filter_map(take).collect();
        self.postpone_windows(now);
        taken
    }

    /// Postpones what is kept of batches that are worked on, by its age.
    fn postpone_windows(&mut self, now: i64) {
        let due = self.windows.iter().filter(|((key, _), row)| row.look_after <= now && self.is_worked_on(key, now));
        let places: Vec<(BatchKey, u64)> = due.map(|(place, _)| place.clone()).collect();
        for place in places {
            let Some(row) = self.windows.get_mut(&place) else { continue };
            let age = Duration::from_millis(u64::try_from(now - row.opened_at).unwrap_or(0));
            row.look_after = after(now, (age / POSTPONED_BY).clamp(LEAST_POSTPONED, MOST_POSTPONED));
        }
    }

    fn is_worked_on(&self, key: &BatchKey, now: i64) -> bool {
        let stored = self.batches.get(key).map(|entry| &entry.stored);
        stored.is_some_and(|stored| {
            stored.record.state == BatchState::Open || stored.lease_until.is_some_and(|until| until > now)
        })
    }
}

#[async_trait]
impl WindowStore for StoreOf {
    async fn take_windows(&self, lease: Duration, most: u32) -> Result<Vec<DueWindows>, StoreError> {
        self.ask("take_windows", move |tables, now| tables.take_windows(lease, most, now)).await
    }
}

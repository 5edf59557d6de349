//! Did a request that was given up create its cases after all? Where cases were sent again after an unclear end, there is
//! one more look some time after they have arrived. What is found twice is told; nothing is removed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::courier::Courier;
use super::look::Order;
use crate::account::Signal;
use crate::batch::event::{self, Event};
use crate::batch::ledger::duplicates::duplicates;
use crate::batch::ledger::reconcile::Row;
use crate::batch::ledger::{BatchRecord, Target};
use crate::batch::verdict::answer::ApiError;
use crate::batch::verdict::signal_of;
use crate::batch::{BatchKey, batch_tag};
use crate::guard::{Task, may_panic};
use crate::store::StoreError;
use crate::store::accounts::{AccountObservation, Permit};
use crate::store::ledger::{Commit, RecordUpdate};
use crate::testmo::{Access, Look, Past};

/// The most batches looked for in one go.
const AT_ONCE: u32 = 20;

/// Looks once more for each batch that is due, until `stop`.
pub(super) async fn look_once_more(courier: Arc<Courier>, stop: CancellationToken) {
    let mut poll = tokio::time::interval(courier.config.shelf.poll);
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = poll.tick() => {}
        }
        let looked = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            looked = courier.unit(Task::LateDuplicates, &"what is due", look_for_due(&courier)) => looked,
        };
        if let Err(error) = looked {
            tracing::warn!(%error, "what turned up late cannot be looked for");
        }
    }
}

async fn look_for_due(courier: &Courier) -> Result<(), StoreError> {
    let testmo = &courier.config.testmo;
    // A look that fails is due again after its lease.
    let lease = testmo.last_look.max(testmo.lease());
    for due in courier.store.take_late_checks(testmo.last_look, lease, AT_ONCE).await? {
        // Where one panics, it is its turn again when its lease is over.
        let key = due.record.key.clone();
        match courier.unit(Task::LateDuplicates, &key, courier.look_last(due.record)).await {
            Ok(()) | Err(StoreError::Panicked(_) | StoreError::Unreadable(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Courier {
    async fn look_last(&self, mut record: BatchRecord) -> Result<(), StoreError> {
        may_panic("late_duplicates", &record.key);
        let from_epoch = record.epoch;
        if let Some(target) = record.target() {
            let order = Order { disordered: self.store.throttle(&target.account).await?.ids_disordered };
            order.apply(&mut record);
        }
        let rows = match self.late_rows(&record).await? {
            Some(rows) => rows,
            None if self.is_too_old(&record) => {
                tracing::warn!(batch = %record.key, "what turned up late could not be looked for, and is not any more");
                Vec::new()
            }
            None => return Ok(()),
        };
        let ids: Vec<u64> = rows.iter().map(|row| row.id).collect();
        let held = match record.target() {
            Some(target) => self.store.held_ids(&target.account, &ids).await?,
            None => HashSet::new(),
        };
        let key = record.key.clone();
        let event = self.note_duplicates(&mut record, Some(&batch_tag(&key)), &held, &rows);
        record.last_looked();
        let batch = Some(RecordUpdate { record, from_epoch });
        let found = event.as_ref().map_or(0, |(_, count)| *count);
        let events = event.into_iter().map(|(event, _)| event).collect();
        // Where somebody else has changed the batch, it is due again when it is settled.
        if self.store.commit(Commit { batch, events, ..Commit::default() }.into()).await?.is_done() {
            self.count_duplicates(&key, found);
        }
        Ok(())
    }

    /// The rows that were created in the batch's folders since its first unclear end; `None` where they cannot be
    /// looked at now.
    async fn late_rows(&self, record: &BatchRecord) -> Result<Option<Vec<Row>>, StoreError> {
        let (Some(since), Some(target)) = (record.late_since, record.target()) else { return Ok(Some(Vec::new())) };
        let connection = self.store.connection(&record.key.tenant).await?;
        let usable = connection.filter(|row| row.is_verified() && row.origin == target.account);
        let Some(Ok(access)) = usable.map(|row| self.tenants.access(&row)) else { return Ok(None) };
        let lease = self.config.testmo.connect_timeout + self.config.testmo.request_timeout;
        let permit = self.store.permit(&target.account, Some(&record.key.tenant), lease).await?;
        if !matches!(permit, Permit::Granted | Permit::Probe) {
            return Ok(None);
        }
        let mut there: Vec<&Target> = Vec::new();
        for other in record.targets.iter().filter(|other| other.account == target.account) {
            if !there.contains(&other) {
                there.push(other);
            }
        }
        let mut rows = Vec::new();
        for target in there {
            match self.rows_in(record, target, &access, since).await {
                Ok(look) => {
                    self.note_order(&target.account, &look);
                    rows.extend(look.rows);
                }
                Err(trouble) => {
                    self.last_look_failed(record, &access, &trouble, permit).await?;
                    return Ok(None);
                }
            }
        }
        if permit == Permit::Probe {
            self.tell_of_account(&access, Signal::Answered).await?;
        }
        Ok(Some(rows))
    }

    /// Asks by the batch's tag, if its youngest case in the folder is then shown.
    async fn rows_in(
        &self,
        record: &BatchRecord,
        target: &Target,
        access: &Access,
        since: i64,
    ) -> Result<Look, ApiError> {
        let past = Past { before: since, up_to: record.floor, offset: self.samples.offset(&target.account) };
        let is_there = |position: usize| record.targets.get(record.cases[position].target) == Some(target);
        let youngest = record.arrived().filter(|(position, _)| is_there(*position)).map(|(_, id)| id).max();
        if let Some(sample) = youngest
            && let Some(look) = self.look_by_tags(access, target, past, &[batch_tag(&record.key)], sample).await?
        {
            return Ok(look);
        }
        self.client.look(access, target, past, &[]).await
    }

    async fn last_look_failed(
        &self,
        record: &BatchRecord,
        access: &Access,
        trouble: &ApiError,
        permit: Permit,
    ) -> Result<(), StoreError> {
        tracing::info!(batch = %record.key, %trouble, "what turned up late is looked for later");
        match signal_of(Some(trouble)) {
            Some(Signal::Failed) | None if permit == Permit::Probe => {
                self.tell_of_account(access, Signal::ProbeFailed).await
            }
            Some(signal) => self.tell_of_account(access, signal).await,
            None => Ok(()),
        }
    }

    async fn tell_of_account(&self, access: &Access, signal: Signal) -> Result<(), StoreError> {
        let ceiling = self.config.push.account_limit;
        let observation = Some(AccountObservation { account: access.origin.to_string(), signal, ceiling });
        self.store.commit(Commit { observation, ..Commit::default() }.into()).await?;
        Ok(())
    }

    /// Whether Testmo could not be looked at for as long as a batch may fail.
    fn is_too_old(&self, record: &BatchRecord) -> bool {
        let since = record.settled_at.map_or(0, |at| self.store.now() - at);
        Duration::from_millis(u64::try_from(since).unwrap_or(0))
            > self.config.retry.horizon + self.config.testmo.last_look
    }

    /// Notes rows that stand for cases once more; gives the event that tells of them, and how many there are.
    ///
    /// Without a batch_tag nothing is said: a person may have made a case of the same name.
    pub(super) fn note_duplicates(
        &self,
        record: &mut BatchRecord,
        batch_tag: Option<&str>,
        held: &HashSet<u64>,
        rows: &[Row],
    ) -> Option<(Event, usize)> {
        let found = duplicates(record, batch_tag?, held, rows);
        if found.is_empty() {
            return None;
        }
        record.duplicated(&found);
        Some((event::duplicated(record, &found, self.clock.now()), found.len()))
    }

    /// Counts what was noted, once it is stored.
    pub(super) fn count_duplicates(&self, batch: &BatchKey, found: usize) {
        if found > 0 {
            self.metrics.duplicates_detected.inc_by(found as u64);
            tracing::error!(%batch, found, "cases stand in Testmo twice: it carried out a request after it was given up");
            self.announce.notify_one();
        }
    }
}

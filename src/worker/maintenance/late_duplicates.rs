//! Checks for cases that appeared late: where cases were sent again after an unknown outcome, Testmo is read again some
//! time after they were created. Duplicates are reported; nothing is removed.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::every::Every;
use super::side_by_side::{Items, work_on_due};
use crate::batch::batch_tag;
use crate::batch::ledger::reconcile::Row;
use crate::batch::ledger::{BatchRecord, Target};
use crate::batch::verdict::answer::ApiError;
use crate::guard::{Task, may_panic};
use crate::store::StoreError;
use crate::store::history::{Happening, HistoryEntry};
use crate::store::ledger::{Commit, RecordUpdate, StoredBatch};
use crate::testmo::{Access, CaseList, Past, ReadError, ReadPermits};
use crate::trace::{Scope, logged, within};
use crate::worker::context::WorkerContext;
use crate::worker::model::PushFeedback;
use crate::worker::permit::{PagePermits, report_failed_read};
use crate::worker::reconciliation::canary::list_by_tags;
use crate::worker::reconciliation::duplicates::{count_duplicates, note_duplicates};
use crate::worker::reconciliation::id_order::IdOrder;
use crate::worker::reconciliation::list_order::note_list_order;
use crate::worker::reconciliation::memory::ReconcileMemory;

/// Checks each batch that is due, until `stop`.
pub(in crate::worker) async fn check_late_duplicates(
    context: Arc<WorkerContext>,
    memory: Arc<ReconcileMemory>,
    stop: CancellationToken,
) {
    let every = Every::new(context.config.shelf.poll_interval, stop);
    let check = LateCheck { context: context.clone(), memory };
    let testmo = &context.config.testmo;
    // A check that fails is due again after its lease.
    let lease = testmo.late_duplicate_check_delay.max(testmo.lease());
    let items = Items { task: Task::LateDuplicates, limit: lease * 9 / 10 };
    let take = |most| context.store.take_late_checks(testmo.late_duplicate_check_delay, lease, most);
    let name = |due: &StoredBatch| due.record.key.to_string();
    work_on_due(&context, items, every, take, name, |due| {
        within(Scope::of([due.record.trace.as_ref()]), check.check(due.record))
    })
    .await;
}

struct LateCheck {
    context: Arc<WorkerContext>,
    memory: Arc<ReconcileMemory>,
}

impl LateCheck {
    async fn check(&self, mut record: BatchRecord) -> Result<(), StoreError> {
        may_panic("late_duplicates", &record.key);
        let from_epoch = record.epoch;
        if let Some(target) = record.target() {
            let order = IdOrder::of(&self.context, &target.account).await?;
            order.apply(&mut record);
        }
        let rows = match self.late_rows(&record).await? {
            Some(rows) => rows,
            None if self.is_too_old(&record) => {
                tracing::warn!(
                    batch = %record.key, trace_id = logged(record.trace.as_ref()),
                    "the late-duplicate check failed for too long and is not tried again"
                );
                Vec::new()
            }
            None => return Ok(()),
        };
        let ids: Vec<u64> = rows.iter().map(|row| row.id).collect();
        let account = record.target().map(|target| target.account.clone()).unwrap_or_default();
        let held = self.context.store.held_ids(&account, &ids).await?;
        let (key, trace) = (record.key.clone(), record.trace.clone());
        let event = note_duplicates(&self.context, &mut record, (&account, Some(&batch_tag(&key))), &held, &rows);
        record.late_checked();
        let batch = Some(RecordUpdate { record, from_epoch });
        let found = event.as_ref().map_or(0, |(_, count)| *count);
        let events = event.into_iter().map(|(event, _)| event).collect();
        let checked = Happening::LateChecked { duplicates: u32::try_from(found).unwrap_or(u32::MAX) };
        let history = vec![HistoryEntry::once(checked, self.context.store.now(), None)];
        // If another worker or a person has changed the batch, it is due again when it is finished.
        if self.context.store.commit(Commit { batch, events, history, ..Commit::default() }.into()).await?.is_done() {
            count_duplicates(&self.context, &key, trace.as_ref(), found);
        }
        Ok(())
    }

    /// Returns the rows that were created in the batch's folders since the first request of unknown outcome; `None`
    /// where they cannot be read now.
    async fn late_rows(&self, record: &BatchRecord) -> Result<Option<Vec<Row>>, StoreError> {
        let (Some(since), Some(target)) = (record.late_since, record.target()) else { return Ok(Some(Vec::new())) };
        let connection = self.context.store.connection(&record.key.tenant).await?;
        let usable = connection.filter(|row| row.is_verified() && row.origin == target.account);
        if let Some(row) = &usable {
            self.context.tenants.learn_key_of(row).await?;
        }
        let Some(Ok(access)) = usable.map(|row| self.context.tenants.access(&row)) else { return Ok(None) };
        // No lane waits for what this shows of the account.
        let mut feedback = PushFeedback::default();
        let mut permits = PagePermits::new(&self.context, &access, &record.key.tenant, &mut feedback);
        let mut there: Vec<&Target> = Vec::new();
        for other in record.targets.iter().filter(|other| other.account == target.account) {
            if !there.contains(&other) {
                there.push(other);
            }
        }
        let mut rows = Vec::new();
        for target in there {
            match self.rows_in(record, target, &access, since, &mut permits).await {
                Ok(list) => {
                    note_list_order(&self.context, &target.account, &list);
                    rows.extend(list.rows);
                }
                Err(ReadError::NotPermitted(refused)) => return refused.map(|_| None),
                Err(ReadError::Failed(error)) => {
                    self.check_failed(record, &access, &error).await?;
                    return Ok(None);
                }
            }
        }
        Ok(Some(rows))
    }

    /// Uses the tag filter if the list then shows the youngest case of the batch in the folder.
    async fn rows_in<P: ReadPermits>(
        &self,
        record: &BatchRecord,
        target: &Target,
        access: &Access,
        since: i64,
        permits: &mut P,
    ) -> Result<CaseList, ReadError<P::Refused>> {
        let past = Past { before: since, up_to: record.floor, offset: self.memory.clock_offsets.get(&target.account) };
        let is_there = |position: usize| record.targets.get(record.cases[position].target) == Some(target);
        let youngest = record.arrived().filter(|(position, _)| is_there(*position)).map(|(_, id)| id).max();
        let (client, tags) = (&self.context.client, [batch_tag(&record.key)]);
        if let Some(canary) = youngest
            && let Some(list) = list_by_tags(client, access, target, past, (&tags, canary), permits).await?
        {
            return Ok(list);
        }
        client.list_cases(access, target, past, &[], permits).await
    }

    async fn check_failed(&self, record: &BatchRecord, access: &Access, error: &ApiError) -> Result<(), StoreError> {
        tracing::info!(batch = %record.key, trace_id = logged(record.trace.as_ref()), %error, "the late-duplicate check failed and is tried again later");
        report_failed_read(&self.context, access, error).await
    }

    /// Returns whether Testmo could not be read for as long as a batch may fail.
    fn is_too_old(&self, record: &BatchRecord) -> bool {
        let since = record.settled_at.map_or(0, |at| self.context.store.now() - at);
        Duration::from_millis(u64::try_from(since).unwrap_or(0))
            > self.context.live.retry().give_up_after + self.context.config.testmo.late_duplicate_check_delay
    }
}

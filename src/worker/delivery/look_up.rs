//! Looks batches up in Testmo that a restored store may have forgotten, before their next create request.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use uuid::Uuid;

use super::failure::call_failed;
use super::job::{Job, Part};
use super::match_rows::{Rows, found, search, span};
use super::state::Delivery;
use super::written::adopted;
use crate::batch::ledger::Target;
use crate::batch::ledger::reconcile::Row;
use crate::batch::restored::LookUp;
use crate::batch::verdict::after_failed_read;
use crate::store::StoreError;
use crate::store::ledger::{Commit, PushEnded, PushFound};
use crate::testmo::{CaseList, ReadError};
use crate::trace::{Scope, logged, within};
use crate::worker::context::WorkerContext;
use crate::worker::model::{ActiveBatch, NextStep, PushFeedback};
use crate::worker::outcome::commit::commit_record;
use crate::worker::permit::PagePermits;
use crate::worker::reconciliation::id_order::{IdOrder, note_disorder};
use crate::worker::reconciliation::tagged_rows::Sought;

/// Looks up those batches that the store may have forgotten; without a restore there are none. What is left of them can be
/// sent afterwards.
pub(super) async fn look_up(delivery: &Delivery, job: &mut Job) -> Result<(), StoreError> {
    let context = &delivery.context;
    if context.restored.times == 0 {
        return Ok(());
    }
    let (now, settling) = (context.store.now(), context.config.testmo.lease());
    let settling = i64::try_from(settling.as_millis()).unwrap_or(i64::MAX);
    let mut sought = Vec::new();
    for (at, part) in job.parts.iter_mut().enumerate().filter(|(_, part)| part.next.is_none()) {
        let batch = &mut part.batch;
        let is_tagged = batch.batch_tag().is_some();
        match context.restored.look_up(&batch.record, is_tagged, batch.message.arrived_at, now, settling) {
            LookUp::No if batch.stored_epoch == 0 => batch.record.looked_up_in_vain(&context.restored),
            LookUp::No => {}
            LookUp::ByTag => sought.push(at),
            LookUp::After(wait) => part.next = Some(NextStep::Pause(Duration::from_millis(wait))),
            LookUp::Person => ask_person(context, part).await?,
        }
    }
    if sought.is_empty() { Ok(()) } else { by_tag(delivery, job, &sought).await }
}

/// Leaves a batch to a person: nobody can find its cases.
async fn ask_person(context: &WorkerContext, part: &mut Part) -> Result<(), StoreError> {
    tracing::warn!(
        batch = %part.batch.key.batch, trace_id = logged(part.batch.trace()),
        "the store was restored, and the batch has no tag: a person has to check whether its cases exist"
    );
    part.batch.record.ask_after_restore(&context.restored);
    if !commit_record(context, &mut part.batch, Commit::default()).await?.is_done() {
        part.next = Some(NextStep::Refresh);
    }
    Ok(())
}

/// Reads the rows of batches, and takes over what is found. All of them have the same connection.
async fn by_tag(delivery: &Delivery, job: &mut Job, at: &[usize]) -> Result<(), StoreError> {
    let Job { parts, feedback, .. } = job;
    let there = parts.iter_mut().enumerate().filter(|(position, _)| at.contains(position)).map(|(_, part)| part);
    let mut there: Vec<&mut Part> = there.collect();
    let rows = match rows_of(delivery, &mut there, feedback).await? {
        Ok(rows) => rows,
        Err(next_step) => {
            there.into_iter().for_each(|part| part.next = Some(next_step.clone()));
            return Ok(());
        }
    };
    for part in there {
        let tag = part.batch.batch_tag().unwrap_or_default();
        let own: Vec<Row> = rows.iter().filter(|row| row.tags.contains(&tag)).cloned().collect();
        if !take_over(&delivery.context, &mut part.batch, own).await? {
            part.next = Some(NextStep::Refresh);
        }
    }
    Ok(())
}

/// Returns the rows in Testmo with the tags of batches, or what follows where they cannot be read.
async fn rows_of(
    delivery: &Delivery,
    there: &mut [&mut Part],
    feedback: &mut PushFeedback,
) -> Result<Result<Vec<Row>, NextStep>, StoreError> {
    let Some(first) = there.first() else { return Ok(Ok(Vec::new())) };
    let (context, connection) = (&delivery.context, first.batch.connection.clone());
    let mut folders: Vec<Target> = Vec::new();
    for target in there.iter().flat_map(|part| targets_of(&part.batch)) {
        if !folders.contains(&target) {
            folders.push(target);
        }
    }
    let unclear = there.iter().filter_map(|part| part.batch.record.unclear_since).min();
    let sought = Sought {
        account: connection.access.origin.as_str(),
        project: connection.project,
        folders: &folders,
        tags: there.iter().filter_map(|part| part.batch.batch_tag()).collect(),
        since: unclear.unwrap_or(i64::MAX).min(context.restored.latest_at),
    };
    let read = {
        let mut permits = PagePermits::new(context, &connection.access, &connection.tenant, feedback);
        let scope = Scope::of(there.iter().map(|part| part.batch.trace()));
        within(scope, delivery.memory.tagged_rows.read(context, &connection.access, &sought, &mut permits)).await
    };
    match read {
        Ok(rows) => Ok(Ok(rows)),
        Err(ReadError::NotPermitted(refused)) => Ok(Err(refused?)),
        Err(ReadError::Failed(error)) => {
            let verdict = after_failed_read(&error);
            Ok(Err(call_failed(context, &mut there[0].batch, &error, verdict, feedback).await?))
        }
    }
}

/// Returns the folders to which cases of a batch go or went.
fn targets_of(batch: &ActiveBatch) -> Vec<Target> {
    let present = batch.folders.targets(&batch.connection).unwrap_or_default();
    let is_there = |target: &&Target| target.account == batch.account() && target.project == batch.connection.project;
    present.into_iter().chain(batch.record.targets.iter().filter(is_there).cloned()).collect()
}

/// Takes over the rows of one batch, and returns whether its record was stored; if not, another worker or a person has
/// changed it.
async fn take_over(context: &WorkerContext, batch: &mut ActiveBatch, rows: Vec<Row>) -> Result<bool, StoreError> {
    let restored = &context.restored;
    if rows.is_empty() && batch.stored_epoch == 0 {
        // Its first claim stores that.
        batch.record.looked_up_in_vain(restored);
        return Ok(true);
    }
    if batch.stored_epoch == 0 && !store_first(context, batch).await? {
        return Ok(false);
    }
    let account = batch.account().to_owned();
    let ids: Vec<u64> = rows.iter().map(|row| row.id).collect();
    let mut held: HashSet<u64> = context.store.held_ids(&account, &ids).await?;
    held.extend(batch.record.known_duplicates_at(&account));
    let list = CaseList { rows, since: 0, descends: true, requests: 0 };
    let mut order = IdOrder::of(context, &account).await?;
    let wanted: Vec<usize> = batch.record.forgotten_cases().collect();
    if batch.record.arrived().next().is_none() && !search(batch, &wanted, &account, &list, &held).older.is_empty() {
        note_disorder(context, &account).await?;
        order.disordered = true;
    }
    order.apply(&mut batch.record);
    let before = batch.record.clone();
    let Rows::Of(found) = found(batch, &wanted, &account, &list, (&mut held, &HashSet::new()), order) else {
        batch.record.ask_after_restore(restored);
        return Ok(commit_record(context, batch, Commit::default()).await?.is_done());
    };
    batch.record.looked_up(&found, &batch.candidates, restored);
    let mut change = Commit { written: adopted(batch, &found), ..Commit::default() };
    if let Some((span, target)) = span(found.iter().map(|(_, id)| *id)).zip(before.target()) {
        let push = Uuid::now_v7().simple().to_string();
        change.ended = Some(PushEnded {
            push: push.clone(),
            answer: "found after a restore".into(),
            detail: None,
            ids: Some(span),
        });
        change.found = Some(PushFound {
            push,
            batch: batch.key.batch.clone(),
            connection: batch.connection.version.clone(),
            target: target.clone(),
            holder: context.holder.clone(),
            cases: found.len(),
        });
    }
    let is_stored = commit_record(context, batch, change).await?.is_done();
    if is_stored {
        let left = batch.record.waiting().count();
        tracing::info!(batch = %batch.key.batch, trace_id = logged(batch.trace()), found = found.len(), left, "looked up after a restore of the store");
        context.metrics.cases.with_label_values(&["adopted"]).inc_by(found.len() as u64);
    }
    Ok(is_stored)
}

/// Stores a batch of which the copy knows nothing, with the folders that its cases go to; returns whether that was done.
pub(super) async fn store_first(context: &WorkerContext, batch: &mut ActiveBatch) -> Result<bool, StoreError> {
    let Some(targets) = batch.folders.targets(&batch.connection) else { return Ok(false) };
    let places: HashMap<usize, usize> =
        (0..batch.cases.len()).map(|position| (position, batch.folders.places().of_case(position))).collect();
    batch.record.continue_after(&context.restored);
    batch.record.goes_to(places.into_iter(), &targets);
    if !commit_record(context, batch, Commit::default()).await?.is_done() {
        return Ok(false);
    }
    // What is remembered of its cases is found again by the time at which it was stored.
    if let (Some(stored), _) = context.store.batch_at(&batch.key.batch).await? {
        batch.record.first_seen_at = stored.record.first_seen_at;
    }
    Ok(true)
}

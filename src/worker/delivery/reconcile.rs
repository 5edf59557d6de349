//! Reconciles batches with Testmo whose cases may have been created: one read for all that went to the same folders.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::failure::call_failed;
use super::job::{Job, Part};
use super::match_rows::{batch_tag_of, match_rows};
use super::state::Delivery;
use crate::batch::batch_tag;
use crate::batch::ledger::Target;
use crate::batch::verdict::after_failed_read;
use crate::store::StoreError;
use crate::store::history::{Happening, HistoryEntry, Reconciliation};
use crate::store::ledger::Commit;
use crate::testmo::{Access, CaseList, Past, ReadError, ReadPermits};
use crate::trace::{Scope, within};
use crate::worker::context::WorkerContext;
use crate::worker::failpoint::{self, Failpoint};
use crate::worker::model::{ActiveBatch, NextStep};
use crate::worker::outcome::commit::commit_record;
use crate::worker::outcome::finish::finish_known;
use crate::worker::permit::PagePermits;
use crate::worker::reconciliation::canary::{Canary, list_by_tags};
use crate::worker::reconciliation::id_order::IdOrder;
use crate::worker::reconciliation::list_order::note_list_order;

/// Reconciles batches whose cases may have been created, and finishes those for which that leaves nothing to do. The
/// result only holds if the create request follows at once.
pub(super) async fn reconcile(delivery: &Delivery, job: &mut Job) -> Result<(), StoreError> {
    let mut groups: Vec<Vec<Target>> = Vec::new();
    for part in job.parts.iter_mut().filter(|part| is_unclear(part)) {
        match part.batch.unclear_targets() {
            Some(targets) if groups.contains(&targets) => {}
            Some(targets) => groups.push(targets),
            None => give_up(&delivery.context, part).await?,
        }
    }
    for targets in groups {
        match reconcile_targets(delivery, job, &targets).await {
            // The row decides about these batches only.
            Err(StoreError::Unreadable(row)) => {
                let went_there = job.parts.iter_mut().filter(|part| went_to(part, &targets));
                went_there.for_each(|part| part.next = Some(NextStep::AwaitStore(row.clone())));
            }
            reconciled => reconciled?,
        }
    }
    for part in job.open().filter(|part| part.batch.record.outcome().is_some()) {
        part.next = Some(finish_known(&delivery.context, &mut part.batch).await?);
    }
    Ok(())
}

/// Gives up cases that were sent to an account that is no longer the tenant's: their outcome is never found out.
async fn give_up(context: &WorkerContext, part: &mut Part) -> Result<(), StoreError> {
    let unknown = u32::try_from(part.batch.record.unclear_cases().count()).unwrap_or(u32::MAX);
    part.batch.record.give_up_unclear();
    let found = Reconciliation { unknown, lost: unknown, elsewhere: true, ..Reconciliation::default() };
    let history = vec![HistoryEntry::once(Happening::Reconciled(found), context.store.now(), None)];
    if !commit_record(context, &mut part.batch, Commit { history, ..Commit::default() }).await?.is_done() {
        part.next = Some(NextStep::Refresh);
    }
    Ok(())
}

/// Reconciles the batches whose cases of unknown outcome went to these folders of one account.
async fn reconcile_targets(delivery: &Delivery, job: &mut Job, targets: &[Target]) -> Result<(), StoreError> {
    let mut there: Vec<&mut Part> = job.parts.iter_mut().filter(|part| went_to(part, targets)).collect();
    let Some(first) = there.first_mut() else { return Ok(()) };
    let connection = first.batch.connection.clone();
    let account = connection.access.origin.as_str();
    let mut order = IdOrder::of(&delivery.context, account).await?;
    there.iter_mut().for_each(|part| order.apply(&mut part.batch.record));
    let (access, tenant) = (&connection.access, &connection.tenant);
    let mut all: Option<CaseList> = None;
    for target in targets {
        let mut permits = PagePermits::new(&delivery.context, access, tenant, &mut job.feedback);
        let scope = Scope::of(there.iter().map(|part| part.batch.trace()));
        let listed = match within(scope, list_rows(delivery, &there, target, access, &mut permits)).await? {
            Ok(list) => Ok(list),
            Err(ReadError::NotPermitted(refused)) => Err(refused?),
            Err(ReadError::Failed(error)) => {
                let verdict = after_failed_read(&error);
                Err(call_failed(&delivery.context, &mut there[0].batch, &error, verdict, &mut job.feedback).await?)
            }
        };
        failpoint::after(Failpoint::Reconcile);
        match listed {
            Ok(list) => {
                all = Some(match all {
                    Some(all) => all.with(list),
                    None => list,
                })
            }
            Err(next_step) => {
                there.into_iter().for_each(|part| part.next = Some(next_step.clone()));
                return Ok(());
            }
        }
    }
    let Some(list) = all else { return Ok(()) };
    match_rows(&delivery.context, there, account, &list, &mut order).await
}

/// Lists the cases of these batches alone where the tag filter is reliable, and otherwise everything that was created
/// in the folder.
async fn list_rows<P: ReadPermits>(
    delivery: &Delivery,
    there: &[&mut Part],
    target: &Target,
    access: &Access,
    permits: &mut P,
) -> Result<Result<CaseList, ReadError<P::Refused>>, StoreError> {
    let (context, memory) = (&delivery.context, &delivery.memory);
    let (now, at) = (context.store.now(), Instant::now());
    let before = there.iter().map(|part| unclear_since(&part.batch, now, at)).min().unwrap_or(0);
    let up_to = there.iter().try_fold(u64::MAX, |least, part| Some(least.min(part.batch.record.floor?)));
    let past = Past { before, up_to, offset: memory.clock_offsets.get(&target.account) };
    // The cases of a request that may still be at work may be the youngest.
    let ended = there.iter().try_fold(None, |last, part| Some(last.max(Some(part.batch.unclear.ended_at?))));
    let canary = ended.flatten().and_then(|ended| memory.canaries.younger_than(target, ended, Instant::now()));
    if let Some(canary) = canary
        && let Some(tags) = tags_of(context, there, &canary).await?
    {
        match list_by_tags(&context.client, access, target, past, (&tags, canary.id), permits).await {
            Ok(Some(list)) => {
                note_list_order(context, &target.account, &list);
                return Ok(Ok(list));
            }
            Ok(None) => memory.canaries.mark_filter_unreliable(&target.account, Instant::now()),
            Err(error) => return Ok(Err(error)),
        }
    }
    let list = context.client.list_cases(access, target, past, &[], permits).await;
    list.iter().for_each(|list| note_list_order(context, &target.account, list));
    Ok(list)
}

/// Returns the tags of everything that the list has to show; `None` where something of it has none.
async fn tags_of(
    context: &WorkerContext,
    there: &[&mut Part],
    canary: &Canary,
) -> Result<Option<Vec<String>>, StoreError> {
    let mut tags: BTreeSet<String> = canary.tag.iter().cloned().collect();
    let mut pushes = BTreeSet::new();
    for part in there {
        let batch = &part.batch;
        let push = batch.record.open_push.as_ref();
        let Some(tag) = batch_tag_of(batch, &push.map(|push| push.batch_tag.clone())) else { return Ok(None) };
        tags.insert(tag);
        pushes.extend(push.map(|push| push.id.as_str()));
    }
    for push in pushes {
        tags.extend(context.store.push_members(push).await?.waiting.iter().map(|record| batch_tag(&record.key)));
    }
    Ok(Some(tags.into_iter().collect()))
}

/// Returns whether cases of unknown outcome of a batch went to exactly these folders.
fn went_to(part: &Part, targets: &[Target]) -> bool {
    is_unclear(part) && part.batch.unclear_targets().is_some_and(|there| there == targets)
}

fn is_unclear(part: &Part) -> bool {
    part.next.is_none() && part.batch.record.unclear_cases().next().is_some()
}

fn unclear_since(batch: &ActiveBatch, now: i64, at: Instant) -> i64 {
    batch.unclear.since(batch.unclear_since(), now, at)
}

//! Has what was written into Testmo remembered, and notices cases that an earlier batch wrote for the same identity.

use std::collections::HashMap;

use super::share::Share;
use crate::batch::ledger::{PreviousCase, Target};
use crate::batch::written::{BatchMark, CaseIdentity, WrittenCase, WrittenFields};
use crate::store::StoreError;
use crate::tenants::Connection;
use crate::worker::context::WorkerContext;
use crate::worker::model::ActiveBatch;

/// Notes in the records which cases about to be sent an earlier batch has written, with one read for all of them. The
/// claim stores it, so that the batch's event reports it after a crash, too.
pub(super) async fn note_previous(
    context: &WorkerContext,
    connection: &Connection,
    shares: &mut [Share<'_>],
) -> Result<(), StoreError> {
    let may_repeat = shares.iter().filter(|share| share.part.batch.can_have_earlier());
    let wanted: Vec<CaseIdentity> = may_repeat.flat_map(identities).filter_map(|(_, identity)| identity).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let known = context.store.written(&connection.tenant, &wanted).await?;
    let known: HashMap<CaseIdentity, PreviousCase> = known
        .into_iter()
        .map(|known| {
            let batch = known.batch.map(|batch| batch.to_string());
            (known.case.identity, PreviousCase { batch, id: known.case.testmo_id, folder: known.case.folder })
        })
        .collect();
    for share in shares {
        let own: Vec<_> = identities(share).collect();
        let batch = &mut share.part.batch;
        for (position, identity) in own {
            let previous = identity.and_then(|identity| known.get(&identity));
            batch.record.cases[position].previous = previous.cloned().map(Box::new);
        }
    }
    Ok(())
}

fn identities<'s>(share: &'s Share<'_>) -> impl Iterator<Item = (usize, Option<CaseIdentity>)> + use<'s> {
    share.positions.iter().map(|at| (*at, share.part.batch.identity(*at, share.target_of(*at))))
}

/// Returns for each case of the shares, in the order of the request, whether it is remembered.
pub(super) fn are_remembered(shares: &[Share<'_>]) -> Vec<bool> {
    shares.iter().flat_map(identities).map(|(_, identity)| identity.is_some()).collect()
}

/// Returns what is remembered of the cases of a batch that were written, by position, with ids and fields.
pub(super) fn written(
    batch: &ActiveBatch,
    target_of: impl Fn(usize) -> Option<Target>,
    cases: impl Iterator<Item = (usize, u64, WrittenFields)>,
) -> Vec<WrittenCase> {
    let case = |(position, testmo_id, fields)| {
        let target = target_of(position)?;
        let case = move |identity| WrittenCase {
            identity,
            testmo_id,
            folder: target.folder,
            batch: BatchMark::of(&batch.key.batch, batch.record.first_seen_at),
            fields: WrittenFields::clone(&fields),
        };
        Some(batch.identities(position, &target).map(case))
    };
    cases.filter_map(case).flatten().collect()
}

/// Returns what is remembered of cases that reconciliation found, by position. Testmo's list is not read for it.
pub(super) fn adopted(batch: &ActiveBatch, found: &[(usize, u64)]) -> Vec<WrittenCase> {
    let sent_to = |at: usize| batch.record.targets.get(batch.record.cases[at].target);
    let fields = |(at, id): &(usize, u64)| {
        let target = sent_to(*at)?;
        batch.identity(*at, target)?;
        Some((*at, *id, WrittenFields::of_entry(&batch.cases[*at].entry, target.folder)))
    };
    let target_of = |at: usize| sent_to(at).cloned();
    written(batch, target_of, found.iter().filter_map(fields))
}

/// Counts those of the cases at these positions that an earlier batch has written, too.
pub(super) fn count_repeated(context: &WorkerContext, batch: &ActiveBatch, positions: impl Iterator<Item = usize>) {
    let repeated = positions.filter(|at| batch.record.cases[*at].previous.is_some()).count();
    context.metrics.repeated_cases.inc_by(repeated as u64);
}

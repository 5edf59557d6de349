//! Checks the ids of an answer: an id that no new case can have leaves the outcome unknown, and one below that of an
//! older case means that the ids of its account do not show which case is older.

use std::collections::HashSet;

use super::state::Delivery;
use crate::batch::verdict::answer::is_id;
use crate::store::ledger::KnownIds;
use crate::worker::context::WorkerContext;
use crate::worker::reconciliation::id_order::note_disorder;
use crate::worker::store_retry::patiently;

/// Removes ids from an answer that cannot be those of new cases, so that their outcome is unknown: 0, above 2^53, given
/// twice, or held by another case. `known` is what was known of the account before the request began.
///
/// Returns whether an id is held by another case. Such an answer says that the request was carried out: where ids start again,
/// as after an old backup of Testmo was restored, its cases are there, and must not be sent again.
pub(super) async fn check_ids(
    delivery: &Delivery,
    account: &str,
    known: KnownIds,
    answered: &mut [Option<u64>],
) -> bool {
    let given: Vec<u64> = answered.iter().flatten().copied().filter(|id| is_id(*id)).collect();
    let mut senseless: HashSet<u64> = answered.iter().flatten().copied().filter(|id| !is_id(*id)).collect();
    senseless.extend(delivery.memory.answered_ids.take(account, &given));
    let mut seen = HashSet::new();
    senseless.extend(given.iter().copied().filter(|id| !seen.insert(*id)));
    let is_low = |id: &u64| known.disordered || known.highest.is_some_and(|highest| *id <= highest);
    let low: Vec<u64> = given.into_iter().filter(is_low).collect();
    let mut is_held = false;
    if !low.is_empty() {
        let held = held_of(&delivery.context, account, known, low, &senseless).await;
        is_held = !held.is_empty();
        senseless.extend(held);
    }
    if senseless.is_empty() {
        return false;
    }
    let mut count = 0;
    for id in answered.iter_mut().filter(|id| id.is_some_and(|id| senseless.contains(&id))) {
        (*id, count) = (None, count + 1);
    }
    delivery.context.metrics.invalid_case_ids.inc_by(count);
    tracing::warn!(
        account, invalid_ids = ?senseless,
        "Testmo returned ids that no new case can have; the outcome of these cases is unknown"
    );
    is_held
}

/// Returns those of some low ids that the ledger holds; all of them where it does not answer.
async fn held_of(
    context: &WorkerContext,
    account: &str,
    known: KnownIds,
    low: Vec<u64>,
    senseless: &HashSet<u64>,
) -> Vec<u64> {
    let held = match patiently(|| context.store.held_ids(account, &low)).await {
        Ok(held) => held,
        Err(error) => {
            tracing::warn!(%error, account, "the ids of earlier cases cannot be read, so low ids count as invalid");
            return low;
        }
    };
    let is_new = |id: &u64| !held.contains(id) && !senseless.contains(id);
    if !known.disordered
        && low.iter().any(is_new)
        && let Err(error) = note_disorder(context, account).await
    {
        tracing::warn!(%error, account, "a finding cannot be stored: case ids do not ascend");
    }
    held.into_iter().collect()
}

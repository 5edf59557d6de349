//! Limits how long recovery may take once everything is healed, so that a run that is merely slow fails.

use std::time::Duration;

use testmo_courier::batch::ledger::BatchState;
use testmo_courier::store::shelf::ShelfState;

use crate::plan::Plan;
use crate::stage::Stage;

/// What recovery has to wait for, whatever the worker does, in milliseconds from the moment of healing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waits {
    pub(crate) rate_limit: i64,
    pub(crate) breaker: i64,
    pub(crate) push_lease: i64,
    pub(crate) shelf_lease: i64,
    pub(crate) folder: i64,
    pub(crate) shelf: i64,
}

impl Waits {
    pub(crate) fn now(stage: &Stage) -> Self {
        stage.store.at_once(|tables, now| {
            let longest = |times: &mut dyn Iterator<Item = i64>| times.map(|at| at - now).max().unwrap_or(0).max(0);
            let parked = || tables.shelf.values().filter(|row| row.state == ShelfState::Parked);
            Self {
                rate_limit: longest(&mut tables.throttles.values().map(|throttle| throttle.rate_limited_until)),
                breaker: longest(&mut tables.throttles.values().filter_map(|throttle| throttle.breaker_until)),
                push_lease: longest(&mut tables.pushes.values().filter(|push| !push.ended).map(|push| push.lease_until)),
                shelf_lease: longest(&mut tables.shelf.values().filter_map(|row| row.lease_until)),
                folder: longest(&mut tables.folder_claims.values().map(|claim| claim.until)),
                shelf: longest(&mut parked().map(|row| row.due_at).filter(|at| *at < now + 86_400_000)),
            }
        })
    }
}

/// Whether every batch has its outcome, and nothing waits on the shelf or in a queue.
pub(crate) fn is_settled(stage: &Stage, _plan: &Plan) -> bool {
    stage.broker.left() == 0
        && stage.store.at_once(|tables, _| {
            let parked = |row: &crate::store::tables::ShelfRow| row.state == ShelfState::Parked;
            let open = |entry: &crate::store::tables::BatchEntry| entry.stored.record.state == BatchState::Open;
            !tables.shelf.values().any(parked) && !tables.batches.values().any(open)
        })
}

#[allow(unused)]
pub(crate) fn seconds(ms: i64) -> Duration {
    Duration::from_millis(ms.unsigned_abs())
}

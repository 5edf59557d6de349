//! Applies to a plan what people have corrected in a run.

use std::collections::BTreeSet;

use testmo_courier::batch::BatchKey;
use testmo_courier::store::audit::AuditAction;
use testmo_courier::store::shelf::ShelfId;

use crate::plan::Plan;
use crate::store::replays::Note;
use crate::store::tables::Tables;

/// A plan with the batches as they were corrected.
pub(super) struct Corrections {
    pub(super) plan: Plan,
    /// The batches that were corrected while they were dead, and that nobody replayed since.
    pub(super) unsent: BTreeSet<BatchKey>,
    /// The messages without a queue that were corrected; further copies of them are as they were.
    pub(super) copies: Vec<Vec<u8>>,
}

impl Corrections {
    pub(super) fn of(plan: &Plan, tables: &Tables) -> Self {
        let (mut plan, mut unsent, mut copies) = (plan.clone(), BTreeSet::new(), Vec::new());
        for (at, note) in tables.journal.iter().enumerate() {
            let Note::Edited { entry, batch: key, before, was_dead } = note else { continue };
            let meant = plan
                .batches
                .iter()
                .position(|batch| plan.key_of(batch) == *key && plan.fingerprint_of(batch) == *before);
            let Some(meant) = meant else { continue };
            let is_sent = !was_dead || tables.journal[at..].iter().any(|note| is_replayed(note, *entry));
            if plan.batches[meant].astray {
                copies.push(plan.batches[meant].body(&plan.tenants));
            }
            if is_sent {
                plan.batches[meant] = plan.batches[meant].corrected();
            } else {
                unsent.insert(key.clone());
            }
        }
        Self { plan, unsent, copies }
    }
}

fn is_replayed(note: &Note, meant: ShelfId) -> bool {
    match note {
        Note::Started { entry, .. } => *entry == meant,
        Note::Acted { action, entry, .. } => *action == AuditAction::ReplayEntry && *entry == meant,
        Note::Became(..) | Note::Passed { .. } | Note::Edited { .. } => false,
    }
}

//! Applies the end of a create request to the record of one batch.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::cause::free_if_done;
use super::settle_time::settle_time;
use super::state::Delivery;
use super::suspects::name_of;
use crate::batch::Reason;
use crate::batch::ledger::Refusal;
use crate::batch::verdict::answer::{CreateResult, FieldRefusal};
use crate::batch::verdict::blame::{Blame, listed};
use crate::batch::verdict::{Verdict, reason_of};
use crate::worker::model::{ActiveBatch, NextStep};

/// The part of an answer that is about one batch.
pub(super) struct Slice<'a> {
    pub(super) end: &'a CreateResult,
    /// Where its cases begin in the request.
    pub(super) first: usize,
    /// Their positions in the batch.
    pub(super) positions: &'a [usize],
    /// How many cases the whole request had.
    pub(super) sent: usize,
}

impl Slice<'_> {
    /// Returns positions and ids of the cases that have an id.
    pub(super) fn created(&self) -> impl Iterator<Item = (usize, u64)> {
        let ids = self.end.iter().flatten().skip(self.first);
        self.positions.iter().zip(ids).filter_map(|(at, id)| Some((*at, (*id)?)))
    }

    /// Returns what the error says, if there is one.
    fn detail(&self) -> Option<String> {
        self.end.as_ref().err().map(ToString::to_string)
    }
}

/// Applies an end to a batch's record; returns what follows, and how many cases were refused.
pub(super) fn apply(
    delivery: &Delivery,
    batch: &mut ActiveBatch,
    share: &Slice<'_>,
    verdict: &Verdict,
) -> (NextStep, usize) {
    match verdict {
        Verdict::Created => (apply_created(delivery, batch, share), 0),
        Verdict::Attribute(blame) => attribute(delivery, batch, share, blame),
        Verdict::Halve { reason, said } if share.sent == 1 => {
            let position = share.positions[0];
            if *reason == Reason::CaseRefused {
                batch.refused_alone.push(position);
            }
            refuse(batch, vec![(position, Refusal { reason: *reason, said: said.clone() })])
        }
        Verdict::Halve { .. } | Verdict::Throttle(_) | Verdict::AwaitSocket => refuse(batch, vec![]),
        Verdict::RefuseAll(reason) => {
            let said = vec![FieldRefusal { field: String::new(), message: share.detail().unwrap_or_default() }];
            let refusal = Refusal { reason: *reason, said };
            refuse(batch, share.positions.iter().map(|at| (*at, refusal.clone())).collect())
        }
        Verdict::FindCause { status } => {
            batch.record.suspect(*status);
            (apply_unknown(delivery, batch, share), 0)
        }
        Verdict::Reconcile => (apply_unknown(delivery, batch, share), 0),
        Verdict::Retry(reason) => {
            batch.record.not_created(vec![]);
            (NextStep::Retry(*reason, share.detail(), Duration::ZERO), 0)
        }
        Verdict::Undecided(reason, detail) => {
            batch.record.not_created(vec![]);
            (NextStep::Retry(*reason, Some(detail.clone()), Duration::ZERO), 0)
        }
        Verdict::Park(reason) => {
            // The connection is to blame, so the cases that were refused alone were not.
            batch.record.reprieve(&std::mem::take(&mut batch.refused_alone));
            batch.record.not_created(vec![]);
            (NextStep::AwaitConnection(*reason, share.detail()), 0)
        }
        Verdict::ParkUnclear(reason) => {
            batch.record.unclear(batch.claimed_at);
            (NextStep::AwaitConnection(*reason, share.detail()), 0)
        }
    }
}

/// Records that none of the claimed cases was created, and that these were refused.
fn refuse(batch: &mut ActiveBatch, refused: Vec<(usize, Refusal)>) -> (NextStep, usize) {
    let count = refused.len();
    batch.record.not_created(refused);
    (NextStep::NextTurn, count)
}

/// Refuses the cases that are at fault themselves. Where the connection is at fault for another case of the batch, the
/// batch waits for it.
fn attribute(delivery: &Delivery, batch: &mut ActiveBatch, share: &Slice<'_>, blame: &Blame) -> (NextStep, usize) {
    let refusal = |said: &Vec<FieldRefusal>| Refusal { reason: Reason::CaseRefused, said: said.clone() };
    let refused = named(share, &blame.cases).map(|(position, said)| (position, refusal(said))).collect();
    let faults: Vec<(usize, &Vec<FieldRefusal>)> = named(share, &blame.connection).collect();
    if faults.is_empty() {
        return refuse(batch, refused);
    }
    let is_of_folder = faults.iter().any(|(_, said)| said.iter().any(|refused| refused.field == "folder_id"));
    let reason = if is_of_folder { Reason::TargetMissing } else { Reason::ConnectionRejected };
    let cases = faults.iter().map(|(position, said)| (*position, batch.cases[*position].key.as_str(), said.as_slice()));
    let detail = format!("Testmo answered 422: {}", listed(cases));
    let fields = || faults.iter().flat_map(|(_, said)| said.iter()).map(|refused| &refused.field);
    let only_lost = fields().all(|field| blame.lost.contains(field));
    let lost: BTreeSet<String> = fields().filter(|_| only_lost).cloned().collect();
    // The connection is to blame, so the cases that were refused alone were not.
    batch.record.reprieve(&std::mem::take(&mut batch.refused_alone));
    let (_, count) = refuse(batch, refused);
    let now = delivery.context.store.now();
    if only_lost && delivery.accepted.works_without(name_of(&batch.connection), &lost, now) {
        // The tenant knows, and the connection works for batches without these fields.
        return (NextStep::Defer(reason, Some(detail), Duration::ZERO), count);
    }
    (NextStep::AwaitConnection(reason, Some(detail)), count)
}

/// Returns what is said of the cases of this batch, by their positions in it.
fn named<'a>(
    share: &'a Slice<'_>,
    said: &'a BTreeMap<usize, Vec<FieldRefusal>>,
) -> impl Iterator<Item = (usize, &'a Vec<FieldRefusal>)> {
    let own = share.first..share.first + share.positions.len();
    said.range(own).map(|(at, said)| (share.positions[at - share.first], said))
}

/// Records the created cases; the outcome of those without an id is unknown.
fn apply_created(delivery: &Delivery, batch: &mut ActiveBatch, share: &Slice<'_>) -> NextStep {
    let ids: Vec<(usize, u64)> = share.created().collect();
    batch.record.created(&ids);
    (batch.tries, batch.message.failing_since, batch.message.parks) = (0, None, 0);
    batch.refused_alone.clear();
    batch.suspected_since = None;
    free_if_done(delivery, batch);
    if ids.len() == share.positions.len() {
        return NextStep::NextTurn;
    }
    if share.end.iter().flatten().any(Option::is_some) {
        batch.record.carried_out();
    }
    batch.record.unclear(batch.claimed_at);
    batch.message.waits_for(Reason::Unclear);
    NextStep::Pause(settle_time(&delivery.context, share.end))
}

/// Records that the outcome is unknown.
fn apply_unknown(delivery: &Delivery, batch: &mut ActiveBatch, share: &Slice<'_>) -> NextStep {
    batch.record.unclear(batch.claimed_at);
    let error = share.end.as_ref().err();
    batch.unclear.ended_at = error.filter(|error| error.has_ended()).map(|_| Instant::now());
    if let Some(push) = &batch.record.open_push {
        delivery.memory.unclear.note(&push.id, batch.unclear);
    }
    let settle = settle_time(&delivery.context, share.end);
    NextStep::Retry(error.map_or(Reason::Unclear, reason_of), share.detail(), settle)
}

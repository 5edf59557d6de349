//! Applies the end of a create request to the record of one batch.

use std::time::Duration;

use tokio::time::Instant;

use super::cause::free_if_done;
use super::settle_time::settle_time;
use super::state::Delivery;
use crate::batch::Reason;
use crate::batch::ledger::Refusal;
use crate::batch::verdict::answer::{ApiError, CreateResult, FieldRefusal, Refusals};
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

    /// Returns whether the refusal names a case of this batch, or no case at all.
    fn is_blamed(&self) -> bool {
        match self.end {
            Err(ApiError::Invalid(refusals)) if !refusals.entries.is_empty() => {
                let own = self.first..self.first + self.positions.len();
                refusals.entries.keys().any(|at| own.contains(at))
            }
            Ok(_) | Err(_) => true,
        }
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
        Verdict::RefuseNamed(refusals) => refuse(batch, named(share, refusals)),
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
        Verdict::Park(_) if !share.is_blamed() => refuse(batch, vec![]),
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

/// Returns the refusals that name a case of this batch, by its position.
fn named(share: &Slice<'_>, refusals: &Refusals) -> Vec<(usize, Refusal)> {
    let positions = share.positions.iter().enumerate();
    let refusal = |(at, position): (usize, &usize)| {
        let said = refusals.entries.get(&(share.first + at))?;
        Some((*position, Refusal { reason: Reason::CaseRefused, said: said.clone() }))
    };
    positions.filter_map(refusal).collect()
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

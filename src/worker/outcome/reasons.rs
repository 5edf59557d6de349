//! Decides which reason a finished batch is reported with.

use crate::batch::Reason;
use crate::batch::ledger::{BatchState, CaseState};
use crate::batch::verdict::blame::listed;
use crate::worker::model::ActiveBatch;

/// Returns why a batch that reached a terminal state is not complete; `None` when it is.
pub(in crate::worker) fn reason_of_outcome(batch: &ActiveBatch, state: BatchState) -> Option<Reason> {
    let lost = batch.record.cases.iter().any(|case| case.state == CaseState::Lost);
    let vanished =
        batch.record.cases.iter().any(|case| case.state == CaseState::Lost && case.rejected_unclear().is_none());
    let elsewhere = batch.record.target().is_some_and(|target| target.account != batch.account());
    match state {
        BatchState::Delivered => None,
        _ if vanished && elsewhere => Some(Reason::UnclearElsewhere),
        _ if vanished => Some(Reason::UnclearInTestmo),
        _ if lost => Some(Reason::RejectedUnclear),
        BatchState::Failed => Some(common_refusal(batch).unwrap_or(Reason::AllRefused)),
        BatchState::Open | BatchState::Partial | BatchState::Discarded | BatchState::Undone => {
            Some(common_refusal(batch).unwrap_or(Reason::CaseRefused))
        }
    }
}

/// Describes the cases that were not created: the first one that is not found, and all that were refused, with their
/// fields.
pub(in crate::worker) fn what_is_missing(batch: &ActiveBatch) -> Option<String> {
    let cases = || batch.record.cases.iter();
    let lost = cases().find(|case| case.state == CaseState::Lost).map(|case| match case.rejected_unclear() {
        Some(status) => format!("case {}: Testmo answered {status}", case.key),
        None if batch.candidates.is_empty() => format!("case {} is not found in Testmo", case.key),
        None => format!("case {} is not found in Testmo; possible matches are {:?}", case.key, batch.candidates),
    });
    let mut refused = cases().enumerate().filter_map(|(position, case)| match &case.state {
        CaseState::Refused(refusal) => Some((position, case.key.as_str(), refusal.said.as_slice())),
        CaseState::Waiting | CaseState::Claimed | CaseState::Created(_) | CaseState::Adopted(_) | CaseState::Lost => {
            None
        }
    });
    let first = refused.next();
    let refused = first.map(|first| listed(std::iter::once(first).chain(refused)));
    let parts: Vec<String> = [lost, refused].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Returns the reason that all refused cases share, if it says more than that Testmo refused them.
fn common_refusal(batch: &ActiveBatch) -> Option<Reason> {
    let mut reasons = batch.record.cases.iter().filter_map(|case| match &case.state {
        CaseState::Refused(refusal) => Some(refusal.reason),
        CaseState::Waiting | CaseState::Claimed | CaseState::Created(_) | CaseState::Adopted(_) | CaseState::Lost => {
            None
        }
    });
    let first = reasons.next().filter(|reason| *reason != Reason::CaseRefused)?;
    reasons.all(|reason| reason == first).then_some(first)
}

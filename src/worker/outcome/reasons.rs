//! Decides which reason a finished batch is reported with.

use crate::batch::Reason;
use crate::batch::ledger::{BatchState, CaseState};
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

/// Describes the first case that was not created.
pub(in crate::worker) fn first_refusal(batch: &ActiveBatch) -> Option<String> {
    batch.record.cases.iter().find_map(|case| match &case.state {
        CaseState::Refused(refusal) => {
            let said = refusal.said.first().map(|said| format!(": {}: {}", said.field, said.message));
            Some(format!("case {}{}", case.key, said.unwrap_or_default()))
        }
        CaseState::Lost if case.rejected_unclear().is_some() => {
            let status = case.rejected_unclear().unwrap_or_default();
            Some(format!("case {}: Testmo answered {status}", case.key))
        }
        CaseState::Lost if batch.candidates.is_empty() => Some(format!("case {} is not found in Testmo", case.key)),
        CaseState::Lost => {
            Some(format!("case {} is not found in Testmo; possible matches are {:?}", case.key, batch.candidates))
        }
        CaseState::Waiting | CaseState::Claimed | CaseState::Created(_) | CaseState::Adopted(_) => None,
    })
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

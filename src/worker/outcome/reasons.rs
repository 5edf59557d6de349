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
    let mut refused = cases()
        .enumerate()
        .filter_map(|(position, case)| Some((position, case.key.as_str(), case.state.refusal()?.said.as_slice())));
    let first = refused.next();
    let refused = first.map(|first| listed(std::iter::once(first).chain(refused)));
    let parts: Vec<String> = [lost, refused].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Returns the reason that all refused cases share, if it says more than that Testmo refused them.
fn common_refusal(batch: &ActiveBatch) -> Option<Reason> {
    let mut reasons = batch.record.cases.iter().filter_map(|case| Some(case.state.refusal()?.reason));
    let first = reasons.next().filter(|reason| *reason != Reason::CaseRefused)?;
    reasons.all(|reason| reason == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::ledger::{Refusal, Target};
    use crate::batch::verdict::answer::FieldRefusal;
    use crate::worker::model::batch_of;

    fn refused(reason: Reason) -> CaseState {
        let said = FieldRefusal { field: "tags".into(), message: "too long".into() };
        CaseState::Refused(Box::new(Refusal { reason, said: vec![said] }))
    }

    /// Returns a batch whose cases are in these states; the last request went to `account`.
    fn batch(states: &[CaseState], account: &str) -> ActiveBatch {
        let mut batch = batch_of(states.len(), |_| {});
        batch.record.targets = vec![Target { account: account.into(), project: 1, folder: 7 }];
        for (case, state) in batch.record.cases.iter_mut().zip(states) {
            case.state = state.clone();
        }
        batch
    }

    const HERE: &str = "https://acme.testmo.net";

    #[test]
    fn the_reason_is_the_gravest_that_a_person_has_to_know() {
        use BatchState::{Delivered, Failed, Partial};
        use Reason::{AllRefused, CaseRefused, CaseTooLarge, UnclearElsewhere, UnclearInTestmo};
        let (created, lost) = (CaseState::Created(1), CaseState::Lost);
        for (states, account, state, expected) in [
            (vec![created.clone()], HERE, Delivered, None),
            (vec![created.clone(), refused(CaseRefused)], HERE, Partial, Some(CaseRefused)),
            (vec![created.clone(), refused(CaseTooLarge)], HERE, Partial, Some(CaseTooLarge)),
            (vec![refused(CaseTooLarge), refused(CaseRefused)], HERE, Failed, Some(AllRefused)),
            (vec![refused(CaseTooLarge), refused(CaseTooLarge)], HERE, Failed, Some(CaseTooLarge)),
            (vec![refused(CaseRefused)], HERE, Failed, Some(AllRefused)),
            (vec![refused(CaseTooLarge), lost.clone()], HERE, Failed, Some(UnclearInTestmo)),
            (vec![created, lost], "https://former.testmo.net", Partial, Some(UnclearElsewhere)),
        ] {
            assert_eq!(reason_of_outcome(&batch(&states, account), state), expected, "{states:?} at {account}");
        }
    }

    #[test]
    fn a_case_that_was_left_because_of_its_status_is_another_matter_than_one_that_vanished() {
        let mut rejected = batch(&[CaseState::Lost, CaseState::Lost], "https://former.testmo.net");
        let suspicion = |status: u16| Some(Box::new(serde_json::from_value(json!({"s": status, "n": 3})).unwrap()));
        rejected.record.cases[0].suspicion = suspicion(403);
        assert_eq!(reason_of_outcome(&rejected, BatchState::Failed), Some(Reason::UnclearElsewhere), "one vanished");
        rejected.record.cases[1].suspicion = suspicion(403);
        assert_eq!(reason_of_outcome(&rejected, BatchState::Failed), Some(Reason::RejectedUnclear));
        let missing = what_is_missing(&rejected).unwrap();
        assert!(missing.contains("Testmo answered 403"), "{missing}");
    }

    #[test]
    fn what_is_missing_names_the_possible_matches_and_each_refused_field() {
        let mut batch = batch(&[CaseState::Created(1), CaseState::Lost, refused(Reason::CaseRefused)], HERE);
        let key = batch.record.cases[1].key.clone();
        let missing = what_is_missing(&batch).unwrap();
        assert!(missing.starts_with(&format!("case {key} is not found in Testmo; case ")), "{missing}");
        assert!(missing.contains("case #3") && missing.contains("tags"), "{missing}");
        batch.candidates = vec![8, 9];
        assert!(what_is_missing(&batch).unwrap().contains("possible matches are [8, 9]"));
        batch.record.cases.iter_mut().for_each(|case| case.state = CaseState::Created(1));
        assert_eq!(what_is_missing(&batch), None);
    }
}

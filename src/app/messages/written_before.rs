//! Finds which cases of a message an earlier batch has written into a tenant's Testmo.

use std::collections::HashMap;

use super::super::connections::ConnectionRow;
use super::message::Finding;
use crate::batch::event::address;
use crate::batch::ledger::Target;
use crate::batch::message::{Case, key_by_position};
use crate::batch::written::CaseIdentity;
use crate::batch::{Batch, Fault};
use crate::store::written::Remembered;

const ALREADY_WRITTEN: &str = "already-written";
/// The most cases that are listed one by one.
const MOST_LISTED: usize = 100;

/// Returns by what the cases of a batch are recognized if they go to a tenant's project, with their indexes. A batch has at
/// most [`MAX_CASES`](crate::batch::message::MAX_CASES) of them.
pub(super) fn identities(row: &ConnectionRow, batch: &Batch) -> Vec<(usize, CaseIdentity)> {
    let target = target(row);
    let key = batch.source.key.as_deref();
    let identity = |id: Option<&str>| CaseIdentity::of(&target, &row.tenant, key, id);
    // An id that is only a case's position in its batch does not recognize the case in another one.
    let own = |(index, case): (usize, &Case)| {
        let id = case.external_id.as_deref().filter(|id| *id != key_by_position(index));
        Some((index, identity(id)?))
    };
    batch.cases.iter().enumerate().filter_map(own).collect()
}

/// Returns a finding for each case that another batch wrote.
pub(super) fn written_before(
    row: &ConnectionRow,
    batch: &Batch,
    identities: &[(usize, CaseIdentity)],
    known: &[Remembered],
) -> Vec<Finding> {
    let target = target(row);
    let known: HashMap<CaseIdentity, &Remembered> = known.iter().map(|known| (known.case.identity, known)).collect();
    let of_another = |known: &&&Remembered| known.batch.as_ref() != Some(&batch.key.batch);
    let repeated = identities.iter().filter_map(|(index, identity)| Some((*index, known.get(identity)?)));
    let repeated: Vec<(usize, &&Remembered)> = repeated.filter(|(_, known)| of_another(known)).collect();
    let mut found: Vec<Finding> =
        repeated.iter().take(MOST_LISTED).map(|(at, known)| finding(&target, *at, known)).collect();
    if repeated.len() > MOST_LISTED {
        let what = format!("has {} more cases that an earlier batch wrote", repeated.len() - MOST_LISTED);
        found.push(warning(String::new(), what));
    }
    found
}

fn finding(target: &Target, index: usize, Remembered { case, batch }: &Remembered) -> Finding {
    let by = batch.as_ref().map_or_else(|| "an earlier batch".into(), |batch| format!("batch {batch}"));
    let link = address(target, case.folder, case.testmo_id);
    warning(format!("/cases/{index}"), format!("was written by {by} as case {}: {link}", case.testmo_id))
}

fn warning(pointer: String, what: String) -> Finding {
    let remedy = "leave it out if the earlier case is still wanted: this batch would create another one beside it";
    Finding { rule: ALREADY_WRITTEN, fault: Fault::at(pointer, what, remedy.into()) }
}

fn target(row: &ConnectionRow) -> Target {
    Target { account: row.origin.clone(), project: row.project, folder: row.folder }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::app::fixture::connection;
    use crate::batch::message::decode::decode;
    use crate::batch::written::{BatchMark, WrittenCase, WrittenFields};

    fn batch(cases: usize) -> Batch {
        let case = |n: usize| json!({"external_id": format!("TC-{n}"), "name": "a"});
        let mut cases: Vec<_> = (0..cases).map(case).collect();
        cases.push(json!({"name": "without an identity"}));
        let message = json!({"schema_version": 1, "batch_id": "b-2", "tenant_id": "acme", "source": {"key": "SHOP-1"},
            "generated_at": "2026-11-23T09:30:00Z", "cases": cases});
        decode(message.to_string().as_bytes()).unwrap()
    }

    fn known(identity: CaseIdentity, batch: Option<&str>) -> Remembered {
        let case = WrittenCase {
            identity,
            testmo_id: 7,
            folder: 5,
            batch: BatchMark::from_value(1),
            fields: WrittenFields::default(),
        };
        Remembered { case, batch: batch.map(|id| crate::batch::BatchId::new(id).unwrap()) }
    }

    #[test]
    fn a_case_that_another_batch_wrote_is_found_with_its_place_in_testmo() {
        let (row, batch) = (connection(), batch(3));
        let identities = identities(&row, &batch);
        assert_eq!(identities.len(), 3, "one case has no identity");
        let remembered =
            [known(identities[0].1, Some("b-1")), known(identities[1].1, None), known(identities[2].1, Some("b-2"))];
        let found = written_before(&row, &batch, &identities, &remembered);
        let said = |found: &Finding| (found.rule, found.fault.pointer.clone(), found.fault.what.clone());
        let said: Vec<_> = found.iter().map(said).collect();
        let link = "https://acme.testmo.net/repositories/1?group_id=5&case_id=7";
        let expected = [("/cases/0", "batch b-1"), ("/cases/1", "an earlier batch")]
            .map(|(place, by)| ("already-written", place.to_owned(), format!("was written by {by} as case 7: {link}")));
        assert_eq!(said, expected);
        assert!(include_str!("../../../docs/publishing.md").contains("| `already-written` |"));
    }

    #[test]
    fn many_cases_are_listed_in_part_and_counted() {
        let (row, batch) = (connection(), batch(130));
        let identities = identities(&row, &batch);
        let remembered: Vec<Remembered> =
            identities.iter().map(|(_, identity)| known(*identity, Some("b-1"))).collect();
        let found = written_before(&row, &batch, &identities, &remembered);
        assert_eq!(found.len(), MOST_LISTED + 1);
        assert_eq!(found[MOST_LISTED].fault.what, "has 30 more cases that an earlier batch wrote");
    }
}

//! Puts together what is known of a batch that was found.

use std::collections::BTreeMap;

use crate::app::batches::{BatchDetails, testmo_id};
use crate::batch::event::link;
use crate::batch::ledger::BatchRecord;
use crate::batch::search::{Matched, SearchDocument, ValueKind};
use crate::batch::{BatchKey, TenantId};
use crate::store::search::{Candidate, SearchName, ShelfHit};

/// A batch that was found, or an entry of the shelf whose batch is not known or is in conflict.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The tenant, as far as known.
    pub tenant: Option<TenantId>,
    /// The batch, as far as known.
    pub key: Option<BatchKey>,
    /// Its record, once the first of its cases was sent.
    pub record: Option<BatchRecord>,
    /// Its entries on the shelf.
    pub shelf: Vec<ShelfHit>,
    /// The key of its source, as far as known.
    pub source_key: Option<String>,
    /// Which of the batch's own values match.
    pub found_by: Vec<ValueKind>,
    /// The cases that match, in order.
    pub cases: Vec<CaseHit>,
}

/// A case that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseHit {
    /// Its position in the batch, from 1.
    pub position: usize,
    /// Its name, as far as known.
    pub name: Option<String>,
    /// The generator's id of it.
    pub external_id: Option<String>,
    /// Its id in Testmo, if it is there.
    pub testmo_id: Option<u64>,
    /// Its address in Testmo, if it is there.
    pub link: Option<String>,
    /// Which of its values match.
    pub found_by: Vec<ValueKind>,
}

/// Returns the batch that a row of the search names.
pub(super) fn key_of(name: &SearchName) -> Option<BatchKey> {
    Some(BatchKey::new(name.tenant.clone()?, name.batch.clone()?))
}

/// Returns whether an entry of the shelf is one that a row of the search stands for.
pub(super) fn is_of(entry: &ShelfHit, name: &SearchName) -> bool {
    if name.shelf_id == 0 { entry.key.is_some() && entry.key == key_of(name) } else { entry.id.0 == name.shelf_id }
}

/// Returns a batch that was named by its key; `None` if nothing is known of it.
pub(super) fn named(name: SearchName, record: Option<BatchRecord>, shelf: Vec<ShelfHit>) -> Option<Hit> {
    let is_known = record.is_some() || !shelf.is_empty();
    let found_by = vec![ValueKind::BatchId];
    is_known.then(|| hit(name, &SearchDocument::default(), record, shelf, found_by, Vec::new()))
}

/// Returns a candidate with the values that match; `None` if nothing of it is kept, or if its cases are not in the account
/// that a link names.
pub(super) fn matching(
    row: Candidate,
    matched: &[Matched],
    record: Option<BatchRecord>,
    shelf: Vec<ShelfHit>,
    account: Option<&str>,
) -> Option<Hit> {
    let record = record.filter(|record| row.name.shelf_id == 0 && !BatchDetails::is_pruned(record));
    if record.is_none() && shelf.is_empty() {
        return None;
    }
    let mut of_cases: BTreeMap<usize, Vec<ValueKind>> = BTreeMap::new();
    for Matched { kind, case } in matched {
        case.iter().for_each(|case| of_cases.entry(*case).or_default().push(*kind));
    }
    let is_in_account = |index: usize| {
        let of_case = |record: &BatchRecord| Some(record.targets.get(record.cases.get(index)?.target)?.account.clone());
        account.is_none_or(|account| record.as_ref().and_then(of_case).as_deref() == Some(account))
    };
    let cases = of_cases.into_iter().filter(|(index, _)| is_in_account(*index));
    let cases: Vec<CaseHit> =
        cases.map(|(index, found_by)| case(&row.document, record.as_ref(), index, found_by)).collect();
    let found_by: Vec<ValueKind> =
        matched.iter().filter(|matched| matched.case.is_none()).map(|matched| matched.kind).collect();
    let is_found = !cases.is_empty() || !found_by.is_empty();
    is_found.then(|| hit(row.name, &row.document, record, shelf, found_by, cases))
}

fn hit(
    name: SearchName,
    document: &SearchDocument,
    record: Option<BatchRecord>,
    shelf: Vec<ShelfHit>,
    found_by: Vec<ValueKind>,
    cases: Vec<CaseHit>,
) -> Hit {
    let (key, source_key) = (key_of(&name), document.source_key.clone());
    Hit { tenant: name.tenant, key, record, shelf, source_key, found_by, cases }
}

fn case(document: &SearchDocument, record: Option<&BatchRecord>, index: usize, found_by: Vec<ValueKind>) -> CaseHit {
    let known = document.cases.get(index).cloned().unwrap_or_default();
    let in_record = record.and_then(|record| testmo_id(record.cases.get(index)?));
    let testmo_id = in_record.or(known.testmo_id);
    CaseHit {
        position: index + 1,
        name: known.name,
        external_id: known.external_id,
        testmo_id,
        link: record.zip(testmo_id).filter(|_| in_record.is_some()).and_then(|(record, id)| link(record, index, id)),
        found_by,
    }
}

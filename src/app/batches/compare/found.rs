//! Matches the rows that Testmo shows with the cases that are expected, and decides what is said of each.

use std::collections::{HashMap, HashSet};

use super::expected::{Expected, ExpectedBatch};
use super::model::{ComparedBatch, ComparedCase, Differences, Finding, OtherRow};
use crate::batch::compared::{Edited, FieldChanges, edited, field_changes};
use crate::batch::written::WrittenFields;
use crate::testmo::{ShownCase, ShownPage};

/// A row of an expected case.
#[derive(Clone, Debug)]
struct Found {
    name: String,
    folder: u64,
    edited: Edited,
    by: Option<String>,
    /// How its fields differ; `None` if what was written is not remembered.
    changes: Option<FieldChanges>,
}

/// The rows that were found so far. They take as much memory as there are expected cases, however large the project is.
#[derive(Debug)]
pub(super) struct Rows {
    found: Vec<Vec<Option<Box<Found>>>>,
    /// Rows with the tag of a batch that are none of its cases, by batch.
    others: HashMap<usize, Vec<OtherRow>>,
    seen: HashSet<u64>,
}

impl Rows {
    /// Returns that nothing was found yet.
    pub(super) fn none(expected: &Expected) -> Self {
        let cases = |batch: &ExpectedBatch| batch.cases.iter().map(|_| None).collect();
        Self { found: expected.batches.iter().map(cases).collect(), others: HashMap::new(), seen: HashSet::new() }
    }

    /// Takes in a row of a page; `remembered` is what was written, if that is known.
    pub(super) fn take(
        &mut self,
        expected: &Expected,
        page: &ShownPage,
        row: &ShownCase,
        remembered: Option<&WrittenFields>,
    ) {
        let user = |id: Option<u64>| id.map(|id| page.users.get(&id).cloned().unwrap_or_else(|| format!("user {id}")));
        let folder = row.number("folder_id").unwrap_or_default();
        if let Some(places) = expected.ids.get(&row.id) {
            let edited = edited(row.time("created_at"), row.time("updated_at"), row.number("updated_by"));
            let by = match edited {
                Edited::At(_, by) => user(by),
                Edited::No => None,
            };
            let changes = remembered.map(|written| field_changes(written, &row.fields));
            let name = row.text("name").to_owned();
            let found = Box::new(Found { name, folder, edited, by, changes });
            for (batch, position) in places {
                self.found[*batch][*position] = Some(found.clone());
            }
            return;
        }
        let Some(batch) = row.tags().find_map(|tag| expected.tags.get(tag)) else { return };
        if self.seen.insert(row.id) {
            let link = expected.batches[*batch].link(0, folder, row.id).unwrap_or_default();
            let created_by = user(row.number("created_by"));
            let other = OtherRow { id: row.id, name: row.text("name").to_owned(), created_by, link };
            self.others.entry(*batch).or_default().push(other);
        }
    }

    /// Returns whether every expected case was found.
    pub(super) fn is_complete(&self, expected: &Expected) -> bool {
        let are_found = |(batch, found): (&ExpectedBatch, &Vec<Option<Box<Found>>>)| {
            batch.cases.iter().zip(found).all(|(case, found)| case.id.is_none() || found.is_some())
        };
        expected.batches.iter().zip(&self.found).all(are_found)
    }

    /// Decides what is said of each case. Where `is_doubtful`, cases were removed while the list was read, which moves others
    /// to pages that were read already.
    pub(super) fn conclude(mut self, expected: Expected, is_doubtful: bool) -> Vec<ComparedBatch> {
        let found = std::mem::take(&mut self.found);
        let batches = expected.batches.into_iter().zip(found).enumerate();
        batches.map(|(at, (batch, found))| compared(batch, found, self.others.remove(&at), is_doubtful)).collect()
    }
}

fn compared(
    batch: ExpectedBatch,
    found: Vec<Option<Box<Found>>>,
    others: Option<Vec<OtherRow>>,
    is_doubtful: bool,
) -> ComparedBatch {
    let mut others = others.unwrap_or_default();
    others.sort_by_key(|other| other.id);
    let mut cases = Vec::with_capacity(batch.cases.len());
    for (position, found) in found.into_iter().enumerate() {
        cases.push(case(&batch, position, found.map(|found| *found), &mut others, is_doubtful));
    }
    ComparedBatch { key: batch.key, cases, further: others }
}

fn case(
    batch: &ExpectedBatch,
    position: usize,
    found: Option<Found>,
    others: &mut Vec<OtherRow>,
    is_doubtful: bool,
) -> ComparedCase {
    let expected = &batch.cases[position];
    let (key, id) = (expected.key.clone(), expected.id);
    let sent_to = batch.target(position).map_or(0, |target| target.folder);
    let folder = found.as_ref().map_or(sent_to, |found| found.folder);
    let link = id.and_then(|id| batch.link(position, folder, id));
    let name = found.as_ref().map(|found| found.name.clone());
    let is_own = |other: &OtherRow| {
        let is_named_so = name.as_ref().is_some_and(|name| name.trim() == other.name.trim());
        is_named_so || expected.duplicates.contains(&other.id)
    };
    let (own, left) = std::mem::take(others).into_iter().partition::<Vec<_>, _>(is_own);
    *others = left;
    let (mut findings, mut differences) = (Vec::new(), Differences { others: own, ..Differences::default() });
    match found {
        None if id.is_none() => findings.push(Finding::NotDelivered),
        _ if batch.is_undone => findings.push(Finding::Undone),
        None => findings.push(if is_doubtful { Finding::NotSeen } else { Finding::Missing }),
        Some(found) => judge(found, sent_to, &mut findings, &mut differences),
    }
    if !differences.others.is_empty() {
        findings.push(Finding::Twice);
    }
    if findings.is_empty() {
        findings.push(Finding::Once);
    }
    findings.sort_unstable();
    let differences = (differences != Differences::default()).then(|| Box::new(differences));
    ComparedCase { key, id, name, link, findings, differences }
}

fn judge(found: Found, sent_to: u64, findings: &mut Vec<Finding>, differences: &mut Differences) {
    if let Edited::At(at, _) = found.edited {
        (differences.edited_at, differences.edited_by) = (Some(at), found.by);
    }
    if found.folder != sent_to {
        differences.folder = Some(found.folder);
        findings.push(Finding::Moved);
    }
    let is_edited = found.edited != Edited::No;
    match found.changes {
        Some(FieldChanges { changed, unsure }) => {
            let finding = match (changed.is_empty(), unsure.is_empty()) {
                (false, _) => Some(Finding::Changed),
                // Testmo itself stores texts in another form; without an edit that is all.
                (true, false) => is_edited.then_some(Finding::MaybeChanged),
                (true, true) => None,
            };
            if finding.is_some() {
                (differences.changed, differences.unsure) = (changed, unsure);
            }
            findings.extend(finding);
        }
        // To move a case is an edit, too.
        None if is_edited && differences.folder.is_none() => findings.push(Finding::MaybeChanged),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::batch::batch_tag;
    use crate::batch::ledger::{BatchRecord, BatchState, CaseState, Change, PreviousCase, Refusal, Repeat, Target};
    use crate::batch::verdict::reason::Reason;

    /// Returns a batch with the cases 10, 11 and so on in folder 7, of which those at `refused` were refused.
    fn expected(cases: usize, refused: &[usize]) -> (Expected, String) {
        let keys = (0..cases).map(|n| format!("TC-{n}"));
        let mut record = BatchRecord::fresh("acme/b-1".parse().unwrap(), "1:x".into(), keys);
        let target = Target { account: "https://acme.testmo.net".into(), project: 1, folder: 7 };
        record.goes_to((0..cases).map(|position| (position, 0)), &[target]);
        for (position, case) in record.cases.iter_mut().enumerate() {
            case.state = if refused.contains(&position) {
                CaseState::Refused(Box::new(Refusal { reason: Reason::CaseRefused, said: vec![] }))
            } else {
                CaseState::Created(10 + position as u64)
            };
        }
        let tag = batch_tag(&record.key);
        let mut expected = Expected::default();
        expected.take(record, None);
        (expected, tag)
    }

    fn row(id: u64, differs: Value) -> ShownCase {
        let mut fields = json!({"id": id, "name": format!("case {}", id % 10), "folder_id": 7, "created_by": 3,
            "created_at": "2026-11-01 10:00:00", "updated_at": null, "updated_by": null});
        fields.as_object_mut().unwrap().extend(differs.as_object().unwrap().clone());
        ShownCase { id, fields: fields.as_object().unwrap().clone(), names_all_tags: true }
    }

    fn compare(cases: usize, refused: &[usize], rows: &[ShownCase], is_doubtful: bool) -> ComparedBatch {
        let (expected, _) = expected(cases, refused);
        let page = ShownPage { users: HashMap::from([(3, "Bot".into()), (4, "Ann".into())]), ..ShownPage::default() };
        let mut found = Rows::none(&expected);
        rows.iter().for_each(|row| found.take(&expected, &page, row, None));
        found.conclude(expected, is_doubtful).remove(0)
    }

    fn findings(batch: &ComparedBatch) -> Vec<Vec<&str>> {
        batch.cases.iter().map(|case| case.findings.iter().map(|finding| finding.name()).collect()).collect()
    }

    #[test]
    fn each_case_is_there_once_moved_twice_missing_or_perhaps_changed() {
        let (_, tag) = expected(6, &[5]);
        let edit = json!({"updated_at": "2026-11-02 10:00:00", "updated_by": 4});
        let rows = [
            row(10, json!({})),
            row(11, json!({"folder_id": 9})),
            row(12, json!({"name": "case 2"})),
            row(13, edit),
            row(32, json!({"tags": [tag], "created_by": 4})),
            row(40, json!({"tags": ["another"]})),
        ];
        let batch = compare(6, &[5], &rows, false);
        let expected = vec![
            vec!["once"],
            vec!["moved"],
            vec!["twice"],
            vec!["maybe_changed"],
            vec!["missing"],
            vec!["not_delivered"],
        ];
        assert_eq!(findings(&batch), expected);
        let differs = |at: usize| batch.cases[at].differences.as_deref().unwrap();
        assert_eq!(differs(1).folder, Some(9));
        assert_eq!(
            batch.cases[1].link.as_deref(),
            Some("https://acme.testmo.net/repositories/1?group_id=9&case_id=11")
        );
        assert_eq!((differs(2).others[0].id, differs(2).others[0].created_by.as_deref()), (32, Some("Ann")));
        assert_eq!((differs(3).edited_by.as_deref(), differs(3).edited_at), (Some("Ann"), Some(1_793_613_600_000)));
        assert_eq!((batch.cases[0].differences.as_ref(), batch.further.len()), (None, 0));
    }

    #[test]
    fn a_case_that_two_batches_wrote_is_there_for_both_and_what_was_taken_back_is_not_missed() {
        let (mut both, _) = expected(2, &[]);
        let mut later = BatchRecord::fresh("acme/b-2".parse().unwrap(), "1:x".into(), ["TC-0".to_owned()]);
        let target = Target { account: "https://acme.testmo.net".into(), project: 1, folder: 7 };
        later.goes_to([(0, 0)].into_iter(), &[target]);
        later.repeats(vec![(
            0,
            Some(PreviousCase { batch: None, id: 10, folder: 7 }),
            Repeat::only(Change::Unchanged),
        )]);
        both.take(later.clone(), None);
        later.settle(BatchState::Undone, 5);
        both.take(later, None);
        let mut found = Rows::none(&both);
        found.take(&both, &ShownPage::default(), &row(10, json!({})), None);
        let batches = found.conclude(both, false);
        let findings: Vec<_> = batches.iter().map(findings).collect();
        assert_eq!(findings, [vec![vec!["once"], vec!["missing"]], vec![vec!["once"]], vec![vec!["undone"]]]);
    }

    #[test]
    fn a_row_with_the_tag_that_is_no_case_is_listed_with_its_batch() {
        let (_, tag) = expected(1, &[]);
        let batch = compare(1, &[], &[row(10, json!({})), row(77, json!({"name": "renamed", "tags": [tag]}))], false);
        assert_eq!(findings(&batch), [["once"]]);
        assert_eq!(batch.further.iter().map(|row| row.id).collect::<Vec<_>>(), [77]);
    }

    #[test]
    fn what_was_not_seen_in_a_list_that_shrank_is_not_called_missing() {
        assert_eq!(findings(&compare(1, &[], &[], true)), [["not_seen"]]);
        assert_eq!(findings(&compare(1, &[], &[], false)), [["missing"]]);
    }

    #[test]
    fn without_an_edit_a_text_that_testmo_stores_in_another_form_is_no_change() {
        let (expected, _) = expected(1, &[]);
        let written = WrittenFields::of_entry(r#"{"name": "case 0", "custom_note": "<p>a & b</p>"}"#, 7);
        let judged = |differs: Value| {
            let mut found = Rows::none(&expected);
            found.take(&expected, &ShownPage::default(), &row(10, differs), Some(&written));
            found.found[0][0].take().map(|found| {
                let (mut findings, mut differences) = (Vec::new(), Differences::default());
                judge(*found, 7, &mut findings, &mut differences);
                (findings, differences.changed, differences.unsure)
            })
        };
        let none = Vec::<String>::new;
        let note = "<p>a &amp; <i>b</i></p>";
        assert_eq!(judged(json!({"custom_note": "a &amp; b"})), Some((vec![], none(), none())));
        assert_eq!(judged(json!({"custom_note": note})), Some((vec![], none(), none())));
        let edit = json!({"custom_note": note, "updated_at": "2026-11-02 10:00:00", "updated_by": 4});
        assert_eq!(judged(edit), Some((vec![Finding::MaybeChanged], none(), vec!["custom_note".into()])));
        assert_eq!(judged(json!({"name": "x"})), Some((vec![Finding::Changed], vec!["name".into()], none())));
    }
}

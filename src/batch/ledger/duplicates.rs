//! Finds rows in Testmo that duplicate a case: those of a request that was carried out after the worker gave it up.

use std::collections::{HashMap, HashSet};

use crate::batch::ledger::BatchRecord;
use crate::batch::ledger::reconcile::Row;

/// Returns the duplicate rows, each with the position of the case it duplicates: rows that carry the batch tag and the
/// name of a case that arrived, and that the ledger holds for no case.
///
/// The name is the present name of the case in Testmo; a case that is no longer among the rows has no duplicate. Equal
/// names are paired in order of their ids. `held` are the ids that the ledger holds for any case of `account`, where the rows
/// are.
pub fn duplicates(
    record: &BatchRecord,
    account: &str,
    batch_tag: &str,
    held: &HashSet<u64>,
    rows: &[Row],
) -> Vec<(usize, u64)> {
    let arrived: HashMap<u64, usize> = record.arrived_at(account).map(|(position, id)| (id, position)).collect();
    let reported: HashSet<u64> = record.known_duplicates_at(account).chain(record.known_ids_at(account)).collect();
    let mut in_order: Vec<&Row> = rows.iter().collect();
    in_order.sort_by_key(|row| row.id);
    in_order.dedup_by_key(|row| row.id);
    let mut positions: HashMap<&str, Vec<usize>> = HashMap::new();
    for row in &in_order {
        if let Some(position) = arrived.get(&row.id) {
            positions.entry(row.name.trim()).or_default().push(*position);
        }
    }
    let is_new = |row: &&Row| {
        let is_known = arrived.contains_key(&row.id) || reported.contains(&row.id) || held.contains(&row.id);
        !is_known && record.may_have_created(row.id)
    };
    let has_batch_tag = |row: &&Row| row.tags.iter().any(|tag| tag == batch_tag);
    let mut paired: HashMap<&str, usize> = HashMap::new();
    let mut found = Vec::new();
    for row in in_order.into_iter().filter(has_batch_tag).filter(is_new) {
        let Some(alike) = positions.get(row.name.trim()) else { continue };
        let nth = paired.entry(row.name.trim()).or_default();
        found.push((alike[*nth % alike.len()], row.id));
        *nth += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::ledger::{OpenPush, Target};

    fn delivered(ids: &[u64]) -> BatchRecord {
        let keys = (1..=ids.len()).map(|n| format!("#{n}"));
        let mut record = BatchRecord::fresh("t/b".parse().unwrap(), "1:x".into(), keys);
        let push = OpenPush { id: "p".into(), connection: "v".into(), batch_tag: Some("m".into()), committed: false };
        let all: Vec<usize> = (0..ids.len()).collect();
        record.claim(&all, push, &Target { account: "https://a".into(), project: 1, folder: 2 });
        record.created(&ids.iter().copied().enumerate().collect::<Vec<_>>());
        record
    }

    fn row(id: u64, name: &str, tag: &str) -> Row {
        Row { id, name: name.into(), folder: 2, tags: vec![tag.into()], created_at: 1_000 }
    }

    fn found(record: &BatchRecord, held: &[u64], rows: &[Row]) -> Vec<(usize, u64)> {
        duplicates(record, "https://a", "m", &held.iter().copied().collect(), rows)
    }

    #[test]
    fn a_second_set_of_rows_is_paired_with_the_cases_by_name() {
        let rows = [row(23, "c", "m"), row(22, "a ", "m"), row(21, "b", "m"), row(11, "b", "m"), row(10, "a", "m")];
        assert_eq!(found(&delivered(&[10, 11]), &[], &rows), [(1, 21), (0, 22)]);
    }

    #[test]
    fn equal_names_are_paired_in_order_however_many_rows_there_are() {
        let rows: Vec<Row> = [10, 11, 20, 21, 30].map(|id| row(id, "a", "m")).into();
        assert_eq!(found(&delivered(&[10, 11]), &[], &rows), [(0, 20), (1, 21), (0, 30)]);
    }

    #[test]
    fn rows_without_the_mark_or_that_the_ledger_holds_are_nobodys_duplicates() {
        let rows = [row(10, "a", "m"), row(20, "a", "other"), row(21, "a", "m")];
        assert_eq!(found(&delivered(&[10]), &[21], &rows), []);
    }

    #[test]
    fn a_case_that_is_not_there_any_more_has_no_duplicate() {
        assert_eq!(found(&delivered(&[10]), &[], &[row(20, "a", "m")]), []);
        assert_eq!(found(&delivered(&[10]), &[], &[row(10, "renamed", "m"), row(20, "a", "m")]), []);
    }

    #[test]
    fn a_row_that_was_there_before_the_first_request_is_a_persons_copy() {
        let record = BatchRecord { floor: Some(20), ..delivered(&[30]) };
        let rows = [row(30, "a", "m"), row(20, "a", "m"), row(31, "a", "m")];
        assert_eq!(found(&record, &[], &rows), [(0, 31)]);
    }

    #[test]
    fn what_was_told_is_not_told_again() {
        let mut record = delivered(&[10]);
        record.duplicated(&[(0, 20)]);
        assert_eq!(found(&record, &[], &[row(10, "a", "m"), row(20, "a", "m"), row(21, "a", "m")]), [(0, 21)]);
    }
}

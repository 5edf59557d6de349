//! Decides which rows of Testmo may be cases that were not found, and checks what a person decides about them.

use std::collections::HashSet;

use crate::batch::ledger::reconcile::Row;
use crate::batch::ledger::{BatchRecord, CaseState};

/// A case that is not found in Testmo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingCase {
    /// Its position in the batch, from 0.
    pub position: usize,
    /// Its key within the batch.
    pub key: String,
    /// Its name.
    pub name: String,
}

/// A row of Testmo that may be one of the missing cases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its id in Testmo.
    pub id: u64,
    /// Its name there.
    pub name: String,
    /// Its folder.
    pub folder: u64,
    /// Whether it has the tag of the batch.
    pub has_batch_tag: bool,
    /// The positions of the missing cases that it may be.
    pub cases: Vec<usize>,
}

/// What a person decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decisions {
    /// Which rows are which cases: the key of the case, and the id of the row.
    pub adopted: Vec<(String, u64)>,
    /// The rows that are none of the cases.
    pub refused: Vec<u64>,
}

/// What a person's decisions mean for the record: the rows of cases, by position, and the cases that are not in Testmo.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) adopted: Vec<(usize, u64)>,
    pub(super) missing: Vec<usize>,
}

/// A decision that cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongDecision {
    /// The batch has no such case.
    #[error("the batch has no missing case {0}: name a case as the list does")]
    NoSuchCase(String),
    /// The row is none of the candidates.
    #[error(
        "{0} is not among the candidates: a case that is not in this list, or stands for another case, cannot be chosen"
    )]
    NoCandidate(u64),
    /// Two decisions are about the same case or row.
    #[error("{0} is named twice: decide about each case and each id once")]
    Twice(String),
    /// Another row may be the case.
    #[error("case {key} may also be {}: adopt it or refuse it as well", listed(.others))]
    OthersLeft {
        /// The key of the case.
        key: String,
        /// The other rows.
        others: Vec<u64>,
    },
}

fn listed(ids: &[u64]) -> String {
    ids.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

/// Returns the rows that may be missing cases: those with the tag of the batch, and those with the name of a missing case
/// that are not older than the batch. A row that the ledger holds for a case is none. A row with the tag and another name was
/// renamed, and may be any of them.
pub(super) fn candidates(
    record: &BatchRecord,
    missing: &[MissingCase],
    (account, batch_tag): (&str, &str),
    held: &HashSet<u64>,
    rows: &[Row],
) -> Vec<Candidate> {
    let known: HashSet<u64> = record.known_ids_at(account).chain(record.known_duplicates_at(account)).collect();
    let mut found: Vec<Candidate> = Vec::new();
    for row in rows.iter().filter(|row| !held.contains(&row.id) && !known.contains(&row.id)) {
        let has_batch_tag = row.tags.iter().any(|tag| tag == batch_tag);
        let named: Vec<usize> =
            missing.iter().filter(|case| case.name.trim() == row.name.trim()).map(|case| case.position).collect();
        let cases = match (has_batch_tag, named.is_empty()) {
            (true, true) => missing.iter().map(|case| case.position).collect(),
            (true, false) => named,
            (false, false) if record.may_have_created(row.id) => named,
            (false, _) => continue,
        };
        found.push(Candidate { id: row.id, name: row.name.clone(), folder: row.folder, has_batch_tag, cases });
    }
    found.sort_by_key(|candidate| candidate.id);
    found.dedup_by_key(|candidate| candidate.id);
    found
}

/// Returns what decisions mean. A case is missing once every row that may be it is refused or another case.
///
/// # Errors
/// When a decision names something else than was found, or leaves open whether a case is in Testmo.
pub(super) fn meaning(
    decisions: &Decisions,
    record: &BatchRecord,
    missing: &[MissingCase],
    candidates: &[Candidate],
) -> Result<Meaning, WrongDecision> {
    let mut meaning = Meaning::default();
    let mut named: HashSet<u64> = HashSet::new();
    let candidate =
        |id: u64| candidates.iter().find(|candidate| candidate.id == id).ok_or(WrongDecision::NoCandidate(id));
    for (key, id) in &decisions.adopted {
        let case = missing.iter().find(|case| case.key == *key);
        let case = case.ok_or_else(|| WrongDecision::NoSuchCase(key.clone()))?;
        candidate(*id)?;
        if meaning.adopted.iter().any(|(at, _)| *at == case.position) {
            return Err(WrongDecision::Twice(format!("case {key}")));
        }
        if !named.insert(*id) {
            return Err(WrongDecision::Twice(id.to_string()));
        }
        meaning.adopted.push((case.position, *id));
    }
    let mut concerned: HashSet<usize> = HashSet::new();
    for id in &decisions.refused {
        concerned.extend(&candidate(*id)?.cases);
        if !named.insert(*id) {
            return Err(WrongDecision::Twice(id.to_string()));
        }
    }
    for case in missing.iter().filter(|case| concerned.contains(&case.position)) {
        let is_lost = record.cases.get(case.position).is_some_and(|case| case.state == CaseState::Lost);
        if !is_lost || meaning.adopted.iter().any(|(at, _)| *at == case.position) {
            continue;
        }
        let may_be =
            |candidate: &&Candidate| candidate.cases.contains(&case.position) && !named.contains(&candidate.id);
        let others: Vec<u64> = candidates.iter().filter(may_be).map(|candidate| candidate.id).collect();
        if !others.is_empty() {
            return Err(WrongDecision::OthersLeft { key: case.key.clone(), others });
        }
        meaning.missing.push(case.position);
    }
    Ok(meaning)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::ledger::Target;

    fn record() -> BatchRecord {
        let keys = ["#1", "X", "#3"].map(str::to_owned);
        let mut record = BatchRecord::fresh("acme/b".parse().unwrap(), "1:x".into(), keys);
        record.cases[0].state = CaseState::Created(10);
        record.cases[1].state = CaseState::Lost;
        record.cases[2].state = CaseState::Lost;
        let target = Target { account: "https://acme.testmo.net".into(), project: 1, folder: 2 };
        BatchRecord { floor: Some(9), targets: vec![target], ..record }
    }

    fn missing() -> Vec<MissingCase> {
        [(1, "X", "b"), (2, "#3", "c")]
            .map(|(position, key, name)| MissingCase { position, key: key.into(), name: name.into() })
            .into()
    }

    fn row(id: u64, name: &str, tag: &str) -> Row {
        Row { id, name: name.into(), folder: 2, tags: vec![tag.into()], created_at: 0 }
    }

    fn found() -> Vec<Candidate> {
        let rows = [
            row(10, "a", "t"),
            row(15, "c", "t"),
            row(14, "renamed", "t"),
            row(13, "b ", "other"),
            row(12, "b", "t"),
            row(11, "something", "other"),
            row(8, "b", "other"),
            row(16, "c", "t"),
        ];
        candidates(&record(), &missing(), ("https://acme.testmo.net", "t"), &HashSet::from([16]), &rows)
    }

    #[test]
    fn rows_with_the_tag_or_the_name_may_be_cases_unless_the_ledger_holds_them() {
        let found: Vec<(u64, bool, Vec<usize>)> =
            found().into_iter().map(|found| (found.id, found.has_batch_tag, found.cases)).collect();
        let expected = [(12, true, vec![1]), (13, false, vec![1]), (14, true, vec![1, 2]), (15, true, vec![2])];
        assert_eq!(found, expected);
    }

    #[test]
    fn decisions_name_what_was_found_each_once_and_leave_nothing_open() {
        use WrongDecision::{NoCandidate, NoSuchCase, OthersLeft, Twice};
        let adopt = |adopted: &[(&str, u64)], refused: &[u64]| Decisions {
            adopted: adopted.iter().map(|(key, id)| ((*key).to_owned(), *id)).collect(),
            refused: refused.into(),
        };
        let means = |adopted: &[(usize, u64)], missing: &[usize]| {
            Ok(Meaning { adopted: adopted.into(), missing: missing.into() })
        };
        let left = |key: &str, others: &[u64]| Err(OthersLeft { key: key.into(), others: others.into() });
        let table = [
            (adopt(&[("X", 12)], &[]), means(&[(1, 12)], &[])),
            (adopt(&[("X", 14)], &[]), means(&[(1, 14)], &[])),
            (adopt(&[("X", 12), ("#3", 15)], &[]), means(&[(1, 12), (2, 15)], &[])),
            (adopt(&[], &[12, 13, 14, 15]), means(&[], &[1, 2])),
            (adopt(&[("X", 12)], &[14, 15]), means(&[(1, 12)], &[2])),
            (adopt(&[("X", 14)], &[15]), means(&[(1, 14)], &[2])),
            (adopt(&[], &[12]), left("X", &[13, 14])),
            (adopt(&[("X", 12)], &[15]), left("#3", &[14])),
            (adopt(&[("#1", 12)], &[]), Err(NoSuchCase("#1".into()))),
            (adopt(&[("X", 16)], &[]), Err(NoCandidate(16))),
            (adopt(&[], &[11]), Err(NoCandidate(11))),
            (adopt(&[("X", 12), ("X", 13)], &[]), Err(Twice("case X".into()))),
            (adopt(&[("X", 14), ("#3", 14)], &[]), Err(Twice("14".into()))),
            (adopt(&[("X", 14)], &[14]), Err(Twice("14".into()))),
        ];
        for (decisions, expected) in table {
            assert_eq!(meaning(&decisions, &record(), &missing(), &found()), expected, "{decisions:?}");
        }
    }
}

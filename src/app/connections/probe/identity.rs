//! Decides whether a row of a list is the case that a probe created: only then it is edited and deleted.

use super::sent::TAG;
use crate::batch::ledger::reconcile::Row;
use crate::batch::verdict::answer::is_id;

/// Why a case is not known to be the probe's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// The answer had no usable id.
    NoId,
    /// The list does not show the id.
    NotListed,
    /// The list shows the id without the probe's tag, with another name, or more than once.
    AnotherCase,
}

impl Doubt {
    /// Says what is in doubt.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::NoId => "Testmo's answer has no id of the new case",
            Self::NotListed => "the list does not show the id that Testmo's answer gave the new case",
            Self::AnotherCase => {
                "the list shows another case under the id that Testmo's answer gave the new case: the probe's tag or name \
                 is missing"
            }
        }
    }
}

/// Returns the id of the probe's own case: the one that Testmo's answer and a list both show, under the probe's tag and
/// with the mark in its name.
pub(super) fn own(answered: Option<u64>, rows: &[Row], mark: &str) -> Result<u64, Doubt> {
    let id = answered.filter(|id| is_id(*id)).ok_or(Doubt::NoId)?;
    let mut shown = rows.iter().filter(|row| row.id == id);
    match (shown.next(), shown.next()) {
        (None, _) => Err(Doubt::NotListed),
        (Some(row), None) if is_marked(row, mark) => Ok(id),
        (Some(_), _) => Err(Doubt::AnotherCase),
    }
}

/// Returns whether a row has the probe's tag and the mark in its name.
pub(super) fn is_marked(row: &Row, mark: &str) -> bool {
    is_tagged(row) && row.name.contains(mark)
}

/// Returns whether a row has the tag of probes.
pub(super) fn is_tagged(row: &Row) -> bool {
    row.tags.iter().any(|tag| tag == TAG)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u64, name: &str, tags: &[&str]) -> Row {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        Row { id, name: name.into(), folder: 1, tags, created_at: 0 }
    }

    #[test]
    fn a_case_is_deleted_only_if_the_answer_and_the_list_agree() {
        let own_row = row(7, "a probe 1a2b, x", &["a", TAG]);
        let other = |name, tags| [row(8, "b", &[]), row(7, name, tags)];
        for (answered, rows, expected) in [
            (Some(7), vec![row(8, "b", &[]), own_row.clone()], Ok(7)),
            (None, vec![own_row.clone()], Err(Doubt::NoId)),
            (Some(0), vec![own_row.clone()], Err(Doubt::NoId)),
            (Some(9), vec![own_row.clone()], Err(Doubt::NotListed)),
            (Some(7), vec![], Err(Doubt::NotListed)),
            (Some(7), other("a probe 1a2b, x", &["a"]).into(), Err(Doubt::AnotherCase)),
            (Some(7), other("a probe 1a2b, x", &["courier-probe-2"]).into(), Err(Doubt::AnotherCase)),
            (Some(7), other("a probe 9f9f, x", &[TAG]).into(), Err(Doubt::AnotherCase)),
            (Some(7), vec![own_row.clone(), own_row.clone()], Err(Doubt::AnotherCase)),
        ] {
            assert_eq!(own(answered, &rows, "probe 1a2b"), expected, "{answered:?} {rows:?}");
        }
    }
}

//! Decides whether a batch can be replaced by another one, and for which cases those of the other one stand then.

use crate::batch::ledger::{BatchRecord, BatchState};
use crate::batch::written::WrittenCase;

/// What is known of a batch that another one replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// It is finished, and its cases are those of the source with this name.
    Known(String),
    /// It is not finished, so it is not known which cases it has.
    Open,
    /// There is no such batch of the tenant, or it is from before sources had names.
    Unknown,
}

/// Decides by a record, if there is one, whether its batch can be replaced.
pub fn replaced(record: Option<&BatchRecord>) -> Replaced {
    match record {
        None => Replaced::Unknown,
        Some(record) if record.state == BatchState::Open => Replaced::Open,
        Some(record) => record.source.clone().map_or(Replaced::Unknown, Replaced::Known),
    }
}

/// Decides for which of two remembered cases a case stands: for the one of its own source, or for the one of the batch that
/// its batch replaces. `true` means the latter.
///
/// Both are usually the same case of Testmo; then what was written last counts.
pub fn prefers_replaced(own: &WrittenCase, replaced: &WrittenCase) -> bool {
    own.testmo_id != replaced.testmo_id || replaced.batch.first_seen_at() > own.batch.first_seen_at()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::ledger::Target;
    use crate::batch::written::{BatchMark, CaseIdentity, WrittenFields};

    #[test]
    fn only_a_finished_batch_whose_source_has_a_name_is_replaced() {
        let record = |state, source: Option<&str>| {
            let fresh = BatchRecord::fresh("acme/b-1".parse().unwrap(), "1:x".into(), ["TC-1".to_owned()]);
            BatchRecord { state, source: source.map(str::to_owned), ..fresh }
        };
        let known = || Replaced::Known("SHOP-1".into());
        assert_eq!(replaced(None), Replaced::Unknown);
        for (state, source, expected) in [
            (BatchState::Open, Some("SHOP-1"), Replaced::Open),
            (BatchState::Open, None, Replaced::Open),
            (BatchState::Delivered, Some("SHOP-1"), known()),
            (BatchState::Partial, Some("SHOP-1"), known()),
            (BatchState::Failed, Some("SHOP-1"), known()),
            (BatchState::Discarded, Some("SHOP-1"), known()),
            (BatchState::Undone, Some("SHOP-1"), known()),
            (BatchState::Delivered, None, Replaced::Unknown),
        ] {
            assert_eq!(replaced(Some(&record(state, source))), expected, "{state:?} {source:?}");
        }
    }

    #[test]
    fn the_case_of_the_replaced_batch_counts_unless_both_are_one() {
        let target = Target { account: "https://acme.testmo.net".into(), project: 1, folder: 2 };
        let case = |id, at| WrittenCase {
            identity: CaseIdentity::of(&target, &"acme".parse().unwrap(), Some("K"), Some("TC-1")).unwrap(),
            testmo_id: id,
            folder: 2,
            batch: BatchMark::of(&"acme/b-1".parse().unwrap(), at),
            fields: WrittenFields::default(),
        };
        for (own, replaced, expected) in [
            (case(7, 10), case(7, 20), true),
            (case(7, 20), case(7, 10), false),
            (case(7, 10), case(7, 10), false),
            (case(8, 20), case(7, 10), true),
        ] {
            assert_eq!(prefers_replaced(&own, &replaced), expected, "{own:?} {replaced:?}");
        }
    }
}

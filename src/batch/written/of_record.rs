//! Computes by what the cases of a record are recognized in later batches.

use super::CaseIdentity;
use crate::batch::ledger::BatchRecord;
use crate::batch::message::key_by_position;

/// Returns by what the case at a position of a record is recognized: in the source with this name, or in that of the record, and
/// in the source of the batch that its batch replaces, if that is another one. There is nothing before the first claim.
pub fn identities_of(record: &BatchRecord, source: Option<&str>, position: usize) -> Vec<CaseIdentity> {
    let Some(case) = record.cases.get(position) else { return Vec::new() };
    let Some(target) = record.targets.get(case.target) else { return Vec::new() };
    let id = Some(case.key.as_str()).filter(|key| *key != key_by_position(position));
    let names = [record.source.as_deref().or(source), record.replaced.as_deref()];
    names
        .into_iter()
        .flatten()
        .filter_map(|name| CaseIdentity::of(target, &record.key.tenant, Some(name), id))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::ledger::Target;

    #[test]
    fn a_case_is_recognized_in_each_source_of_its_batch() {
        let keys = ["TC-1".to_owned(), key_by_position(1)];
        let mut record = BatchRecord::fresh("acme/b-1".parse().unwrap(), "1:x".into(), keys);
        assert_eq!(identities_of(&record, Some("SHOP-1"), 0), [], "it has no target yet");
        let target = Target { account: "https://acme.testmo.net".into(), project: 1, folder: 2 };
        record.targets.push(target.clone());
        let of = |name: &str| CaseIdentity::of(&target, &record.key.tenant, Some(name), Some("TC-1")).unwrap();
        let (one, other) = (of("SHOP-1"), of("SHOP-2"));
        assert_eq!(identities_of(&record, Some("SHOP-1"), 0), [one]);
        assert_eq!(identities_of(&record, None, 0), []);
        (record.source, record.replaced) = (Some("SHOP-2".into()), Some("SHOP-1".into()));
        assert_eq!(identities_of(&record, None, 0), [other, one]);
        assert_eq!(identities_of(&record, Some("SHOP-1"), 0), [other, one], "its own source is known");
        assert_eq!((identities_of(&record, None, 1), identities_of(&record, None, 2)), (vec![], vec![]));
    }
}

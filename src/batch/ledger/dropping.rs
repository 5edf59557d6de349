//! Records what a batch does with cases of its source that it does not have any more.

use super::{BatchRecord, CaseRecord, DropChange, DroppedCase, Target};

impl BatchRecord {
    /// Returns whether a request that writes into cases of earlier batches, or deletes them, is under way, or has an unknown
    /// outcome.
    pub fn is_writing(&self) -> bool {
        self.cases.iter().any(CaseRecord::is_writing) || self.removing().next().is_some()
    }

    /// Returns the place of the present target.
    fn last_target(&self) -> Option<usize> {
        self.targets.len().checked_sub(1)
    }

    /// Returns where a case is that the batch does not have.
    pub fn target_of_dropped(&self, case: &DroppedCase) -> Option<&Target> {
        self.targets.get(case.target.or_else(|| self.last_target())?)
    }

    /// Returns the cases in `account` that the batch does not have.
    pub fn dropped_at(&self, account: &str) -> impl Iterator<Item = &DroppedCase> {
        let is_there =
            move |case: &&DroppedCase| self.target_of_dropped(case).is_none_or(|target| target.account == account);
        self.dropped.cases.iter().filter(is_there)
    }

    /// Returns the ids of the cases that a request of unknown outcome retires or deletes.
    pub fn removing(&self) -> impl Iterator<Item = u64> {
        let removing = self.dropped.cases.iter().filter(|case| case.change == DropChange::Writing);
        removing.map(|case| case.id)
    }

    /// Records what is or was done with cases that the batch does not have; of a case that is known, what was done last.
    pub fn drops(&mut self, cases: impl IntoIterator<Item = DroppedCase>) {
        for case in cases {
            let case = DroppedCase { target: self.last_target(), ..case };
            let account = self.target_of_dropped(&case).map(|target| target.account.as_str());
            let first = self.dropped.cases.partition_point(|known| known.id < case.id);
            let alike = self.dropped.cases[first..].iter().take_while(|known| known.id == case.id);
            let is_same =
                |known: &DroppedCase| self.target_of_dropped(known).map(|target| target.account.as_str()) == account;
            match alike.clone().position(is_same) {
                Some(at) => self.dropped.cases[first + at] = case,
                None => {
                    let behind = first + alike.count();
                    self.dropped.cases.insert(behind, case);
                }
            }
        }
        self.epoch += 1;
    }

    /// Records that nothing was done with these cases: they are decided again.
    pub fn not_dropped(&mut self, ids: &[u64]) {
        self.dropped.cases.retain(|case| case.change != DropChange::Writing || !ids.contains(&case.id));
        self.epoch += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::ledger::Dropped;

    fn record() -> BatchRecord {
        BatchRecord::fresh("t/b".parse().unwrap(), "1:x".into(), ["TC-1".to_owned()])
    }

    fn case(id: u64, change: DropChange) -> DroppedCase {
        DroppedCase { id, folder: 2, batch: None, change, target: None }
    }

    #[test]
    fn each_case_is_listed_once_in_order_with_what_was_done_last() {
        let mut record = record();
        record.drops([case(9, DropChange::Writing), case(3, DropChange::Left), case(5, DropChange::Writing)]);
        assert_eq!((record.removing().collect::<Vec<_>>(), record.is_writing()), (vec![5, 9], true));
        record.drops([case(5, DropChange::Retired)]);
        record.not_dropped(&[3, 9]);
        assert_eq!(record.dropped.cases, [case(3, DropChange::Left), case(5, DropChange::Retired)]);
        assert_eq!((record.is_writing(), record.epoch), (false, 3));
    }

    #[test]
    fn what_was_done_is_read_back_as_it_was_stored() {
        let mut record = record();
        assert!(record.dropped.is_empty());
        record.drops([DroppedCase { batch: Some("a".into()), ..case(1, DropChange::NotFound) }]);
        record.dropped.more = true;
        let text = serde_json::to_string(&record.dropped).unwrap();
        assert_eq!(serde_json::from_str::<Dropped>(&text).unwrap(), record.dropped);
    }
}

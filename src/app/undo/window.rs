//! Keeps what is known of rows from before an undo changes them, so that it is checked later whether an edit was overwritten.

use super::requests::Planned;
use super::subject::Subject;
use crate::batch::BatchKey;
use crate::batch::generation::Windows;
use crate::store::ledger::WindowStep;
use crate::testmo::ShownCase;

/// The rows of a claim whose histories are shown.
#[derive(Debug)]
pub(super) struct Window {
    windows: Windows,
    /// The epoch of the record that claimed the rows, once that is stored.
    epoch: Option<u64>,
}

impl Window {
    /// Returns what is kept of rows that are about to be changed; `None` if there is nothing to keep.
    pub(super) fn open(subject: &Subject, planned: &[Planned]) -> Option<Self> {
        let cases: Vec<_> = planned.iter().filter_map(|row| row.window.clone()).collect();
        let (account, project) = (subject.connection.origin.clone(), subject.connection.project);
        (!cases.is_empty()).then(|| Self { windows: Windows { account, project, cases }, epoch: None })
    }

    /// Notes that Testmo answered with these rows as they are changed.
    pub(super) fn answered(&mut self, shown: &[ShownCase]) {
        for case in &mut self.windows.cases {
            if let Some(row) = shown.iter().find(|row| row.id == case.id) {
                case.answered(&row.fields);
            }
        }
    }

    /// Keeps nothing of rows that were certainly not changed.
    pub(super) fn end(&mut self, may_be_changed: impl Fn(u64) -> bool) {
        self.windows.cases.retain(|case| may_be_changed(case.id));
    }

    /// Returns what is stored with a record of this epoch.
    pub(super) fn step(&mut self, batch: &BatchKey, epoch: u64) -> WindowStep {
        let epoch = *self.epoch.get_or_insert(epoch);
        let body = (!self.windows.cases.is_empty()).then(|| self.windows.packed());
        WindowStep { batch: batch.clone(), claims: vec![(epoch, body)] }
    }
}

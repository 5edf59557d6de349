//! Keeps what is known of cases from before they are written, so that it is checked later whether an edit was overwritten.

use serde_json::{Map, Value};

use crate::batch::generation::{Change as Fields, WindowCase, Windows};
use crate::store::ledger::WindowStep;
use crate::testmo::ShownCase;
use crate::worker::model::ActiveBatch;

/// The cases of a claim whose histories are shown.
#[derive(Debug)]
pub(super) struct Window {
    windows: Windows,
    /// The epoch of the record that claims the cases.
    epoch: u64,
}

impl Window {
    /// Returns what is kept of cases that are about to be written, each with its fields and its row; the record of the batch
    /// claims them.
    pub(super) fn open<'a>(
        batch: &ActiveBatch,
        writes: impl Iterator<Item = (u64, &'a Fields, &'a Map<String, Value>)>,
    ) -> Self {
        let case = |(id, fields, shown): (u64, &Fields, &Map<String, Value>)| {
            WindowCase::open(id, fields.fields.iter().chain(&fields.carried), shown)
        };
        let (account, project) = (batch.account().to_owned(), batch.connection.project);
        let windows = Windows { account, project, cases: writes.filter_map(case).collect() };
        Self { windows, epoch: batch.record.epoch }
    }

    /// Returns what is stored before the cases are written; `None` if there is nothing to keep.
    pub(super) fn begin(&self, batch: &ActiveBatch) -> Option<WindowStep> {
        self.step(batch).filter(|_| !self.windows.cases.is_empty())
    }

    /// Notes that Testmo answered with these cases as they are written.
    pub(super) fn answered(&mut self, shown: &[ShownCase]) {
        for case in &mut self.windows.cases {
            if let Some(row) = shown.iter().find(|row| row.id == case.id) {
                case.answered(&row.fields);
            }
        }
    }

    /// Returns what is stored after requests: nothing is kept of cases that were certainly not written.
    pub(super) fn end(mut self, batch: &ActiveBatch, not_written: impl Fn(u64) -> bool) -> Option<WindowStep> {
        if self.windows.cases.is_empty() {
            return None;
        }
        self.windows.cases.retain(|case| !not_written(case.id));
        self.step(batch)
    }

    fn step(&self, batch: &ActiveBatch) -> Option<WindowStep> {
        let body = (!self.windows.cases.is_empty()).then(|| self.windows.packed());
        Some(WindowStep { batch: batch.key.batch.clone(), claims: vec![(self.epoch, body)] })
    }
}

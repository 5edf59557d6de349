//! What is said when Testmo shows created cases otherwise than they were sent?

use std::collections::BTreeSet;

use super::courier::Courier;
use crate::batch::verdict::answer::ResponseDifference;

impl Courier {
    /// Counts the differences of one answer, and tells of them on one line; `name` gives the batch and the key of a
    /// case by its position in the request.
    pub(super) fn tell_differences(&self, differing: &[ResponseDifference], name: impl Fn(usize) -> String) {
        let Some(first) = differing.first() else { return };
        for difference in differing {
            self.metrics.response_differences.with_label_values(&[difference.part]).inc();
        }
        let cases: BTreeSet<usize> = differing.iter().map(|difference| difference.index).collect();
        let parts: BTreeSet<&str> = differing.iter().map(|difference| difference.part).collect();
        tracing::warn!(
            case = name(first.index),
            cases = cases.len(),
            fields = ?parts,
            "Testmo's answer shows created cases otherwise than they were sent"
        );
    }
}

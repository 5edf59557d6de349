//! Measures how long batches took from publishing to delivery, and counts messages that were quarantined.

use std::path::Path;

use crate::drain::{Drained, is_terminal, time_of};
use crate::plan::{Plan, TENANTS};
use crate::stage::{Stage, worker_log};

/// The place of the tenant with most of the load and all faults of Testmo; the others are quiet.
pub(super) const BUSY: usize = 0;
/// What a worker logs when it sets a message apart that may have stopped workers.
const SET_APART: &str = "the message is tried alone";

/// How long the batches of a pass took.
#[derive(Debug, Default)]
pub(super) struct Times {
    pub(super) batches: usize,
    /// The times of the quiet tenants' batches, in milliseconds.
    pub(super) quiet: Vec<i64>,
    /// The time from the first publishing to the last outcome, in milliseconds.
    span_ms: i64,
}

impl Times {
    pub(super) fn of(plan: &Plan, stage: &Stage, drained: &Drained) -> Self {
        let mut times = Self::default();
        let (mut first, mut last) = (i64::MAX, i64::MIN);
        for (at, published) in &stage.published {
            let batch = &plan.batches[*at];
            let about = drained.heard.get(&batch.subject()).map_or(&[][..], Vec::as_slice);
            let outcomes = about.iter().filter(|event| is_terminal(event)).filter_map(time_of);
            let Some(delivered) = outcomes.min() else { continue };
            times.batches += 1;
            (first, last) = (first.min(*published), last.max(delivered));
            if batch.tenant != TENANTS[BUSY] {
                times.quiet.push((delivered - published).max(0));
            }
        }
        Self { span_ms: last.saturating_sub(first), ..times }
    }

    /// Returns how many batches were delivered in a second.
    pub(super) fn rate(&self) -> f64 {
        let number = |number: i64| i32::try_from(number).map_or(f64::MAX, f64::from);
        let batches = i64::try_from(self.batches).unwrap_or(i64::MAX);
        number(batches) * 1_000.0 / number(self.span_ms.max(1))
    }
}

/// Counts how often workers have set a message apart, by their logs.
pub(super) fn tried_alone(dir: &Path, workers: usize) -> std::io::Result<usize> {
    let logs = (0..workers).map(|worker| std::fs::read_to_string(dir.join(worker_log(worker))));
    logs.map(|log| log.map(|log| log.lines().filter(|line| line.contains(SET_APART)).count())).sum()
}

/// Returns the time below or at which a part of the times lies, in percent; 0 if there is none.
pub(super) fn percentile(times: &[i64], percent: usize) -> i64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

#[test]
fn a_percentile_is_one_of_the_times() {
    assert_eq!(percentile(&[], 99), 0);
    assert_eq!(percentile(&[7], 50), 7);
    let times: Vec<i64> = (1..=200).rev().collect();
    assert_eq!((percentile(&times, 50), percentile(&times, 99), percentile(&times, 100)), (100, 198, 200));
}

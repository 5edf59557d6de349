//! Measures the scenarios, one file for each; rows 1 and 2 share a file.

mod buckets;
mod console;
mod flood;
mod growth;
mod large;
mod latency;
mod replicas;
mod store;
mod support;
mod tenants;
mod throughput;

use std::time::Duration;

use anyhow::Context;

use crate::contestant::{Contestant, Role};
use crate::neighbours::Neighbours;
use crate::report::RowResult;

/// All rows.
pub(crate) const ALL: [u8; 11] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14];
/// The rows that need PostgreSQL.
pub(crate) const ON_POSTGRES: [u8; 5] = [7, 8, 9, 10, 14];

/// Everything that a row needs for its measurement.
pub(crate) struct Bench<'a> {
    pub(crate) neighbours: &'a mut Neighbours,
    /// The selected contestants that are installed.
    pub(crate) contestants: Vec<Contestant>,
    /// The selected contestants that are not installed, each with the missing part.
    pub(crate) missing: Vec<(&'static str, String)>,
    pub(crate) limits: Limits,
}

/// How often every row is measured by default; row 6 has many rounds in its only run, and row 9 has one.
const RUNS: usize = 5;

/// The size and length of a measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Small and short, to try the harness itself; the figures mean nothing.
    pub(crate) quick: bool,
    /// Runs of every row, instead of [`RUNS`].
    pub(crate) runs: Option<usize>,
    pub(crate) prefetch: usize,
    pub(crate) in_flight: usize,
}

impl Limits {
    /// Returns how often a row is measured.
    fn runs(&self) -> usize {
        self.runs.unwrap_or(if self.quick { 1 } else { RUNS })
    }

    /// Returns the usual size, or a small one for a quick try.
    fn size(&self, usually: usize, quick: usize) -> usize {
        if self.quick { quick } else { usually }
    }

    /// Returns the longest time of a measurement that depends on the contestant's speed.
    fn span(&self) -> Duration {
        Duration::from_secs(if self.quick { 4 } else { 15 })
    }
}

impl Bench<'_> {
    fn worker(&self) -> anyhow::Result<Contestant> {
        let worker = self.contestants.iter().find(|contestant| contestant.role == Role::Worker);
        worker.cloned().context("the worker is needed, and is not there or not wanted")
    }
}

/// Measures one row.
pub(crate) async fn measure(bench: &mut Bench<'_>, row: u8) -> anyhow::Result<RowResult> {
    match row {
        1 => throughput::at_once(bench).await,
        2 => throughput::slow_and_faulty(bench).await,
        3 => buckets::run(bench).await,
        4 => flood::run(bench).await,
        5 => tenants::run(bench).await,
        6 => latency::run(bench).await,
        7 => replicas::run(bench).await,
        8 => store::run(bench).await,
        9 => growth::run(bench).await,
        10 => support::run(bench).await,
        14 => console::run(bench).await,
        other => anyhow::bail!("there is no row {other}"),
    }
}

//! Measures what open pages cost a worker that delivers as fast as it can: row 1 with them and without.

use std::time::Duration;

use serde::Serialize;
use testmo_courier::clock::Clock;
use testmo_courier::config::Config;
use testmo_courier::store::{Store, StoreHealth};

use super::super::Bench;
use super::super::growth::free_address;
use super::LISTEN;
use super::open_pages::{OPEN, Refreshes, keep_open};
use super::visitor::Visitor;
use crate::measure::{Job, measure as measure_alone, measure_beside};
use crate::output::{count, milliseconds, progress};
use crate::report::Check;
use crate::stats::{median, percentile};
use crate::target::order::Manner;

/// More batches than can be delivered meanwhile.
const BATCHES: usize = 120_000;
/// How long is measured: every page is read several times.
const SPAN: Duration = Duration::from_secs(20);

/// The delivery rate of each run in cases a second, and how long pages took meanwhile, in milliseconds.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Delivered {
    alone: Vec<f64>,
    with_pages: Vec<f64>,
    refreshes: Vec<f64>,
}

/// Measures in turns.
pub(super) async fn measure(bench: &mut Bench<'_>) -> anyhow::Result<Delivered> {
    let worker = bench.worker()?;
    let job = Job {
        batches: bench.limits.size(BATCHES, 1_000),
        cases: 5,
        tenants: 1,
        burst: 1,
        store_url: None,
        span: if bench.limits.quick { bench.limits.span() } else { SPAN },
        prefetch: bench.limits.prefetch,
        in_flight: bench.limits.in_flight,
        manner: Manner::default(),
    };
    let mut delivered = Delivered::default();
    for run in 1..=bench.limits.runs() {
        let alone = measure_alone(bench.neighbours, &worker, &job).await?.cases_per_second;
        let (address, refreshes) = (free_address()?, Refreshes::default());
        let open = async |config: Config| -> anyhow::Result<()> {
            let store = Store::open(&config.store, false, Clock::system()).await?;
            let visitor = Visitor::enter(&store, address).await?;
            store.close().await;
            keep_open(&visitor, &refreshes).await
        };
        let variables = [(LISTEN, address.to_string())];
        let with = measure_beside(bench.neighbours, &worker, &job, &variables, open).await?.cases_per_second;
        progress(&format!("run {run}: {} cases/s, {} with {OPEN} open pages", count(alone), count(with)));
        delivered.alone.push(alone);
        delivered.with_pages.push(with);
        delivered.refreshes.extend(refreshes.taken());
    }
    Ok(delivered)
}

impl Delivered {
    /// Judges what the pages cost.
    pub(super) fn check(&self, most: f64) -> Check {
        let lost = median(&self.with_pages).zip(median(&self.alone)).map(|(with, alone)| 1.0 - with / alone);
        Check::judged(
            &format!("SQLite: the delivery rate that {OPEN} open pages cost, at most {:.0} %", most * 100.0),
            lost.map(|lost| (format!("{:.1} %", lost * 100.0), lost <= most)),
        )
    }

    /// Returns the figures in words.
    pub(super) fn told(&self) -> String {
        let rates = |of: &[f64]| of.iter().map(|rate| count(*rate)).collect::<Vec<_>>().join(", ");
        let p99 = percentile(&self.refreshes, 99.0).map_or_else(|| "none".to_owned(), milliseconds);
        format!(
            "Row 1 on SQLite, cases/s: {} alone, {} with {OPEN} open pages; {} refreshes meanwhile, p99 {p99}.",
            rates(&self.alone),
            rates(&self.with_pages),
            self.refreshes.len()
        )
    }
}

//! Registers series under the prefix of the program.

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use super::help::Series;

/// The registry to which series are added.
pub(super) struct Registrar(pub(super) Registry);

impl Registrar {
    pub(super) fn counter(&self, series: Series) -> Result<IntCounter, prometheus::Error> {
        self.add(IntCounter::with_opts(opts(series))?)
    }

    pub(super) fn counters(&self, series: Series, label: &str) -> Result<IntCounterVec, prometheus::Error> {
        self.add(IntCounterVec::new(opts(series), &[label])?)
    }

    pub(super) fn gauge(&self, series: Series) -> Result<IntGauge, prometheus::Error> {
        self.add(IntGauge::with_opts(opts(series))?)
    }

    pub(super) fn gauges(&self, series: Series, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        self.add(IntGaugeVec::new(opts(series), labels)?)
    }

    pub(super) fn float_gauge(&self, series: Series) -> Result<Gauge, prometheus::Error> {
        self.add(Gauge::with_opts(opts(series))?)
    }

    pub(super) fn float_gauges(&self, series: Series, label: &str) -> Result<GaugeVec, prometheus::Error> {
        self.add(GaugeVec::new(opts(series), &[label])?)
    }

    pub(super) fn histogram(&self, series: Series, buckets: &[f64]) -> Result<Histogram, prometheus::Error> {
        self.add(Histogram::with_opts(HistogramOpts::from(opts(series)).buckets(buckets.to_vec()))?)
    }

    fn add<T: Collector + Clone + 'static>(&self, metric: T) -> Result<T, prometheus::Error> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

fn opts((name, help): Series) -> Opts {
    Opts::new(format!("testmo_courier_{name}"), help)
}

//! Declares every series that the worker exports; `docs/metrics.md` is generated from it.

mod help;
mod labels;
#[cfg(target_os = "linux")]
mod process;
mod registrar;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use prometheus::{
    Gauge, GaugeVec, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
    core::Collector,
};

pub use self::labels::{
    API_KEY_EXPIRIES, BATCH_OUTCOMES, BROKER_CONNECTIONS, CASE_OUTCOMES, CERTAINTIES, CERTIFICATE_PEERS,
    DELIVERY_TIMINGS, DROPPED_OUTCOMES, EVENT_PUBLISH_RESULTS, LANE_STATES, OTHER_TENANTS, OWN_ERRORS, REPLAY_STATES,
    SHELF_STATES, TABLES, TENANT_CONNECTION_STATES, TENANT_FILE_STATES, UNKNOWN_REASON,
};
use self::registrar::Registrar;
use crate::batch::Reason;
use crate::batch::verdict::answer::{ApiError, ResponseDifference};
use crate::guard::Task;
use crate::trace::export::SpanEnd;

const REQUEST_BUCKETS: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
const CASES_BUCKETS: [f64; 7] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];
const DELIVERY_BUCKETS: [f64; 13] =
    [0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 21_600.0, 86_400.0];

/// The counters, gauges and histograms of one worker.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// Batches, by outcome.
    pub batches: IntCounterVec,
    /// Batches put on the shelf, by reason.
    pub batches_shelved: IntCounterVec,
    /// Batches that this worker has taken and not yet acknowledged or shelved.
    pub batches_in_flight: IntGauge,
    /// Time from publishing a batch to its delivery, in seconds; AMQP's time stamp has full seconds.
    pub batch_delivery_duration_seconds: Histogram,
    /// Delivered batches, by whether they were in time, and otherwise by what they waited for.
    pub delivered_batches: IntCounterVec,
    /// Spans that were recorded, by what became of them.
    pub spans: IntCounterVec,
    /// Batches that met an error of the worker's own, by cause.
    pub own_errors: IntCounterVec,
    /// Batches on the shelf, by state and reason.
    pub shelf_batches: IntGaugeVec,
    /// Age of the oldest batch on the shelf, by state and reason, in seconds.
    pub shelf_oldest_batch_age_seconds: IntGaugeVec,
    /// How long the batch on the shelf has been failing that has been failing for longest, in seconds.
    pub shelf_failing_seconds: IntGauge,
    /// Cases, by outcome.
    pub cases: IntCounterVec,
    /// Cases that exist in Testmo more than once.
    pub duplicate_cases: IntCounter,
    /// Created cases that an earlier batch wrote, too.
    pub repeated_cases: IntCounter,
    /// Cases that a later generation does not have any more, by what was done with them.
    pub dropped_cases: IntCounterVec,
    /// Edits by people that requests overwrote, by certainty.
    pub overwritten_edits: IntCounterVec,
    /// Ids in Testmo's responses that no new case can have.
    pub invalid_case_ids: IntCounter,
    /// Created cases that Testmo's response shows differently than they were sent, by field.
    pub response_differences: IntCounterVec,
    /// Lists of cases that came in another order than requested.
    pub unordered_lists: IntCounter,
    /// Create requests, by result.
    pub create_requests: IntCounterVec,
    /// Create requests that wait for their response.
    pub create_requests_in_flight: IntGauge,
    /// Duration of a create request, in seconds.
    pub create_request_duration_seconds: Histogram,
    /// Cases in a create request.
    pub create_request_cases: Histogram,
    /// Responses with status 429, to requests of any kind.
    pub rate_limited_responses: IntCounter,
    /// Lanes with work, by state.
    pub lanes: IntGaugeVec,
    /// Estimated time until a tenant's backlog is sent, in seconds, for the tenants with the largest.
    pub backlog_drain_seconds: GaugeVec,
    /// Estimated time until this worker alone has sent everything that may run now, in seconds.
    pub runnable_drain_seconds: Gauge,
    /// Memory of the batches that wait in the lanes, in bytes.
    pub queued_bytes: IntGauge,
    /// Attempts to publish an event, by result.
    pub event_publishes: IntCounterVec,
    /// Events that the broker has not confirmed, without the unroutable ones.
    pub outbox_pending_events: IntGauge,
    /// Events whose routing key no queue is bound for.
    pub outbox_unroutable_events: IntGauge,
    /// Routing keys that no queue has been bound for during `events.unroutable_alert_after`.
    pub outbox_unroutable_routing_keys: IntGauge,
    /// Unroutable events that are removed within 24 hours.
    pub outbox_expiring_events: IntGauge,
    /// Unroutable events that were removed at the end of the retention.
    pub outbox_expired_events: IntCounter,
    /// 1 for a connection to the broker that is up.
    pub broker_up: IntGaugeVec,
    /// 1 while the store answers.
    pub store_up: IntGauge,
    /// How much longer than the retention the oldest row has been kept that pruning has not examined, in seconds.
    pub retention_lag_seconds: IntGauge,
    /// Rows of the store that this version cannot read, by table.
    pub store_unreadable_rows: IntGaugeVec,
    /// API keys, by time of expiry.
    pub api_keys: IntGaugeVec,
    /// Tenants' connections to Testmo, by state.
    pub tenant_connections: IntGaugeVec,
    /// Files of tenants, by state.
    pub tenant_files: IntGaugeVec,
    /// Replays, by state.
    pub replays: IntGaugeVec,
    /// Replays that stopped because too much failed again.
    pub replays_stopped: IntGauge,
    /// End of the certificate that ends first, by who showed it, in seconds since 1970.
    pub certificate_end_timestamp_seconds: IntGaugeVec,
    /// Origins that the configuration allows without TLS.
    pub insecure_origins: IntGauge,
    /// Panics that were caught, by task.
    pub panics: IntCounterVec,
}

impl Metrics {
    /// Registers every series at zero, together with those of the process.
    ///
    /// # Errors
    /// When two series have the same name, which is a defect.
    pub fn new() -> Result<Self, prometheus::Error> {
        let register = Registrar(Registry::new());
        let metrics = Self {
            batches: register.counters(help::BATCHES, "outcome")?,
            batches_shelved: register.counters(help::BATCHES_SHELVED, "reason")?,
            batches_in_flight: register.gauge(help::BATCHES_IN_FLIGHT)?,
            batch_delivery_duration_seconds: register.histogram(help::BATCH_DELIVERY_DURATION, &DELIVERY_BUCKETS)?,
            delivered_batches: register.counters(help::DELIVERED_BATCHES, "timing")?,
            own_errors: register.counters(help::OWN_ERRORS, "cause")?,
            shelf_batches: register.gauges(help::SHELF_BATCHES, &["state", "reason"])?,
            shelf_oldest_batch_age_seconds: register.gauges(help::SHELF_OLDEST_BATCH_AGE, &["state", "reason"])?,
            shelf_failing_seconds: register.gauge(help::SHELF_FAILING)?,
            cases: register.counters(help::CASES, "outcome")?,
            duplicate_cases: register.counter(help::DUPLICATE_CASES)?,
            repeated_cases: register.counter(help::REPEATED_CASES)?,
            dropped_cases: register.counters(help::DROPPED_CASES, "outcome")?,
            overwritten_edits: register.counters(help::OVERWRITTEN_EDITS, "certainty")?,
            invalid_case_ids: register.counter(help::INVALID_CASE_IDS)?,
            response_differences: register.counters(help::RESPONSE_DIFFERENCES, "field")?,
            unordered_lists: register.counter(help::UNORDERED_LISTS)?,
            create_requests: register.counters(help::CREATE_REQUESTS, "result")?,
            create_requests_in_flight: register.gauge(help::CREATE_REQUESTS_IN_FLIGHT)?,
            create_request_duration_seconds: register.histogram(help::CREATE_REQUEST_DURATION, &REQUEST_BUCKETS)?,
            create_request_cases: register.histogram(help::CREATE_REQUEST_CASES, &CASES_BUCKETS)?,
            rate_limited_responses: register.counter(help::RATE_LIMITED_RESPONSES)?,
            lanes: register.gauges(help::LANES, &["state"])?,
            backlog_drain_seconds: register.float_gauges(help::BACKLOG_DRAIN, "tenant")?,
            runnable_drain_seconds: register.float_gauge(help::RUNNABLE_DRAIN)?,
            queued_bytes: register.gauge(help::QUEUED_BYTES)?,
            event_publishes: register.counters(help::EVENT_PUBLISHES, "result")?,
            outbox_pending_events: register.gauge(help::OUTBOX_PENDING_EVENTS)?,
            outbox_unroutable_events: register.gauge(help::OUTBOX_UNROUTABLE_EVENTS)?,
            outbox_unroutable_routing_keys: register.gauge(help::OUTBOX_UNROUTABLE_ROUTING_KEYS)?,
            outbox_expiring_events: register.gauge(help::OUTBOX_EXPIRING_EVENTS)?,
            outbox_expired_events: register.counter(help::OUTBOX_EXPIRED_EVENTS)?,
            broker_up: register.gauges(help::BROKER_UP, &["connection"])?,
            store_up: register.gauge(help::STORE_UP)?,
            retention_lag_seconds: register.gauge(help::RETENTION_LAG)?,
            store_unreadable_rows: register.gauges(help::STORE_UNREADABLE_ROWS, &["table"])?,
            api_keys: register.gauges(help::API_KEYS, &["expiry"])?,
            tenant_connections: register.gauges(help::TENANT_CONNECTIONS, &["state"])?,
            tenant_files: register.gauges(help::TENANT_FILES, &["state"])?,
            replays: register.gauges(help::REPLAYS, &["state"])?,
            replays_stopped: register.gauge(help::REPLAYS_STOPPED)?,
            certificate_end_timestamp_seconds: register.gauges(help::CERTIFICATE_END, &["peer"])?,
            insecure_origins: register.gauge(help::INSECURE_ORIGINS)?,
            panics: register.counters(help::PANICS, "task")?,
            spans: register.counters(help::SPANS, "result")?,
            registry: register.0,
        };
        metrics.show_zeros()?;
        Ok(metrics)
    }

    fn show_zeros(&self) -> Result<(), prometheus::Error> {
        let reasons: Vec<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        let counters: [(&IntCounterVec, &[&str]); 12] = [
            (&self.batches, &BATCH_OUTCOMES),
            (&self.delivered_batches, &DELIVERY_TIMINGS),
            (&self.own_errors, &OWN_ERRORS),
            (&self.batches_shelved, &reasons),
            (&self.cases, &CASE_OUTCOMES),
            (&self.dropped_cases, &DROPPED_OUTCOMES),
            (&self.overwritten_edits, &CERTAINTIES),
            (&self.response_differences, &ResponseDifference::PARTS),
            (&self.create_requests, &ApiError::CLASSES),
            (&self.event_publishes, &EVENT_PUBLISH_RESULTS),
            (&self.panics, &Task::ALL.map(Task::name)),
            (&self.spans, &SpanEnd::ALL.map(SpanEnd::name)),
        ];
        for (counter, values) in counters {
            values.iter().for_each(|value| drop(counter.with_label_values(&[*value])));
        }
        let gauges: [(&IntGaugeVec, &[&str]); 8] = [
            (&self.lanes, &LANE_STATES),
            (&self.broker_up, &BROKER_CONNECTIONS),
            (&self.store_unreadable_rows, &TABLES),
            (&self.api_keys, &API_KEY_EXPIRIES),
            (&self.tenant_connections, &TENANT_CONNECTION_STATES),
            (&self.tenant_files, &TENANT_FILE_STATES),
            (&self.replays, &REPLAY_STATES),
            (&self.certificate_end_timestamp_seconds, &CERTIFICATE_PEERS),
        ];
        for (gauge, values) in gauges {
            values.iter().for_each(|value| drop(gauge.with_label_values(&[*value])));
        }
        drop(self.backlog_drain_seconds.with_label_values(&[OTHER_TENANTS]));
        for state in SHELF_STATES {
            for reason in reasons.iter().chain(&[UNKNOWN_REASON]) {
                drop(self.shelf_batches.with_label_values(&[state, *reason]));
                drop(self.shelf_oldest_batch_age_seconds.with_label_values(&[state, *reason]));
            }
        }
        self.register_process()
    }

    fn register_process(&self) -> Result<(), prometheus::Error> {
        let build = Opts::new("testmo_courier_build_info", "The version of this worker.")
            .const_label("version", env!("CARGO_PKG_VERSION"));
        let build = IntGauge::with_opts(build)?;
        build.set(1);
        self.registry.register(Box::new(build))?;
        #[cfg(target_os = "linux")]
        self.registry.register(Box::new(process::Process::this()))?;
        Ok(())
    }

    /// Sets the estimated drain times, in seconds, of these tenants and removes all others.
    pub fn show_backlog_drains(&self, drains: &BTreeMap<&str, f64>) {
        for family in self.backlog_drain_seconds.collect() {
            for shown in family.get_metric().iter().flat_map(|metric| metric.get_label()).map(|label| label.value()) {
                if !drains.contains_key(shown) {
                    // The series exists, because only this function removes any.
                    drop(self.backlog_drain_seconds.remove_label_values(&[shown]));
                }
            }
        }
        for (tenant, seconds) in drains {
            self.backlog_drain_seconds.with_label_values(&[*tenant]).set(*seconds);
        }
    }

    /// Counts a create request as in flight until the returned guard is dropped.
    #[must_use]
    pub fn create_request_begins(&self) -> InFlight {
        self.create_requests_in_flight.inc();
        InFlight(self.create_requests_in_flight.clone())
    }

    /// Returns every series in Prometheus' text format.
    ///
    /// # Errors
    /// When a series cannot be written, which is a defect.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// A create request that is in flight.
#[derive(Debug)]
pub struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

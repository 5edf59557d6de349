//! What can be watched? Every series the worker offers, each there from the start; `docs/metrics.md` is made from it.

#[cfg(target_os = "linux")]
mod process;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use prometheus::{
    GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
    core::Collector,
};

use crate::batch::Reason;
use crate::batch::verdict::answer::{ApiError, ResponseDifference};
use crate::guard::Task;

/// What became of a batch that was in hand.
pub const SETTLEMENTS: [&str; 6] = ["delivered", "partial", "failed", "parked", "dead", "duplicate"];
/// What became of a case.
pub const CASE_OUTCOMES: [&str; 4] = ["created", "adopted", "refused", "unclear"];
/// What became of an attempt to announce an event.
pub const ANNOUNCEMENTS: [&str; 3] = ["confirmed", "not_taken", "unbound"];
/// The connections to the broker.
pub const BROKER_LINKS: [&str; 4] = ["intake", "events", "dead", "unrouted"];
/// Whether a lane sends.
pub const LANE_STATES: [&str; 2] = ["open", "gated"];
/// When keys expire, each state without the ones before it. A key is good for the whole of its last day, in UTC.
pub const KEY_STATES: [&str; 6] = ["expired", "within_1_day", "within_7_days", "within_14_days", "later", "no_date"];
/// Stands for all tenants that are not named; none can have this name.
pub const OTHER_TENANTS: &str = "(others)";
/// Whether a tenant's connection gets work.
pub const CONNECTION_STATES: [&str; 2] = ["verified", "unverified"];

/// The reason under which batches are counted whose reason this version does not know.
pub const UNKNOWN_REASON: &str = "unknown";
/// Tables of the store whose rows are read one by one.
pub const TABLES: [&str; 7] = ["accounts", "batches", "connections", "folders", "lane_orders", "outbox", "shelf"];

/// Everything that is counted.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// Batches by what became of them.
    pub batches: IntCounterVec,
    /// Cases by what became of them.
    pub cases: IntCounterVec,
    /// Requests that create cases, by the class of the answer.
    pub pushes: IntCounterVec,
    /// How long such a request took, in seconds.
    pub push_seconds: Histogram,
    /// How many cases such a request had.
    pub cases_per_push: Histogram,
    /// Requests of any kind that were answered with 429.
    pub throttled: IntCounter,
    /// Lanes with work, by state.
    pub lanes: IntGaugeVec,
    /// How long what waits will take, in seconds, for the tenants with the most.
    pub drain_seconds: GaugeVec,
    /// The memory that waiting batches take, in bytes.
    pub waiting_bytes: IntGauge,
    /// Created cases that Testmo's answer shows otherwise than they were sent, by part.
    pub echo_differences: IntCounterVec,
    /// Rows that stand for a case once more.
    pub duplicates_detected: IntCounter,
    /// Lists of cases that came in another order than they were asked for.
    pub unordered_lists: IntCounter,
    /// Rows of the store that cannot be read, by table.
    pub unreadable_rows: IntGaugeVec,
    /// Answers to create requests with ids that cannot be those of new cases.
    pub senseless_ids: IntCounter,
    /// From publishing to delivered, in seconds; AMQP's time stamp has full seconds.
    pub delivery_seconds: Histogram,
    /// Batches in the worker's hand.
    pub batches_in_hand: IntGauge,
    /// Requests under way.
    pub pushes_in_flight: IntGauge,
    /// Batches put on the shelf, by reason.
    pub shelved: IntCounterVec,
    /// Batches on the shelf, by state.
    pub shelf: IntGaugeVec,
    /// Events by whether the broker took them.
    pub events: IntCounterVec,
    /// Events that the broker has not confirmed, though a queue may be bound for them.
    pub events_waiting: IntGauge,
    /// Events that no queue is bound for.
    pub events_unbound: IntGauge,
    /// Those of them that are removed within a day.
    pub events_expiring: IntGauge,
    /// Routing keys that no queue has been bound for during `events.unheard_for`.
    pub events_unheard_keys: IntGauge,
    /// Events that were removed because no queue was ever bound for them.
    pub events_removed: IntCounter,
    /// 1 for a connection to the broker that is up.
    pub broker_up: IntGaugeVec,
    /// 1 when the store answers.
    pub store_up: IntGauge,
    /// Panics of units of work that were caught, by task.
    pub panics: IntCounterVec,
    /// Origins that are reached without TLS.
    pub insecure_origins: IntGauge,
    /// API keys by when they expire.
    pub keys: IntGaugeVec,
    /// Connections by whether they get work.
    pub connections: IntGaugeVec,
}

impl Metrics {
    /// All series at zero, and those of the process as they are.
    ///
    /// # Errors
    /// When two series have one name, which is a defect.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let metrics = Self {
            batches: counters(
                &registry,
                "batches_total",
                "Batches by what became of them. One that was parked counts again when it comes back.",
                "settlement",
            )?,
            cases: counters(
                &registry,
                "cases_total",
                "Test cases by what became of them: adopted ones were found in Testmo after a lost answer, unclear ones \
                 are not found any more.",
                "outcome",
            )?,
            pushes: counters(
                &registry,
                "pushes_total",
                "Requests that create cases, by Testmo's answer: 2xx for success, inconclusive for a status that does not tell \
                 the outcome, not_processed for 421 and 425, else the status or what went wrong.",
                "answer",
            )?,
            push_seconds: histogram(
                &registry,
                "push_duration_seconds",
                "How long a request that creates cases took.",
                &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0],
            )?,
            cases_per_push: histogram(
                &registry,
                "cases_per_push",
                "How many cases a request that creates cases had.",
                &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0],
            )?,
            throttled: register(
                &registry,
                IntCounter::with_opts(opts("throttled_total", "Requests of any kind that Testmo answered with 429."))?,
            )?,
            lanes: gauges(
                &registry,
                "lanes",
                "Lanes of this worker, one for each Testmo account with work: open ones send; gated ones wait, as Testmo \
                 asked for a pause or fails.",
                &["state"],
            )?,
            drain_seconds: register(
                &registry,
                GaugeVec::new(
                    opts(
                        "drain_seconds",
                        "How long what waits in this worker and on the shelf will take at the present rate, for the \
                         ten tenants with the most; the longest of all others is `(others)`.",
                    ),
                    &["tenant"],
                )?,
            )?,
            waiting_bytes: gauge(&registry, "waiting_bytes", "Memory that batches waiting in this worker take.")?,
            echo_differences: counters(
                &registry,
                "echo_differences_total",
                "Test cases that Testmo's answer shows otherwise than they were sent, by what differs.",
                "part",
            )?,
            duplicates_detected: register(
                &registry,
                IntCounter::with_opts(opts(
                    "duplicates_detected_total",
                    "Test cases found in Testmo once more than they should be, because it carried out a request long \
                     after the worker had given it up.",
                ))?,
            )?,
            unordered_lists: register(
                &registry,
                IntCounter::with_opts(opts(
                    "unordered_lists_total",
                    "Lists of test cases that Testmo gave in another order than it was asked for; they are read to their \
                     end.",
                ))?,
            )?,
            unreadable_rows: gauges(
                &registry,
                "unreadable_rows",
                "Rows of the store that this worker has met and this version cannot read, by table; whatever they decide \
                 is held.",
                &["table"],
            )?,
            senseless_ids: register(
                &registry,
                IntCounter::with_opts(opts(
                    "senseless_ids_total",
                    "Ids in answers of Testmo that cannot be those of new test cases: 0, above 2^53, or held by another \
                     case; the outcome of such a test case is unknown until it is reconciled.",
                ))?,
            )?,
            delivery_seconds: histogram(
                &registry,
                "publish_to_delivered_seconds",
                "From the publishing of a batch to all its cases being in Testmo; AMQP's time stamp has full seconds.",
                &[0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 21_600.0, 86_400.0],
            )?,
            batches_in_hand: gauge(&registry, "batches_in_hand", "Batches that this worker holds.")?,
            pushes_in_flight: gauge(&registry, "pushes_in_flight", "Requests that are under way.")?,
            shelved: counters(&registry, "shelved_total", "Batches put on the shelf, by reason.", "reason")?,
            shelf: gauges(
                &registry,
                "shelf_batches",
                "Batches on the shelf: parked ones come back by themselves, dead ones wait for a person.",
                &["state", "reason"],
            )?,
            events: counters(
                &registry,
                "events_total",
                "Publishes of events by whether the broker took them; unbound ones came back because no queue is bound \
                 for them.",
                "result",
            )?,
            events_waiting: gauge(
                &registry,
                "events_waiting",
                "Events that the broker has not confirmed yet, without those that no queue is bound for; counted up to \
                 10,000.",
            )?,
            events_unbound: gauge(
                &registry,
                "events_unbound",
                "Events that wait because no queue is bound for them, counted every 30 s and up to 10,000.",
            )?,
            events_expiring: gauge(
                &registry,
                "events_expiring",
                "Events that wait because no queue is bound for them and are removed within 24 hours, as \
                 store.retention says; counted every 30 s and up to 10,000.",
            )?,
            events_unheard_keys: gauge(
                &registry,
                "events_unheard_keys",
                "Routing keys of events that no queue has been bound for during events.unheard_for, counted every 30 s \
                 and up to 10,000.",
            )?,
            events_removed: register(
                &registry,
                IntCounter::with_opts(opts(
                    "events_removed_total",
                    "Events that were removed because no queue was bound for them during store.retention.",
                ))?,
            )?,
            broker_up: gauges(
                &registry,
                "broker_up",
                "1 while a connection to the broker is up and of use: for batches (intake), for events, and for the dead and the \
                 unrouted queue.",
                &["connection"],
            )?,
            store_up: gauge(&registry, "store_up", "1 while the store answers.")?,
            panics: counters(
                &registry,
                "panics_total",
                "Panics that ended one unit of work, such as a message or a row, by the task that worked on it. Each is \
                 a defect in the worker.",
                "task",
            )?,
            insecure_origins: gauge(
                &registry,
                "insecure_origins",
                "Origins that the configuration lets be reached without TLS.",
            )?,
            keys: gauges(
                &registry,
                "keys",
                "API keys by when they expire, counted every 30 s; each state without those before it. A key is good \
                 for the whole of its last day, in UTC; within_1_day is today or tomorrow.",
                &["state"],
            )?,
            connections: gauges(
                &registry,
                "connections",
                "Connections of tenants, counted every 30 s; unverified ones get no work: Testmo refused them, or \
                 nobody has seen them work since they were changed.",
                &["state"],
            )?,
            registry,
        };
        metrics.show_zeros()?;
        Ok(metrics)
    }

    fn show_zeros(&self) -> Result<(), prometheus::Error> {
        let each =
            |vec: &IntCounterVec, values: &[&str]| values.iter().for_each(|v| drop(vec.with_label_values(&[*v])));
        let reasons: Vec<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        each(&self.batches, &SETTLEMENTS);
        each(&self.cases, &CASE_OUTCOMES);
        each(&self.pushes, &ApiError::CLASSES);
        each(&self.echo_differences, &ResponseDifference::PARTS);
        each(&self.shelved, &reasons);
        each(&self.events, &ANNOUNCEMENTS);
        each(&self.panics, &Task::ALL.map(Task::name));
        let each = |vec: &IntGaugeVec, values: &[&str]| values.iter().for_each(|v| drop(vec.with_label_values(&[*v])));
        each(&self.lanes, &LANE_STATES);
        each(&self.broker_up, &BROKER_LINKS);
        each(&self.keys, &KEY_STATES);
        each(&self.connections, &CONNECTION_STATES);
        each(&self.unreadable_rows, &TABLES);
        drop(self.drain_seconds.with_label_values(&[OTHER_TENANTS]));
        for state in ["parked", "dead"] {
            for reason in reasons.iter().chain(&[UNKNOWN_REASON]) {
                drop(self.shelf.with_label_values(&[state, *reason]));
            }
        }
        let build = Opts::new("testmo_courier_build_info", "The version of this worker.")
            .const_label("version", env!("CARGO_PKG_VERSION"));
        let build = IntGauge::with_opts(build)?;
        build.set(1);
        self.registry.register(Box::new(build))?;
        #[cfg(target_os = "linux")]
        self.registry.register(Box::new(process::Process::this()))?;
        Ok(())
    }

    /// Shows how long what waits will take, in seconds, for these tenants and no others.
    pub fn show_drains(&self, drains: &BTreeMap<&str, f64>) {
        for family in self.drain_seconds.collect() {
            for shown in family.get_metric().iter().flat_map(|metric| metric.get_label()).map(|label| label.value()) {
                if !drains.contains_key(shown) {
                    // It is there, as only this place removes any.
                    drop(self.drain_seconds.remove_label_values(&[shown]));
                }
            }
        }
        for (tenant, seconds) in drains {
            self.drain_seconds.with_label_values(&[*tenant]).set(*seconds);
        }
    }

    /// Counts a request as under way until what this returns is dropped.
    #[must_use]
    pub fn push_begins(&self) -> UnderWay {
        self.pushes_in_flight.inc();
        UnderWay(self.pushes_in_flight.clone())
    }

    /// Every series in Prometheus' text format.
    ///
    /// # Errors
    /// When a series cannot be written, which is a defect.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// A request that is under way.
#[derive(Debug)]
pub struct UnderWay(IntGauge);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn counters(registry: &Registry, name: &str, help: &str, label: &str) -> Result<IntCounterVec, prometheus::Error> {
    register(registry, IntCounterVec::new(opts(name, help), &[label])?)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    register(registry, IntGauge::with_opts(opts(name, help))?)
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
    register(registry, IntGaugeVec::new(opts(name, help), labels)?)
}

fn histogram(registry: &Registry, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, prometheus::Error> {
    let opts = HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec());
    register(registry, Histogram::with_opts(opts)?)
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("testmo_courier_{name}"), help)
}

fn register<T: Collector + Clone + 'static>(registry: &Registry, metric: T) -> Result<T, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

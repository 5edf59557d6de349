//! Describes a finished piece of work on a batch, and decides which pieces are recorded.

use std::fmt::Debug;
use std::sync::Arc;

use uuid::Uuid;

use super::context::TraceContext;
use super::ids::{SpanId, TraceId};

/// A finished piece of work, as a tracing system shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Its trace and its own id.
    pub context: TraceContext,
    /// The span that it is a part of; none at the root of a trace.
    pub parent: Option<SpanId>,
    /// What kind of work it was.
    pub kind: SpanKind,
    /// Its name, which many spans share.
    pub name: String,
    /// When it began, in milliseconds since 1970.
    pub began_at: i64,
    /// When it ended, likewise.
    pub ended_at: i64,
    /// What is known of it.
    pub attributes: Vec<(&'static str, Attribute)>,
    /// Other spans that it has to do with.
    pub links: Vec<TraceContext>,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// What kind of work a span was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Working on a message of the broker.
    Consumer,
    /// Waiting for the answer of another system.
    Client,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
}

/// Takes spans. It never waits: what there is no room for is dropped and counted.
pub trait Record: Debug + Send + Sync {
    /// Takes a span.
    fn record(&self, span: Span);
}

/// Where spans go, if they are recorded at all. Clones go to the same place.
#[derive(Clone, Debug, Default)]
pub struct Spans(Option<Arc<Recording>>);

#[derive(Debug)]
struct Recording {
    record: Box<dyn Record>,
    sample_ratio: f64,
}

impl Spans {
    /// Returns spans that are recorded. Of the traces that begin here, `sample_ratio` (0 to 1) are; of others those that their
    /// system records.
    pub fn recorded_by(record: Box<dyn Record>, sample_ratio: f64) -> Self {
        Self(Some(Arc::new(Recording { record, sample_ratio })))
    }

    /// Begins a trace for a batch that has none, with an id that is random. Nothing if spans are not recorded.
    pub fn root(&self) -> Option<TraceContext> {
        let recording = self.0.as_ref()?;
        let trace = TraceId::new(Uuid::new_v4().into_bytes())?;
        Some(TraceContext::root(trace, trace.root_span(), is_sampled(trace, recording.sample_ratio)))
    }

    /// Returns what the requests and events of a batch carry: its own span, if that is recorded, and otherwise what its
    /// message named. A replay has another revision, and another span.
    pub fn of_batch(&self, named: &TraceContext, batch: &str, revision: u32) -> TraceContext {
        match &self.0 {
            Some(_) if named.is_sampled() => named.in_span(batch_span(named.trace_id(), batch, revision)),
            Some(_) | None => named.clone(),
        }
    }

    /// Returns whether spans of a trace are recorded.
    pub fn are_recorded(&self, context: &TraceContext) -> bool {
        self.0.is_some() && context.is_sampled()
    }

    /// Records a span, if its trace is recorded.
    pub fn record(&self, span: Span) {
        if let Some(recording) = self.0.as_ref().filter(|_| span.context.is_sampled()) {
            recording.record.record(span);
        }
    }
}

/// Returns whether a trace that begins here is recorded: by its id, so that systems with the same share agree
/// (OpenTelemetry's sampler by the id of a trace).
fn is_sampled(trace: TraceId, ratio: f64) -> bool {
    let [.., a, b, c, d, e, f, g, h] = trace.bytes();
    let place = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1;
    // The share of the numbers below 2^63.
    place < (ratio.clamp(0.0, 1.0) * (1_u64 << 63) as f64) as u64
}

/// Returns the span of a batch. It is the same on each worker and after each restart, so that requests have the right parent
/// although the span is recorded only with the outcome.
fn batch_span(trace: TraceId, batch: &str, revision: u32) -> SpanId {
    SpanId::derived(&[b"batch", &trace.bytes(), batch.as_bytes(), &revision.to_be_bytes()])
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug, Default)]
    struct Kept(Arc<Mutex<Vec<Span>>>);

    impl Record for Kept {
        fn record(&self, span: Span) {
            self.0.lock().unwrap().push(span);
        }
    }

    fn context(flags: &str) -> TraceContext {
        TraceContext::of_stored(&format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags} rojo=1"))
            .unwrap()
    }

    fn span(context: TraceContext) -> Span {
        Span {
            context,
            parent: None,
            kind: SpanKind::Consumer,
            name: "batch".into(),
            began_at: 0,
            ended_at: 1,
            attributes: Vec::new(),
            links: Vec::new(),
            error: None,
        }
    }

    #[test]
    fn only_spans_of_traces_that_are_sampled_are_recorded() {
        let kept = Kept::default();
        let spans = Spans::recorded_by(Box::new(kept.clone()), 1.0);
        for flags in ["00", "01", "02", "03"] {
            spans.record(span(context(flags)));
        }
        let flags: Vec<String> = kept.0.lock().unwrap().iter().map(|span| span.context.traceparent()).collect();
        assert!(flags.len() == 2 && flags[0].ends_with("-01") && flags[1].ends_with("-03"), "{flags:?}");
        assert!(!Spans::default().are_recorded(&context("01")) && !spans.are_recorded(&context("02")));
    }

    #[test]
    fn each_outcome_of_a_batch_has_a_span_of_its_own_that_is_always_the_same() {
        let spans = Spans::recorded_by(Box::new(Kept::default()), 0.0);
        let of = |batch, revision| spans.of_batch(&context("01"), batch, revision);
        assert_eq!(of("acme/b-1", 1), of("acme/b-1", 1));
        assert_eq!(of("acme/b-1", 1).trace_id(), context("01").trace_id());
        let ids = [of("acme/b-1", 1), of("acme/b-1", 2), of("acme/b-2", 1), context("01")].map(|of| of.span_id());
        assert_eq!(std::collections::BTreeSet::from(ids).len(), 4);
        assert_eq!(spans.of_batch(&context("00"), "acme/b-1", 1), context("00"), "it is not recorded");
        assert_eq!(Spans::default().of_batch(&context("01"), "acme/b-1", 1), context("01"));
    }

    #[test]
    fn a_trace_begins_here_only_if_spans_are_recorded() {
        assert_eq!(Spans::default().root(), None);
        let root = |ratio| Spans::recorded_by(Box::new(Kept::default()), ratio).root().unwrap();
        assert!(root(1.0).is_sampled() && root(1.0).begins_here());
        assert!(!root(0.0).is_sampled() && root(0.0).begins_here(), "what follows knows the decision");
        assert!(!context("01").begins_here());
        assert_ne!(root(1.0).trace_id(), root(1.0).trace_id());
    }

    #[test]
    fn the_share_of_traces_is_decided_by_their_ids() {
        let trace = |last: u64| TraceId::new((1_u128 << 64 | u128::from(last)).to_be_bytes()).unwrap();
        for (last, ratio, expected) in [
            (0, 0.0, false),
            (0, 0.000_1, true),
            (u64::MAX, 1.0, true),
            (u64::MAX, 0.999, false),
            (u64::MAX / 2 - 1, 0.5, true),
            (u64::MAX / 2 + 2, 0.5, false),
            (7, -1.0, false),
            (u64::MAX, 2.0, true),
        ] {
            assert_eq!(is_sampled(trace(last), ratio), expected, "{last} {ratio}");
        }
    }

    proptest! {
        #[test]
        fn a_larger_share_has_every_trace_of_a_smaller_one(trace in any::<u128>(), a in 0.0..1.0, b in 0.0..1.0) {
            let Some(trace) = TraceId::new(trace.to_be_bytes()) else { return Ok(()) };
            let (less, more) = if a < b { (a, b) } else { (b, a) };
            prop_assert!(!is_sampled(trace, less) || is_sampled(trace, more));
        }
    }
}

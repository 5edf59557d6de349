//! Reads and writes the W3C trace context of batches, and says to which batches a request to Testmo belongs.
//!
//! A publisher names the trace of a batch in the headers `traceparent` and `tracestate`
//! (<https://www.w3.org/TR/trace-context-2/>). A header that breaks the specification is ignored, and never a reason to refuse
//! a batch. Where a collector of traces is named, pieces of work are recorded as spans.

mod context;
pub mod export;
mod ids;
mod scope;
mod span;
mod state;

pub use self::context::{TRACEPARENT, TRACESTATE, TraceContext};
pub use self::ids::{SpanId, TraceId};
pub use self::scope::{Scope, current, within};
pub use self::span::{Attribute, Record, Span, SpanKind, Spans};

/// Returns the id of a trace as a field of a log line; a line without a trace has no such field.
pub fn logged(trace: Option<&TraceContext>) -> Option<tracing::field::DisplayValue<TraceId>> {
    trace.map(|trace| tracing::field::display(trace.trace_id()))
}

//! Reads the trace context of a message, and writes it for what is sent because of the message.

use std::collections::BTreeMap;
use std::fmt;

use super::ids::{SpanId, TraceId, hex};
use super::state;

/// The header, and the attribute of an event, that names the trace and the span in which something was sent.
pub const TRACEPARENT: &str = "traceparent";
/// The header, and the attribute of an event, in which tracing systems keep values of their own.
pub const TRACESTATE: &str = "tracestate";
/// The bytes of `traceparent` in version 00: version, trace, span and flags.
const LENGTH: usize = 55;
/// The flag of a trace that its system records.
const SAMPLED: u8 = 1;
/// The flags that are handed on: whether the trace is sampled, and whether its id is random. Others have no meaning yet.
const KNOWN_FLAGS: u8 = 3;

/// The place of something in a trace: the trace, the span from which it follows, and what tracing systems add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace: TraceId,
    span: SpanId,
    flags: u8,
    state: Option<String>,
}

impl TraceContext {
    /// Begins a trace with a span, whose id is random.
    pub fn root(trace: TraceId, span: SpanId, is_sampled: bool) -> Self {
        Self { trace, span, flags: u8::from(is_sampled), state: None }
    }

    /// Reads the headers of a message or the attributes of an event. Nothing if `traceparent` breaks the specification; a
    /// `tracestate` that breaks it is left out.
    pub fn read(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let (version, rest) = (traceparent.get(..2)?, traceparent.get(2..LENGTH)?);
        let [version] = hex::<1>(version)?;
        // A later version may have more behind another hyphen.
        let is_whole = match traceparent.as_bytes().get(LENGTH) {
            None => true,
            Some(next) => version != 0 && *next == b'-',
        };
        if version == u8::MAX || !is_whole {
            return None;
        }
        let mut parts = rest.strip_prefix('-')?.split('-');
        let (trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?);
        let [flags] = hex::<1>(flags).filter(|_| parts.next().is_none())?;
        Some(Self {
            trace: TraceId::read(trace)?,
            span: SpanId::read(span)?,
            flags: flags & KNOWN_FLAGS,
            state: tracestate.and_then(state::checked),
        })
    }

    /// Reads the kept headers of a message.
    pub fn of_headers(headers: &BTreeMap<String, String>) -> Option<Self> {
        Self::read(headers.get(TRACEPARENT)?, headers.get(TRACESTATE).map(String::as_str))
    }

    /// Reads what [`stored`](Self::stored) wrote.
    pub fn of_stored(text: &str) -> Option<Self> {
        match text.split_once(' ') {
            Some((traceparent, tracestate)) => Self::read(traceparent, Some(tracestate)),
            None => Self::read(text, None),
        }
    }

    /// Writes it as one text: `traceparent` and, behind a blank, `tracestate` if there is one.
    pub fn stored(&self) -> String {
        self.state.as_ref().map_or_else(|| self.traceparent(), |state| format!("{} {state}", self.traceparent()))
    }

    /// Returns the header `traceparent`.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace, self.span, self.flags)
    }

    /// Returns the header `tracestate`, if there is one.
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// Returns the headers by name.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        let state = self.state.clone().map(|state| (TRACESTATE, state));
        std::iter::once((TRACEPARENT, self.traceparent())).chain(state)
    }

    /// Returns the trace.
    pub fn trace_id(&self) -> TraceId {
        self.trace
    }

    /// Returns the span from which something follows.
    pub fn span_id(&self) -> SpanId {
        self.span
    }

    /// Returns whether the system that began the trace records it.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Returns whether the trace begins in this worker, so that no other system has recorded the span.
    pub fn begins_here(&self) -> bool {
        self.span == self.trace.root_span()
    }

    /// Returns the context of what follows from another span of the trace.
    #[must_use]
    pub fn in_span(&self, span: SpanId) -> Self {
        Self { span, ..self.clone() }
    }
}

/// Shows the trace and the span.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.traceparent())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_context_is_read_as_the_specification_says() {
        let of = |version: &str, trace: &str, span: &str, flags: &str| format!("{version}-{trace}-{span}-{flags}");
        let (zero_trace, zero_span) = ("0".repeat(32), "0".repeat(16));
        let right = of("00", TRACE, SPAN, "01");
        let table = [
            (right.clone(), Some("01")),
            (of("00", TRACE, SPAN, "00"), Some("00")),
            (of("00", TRACE, SPAN, "03"), Some("03")),
            (of("00", TRACE, SPAN, "ff"), Some("03")),
            (of("00", TRACE, SPAN, "09"), Some("01")),
            (of("01", TRACE, SPAN, "01"), Some("01")),
            (of("cc", TRACE, SPAN, "01-what-the-future-will-be-like"), Some("01")),
            (of("cc", TRACE, SPAN, "01-"), Some("01")),
            (of("fe", TRACE, SPAN, "00"), Some("00")),
            (of("ff", TRACE, SPAN, "01"), None),
            (of("cc", TRACE, SPAN, "01.what"), None),
            (of("cc", TRACE, SPAN, "01what"), None),
            (of("00", TRACE, SPAN, "01-more"), None),
            (of("00", TRACE, SPAN, "01-"), None),
            (of("00", TRACE, SPAN, "1"), None),
            (of("00", TRACE, SPAN, "0x"), None),
            (of("00", TRACE, SPAN, "0G"), None),
            (of("00", &zero_trace, SPAN, "01"), None),
            (of("00", TRACE, &zero_span, "01"), None),
            (of("00", &TRACE.to_uppercase(), SPAN, "01"), None),
            (of("00", TRACE, &SPAN.to_uppercase(), "01"), None),
            (of("00", &TRACE[1..], SPAN, "01"), None),
            (of("00", TRACE, &SPAN[1..], "01"), None),
            (of("00", &format!("{}-", &TRACE[1..]), SPAN, "01"), None),
            (of("0", TRACE, SPAN, "01"), None),
            (of("0g", TRACE, SPAN, "01"), None),
            (right.replace('-', "_"), None),
            (right.replacen("-0", "_0", 1), None),
            (format!(" {right}"), None),
            (format!("{right} "), None),
            (format!("{}é{}", &right[..1], &right[3..]), None),
            (String::new(), None),
            ("00".into(), None),
        ];
        for (header, flags) in table {
            let read = TraceContext::read(&header, None).map(|context| context.traceparent());
            assert_eq!(read, flags.map(|flags| format!("00-{TRACE}-{SPAN}-{flags}")), "{header:?}");
        }
    }

    #[test]
    fn a_wrong_state_does_not_cost_the_trace_and_a_state_without_a_trace_is_nothing() {
        let right = format!("00-{TRACE}-{SPAN}-01");
        let state = |state| TraceContext::read(&right, state).map(|context| context.tracestate().map(str::to_owned));
        assert_eq!(state(Some("rojo=1, congo=2")), Some(Some("rojo=1,congo=2".into())));
        assert_eq!((state(Some("rojo=1,rojo=2")), state(None)), (Some(None), Some(None)));
        let headers = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            TraceContext::of_headers(&pairs.collect())
        };
        assert_eq!(headers(&[(TRACESTATE, "rojo=1")]), None);
        let read = headers(&[(TRACEPARENT, &right), (TRACESTATE, "rojo=1")]).unwrap();
        let written: Vec<_> = read.headers().collect();
        assert_eq!(written, [(TRACEPARENT, right), (TRACESTATE, "rojo=1".to_owned())]);
    }

    #[test]
    fn what_follows_from_another_span_stays_in_the_trace() {
        let context = TraceContext::read(&format!("00-{TRACE}-{SPAN}-01"), Some("rojo=1")).unwrap();
        let follows = context.in_span(SpanId::new([7; 8]).unwrap());
        assert_eq!(follows.traceparent(), format!("00-{TRACE}-0707070707070707-01"));
        assert_eq!((follows.trace_id(), follows.tracestate()), (context.trace_id(), Some("rojo=1")));
        assert!(follows.is_sampled());
        let root = TraceContext::root(context.trace_id(), context.span_id(), false);
        assert_eq!((root.traceparent(), root.is_sampled()), (format!("00-{TRACE}-{SPAN}-00"), false));
    }

    proptest! {
        #[test]
        fn no_header_stops_the_reader(traceparent in any::<String>(), tracestate in any::<Option<String>>()) {
            let read = TraceContext::read(&traceparent, tracestate.as_deref());
            prop_assert!(read.is_none_or(|context| traceparent.contains(&context.trace_id().to_string())));
        }

        #[test]
        fn what_was_read_is_read_again(
            version in 0_u8..255, trace in any::<[u8; 16]>(), span in any::<[u8; 8]>(), flags in any::<u8>(),
            state in prop::option::of("[a-z]{1,5}=[!-+]{1,20}"),
        ) {
            let Some((trace, span)) = TraceId::new(trace).zip(SpanId::new(span)) else { return Ok(()) };
            let header = format!("{version:02x}-{trace}-{span}-{flags:02x}");
            let read = TraceContext::read(&header, state.as_deref()).unwrap();
            prop_assert_eq!((read.trace_id(), read.span_id()), (trace, span));
            prop_assert_eq!(read.is_sampled(), flags & 1 == 1);
            prop_assert_eq!(TraceContext::read(&read.traceparent(), read.tracestate()), Some(read.clone()));
            prop_assert_eq!(TraceContext::of_stored(&read.stored()), Some(read.clone()));
            prop_assert_eq!(TraceContext::of_headers(&read.headers().map(|(n, v)| (n.to_owned(), v)).collect()), Some(read));
        }
    }
}

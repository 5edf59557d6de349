//! Holds a message as it came from the broker or from the shelf, and decides which of its headers are kept.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::waited_for::WaitedFor;
use crate::amqp::Message;
use crate::batch::message::encoding::{CONTENT_ENCODING, Encoded};
use crate::batch::{Reason, excerpt, raw_hash};
use crate::offload::run_blocking_if_large;
use crate::store::replays::ReplayId;
use crate::store::shelf::ShelfId;
use crate::trace::{Spans, TRACEPARENT, TRACESTATE, TraceContext};

/// Headers of the generator that are kept with a shelved message; all others are dropped.
const KEPT_HEADERS: [&str; 3] = [TRACEPARENT, TRACESTATE, "baggage"];

/// The most characters that are kept of a header.
const LONGEST_HEADER: usize = 8_000;

/// A message as it came from the broker or from the shelf.
#[derive(Clone, Debug)]
pub(in crate::worker) struct InboundMessage {
    pub(in crate::worker) body: Arc<Vec<u8>>,
    /// Why the body cannot be decompressed. It is then as it was received, and its headers name the encoding; of any
    /// other message the body is plain, and no header names an encoding that it no longer has.
    pub(in crate::worker) undecoded: Option<Encoded>,
    /// The kept headers and properties.
    pub(in crate::worker) headers: BTreeMap<String, String>,
    /// When it was published, in milliseconds since 1970.
    pub(in crate::worker) published_at: Option<i64>,
    /// When it first arrived, in milliseconds on the store's clock.
    pub(in crate::worker) arrived_at: i64,
    /// How often it was parked while failing.
    pub(in crate::worker) parks: u32,
    /// Since when it has been failing, in milliseconds on the store's clock.
    pub(in crate::worker) failing_since: Option<i64>,
    /// How often it was tried apart from other batches, this time included, if it is a suspect.
    pub(in crate::worker) tried_apart: u32,
    /// Its row on the shelf and the row's generation, if it came from there.
    pub(in crate::worker) lease: Option<(ShelfId, i64)>,
    /// Whether workers stopped while they had it in hand. Its row on the shelf is then removed when the batch gets a
    /// row of its own.
    pub(in crate::worker) suspect: bool,
    /// Whether its row on the shelf carries no batch id, and is removed when the batch gets a row of its own.
    pub(in crate::worker) nameless: bool,
    /// When it was shelved because the connection was blamed for it, in milliseconds on the store's clock, and the version
    /// of that connection.
    pub(in crate::worker) blamed: Option<(i64, String)>,
    /// Whether it is retried, by the worker or by a person.
    pub(in crate::worker) again: bool,
    /// The replay that has started it.
    pub(in crate::worker) replay: Option<ReplayId>,
    /// The reason for which it was on the shelf, if it came from there.
    pub(in crate::worker) shelved_for: Option<Reason>,
    /// What it has waited for outside of the worker, if it has.
    pub(in crate::worker) waited_for: Option<WaitedFor>,
}

impl InboundMessage {
    /// Returns a message that came from the broker at `arrived_at`, in milliseconds on the store's clock.
    pub(in crate::worker) fn fresh(
        body: Arc<Vec<u8>>,
        headers: BTreeMap<String, String>,
        published_at: Option<i64>,
        arrived_at: i64,
    ) -> Self {
        Self {
            body,
            undecoded: None,
            headers,
            published_at,
            arrived_at,
            parks: 0,
            tried_apart: 0,
            failing_since: None,
            lease: None,
            suspect: false,
            nameless: false,
            blamed: None,
            again: false,
            replay: None,
            shelved_for: None,
            waited_for: None,
        }
    }

    /// Returns the hash of its bytes, which is its identity where it cannot be read.
    pub(in crate::worker) async fn hash(&self) -> String {
        let body = Arc::clone(&self.body);
        run_blocking_if_large(body.len(), move || raw_hash(&body)).await
    }

    /// Does not count so many milliseconds as time of failing: nothing was tried, or Testmo asked for a pause.
    pub(in crate::worker) fn rested(&mut self, ms: i64) {
        self.failing_since = self.failing_since.map(|since| since.saturating_add(ms.max(0)));
    }

    /// Notes that it waits, or has waited, for a reason.
    pub(in crate::worker) fn waits_for(&mut self, reason: Reason) {
        self.waited_for = self.waited_for.or(WaitedFor::of(reason));
    }

    /// Returns the trace that its publisher named.
    pub(in crate::worker) fn trace(&self) -> Option<TraceContext> {
        TraceContext::of_headers(&self.headers)
    }

    /// Begins a trace, if it has none and spans are recorded. The trace is kept with its headers.
    pub(in crate::worker) fn begin_trace(&mut self, spans: &Spans) {
        if self.trace().is_none()
            && let Some(root) = spans.root()
        {
            self.headers.remove(TRACESTATE);
            self.headers.extend(root.headers().map(|(name, value)| (name.to_owned(), value)));
        }
    }

    /// Returns its row on the shelf as id and generation.
    pub(in crate::worker) fn row(&self) -> Option<(i64, i64)> {
        self.lease.map(|(id, generation)| (id.0, generation))
    }

    /// Returns the row to remove when the batch is shelved under its own id.
    pub(in crate::worker) fn nameless_row(&self) -> Option<(i64, i64)> {
        self.row().filter(|_| self.nameless)
    }
}

impl fmt::Display for InboundMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {}", raw_hash(&self.body))
    }
}

/// Returns the headers and properties of a message that are kept.
pub(in crate::worker) fn kept_headers(message: Message) -> BTreeMap<String, String> {
    let mut headers: BTreeMap<String, String> =
        message.headers.into_iter().filter(|(name, _)| KEPT_HEADERS.contains(&name.as_str())).collect();
    let properties = [
        ("message_id", message.message_id),
        ("correlation_id", message.correlation_id),
        ("app_id", message.app_id),
        ("content_type", message.content_type),
        (CONTENT_ENCODING, message.content_encoding),
        ("type", message.kind),
    ];
    headers.extend(properties.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    headers.values_mut().for_each(|value| *value = excerpt(value, LONGEST_HEADER));
    headers
}

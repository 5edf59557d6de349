//! Sends recorded spans to a collector, in builds that have the feature `otlp`.

mod model;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(feature = "otlp")]
mod queue;

pub use self::model::{CountSpans, Destination, ExportError, SpanEnd};
use super::span::Spans;

/// Whether this build can send spans.
pub const CAN_EXPORT: bool = cfg!(feature = "otlp");

/// Sends what is recorded in the background, until it is flushed.
#[derive(Debug)]
pub struct Export {
    spans: Spans,
    #[cfg(feature = "otlp")]
    queue: queue::Queue,
}

impl Export {
    /// Starts to send spans.
    ///
    /// # Errors
    /// When this build cannot, or the exporter cannot be built.
    #[cfg(feature = "otlp")]
    pub fn start(to: &Destination, count: CountSpans) -> Result<Self, ExportError> {
        let exporter = otlp::exporter(to).map_err(|error| ExportError::Build(error.to_string()))?;
        let (record, queue) = queue::start(exporter, count);
        Ok(Self { spans: Spans::recorded_by(Box::new(record), to.sample_ratio), queue })
    }

    /// Starts to send spans.
    ///
    /// # Errors
    /// Always: this build cannot.
    #[cfg(not(feature = "otlp"))]
    pub fn start(_: &Destination, _: CountSpans) -> Result<Self, ExportError> {
        Err(ExportError::NotBuiltIn)
    }

    /// Returns where spans go.
    pub fn spans(&self) -> Spans {
        self.spans.clone()
    }

    /// Sends what is left until a time. What is not sent by then is dropped.
    #[cfg(feature = "otlp")]
    pub async fn flush(self, until: tokio::time::Instant) {
        self.queue.flush(until).await;
    }

    /// Ends at once: nothing is sent.
    #[cfg(not(feature = "otlp"))]
    pub async fn flush(self, _: tokio::time::Instant) {}
}

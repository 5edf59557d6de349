//! Holds where spans are sent, and what became of them.

use std::sync::Arc;

/// What became of spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanEnd {
    /// The collector has them.
    Exported,
    /// There was no room for them, or no time left.
    Dropped,
    /// The collector did not take them.
    Failed,
}

impl SpanEnd {
    /// Every end.
    pub const ALL: [Self; 3] = [Self::Exported, Self::Dropped, Self::Failed];

    /// Returns its word in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exported => "exported",
            Self::Dropped => "dropped",
            Self::Failed => "failed",
        }
    }
}

/// Is told how many spans came to an end.
pub type CountSpans = Arc<dyn Fn(SpanEnd, u64) + Send + Sync>;

/// Where spans are sent.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The address of the collector, with its path: `http://collector:4318/v1/traces`.
    pub endpoint: String,
    /// The share of the traces that begin here that is recorded, from 0 to 1.
    pub sample_ratio: f64,
    /// The name of this worker.
    pub instance: String,
}

/// Spans cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// This build has no exporter.
    #[error("this build cannot send spans: build it with the feature `otlp`, or leave traces.endpoint empty")]
    NotBuiltIn,
    /// The exporter cannot be built.
    #[error(
        "the exporter of spans cannot be built ({0}): check traces.endpoint and the variables OTEL_EXPORTER_OTLP_*"
    )]
    Build(String),
}

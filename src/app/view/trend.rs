//! Shows programs how many batches were delivered, failed and waited.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::time::rfc3339;
use super::super::trend::{Column, Span, Trend};

/// How many batches were delivered, failed and waited.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TrendView {
    /// The last 24 hours.
    hours: SpanView,
    /// The last 30 days, each of which begins at midnight in UTC.
    days: SpanView,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct SpanView {
    /// The length of a column, in seconds.
    column_seconds: i64,
    /// The columns, the present one last.
    columns: Vec<ColumnView>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct ColumnView {
    began_at: Option<String>,
    /// How many batches were delivered; null if no worker counted.
    delivered: Option<u64>,
    /// How many times a batch came to need a person; null if no worker counted.
    failed: Option<u64>,
    /// How many batches waited to be retried automatically, at most; null if no worker counted.
    waiting: Option<u64>,
}

impl TrendView {
    /// Shows a trend.
    pub fn of(trend: &Trend) -> Self {
        Self { hours: SpanView::of(&trend.hours), days: SpanView::of(&trend.days) }
    }
}

impl SpanView {
    fn of(span: &Span) -> Self {
        let column = |column: &Column| ColumnView {
            began_at: rfc3339(column.began_at),
            delivered: column.counts.map(|counts| counts.delivered),
            failed: column.counts.map(|counts| counts.failed),
            waiting: column.counts.map(|counts| counts.waiting),
        };
        Self { column_seconds: span.column_ms / 1_000, columns: span.columns.iter().map(column).collect() }
    }
}

//! Shows how many batches were delivered, failed and waited over the last hours and days.

use std::collections::BTreeMap;

pub use crate::store::trend::Counts;
use crate::store::trend::{TrendStep, Width};
use crate::store::{Store, StoreError, StoreHealth, TrendStore};

const HOUR_MS: i64 = 3_600_000;
/// The length of a column of the last hours, in milliseconds.
const COLUMN_OF_HOURS: i64 = HOUR_MS / 2;
/// The length of a column of the last days, likewise.
const COLUMN_OF_DAYS: i64 = 24 * HOUR_MS;

/// What happened over the last hours and days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trend {
    /// The last 24 hours.
    pub hours: Span,
    /// The last 30 days, each of which begins at midnight in UTC.
    pub days: Span,
}

/// A time in columns of the same length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The length of a column, in milliseconds.
    pub column_ms: i64,
    /// The columns, the present one last.
    pub columns: Vec<Column>,
}

/// A column of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// When it began, in milliseconds on the store's clock.
    pub began_at: i64,
    /// What happened in it; none if no worker counted.
    pub counts: Option<Counts>,
}

/// Shows the trend of all tenants together. What workers counted since their last step of five minutes is not in it yet.
///
/// # Errors
/// When the store does not answer.
pub async fn trend(store: &Store) -> Result<Trend, StoreError> {
    let now = store.now();
    Ok(Trend {
        hours: span(store, Width::Fine, COLUMN_OF_HOURS, now).await?,
        days: span(store, Width::Coarse, COLUMN_OF_DAYS, now).await?,
    })
}

async fn span(store: &Store, width: Width, column_ms: i64, now: i64) -> Result<Span, StoreError> {
    let begins = begins(width, column_ms, now);
    let since = begins.first().copied().unwrap_or(now);
    Ok(Span { column_ms, columns: columns(&begins, column_ms, &store.trend(width, since).await?) })
}

/// Returns when the columns begin that cover what is kept, the present one last.
fn begins(width: Width, column_ms: i64, now: i64) -> Vec<i64> {
    let last = now.saturating_sub(now.rem_euclid(column_ms));
    let count = width.kept_ms() / column_ms;
    (0..count).rev().map(|back| last.saturating_sub(back * column_ms)).collect()
}

/// Adds up the steps in each column.
fn columns(begins: &[i64], column_ms: i64, steps: &[TrendStep]) -> Vec<Column> {
    let mut counts: BTreeMap<i64, Counts> = BTreeMap::new();
    for step in steps {
        let column = counts.entry(step.began_at.saturating_sub(step.began_at.rem_euclid(column_ms))).or_default();
        *column = column.and(step.counts);
    }
    begins.iter().map(|began_at| Column { began_at: *began_at, counts: counts.get(began_at).copied() }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::with_acme;
    use super::*;
    use crate::store::trend::Addition;

    #[test]
    fn columns_cover_what_is_kept_and_the_present_one_is_the_last() {
        let now = 1_800_000_000_123;
        for (width, column_ms, count) in [(Width::Fine, COLUMN_OF_HOURS, 48), (Width::Coarse, COLUMN_OF_DAYS, 30)] {
            let begins = begins(width, column_ms, now);
            assert_eq!(begins.len(), count);
            assert!(begins.windows(2).all(|pair| pair[1] - pair[0] == column_ms));
            assert!(begins[count - 1] <= now && now < begins[count - 1] + column_ms);
            assert!(now - begins[0] <= width.kept_ms());
            assert_eq!(column_ms % width.ms(), 0, "no step lies in two columns");
        }
    }

    #[test]
    fn steps_are_added_up_and_a_column_without_any_is_empty() {
        let counts = |delivered, failed, waiting| Counts { delivered, failed, waiting };
        let step = |began_at, counts| TrendStep { began_at, counts };
        let steps = [step(0, counts(1, 2, 3)), step(9, counts(4, 5, 1)), step(20, counts(0, 0, 0))];
        let found: Vec<Option<Counts>> =
            columns(&[0, 10, 20], 10, &steps).into_iter().map(|column| column.counts).collect();
        assert_eq!(found, [Some(counts(5, 7, 3)), None, Some(Counts::default())]);
    }

    #[tokio::test]
    async fn what_a_worker_counted_is_in_the_last_column() {
        let (store, _dir) = with_acme().await;
        let counts = Counts { delivered: 7, failed: 1, waiting: 2 };
        let addition = Addition { source: "w1".into(), number: 1, at: store.now(), counts };
        store.add_to_trend(&addition).await.unwrap();
        let Trend { hours, days } = trend(&store).await.unwrap();
        for span in [hours, days] {
            assert_eq!(span.columns.last().and_then(|column| column.counts), Some(counts));
            assert_eq!(span.columns.iter().filter(|column| column.counts.is_some()).count(), 1);
        }
    }
}

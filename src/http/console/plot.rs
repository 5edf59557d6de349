//! Draws how many batches were delivered, failed and waited, as columns of a picture and as rows of a table.

use super::moment::grouped;
use crate::app::time::{absolute, rfc3339};
use crate::app::trend::{Column, Counts, Span, Trend};

/// The size of a picture, in units of its own.
const WIDTH: u64 = 480;
const HEIGHT: u64 = 80;
/// The least height of a column that is not zero.
const LEAST: u64 = 2;

/// A time with a picture of each number, and a table of all of them.
pub(super) struct SpanPlots {
    /// A name that no other part of the page has.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// Where the pictures begin.
    pub(super) from: &'static str,
    pub(super) plots: Vec<Plot>,
    /// The columns in which a worker counted, the latest one first.
    pub(super) rows: Vec<Row>,
}

/// A picture of one number.
pub(super) struct Plot {
    pub(super) name: &'static str,
    /// The class in the style sheet.
    pub(super) class: &'static str,
    /// What the picture shows, in words.
    pub(super) about: String,
    /// The columns, as the path of an SVG.
    pub(super) path: String,
}

/// A row of the table.
pub(super) struct Row {
    /// When the column began, for programs and for people.
    pub(super) at: String,
    pub(super) shown: String,
    pub(super) counts: Counts,
}

/// Returns the pictures of the last hours and days.
pub(super) fn plots(trend: &Trend) -> [SpanPlots; 2] {
    // No worker may have counted in the present half hour yet.
    let lately = trend.hours.columns.iter().rev().find_map(|column| column.counts).map_or(0, |counts| counts.waiting);
    let [hours, days] = [("24 hours ago", "half an hour"), ("30 days ago", "a day")];
    [
        span("trend-hours", "The last 24 hours", hours, (&trend.hours, lately)),
        span("trend-days", "The last 30 days", days, (&trend.days, lately)),
    ]
}

/// Draws a span; `lately` is how many batches waited at last, which a long column does not show.
fn span(
    id: &'static str,
    title: &'static str,
    (from, column): (&'static str, &str),
    (span, lately): (&Span, u64),
) -> SpanPlots {
    let numbers = |number: fn(Counts) -> u64| -> Vec<u64> {
        span.columns.iter().map(|column| column.counts.map_or(0, number)).collect()
    };
    let delivered = numbers(|counts| counts.delivered);
    let (failed, waiting) = (numbers(|counts| counts.failed), numbers(|counts| counts.waiting));
    let summed = |numbers: &[u64]| {
        let (all, most) = (numbers.iter().sum(), most(numbers));
        format!("{} in all, at most {} in {column}", grouped(all), grouped(most))
    };
    let waited = format!("{} lately, {} at most", grouped(lately), grouped(most(&waiting)));
    let plot = |name, class, about, numbers: &[u64]| Plot { name, class, about, path: path(numbers) };
    let row = |column: &Column| {
        let (at, shown) = (rfc3339(column.began_at)?, absolute(column.began_at));
        Some(Row { at, shown, counts: column.counts? })
    };
    SpanPlots {
        id,
        title,
        from,
        plots: vec![
            plot("Delivered", "delivered", summed(&delivered), &delivered),
            plot("Failed", "failed", summed(&failed), &failed),
            plot("Waiting", "waiting", waited, &waiting),
        ],
        rows: span.columns.iter().rev().filter_map(row).collect(),
    }
}

fn most(numbers: &[u64]) -> u64 {
    numbers.iter().copied().max().unwrap_or(0)
}

/// Draws a column for each number that is not zero, the largest one as high as the picture.
fn path(numbers: &[u64]) -> String {
    let (most, pitch) = (most(numbers), WIDTH / u64::try_from(numbers.len()).unwrap_or(WIDTH).max(1));
    let mut path = String::new();
    for (at, number) in (0_u64..).zip(numbers).filter(|(_, number)| **number > 0) {
        let share = u128::from(*number) * u128::from(HEIGHT) / u128::from(most);
        let height = u64::try_from(share).unwrap_or(HEIGHT).max(LEAST);
        let (x, width) = (at * pitch, pitch.saturating_sub(2).max(1));
        path += &format!("M{x} {HEIGHT}v-{height}h{width}v{height}z");
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_number_is_as_high_as_the_picture_and_a_small_one_can_be_seen() {
        assert_eq!(path(&[0, 0]), "");
        assert_eq!(path(&[]), "");
        assert_eq!(path(&[0, 4, 2, 0]), "M120 80v-80h118v80zM240 80v-40h118v40z");
        assert_eq!(path(&[1_000_000, 1]), "M0 80v-80h238v80zM240 80v-2h238v2z");
        assert_eq!(path(&[u64::MAX]), "M0 80v-80h478v80z");
    }

    #[test]
    fn each_picture_says_in_words_what_it_shows_and_the_table_has_what_was_counted() {
        let counts = |delivered, failed, waiting| Some(Counts { delivered, failed, waiting });
        let column = |began_at, counts| Column { began_at, counts };
        let columns = vec![
            column(0, counts(1_000, 1, 5)),
            column(1_800_000, None),
            column(3_600_000, counts(2, 0, 3)),
            column(5_400_000, None),
        ];
        let span = Span { column_ms: 1_800_000, columns };
        let day = Span { column_ms: 86_400_000, columns: vec![column(0, counts(1_002, 1, 5))] };
        let [hours, days] = plots(&Trend { hours: span, days: day });
        let about: Vec<&str> = hours.plots.iter().map(|plot| plot.about.as_str()).collect();
        assert_eq!(
            about,
            [
                "1\u{202f}002 in all, at most 1\u{202f}000 in half an hour",
                "1 in all, at most 1 in half an hour",
                "3 lately, 5 at most"
            ]
        );
        let rows: Vec<&str> = hours.rows.iter().map(|row| row.shown.as_str()).collect();
        assert_eq!(rows, ["1970-01-01 01:00:00Z", "1970-01-01 00:00:00Z"]);
        assert_eq!(days.plots[2].about, "3 lately, 5 at most", "not the most that waited in the present day");
    }
}

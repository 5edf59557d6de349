//! Logs what a stopping worker still waits for and how many seconds are left, and at the end what was left.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::stop::Stop;
use super::workload::Busy;

/// What the log says about a stopping worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Nothing: all that is left to wait for has names of its own in the log.
    Silence,
    /// It waits, and this is under way.
    Waits(Busy, u64),
    /// The drain time is over, and this was under way.
    Cut(Busy),
}

/// Logs what is under way from the moment in which the worker is asked to stop until the drain time is over.
pub(super) async fn count_down(stop: Stop, drain_timeout: Duration, busy: impl Fn() -> Busy) {
    stop.draining().cancelled().await;
    let end = Instant::now() + drain_timeout;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        log(line(busy(), left));
        if left.is_zero() {
            return;
        }
        sleep(pause(left)).await;
    }
}

/// Logs what a worker that has ended leaves to its next start or another worker.
pub(super) fn log_rest(busy: Busy) {
    let Busy { batches, requests, events } = busy;
    match busy == Busy::default() {
        true => tracing::info!("drained: nothing is left"),
        false => tracing::info!(
            batches,
            requests,
            events,
            "what was left is given up: another worker, or the next start, goes on with it"
        ),
    }
}

fn log(line: Line) {
    match line {
        Line::Silence => {}
        Line::Waits(Busy { batches, requests, events }, seconds_left) => {
            tracing::info!(
                batches,
                requests,
                events,
                seconds_left,
                "the worker is stopping and waits for what is under way"
            );
        }
        Line::Cut(Busy { batches, requests, events }) => {
            tracing::warn!(batches, requests, events, "the drain time is over; this was still under way");
        }
    }
}

fn line(busy: Busy, left: Duration) -> Line {
    match (busy == Busy::default(), left.is_zero()) {
        (true, _) => Line::Silence,
        (false, true) => Line::Cut(busy),
        (false, false) => Line::Waits(busy, left.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX)),
    }
}

/// Returns the time until the next line: less often while much time is left.
fn pause(left: Duration) -> Duration {
    let between = match left.as_secs() {
        ..10 => Duration::from_secs(2),
        10..60 => Duration::from_secs(5),
        60.. => Duration::from_secs(15),
    };
    between.min(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: Busy = Busy { batches: 3, requests: 1, events: 2 };

    #[test]
    fn a_line_says_what_is_under_way_and_how_many_seconds_are_left() {
        for (busy, left_ms, expected) in [
            (BUSY, 25_000, Line::Waits(BUSY, 25)),
            (BUSY, 24_001, Line::Waits(BUSY, 25)),
            (BUSY, 1, Line::Waits(BUSY, 1)),
            (BUSY, 0, Line::Cut(BUSY)),
            (Busy { events: 1, ..Busy::default() }, 0, Line::Cut(Busy { events: 1, ..Busy::default() })),
            (Busy::default(), 25_000, Line::Silence),
            (Busy::default(), 0, Line::Silence),
        ] {
            assert_eq!(line(busy, Duration::from_millis(left_ms)), expected, "{busy:?} {left_ms}");
        }
    }

    #[test]
    fn lines_come_more_often_towards_the_end_and_the_last_one_at_it() {
        let mut left = Duration::from_millis(90_500);
        let mut said = Vec::new();
        while !left.is_zero() {
            said.push(left.as_millis());
            left -= pause(left);
        }
        let whole = [
            90_500, 75_500, 60_500, 45_500, 40_500, 35_500, 30_500, 25_500, 20_500, 15_500, 10_500, 5_500, 3_500, 1_500,
        ];
        assert_eq!(said, whole);
    }
}

//! Decides why a batch that cannot be sent now waits on the shelf, and since when it counts as failing.

use std::time::Duration;

use crate::batch::Reason;
use crate::worker::model::{ActiveBatch, Trouble};

/// Why a batch waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) reason: Reason,
    pub(super) detail: Option<String>,
    /// Since when it counts as failing, in milliseconds on the store's clock, if it does.
    pub(super) failing_since: Option<i64>,
}

/// Returns why a batch waits that could be sent after `wait`.
///
/// `closed_for` is why nothing is sent to its account at present, and `trouble` how the account fails. An account that
/// fails is the reason even in the moments in which it is tried: Testmo fails then, whatever the batch waits for.
pub(super) fn cause_of(
    batch: &ActiveBatch,
    closed_for: Option<Reason>,
    trouble: Option<Trouble>,
    wait: Duration,
) -> Cause {
    let message = &batch.message;
    choose(closed_for, trouble, batch.failure.clone(), wait, (message.failing_since, message.arrived_at))
}

fn choose(
    closed_for: Option<Reason>,
    trouble: Option<Trouble>,
    own: Option<(Reason, Option<String>)>,
    wait: Duration,
    (failing_since, arrived_at): (Option<i64>, i64),
) -> Cause {
    let (reason, detail) = match (closed_for.filter(|_| !wait.is_zero()), trouble, own) {
        (Some(Reason::Throttled), _, _) => (Reason::Throttled, None),
        (_, Some(trouble), _) => {
            let since = trouble.since.max(arrived_at);
            let failing_since = Some(failing_since.map_or(since, |before| before.min(since)));
            return Cause { reason: trouble.reason, detail: Some(trouble.detail), failing_since };
        }
        (Some(reason), None, _) => (reason, None),
        // Its account is open, so it waits because its own request failed.
        (None, None, Some((reason, detail))) if !wait.is_zero() => (reason, detail),
        (None, None, _) => (Reason::NoRoom, None),
    };
    Cause { reason, detail, failing_since }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::model::Troubles;

    const ARRIVED: i64 = 1_000;

    fn trouble(since: i64) -> Option<Trouble> {
        let troubles = Troubles::default();
        troubles.failed("a", Reason::NoAnswer, "nothing was received".into(), since);
        troubles.closed("a", since);
        troubles.of("a", since)
    }

    #[test]
    fn the_trouble_of_an_account_is_the_reason_unless_testmo_asks_for_a_pause() {
        use Reason::{NoAnswer, NoRoom, ServerError, Throttled};
        let own = || Some((ServerError, Some("status 503".to_owned())));
        for (closed_for, trouble, own, wait, reason, detail) in [
            (None, None, None, 0, NoRoom, None),
            (None, None, own(), 0, NoRoom, None),
            (None, None, own(), 9, ServerError, Some("status 503")),
            (Some(Throttled), None, own(), 9, Throttled, None),
            (Some(Throttled), trouble(1), None, 9, Throttled, None),
            // The pause is over, or was that of the circuit breaker.
            (Some(Throttled), trouble(1), None, 0, NoAnswer, Some("nothing was received")),
            (Some(Throttled), None, None, 0, NoRoom, None),
            (Some(ServerError), trouble(1), own(), 9, NoAnswer, Some("nothing was received")),
            (Some(ServerError), trouble(1), None, 0, NoAnswer, Some("nothing was received")),
            (None, trouble(1), None, 0, NoAnswer, Some("nothing was received")),
            // There was no socket for a request.
            (Some(NoRoom), None, None, 2, NoRoom, None),
        ] {
            let cause = choose(closed_for, trouble.clone(), own, Duration::from_secs(wait), (None, ARRIVED));
            assert_eq!((cause.reason, cause.detail.as_deref()), (reason, detail), "{closed_for:?} {trouble:?} {wait}");
            assert_eq!(cause.failing_since.is_some(), reason == NoAnswer, "{cause:?}");
        }
    }

    #[test]
    fn a_batch_counts_as_failing_since_it_arrived_or_since_its_account_fails() {
        for (trouble_since, before, expected) in
            [(500, None, 1_000), (2_000, None, 2_000), (2_000, Some(1_500), 1_500), (2_000, Some(2_500), 2_000)]
        {
            let cause = choose(None, trouble(trouble_since), None, Duration::ZERO, (before, ARRIVED));
            assert_eq!(cause.failing_since, Some(expected), "{trouble_since} {before:?}");
        }
    }
}

//! Decides whether a delivered batch was in time, and otherwise whether the worker can be the cause.

use crate::worker::model::WaitedFor;

/// Batches are to be delivered within this time after they were published, in milliseconds.
const OBJECTIVE_MS: i64 = 60_000;

/// Returns the value of the label `timing` of a batch that was delivered after so many milliseconds.
pub(super) fn timing(took_ms: i64, waited_for: Option<WaitedFor>) -> &'static str {
    match waited_for {
        _ if took_ms <= OBJECTIVE_MS => "in_time",
        None => "late",
        Some(other) => other.label(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::DELIVERY_TIMINGS;

    #[test]
    fn only_a_batch_that_waited_for_nothing_else_is_late() {
        use WaitedFor::{Person, Room, Tenant, Testmo};
        for (took_ms, waited_for, expected) in [
            (-5, None, "in_time"),
            (60_000, None, "in_time"),
            (60_000, Some(Testmo), "in_time"),
            (60_001, None, "late"),
            (60_001, Some(Tenant), "waited_for_tenant"),
            (60_001, Some(Testmo), "waited_for_testmo"),
            (60_001, Some(Person), "waited_for_person"),
            (60_001, Some(Room), "waited_for_room"),
        ] {
            assert_eq!(timing(took_ms, waited_for), expected, "{took_ms} {waited_for:?}");
            assert!(DELIVERY_TIMINGS.contains(&expected));
        }
    }
}

//! Tests the search for a case that made Testmo refuse a whole request.

use super::*;

fn refused_whole(cases: usize) -> Report {
    let push = RequestReport { cases, took: SECOND, end: RequestOutcome::RefusedWhole { counts: true } };
    Report { requests: 1, push: Some(push) }
}

#[test]
fn after_a_request_that_was_refused_as_a_whole_halves_go_one_after_the_other() {
    let now = Instant::now();
    let all: Vec<(&str, &str, u32)> = (0..8).map(|n| ("a", "x", n)).collect();
    let mut lanes = lanes(LIMITS, &all, now);
    let pack = lanes.next(now).unwrap();
    assert_eq!(pack.parts.len(), 8);
    for (entry, _) in pack.parts.into_iter().rev() {
        lanes.join(ticket("a", "x", 1, i64::from(entry), now), entry, QueuePosition::Front);
    }
    lanes.finished(&"a".into(), &tenant("x"), &refused_whole(8), now);
    let half = lanes.next(now).unwrap();
    assert_eq!(entries(&half), [0, 1, 2, 3]);
    assert!(lanes.next(now).is_none(), "the rest waits for how this one ends");
}

/// Returns lanes in which a request of eight cases was refused as a whole, whose batch then went elsewhere.
fn searching(now: Instant) -> Lanes<u32> {
    let mut lanes = Lanes::new(LIMITS);
    lanes.join(ticket("a", "x", 8, 1, now), 1, QueuePosition::Back);
    let pack = lanes.next(now).unwrap();
    lanes.finished(&pack.account, &pack.tenant, &refused_whole(8), now);
    lanes
}

#[test]
fn the_search_goes_on_after_its_batch_has_waited_for_a_time_in_the_lane_or_elsewhere() {
    let now = Instant::now();
    let later = now + SECOND * 600;
    for place in [QueuePosition::NotBefore(later), QueuePosition::Back] {
        let mut lanes = searching(now);
        if place != QueuePosition::Back {
            lanes.join(ticket("a", "x", 8, 1, now), 1, place);
        }
        // As once a second.
        assert!(lanes.overdue(now + SECOND, SECOND * 600).is_empty());
        lanes.forget_idle(now + SECOND);
        if place == QueuePosition::Back {
            lanes.join(ticket("a", "x", 8, 1, now), 1, place);
        }
        assert_eq!(lanes.next(later).unwrap().parts, [(1, 4)], "{place:?}");
    }
}

#[test]
fn the_search_is_forgotten_if_its_batch_does_not_come_back() {
    let now = Instant::now();
    let mut lanes = searching(now);
    assert_eq!(lanes.view(now)[0].tenants.len(), 0, "it is not shown as work");
    lanes.forget_idle(now + SECOND * 3_600);
    assert!(lanes.accounts().is_empty());
}

//! Tests how much work a lane takes, gives up and shows. Two requests at once, of an assumed 0.2 s each, are twenty within
//! two seconds, which is soon.

use super::*;

fn waiting(limits: Limits, entries: u32, cases: usize, now: Instant) -> Lanes<u32> {
    let mut lanes = Lanes::new(limits);
    for entry in 0..entries {
        lanes.join(ticket("a", "x", cases, i64::from(entry), now), entry, QueuePosition::Back);
    }
    lanes
}

#[test]
fn there_is_room_for_what_can_be_sent_soon_while_less_than_half_of_it_waits() {
    let now = Instant::now();
    for (limits, entries, cases, room) in [
        (ONE_BY_ONE, 1, 1, 19),
        (ONE_BY_ONE, 5, 30, 15),
        (ONE_BY_ONE, 9, 1, 11),
        (ONE_BY_ONE, 10, 1, 0),
        (LIMITS, 1, 50, 100),
        (LIMITS, 1, 99, 100),
        (LIMITS, 1, 100, 0),
    ] {
        let lanes = waiting(limits, entries, cases, now);
        assert_eq!(lanes.room("a", &tenant("x"), now), room, "{entries} batches of {cases} cases");
    }
    let mut shared = waiting(ONE_BY_ONE, 1, 1, now);
    shared.join(ticket("a", "y", 1, 0, now), 9, QueuePosition::Back);
    assert_eq!(shared.room("a", &tenant("x"), now), 9, "half of twenty, and one waits");
}

#[test]
fn what_cannot_be_sent_soon_is_given_up_from_the_end() {
    let now = Instant::now();
    let mut lanes = waiting(ONE_BY_ONE, 23, 1, now);
    let surplus: BTreeSet<u32> = lanes.surplus(&"a".into(), now).into_iter().map(|(entry, _)| entry).collect();
    assert_eq!(surplus, (20..23).collect());
    assert_eq!(in_turn(&mut lanes, now).len(), 20, "the others are still sent");
}

#[test]
fn what_was_taken_out_of_one_tenant_leaves_the_turns_of_the_others() {
    let now = Instant::now();
    let mut lanes = lanes(ONE_BY_ONE, &[("a", "x", 1), ("a", "y", 2)], now);
    assert_eq!(lanes.remove(now, |entry| *entry == 1).len(), 1);
    assert_eq!(in_turn(&mut lanes, now), [[2]]);
}

#[test]
fn what_has_been_in_hand_for_exactly_the_longest_time_is_not_overdue() {
    let now = Instant::now();
    let mut lanes = waiting(LIMITS, 1, 1, now);
    assert!(lanes.overdue(now + SECOND, SECOND).is_empty());
    assert_eq!(lanes.overdue(now + SECOND + Duration::from_millis(1), SECOND).len(), 1);
}

#[test]
fn a_lane_shows_what_waits_and_what_is_under_way() {
    let now = Instant::now();
    let mut lanes = Lanes::new(LIMITS);
    lanes.join(Ticket { apart: Some(5), ..ticket("a", "x", 5, 1, now) }, 1, QueuePosition::Back);
    lanes.join(ticket("a", "x", 12, 2, now), 2, QueuePosition::Back);
    let shown = |lanes: &Lanes<u32>| {
        let view = lanes.view_for("a", &tenant("x"), now).expect("a lane");
        let tenant = &view.tenants[0];
        (view.sharing, tenant.batches, tenant.cases, tenant.requests, tenant.in_flight)
    };
    assert_eq!(shown(&lanes), (1, 2, 17, 2, 0));
    assert_eq!(entries(&lanes.next(now).unwrap()), [1]);
    assert_eq!(shown(&lanes), (1, 1, 12, 2, 1));
    assert_eq!(entries(&lanes.next(now).unwrap()), [2]);
    assert_eq!(shown(&lanes), (1, 0, 0, 0, 2), "nothing waits, and both are under way");
    assert!(lanes.has("a") && !lanes.has("b"));
    assert!(lanes.view_for("b", &tenant("x"), now).is_none());
}

#[test]
fn company_is_waited_for_until_a_moment_and_not_past_it() {
    let now = Instant::now();
    let mut lanes = lanes(LIMITS, &[("a", "x", 1)], now);
    let first = lanes.next(now).unwrap();
    lanes.join(ticket("a", "x", 1, 2, now), 2, QueuePosition::Back);
    assert!(lanes.next(now).is_none());
    // Twice the usual time of a request.
    assert_eq!(lanes.wake_at(), Some(now + SECOND * 2 / 5));
    assert_eq!(entries(&lanes.next(now + SECOND * 2 / 5).unwrap()), [2]);
    drop(first);
}

#[test]
fn turns_of_first_tries_count_only_while_something_is_tried_again() {
    let now = Instant::now();
    let mut lanes = waiting(ONE_BY_ONE, 15, 1, now);
    assert_eq!(in_turn(&mut lanes, now).len(), 15);
    lanes.join(Ticket { class: QueueClass::Again, ..ticket("a", "x", 1, 0, now) }, 100, QueuePosition::Back);
    lanes.join(ticket("a", "x", 1, 200, now), 200, QueuePosition::Back);
    assert_eq!(in_turn(&mut lanes, now), [[200], [100]]);
}

#[test]
fn only_few_may_wait_for_a_time_within_the_window() {
    let now = Instant::now();
    let mut lanes = Lanes::new(LIMITS);
    for entry in 0..15 {
        let at = now + SECOND * (entry + 1);
        lanes.join(ticket("a", "x", 1, i64::from(entry), now), entry, QueuePosition::NotBefore(at));
    }
    let surplus: BTreeSet<(u32, Duration)> = lanes.surplus(&"a".into(), now).into_iter().collect();
    assert_eq!(surplus, (10..15).map(|entry| (entry, SECOND * (entry + 1))).collect());
}

#[test]
fn nothing_waits_for_a_time_within_the_window_while_memory_is_scarce() {
    let now = Instant::now();
    for (bytes, left) in [(20_000, 2), (25_000, 0)] {
        let mut lanes = Lanes::new(LIMITS);
        for entry in 0..2 {
            let ticket = Ticket { bytes, ..ticket("a", "x", 1, i64::from(entry), now) };
            lanes.join(ticket, entry, QueuePosition::NotBefore(now + SECOND));
        }
        assert_eq!((lanes.surplus(&"a".into(), now).len(), lanes.bytes()), (2 - left, left * bytes));
    }
}

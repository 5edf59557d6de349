//! Tests when an account waits although it has work, when its answers count as slow, and when it is forgotten.

use super::*;

#[test]
fn an_account_whose_permits_other_workers_have_waits_and_the_others_go_on() {
    let now = Instant::now();
    let mut lanes = lanes(ONE_BY_ONE, &[("a", "x", 1), ("b", "y", 2)], now);
    lanes.hold(&"a".into(), now + SECOND);
    assert_eq!(entries(&lanes.next(now).unwrap()), [2]);
    assert!(lanes.next(now).is_none());
    assert_eq!(lanes.wake_at(), Some(now + SECOND));
    assert_eq!(entries(&lanes.next(now + SECOND).unwrap()), [1], "exactly then");
}

#[test]
fn only_requests_that_created_cases_show_that_answers_have_become_slow() {
    let now = Instant::now();
    for (end, is_told) in [
        (RequestOutcome::Created, true),
        (RequestOutcome::RefusedWhole { counts: false }, false),
        (RequestOutcome::Other, false),
        (RequestOutcome::Unanswered, false),
    ] {
        let all: Vec<(&str, &str, u32)> = (0..9).map(|n| ("a", "x", n)).collect();
        let mut lanes = lanes(ONE_BY_ONE, &all, now);
        let told = (0..9).any(|n| {
            let Some(pack) = lanes.next(now) else { return false };
            let took = if n < 4 { SECOND / 20 } else { SECOND * 5 };
            let report = Report { requests: 1, push: Some(RequestReport { cases: 1, took, end }) };
            lanes.finished(&pack.account, &pack.tenant, &report, now)
        });
        assert_eq!(told, is_told, "{end:?}");
    }
}

#[test]
fn nobody_waits_for_turns_that_all_tenants_owe() {
    let now = Instant::now();
    let mut lanes = lanes(ONE_BY_ONE, &[("a", "x", 1), ("a", "x", 2), ("a", "y", 10), ("a", "y", 11)], now);
    for requests in [50, 52] {
        let pack = lanes.next(now).unwrap();
        lanes.finished(&pack.account, &pack.tenant, &Report { requests, push: None }, now);
    }
    // The second tenant owes two turns more than the first one. Nobody is asked twice whether it is his turn.
    assert_eq!(lanes.next(now).map(|pack| entries(&pack)), Some(vec![2]));
    assert_eq!(lanes.next(now).map(|pack| entries(&pack)), Some(vec![11]));
}

#[test]
fn a_lane_is_forgotten_only_when_nothing_is_left_of_it() {
    let now = Instant::now();
    let account = Arc::from("a");
    let mut lanes = lanes(ONE_BY_ONE, &[("a", "x", 1)], now);
    lanes.forget_idle(now);
    assert!(lanes.has("a"), "an entry waits");
    let pack = lanes.next(now).unwrap();
    lanes.forget_idle(now);
    assert!(lanes.has("a"), "a request is under way");
    lanes.join(ticket("a", "x", 1, 2, now), 2, QueuePosition::NotBefore(now + SECOND));
    lanes.finished(&account, &pack.tenant, &created(1), now);
    lanes.forget_idle(now);
    assert!(lanes.has("a"), "an entry waits for its time");
    let pack = lanes.next(now + SECOND).unwrap();
    lanes.finished(&account, &pack.tenant, &created(1), now + SECOND);
    lanes.forget_idle(now + SECOND);
    assert!(!lanes.has("a"));
}

#[test]
fn the_last_requests_before_a_connection_counts_as_the_cause_are_remembered_with_an_idle_lane() {
    let now = Instant::now();
    let mut lanes = lanes(ONE_BY_ONE, &[("a", "x", 1)], now);
    let pack = lanes.next(now).unwrap();
    let refused = RequestReport { cases: 4, took: SECOND, end: RequestOutcome::RefusedWhole { counts: true } };
    lanes.finished(&pack.account, &pack.tenant, &Report { requests: 1, push: Some(refused) }, now);
    lanes.forget_idle(now);
    assert!(lanes.has("a"), "the search for the case at fault goes on");
}

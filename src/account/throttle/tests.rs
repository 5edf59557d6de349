//! Tests that pauses, limits and circuit breakers of an account follow its answers.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn after(signals: &[Signal]) -> Throttle {
    let mut pace = Throttle::default();
    for signal in signals {
        pace.observe(*signal, 0, 4);
    }
    pace
}

#[test]
fn a_healthy_account_bears_what_is_configured_and_is_not_written_down_again_and_again() {
    let mut pace = Throttle::default();
    assert!(!pace.observe(Signal::Answered, 0, 4));
    assert_eq!(pace.permission(0, 4), Permission::Granted { limit: 4 });
}

#[test]
fn after_a_429_nothing_goes_until_the_gate_opens_then_one_then_more() {
    let mut pace = after(&[Signal::Throttled(SECOND), Signal::Throttled(SECOND / 2)]);
    assert_eq!(pace.permission(999, 4), Permission::RateLimited { until: 1_000 });
    assert_eq!(pace.permission(1_000, 4), Permission::Granted { limit: 1 });
    let mut limits = Vec::new();
    for _ in 0..100 {
        pace.observe(Signal::Answered, 2_000, 4);
        limits.push(pace.limit(4));
    }
    assert_eq!((limits[0], limits[99]), (1, 4));
    assert!(limits.is_sorted());
    assert_eq!(pace.limit, None);
}

#[test]
fn pauses_that_follow_one_another_grow_although_the_account_asks_for_short_ones() {
    let (mut pace, mut now, mut pauses) = (Throttle::default(), 0, Vec::new());
    for round in 0..9 {
        pace.observe(Signal::Throttled(SECOND), now, 4);
        // Other requests that were under way are refused, too.
        for _ in 0..round % 3 {
            pace.observe(Signal::Throttled(SECOND), now, 4);
        }
        pauses.push((pace.rate_limited_until - now) / 1_000);
        now = pace.rate_limited_until;
        // A read is answered meanwhile, which shows nothing of create requests.
        pace.observe(Signal::ProbeAnswered, now, 4);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    pace.observe(Signal::Throttled(200 * SECOND), now, 4);
    assert_eq!(pace.rate_limited_until, now + 200_000, "what the account asks for counts where it is longer");
    now = pace.rate_limited_until;
    pace.observe(Signal::Answered, now, 4);
    pace.observe(Signal::Throttled(SECOND), now, 4);
    assert_eq!(pace.rate_limited_until, now + 1_000);
}

#[test]
fn scattered_failures_change_no_limit_and_a_series_opens_the_breaker() {
    let mut pace = after(&[Signal::Failed; 7]);
    assert_eq!(pace.permission(0, 4), Permission::Granted { limit: 4 });
    pace.observe(Signal::Answered, 0, 4);
    assert_eq!(pace, Throttle::default());
    let mut pace = after(&[Signal::Failed; 8]);
    assert_eq!(pace.permission(0, 4), Permission::Broken { until: 5_000 });
    // Requests that were under way when the breaker opened do not keep it open for longer.
    pace.observe(Signal::Failed, 10, 4);
    assert_eq!(pace.permission(10, 4), Permission::Broken { until: 5_000 });
}

#[test]
fn an_open_breaker_is_probed_by_one_at_a_time_and_less_and_less_often() {
    let mut pace = after(&[Signal::Failed; 8]);
    assert!(!pace.take_probe(4_999, SECOND));
    let mut now = 5_000;
    for seconds in [10, 20, 40, 80, 160, 300, 300] {
        assert!(pace.take_probe(now, SECOND));
        assert!(!pace.take_probe(now, SECOND));
        pace.observe(Signal::ProbeFailed, now, 4);
        assert_eq!(pace.breaker_until, Some(now + seconds * 1_000));
        now += seconds * 1_000;
    }
    pace.observe(Signal::Answered, now, 4);
    assert_eq!(pace, Throttle::default());
}

#[test]
fn while_one_probes_the_others_look_again_soon_and_after_its_lease_another_may() {
    let mut pace = after(&[Signal::Failed; 8]);
    assert!(pace.take_probe(5_000, 30 * SECOND));
    assert_eq!(pace.permission(5_000, 4), Permission::Broken { until: 7_000 });
    assert_eq!(pace.permission(34_500, 4), Permission::Broken { until: 35_000 });
    assert!(!pace.take_probe(34_999, SECOND) && pace.take_probe(35_000, SECOND));
}

#[test]
fn after_a_probe_one_request_goes_first_and_only_an_answered_create_request_ends_the_series() {
    let mut pace = after(&[Signal::Failed; 8]);
    let mut now = 5_000;
    // An account whose reads are answered and whose create requests fail: the pause grows all the same.
    for seconds in [10, 20, 40] {
        assert!(pace.take_probe(now, SECOND));
        pace.observe(Signal::ProbeAnswered, now, 4);
        assert_eq!(pace.permission(now, 4), Permission::Granted { limit: 1 });
        pace.observe(Signal::Failed, now, 4);
        assert_eq!(pace.permission(now, 4), Permission::Broken { until: now + seconds * 1_000 });
        now += seconds * 1_000;
    }
    pace.observe(Signal::ProbeAnswered, now, 4);
    pace.observe(Signal::Answered, now, 4);
    assert_eq!((pace.breaks, pace.permission(now, 4)), (0, Permission::Granted { limit: 1 }));
    for _ in 0..100 {
        pace.observe(Signal::Answered, now, 4);
    }
    assert_eq!(pace, Throttle::default());
    pace.observe(Signal::Failed, now, 4);
    assert_eq!(pace.permission(now, 4), Permission::Granted { limit: 4 });
}

#[test]
fn slow_answers_lower_the_limit_step_by_step() {
    let limits: Vec<u32> = (1..6).map(|n| after(&vec![Signal::Slow; n]).limit(4)).collect();
    assert_eq!(limits, [2, 1, 1, 1, 1]);
}

#[test]
fn a_pause_is_what_is_left_until_something_may_be_sent_or_probed() {
    let limited = after(&[Signal::Throttled(SECOND)]);
    let broken = after(&[Signal::Failed; 8]);
    for (pace, now, left) in [
        (Throttle::default(), 0, None),
        (limited.clone(), 0, Some(1_000)),
        (limited.clone(), 999, Some(1)),
        (limited, 1_000, None),
        (broken.clone(), 1_000, Some(4_000)),
        (broken.clone(), 4_999, Some(1)),
        (broken.clone(), 5_000, None),
        (broken, 9_000, None),
    ] {
        assert_eq!(pace.pause(now), left.map(Duration::from_millis), "{pace:?} at {now}");
    }
}

#[test]
fn a_full_round_of_answers_adds_a_tenth_of_a_request_until_the_limit_is_the_configured_one() {
    let mut pace = Throttle { limit: Some(2.0), ..Throttle::default() };
    pace.observe(Signal::Answered, 0, 4);
    assert_eq!(pace.limit, Some(2.05));
    let mut pace = Throttle { limit: Some(1.9), ..Throttle::default() };
    pace.observe(Signal::Answered, 0, 2);
    assert!(pace.limit.is_some_and(|limit| limit < 2.0));
    // A lowered limit that has risen to the configured number is none any more.
    let mut pace = Throttle { limit: Some(0.1), ..Throttle::default() };
    pace.observe(Signal::Answered, 0, 1);
    assert_eq!(pace.limit, None);
}

fn any_signal() -> impl Strategy<Value = Signal> {
    prop_oneof![
        Just(Signal::Answered),
        Just(Signal::ProbeAnswered),
        Just(Signal::Slow),
        Just(Signal::Failed),
        (0u64..5_000).prop_map(|ms| Signal::Throttled(Duration::from_millis(ms))),
    ]
}

#[test]
fn pauses_are_stored_only_where_there_were_any() {
    let stored = |pauses| serde_json::to_value(Throttle { pauses, ..Throttle::default() }).expect("a value");
    assert_eq!(stored(0).get("pauses"), None);
    assert_eq!(stored(2)["pauses"], 2);
}

proptest! {
    #[test]
    fn no_request_is_granted_before_every_pause_is_over_nor_above_the_ceiling(
        signals in proptest::collection::vec((any_signal(), 0i64..1_000), 0..60), ceiling in 1u32..20,
    ) {
        let (mut pace, mut now, mut closed) = (Throttle::default(), 0, 0);
        for (signal, step) in signals {
            now += step;
            if let Signal::Throttled(wait) = signal {
                closed = closed.max(now + wait.as_millis() as i64);
            }
            pace.observe(signal, now, ceiling);
            match pace.permission(now, ceiling) {
                Permission::Granted { limit } => {
                    prop_assert!(closed <= now);
                    prop_assert!((1..=ceiling).contains(&limit));
                }
                // Pauses that follow one another are longer than asked for.
                Permission::RateLimited { until } => {
                    prop_assert!(until >= closed);
                    closed = until;
                }
                Permission::Broken { .. } => prop_assert!(pace.breaks > 0),
            }
        }
    }
}

#[test]
fn a_person_opens_an_account_for_one_request_and_it_closes_again_if_that_fails() {
    let mut throttle = Throttle::default();
    assert!(!throttle.open(0), "nothing was closed");
    throttle.observe(Signal::Throttled(Duration::from_secs(86_400)), 0, 4);
    assert!(throttle.open(1_000));
    assert_eq!(throttle.permission(1_000, 4), Permission::Granted { limit: 1 });
    throttle.observe(Signal::Throttled(Duration::from_secs(1)), 2_000, 4);
    assert_eq!(throttle.permission(2_000, 4), Permission::RateLimited { until: 4_000 }, "a second pause in a row");
    let mut throttle = Throttle::default();
    for _ in 0..8 {
        throttle.observe(Signal::Failed, 0, 4);
    }
    assert!(throttle.open(1_000));
    assert_eq!(throttle.permission(1_000, 4), Permission::Granted { limit: 1 });
    throttle.observe(Signal::Failed, 2_000, 4);
    assert_eq!(throttle.permission(2_000, 4), Permission::Broken { until: 12_000 }, "one failure is enough");
}

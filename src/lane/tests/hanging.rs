//! Tests that accounts which may hang leave requests of the worker to the others.

use super::*;

/// Eight requests at once, of which accounts that may hang have at most six.
const EIGHT: Limits = Limits { concurrency: 4, ..ONE_BY_ONE };

fn ended(end: RequestOutcome) -> Report {
    Report { requests: 1, push: Some(RequestReport { cases: 1, took: SECOND, end }) }
}

fn start_all(lanes: &mut Lanes<u32>, now: Instant) -> Vec<Pack<u32>> {
    std::iter::from_fn(|| lanes.next(now)).collect()
}

fn of<'a>(packs: &'a [Pack<u32>], account: &'a str) -> impl Iterator<Item = &'a Pack<u32>> {
    packs.iter().filter(move |pack| *pack.account == *account)
}

/// Returns lanes in which each of three accounts has waiting entries and did not answer its last request.
fn hanging(now: Instant) -> Lanes<u32> {
    let all: Vec<(&str, &str, u32)> =
        ["a", "b", "c"].into_iter().flat_map(|a| (0..9).map(move |n| (a, "x", n))).collect();
    let mut lanes = lanes(EIGHT, &all, now);
    for _ in 0..3 {
        let pack = lanes.next(now).unwrap();
        lanes.finished(&pack.account, &pack.tenant, &ended(RequestOutcome::Unanswered), now);
    }
    lanes
}

#[test]
fn accounts_that_hang_leave_a_quarter_of_the_requests_to_the_others() {
    let now = Instant::now();
    let mut lanes = hanging(now);
    assert_eq!(start_all(&mut lanes, now).len(), 6);
    lanes.join(ticket("good", "y", 1, 1, now), 1, QueuePosition::Back);
    assert_eq!(*lanes.next(now).unwrap().account, *"good");
}

#[test]
fn an_account_that_hangs_gets_its_turn_again_when_another_request_ends_although_others_are_busy() {
    let now = Instant::now();
    let mut lanes = hanging(now);
    lanes.join(ticket("good", "y", 1, 0, now), 0, QueuePosition::Back);
    let started = start_all(&mut lanes, now);
    let good = of(&started, "good").next().unwrap();
    lanes.finished(&good.account, &good.tenant, &ended(RequestOutcome::Created), now);
    for entry in 0..50 {
        lanes.join(ticket("good", "y", 1, entry, now), 1, QueuePosition::Back);
    }
    let good = start_all(&mut lanes, now);
    assert_eq!(of(&good, "good").count(), 2);
    let gone = of(&started, "a").next().unwrap();
    lanes.finished(&gone.account, &gone.tenant, &ended(RequestOutcome::Unanswered), now);
    let mut next: Vec<Pack<u32>> = start_all(&mut lanes, now);
    for _ in 0..4 {
        if of(&next, "good").next().is_none() {
            break;
        }
        let pack = next.remove(0);
        lanes.finished(&pack.account, &pack.tenant, &ended(RequestOutcome::Created), now);
        next = start_all(&mut lanes, now);
    }
    assert!(next.iter().any(|pack| *pack.account != *"good"), "{next:?}");
}

#[test]
fn an_account_whose_request_is_answered_may_have_every_request_again() {
    let now = Instant::now();
    let all: Vec<(&str, &str, u32)> = ["a", "b"].into_iter().flat_map(|a| (0..9).map(move |n| (a, "x", n))).collect();
    let mut lanes = lanes(EIGHT, &all, now);
    let started = start_all(&mut lanes, now);
    assert_eq!(started.len(), 6, "nobody has answered so far");
    for account in ["a", "b"] {
        let first = of(&started, account).next().unwrap();
        lanes.finished(&first.account, &first.tenant, &ended(RequestOutcome::Created), now);
    }
    assert_eq!(start_all(&mut lanes, now).len(), 4);
    // Long after, nothing has ended.
    let later = now + SECOND * 60;
    let first = of(&started, "b").nth(1).unwrap();
    lanes.finished(&first.account, &first.tenant, &ended(RequestOutcome::Unanswered), later);
    assert!(lanes.next(later).is_none());
}

#[test]
fn that_an_account_hangs_is_not_forgotten_with_its_idle_lane() {
    let now = Instant::now();
    let mut lanes = lanes(EIGHT, &[("a", "x", 1)], now);
    let pack = lanes.next(now).unwrap();
    lanes.finished(&pack.account, &pack.tenant, &ended(RequestOutcome::Unanswered), now);
    lanes.forget_idle(now + SECOND * 599);
    assert_eq!(lanes.accounts().len(), 1);
    lanes.forget_idle(now + SECOND * 600);
    assert!(lanes.accounts().is_empty());
}

proptest! {
    #[test]
    fn accounts_that_may_hang_never_stop_one_that_answers_and_nothing_waits_for_ever(
        moves in proptest::collection::vec((0usize..5, 0usize..4), 1..150),
    ) {
        let mut now = Instant::now();
        let mut lanes = Lanes::new(EIGHT);
        let (mut under_way, mut waiting): (Vec<Pack<u32>>, u32) = (Vec::new(), 0);
        for (account, what) in moves {
            match what {
                0 | 1 => {
                    lanes.join(ticket(&format!("a{account}"), "x", 1, 1, now), 1, QueuePosition::Back);
                    waiting += 1;
                }
                _ if under_way.is_empty() => {}
                what => {
                    let pack = under_way.remove(account % under_way.len());
                    let end = if what == 2 { RequestOutcome::Created } else { RequestOutcome::Unanswered };
                    lanes.finished(&pack.account, &pack.tenant, &ended(end), now);
                }
            }
            while let Some(pack) = lanes.next(now) {
                under_way.push(pack);
                waiting -= 1;
            }
            prop_assert!(under_way.len() <= 8);
            now += SECOND;
        }
        // Everything ends, and everything that waits is started.
        while !under_way.is_empty() {
            let pack = under_way.remove(0);
            lanes.finished(&pack.account, &pack.tenant, &ended(RequestOutcome::Unanswered), now);
            while let Some(pack) = lanes.next(now) {
                under_way.push(pack);
                waiting -= 1;
            }
        }
        prop_assert_eq!(waiting, 0);
        lanes.join(ticket("new", "y", 1, 1, now), 1, QueuePosition::Back);
        prop_assert!(lanes.next(now).is_some());
    }
}

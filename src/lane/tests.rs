//! Tests that lanes keep turns, order and limits in any sequence of events.

mod halving;
mod hanging;
mod room;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::*;
use crate::batch::TenantId;

const SECOND: Duration = Duration::from_secs(1);
const LIMITS: Limits =
    Limits { max_cases: 10, max_bytes: 1_000, pack: true, concurrency: 2, in_flight: 8, pausing: 10, memory: 100_000 };
const ONE_BY_ONE: Limits = Limits { pack: false, ..LIMITS };

fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

fn ticket(account: &str, name: &str, cases: usize, at: i64, since: Instant) -> Ticket {
    Ticket {
        account: account.into(),
        tenant: tenant(name),
        version: "v1".into(),
        work: Work::Cases(vec![10; cases]),
        apart: None,
        class: QueueClass::First,
        arrived_at: at,
        since,
        in_window: true,
        bytes: 100,
    }
}

/// Returns lanes in which each of these entries waits: account, tenant, entry.
fn lanes(limits: Limits, entries: &[(&str, &str, u32)], now: Instant) -> Lanes<u32> {
    let mut lanes = Lanes::new(limits);
    for (account, name, entry) in entries {
        lanes.join(ticket(account, name, 1, i64::from(*entry), now), *entry, QueuePosition::Back);
    }
    lanes
}

fn entries(pack: &Pack<u32>) -> Vec<u32> {
    pack.parts.iter().map(|(entry, _)| *entry).collect()
}

fn created(cases: usize) -> Report {
    let push = RequestReport { cases, took: SECOND / 20, end: RequestOutcome::Created };
    Report { requests: 1, push: Some(push) }
}

/// Returns all entries that start one after the other, where each ends before the next starts.
fn in_turn(lanes: &mut Lanes<u32>, now: Instant) -> Vec<Vec<u32>> {
    std::iter::from_fn(|| {
        let pack = lanes.next(now)?;
        lanes.finished(&pack.account, &pack.tenant, &created(pack.parts.len()), now);
        Some(entries(&pack))
    })
    .collect()
}

#[test]
fn tenants_of_an_account_take_turns_and_each_keeps_its_order() {
    let now = Instant::now();
    let mut lanes =
        lanes(ONE_BY_ONE, &[("a", "x", 1), ("a", "x", 2), ("a", "x", 3), ("a", "y", 10), ("a", "y", 11)], now);
    assert_eq!(in_turn(&mut lanes, now), [[1], [10], [2], [11], [3]]);
}

#[test]
fn an_entry_that_goes_apart_has_a_request_of_its_own_with_so_many_of_its_cases() {
    let now = Instant::now();
    let mut lanes = lanes(LIMITS, &[("a", "x", 1)], now);
    lanes.join(Ticket { apart: Some(3), ..ticket("a", "x", 5, 2, now) }, 2, QueuePosition::Back);
    lanes.join(ticket("a", "x", 1, 3, now), 3, QueuePosition::Back);
    let mut started = Vec::new();
    while let Some(pack) = lanes.next(now) {
        started.push(pack.parts.clone());
        lanes.finished(&pack.account, &pack.tenant, &created(1), now);
    }
    assert_eq!(started, [vec![(1, 1), (3, 1)], vec![(2, 3)]]);
    assert!(lanes.view(now).iter().all(|lane| lane.tenants.iter().all(|tenant| tenant.cases == 0)));
}

#[test]
fn accounts_take_turns() {
    let now = Instant::now();
    let mut lanes = lanes(ONE_BY_ONE, &[("a", "x", 1), ("a", "x", 2), ("b", "y", 10), ("b", "y", 11)], now);
    assert_eq!(in_turn(&mut lanes, now), [[1], [10], [2], [11]]);
}

#[test]
fn a_tenant_whose_work_took_several_requests_leaves_as_many_turns_to_the_others() {
    let now = Instant::now();
    let mut all: Vec<(&str, &str, u32)> = (0..9).map(|n| ("a", "x", n)).collect();
    all.extend((10..19).map(|n| ("a", "y", n)));
    let mut lanes = lanes(ONE_BY_ONE, &all, now);
    let first = lanes.next(now).unwrap();
    assert_eq!(entries(&first), [0]);
    lanes.finished(&first.account, &first.tenant, &Report { requests: 4, push: None }, now);
    let turns: Vec<u32> = in_turn(&mut lanes, now).into_iter().flatten().take(6).collect();
    assert_eq!(turns, [10, 11, 12, 13, 1, 14]);
}

#[test]
fn what_waits_while_a_request_is_under_way_goes_together_with_the_next_one() {
    let now = Instant::now();
    let mut lanes = lanes(LIMITS, &[("a", "x", 1)], now);
    let first = lanes.next(now).unwrap();
    assert_eq!(entries(&first), [1]);
    for entry in 2..5 {
        lanes.join(ticket("a", "x", 1, entry, now), u32::try_from(entry).unwrap(), QueuePosition::Back);
    }
    assert!(lanes.next(now).is_none(), "it waits for company");
    assert!(lanes.wake_at().is_some_and(|at| at > now && at <= now + SECOND), "but not for long");
    lanes.finished(&first.account, &first.tenant, &created(1), now);
    assert_eq!(entries(&lanes.next(now).unwrap()), [2, 3, 4]);
}

#[test]
fn a_full_request_waits_for_nothing_and_a_large_batch_goes_in_several() {
    let now = Instant::now();
    let mut lanes = Lanes::new(LIMITS);
    lanes.join(ticket("a", "x", 4, 1, now), 1, QueuePosition::Back);
    lanes.join(ticket("a", "x", 12, 2, now), 2, QueuePosition::Back);
    lanes.join(ticket("a", "x", 1, 3, now), 3, QueuePosition::Back);
    let pack = lanes.next(now).unwrap();
    assert_eq!(pack.parts, [(1, 4), (2, 6)]);
    lanes.join(ticket("a", "x", 6, 2, now), 2, QueuePosition::Front);
    lanes.join(ticket("a", "x", 9, 4, now), 4, QueuePosition::Back);
    assert_eq!(lanes.next(now).unwrap().parts, [(2, 6), (3, 1), (4, 3)]);
}

#[test]
fn connections_are_never_mixed_and_what_goes_alone_holds_nobody_up() {
    let now = Instant::now();
    let mut lanes = Lanes::new(LIMITS);
    let other = |at| Ticket { version: "v2".into(), ..ticket("a", "x", 1, at, now) };
    let alone = |at| Ticket { work: Work::Alone, ..ticket("a", "x", 1, at, now) };
    for (ticket, entry) in
        [(ticket("a", "x", 1, 1, now), 1), (alone(2), 2), (other(3), 3), (ticket("a", "x", 1, 4, now), 4)]
    {
        lanes.join(ticket, entry, QueuePosition::Back);
    }
    assert_eq!(in_turn(&mut lanes, now), [vec![1, 4], vec![2], vec![3]]);
}

#[test]
fn first_tries_go_by_arrival_and_what_is_tried_again_gets_a_turn_in_ten() {
    let now = Instant::now();
    let mut lanes = Lanes::new(ONE_BY_ONE);
    for entry in (0..20).rev() {
        lanes.join(ticket("a", "x", 1, i64::from(entry), now), entry, QueuePosition::Back);
    }
    for entry in [100, 101, 102] {
        let again = Ticket { class: QueueClass::Again, ..ticket("a", "x", 1, 0, now) };
        lanes.join(again, entry, QueuePosition::Back);
    }
    let order: Vec<u32> = in_turn(&mut lanes, now).into_iter().flatten().collect();
    let expected: Vec<u32> = (0..9).chain([100]).chain(9..18).chain([101]).chain([18, 19, 102]).collect();
    assert_eq!(order, expected);
}

#[test]
fn no_more_is_under_way_than_the_account_the_worker_and_the_shared_limit_bear() {
    let now = Instant::now();
    let all: Vec<(&str, &str, u32)> =
        ["a", "b", "c", "d", "e"].into_iter().flat_map(|account| (0..6).map(move |n| (account, "x", n))).collect();
    let mut full = lanes(ONE_BY_ONE, &all, now);
    // Each account has answered before.
    for _ in 0..5 {
        let pack = full.next(now).unwrap();
        full.finished(&pack.account, &pack.tenant, &created(1), now);
    }
    let started: Vec<Pack<u32>> = std::iter::from_fn(|| full.next(now)).collect();
    assert_eq!(started.len(), 8);
    assert!(["a", "b", "c", "d"].iter().all(|a| started.iter().filter(|pack| *pack.account == **a).count() <= 2));
    assert_eq!(full.wake_at(), None);
    let mut lowered = lanes(ONE_BY_ONE, &[("a", "x", 1), ("a", "x", 2)], now);
    lowered.set_limit(&"a".into(), 1);
    assert_eq!(std::iter::from_fn(|| lowered.next(now)).count(), 1);
}

#[test]
fn nothing_starts_while_an_account_backs_off_and_others_go_on() {
    let now = Instant::now();
    let mut lanes = lanes(LIMITS, &[("a", "x", 1), ("b", "y", 2)], now);
    lanes.back_off(&"a".into(), now + SECOND * 60, now);
    lanes.back_off(&"a".into(), now + SECOND * 30, now);
    assert_eq!(in_turn(&mut lanes, now), [[2]]);
    assert_eq!(lanes.wake_at(), Some(now + SECOND * 60));
    assert_eq!(in_turn(&mut lanes, now + SECOND * 60), [[1]]);
}

#[test]
fn a_pause_that_is_over_early_ends_unless_it_was_set_again_meanwhile() {
    let now = Instant::now();
    let mut lanes = lanes(LIMITS, &[("a", "x", 1), ("b", "x", 2)], now);
    let account: Arc<str> = "a".into();
    lanes.back_off(&account, now + SECOND * 300, now);
    assert_eq!((in_turn(&mut lanes, now), lanes.backing_off(now)), (vec![vec![2]], vec![account.clone()]));
    assert!(!lanes.reopen(&account, now), "what was known before the pause");
    assert!(in_turn(&mut lanes, now).is_empty());
    assert!(lanes.reopen(&account, now + SECOND));
    assert_eq!((in_turn(&mut lanes, now + SECOND), lanes.backing_off(now)), (vec![vec![1]], vec![]));
}

#[test]
fn what_waits_for_a_time_starts_then() {
    let now = Instant::now();
    let mut lanes: Lanes<u32> = Lanes::new(ONE_BY_ONE);
    lanes.join(ticket("a", "x", 1, 2, now), 2, QueuePosition::NotBefore(now + SECOND * 2));
    lanes.join(ticket("a", "x", 1, 1, now), 1, QueuePosition::NotBefore(now + SECOND));
    assert!(lanes.next(now).is_none());
    assert_eq!(lanes.wake_at(), Some(now + SECOND));
    assert_eq!(in_turn(&mut lanes, now + SECOND * 3), [[1], [2]]);
}

#[test]
fn a_lane_that_cannot_send_soon_keeps_nothing_in_the_window_and_one_that_can_keeps_its_share() {
    let now = Instant::now();
    let account: Arc<str> = "a".into();
    // 2 requests at once of 0.2 s each: 20 requests of 10 cases can be sent soon.
    let mut lanes = Lanes::new(LIMITS);
    for entry in 0..50 {
        lanes.join(ticket("a", "x", 10, i64::from(entry), now), entry, QueuePosition::Back);
    }
    let leased = Ticket { in_window: false, ..ticket("a", "x", 10, 99, now) };
    lanes.join(leased, 99, QueuePosition::Back);
    let surplus: Vec<u32> = lanes.surplus(&account, now).into_iter().map(|(entry, _)| entry).collect();
    assert_eq!(surplus, (20..50).collect::<Vec<u32>>());
    lanes.back_off(&account, now + SECOND * 60, now);
    let surplus = lanes.surplus(&account, now);
    assert_eq!(surplus.len(), 20);
    assert!(surplus.iter().all(|(_, wait)| *wait == SECOND * 60));
    assert_eq!(lanes.room("a", &tenant("x"), now), 0);
    assert!(lanes.room("b", &tenant("x"), now) > 0);
}

#[test]
fn what_waits_too_long_is_taken_out_and_idle_lanes_are_forgotten() {
    let now = Instant::now();
    let mut lanes = lanes(LIMITS, &[("a", "x", 1)], now);
    lanes.join(ticket("a", "x", 1, 2, now + SECOND * 60), 2, QueuePosition::Back);
    lanes.back_off(&"a".into(), now + SECOND * 540, now);
    assert_eq!(lanes.overdue(now + SECOND * 90, SECOND * 60), [(1, SECOND * 450)]);
    assert_eq!(lanes.remove(now + SECOND * 90, |_| true), [(2, SECOND * 450)]);
    assert_eq!(lanes.bytes(), 0);
    lanes.forget_idle(now + SECOND * 90);
    assert_eq!(lanes.accounts().len(), 1, "its pause is remembered");
    lanes.forget_idle(now + SECOND * 540);
    assert!(lanes.accounts().is_empty());
}

#[derive(Clone, Debug)]
enum Move {
    Join { tenant: usize, cases: usize, version: bool, again: bool },
    Start,
    Finish,
}

fn any_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        3 => (0usize..4, 1usize..25, any::<bool>(), any::<bool>())
            .prop_map(|(tenant, cases, version, again)| Move::Join { tenant, cases, version, again }),
        2 => Just(Move::Start),
        1 => Just(Move::Finish),
    ]
}

/// An entry of the model: its tenant, its version, and the numbers of the cases that it still has to send.
#[derive(Clone, Debug, PartialEq)]
struct Model {
    tenant: usize,
    version: bool,
    again: bool,
    at: i64,
    cases: Vec<usize>,
}

impl Model {
    fn ticket(&self, now: Instant) -> Ticket {
        Ticket {
            version: if self.version { "v1" } else { "v2" }.into(),
            class: if self.again { QueueClass::Again } else { QueueClass::First },
            ..ticket("a", &format!("t{}", self.tenant), self.cases.len(), self.at, now)
        }
    }
}

proptest! {
    #[test]
    fn packing_keeps_order_and_limits_and_never_mixes_connections(moves in proptest::collection::vec(any_move(), 1..80)) {
        let now = Instant::now();
        let mut lanes: Lanes<Model> = Lanes::new(LIMITS);
        let (mut under_way, mut sent): (Vec<Pack<Model>>, BTreeMap<i64, Vec<usize>>) = (vec![], BTreeMap::new());
        let mut joined: BTreeMap<i64, usize> = BTreeMap::new();
        let mut at = 0;
        // In the end all work is carried out.
        let rest = std::iter::repeat_n([Move::Start, Move::Finish], 400).flatten();
        for step in moves.into_iter().chain(rest) {
            match step {
                Move::Join { tenant, cases, version, again } => {
                    at += 1;
                    joined.insert(at, cases);
                    let entry = Model { tenant, version, again, at, cases: (0..cases).collect() };
                    lanes.join(entry.ticket(now), entry, QueuePosition::Back);
                }
                Move::Start => if let Some(pack) = lanes.next(now) {
                    let cases: usize = pack.parts.iter().map(|(_, count)| count).sum();
                    prop_assert!((1..=10).contains(&cases));
                    let fits = pack.parts.iter().all(|(entry, count)| {
                        (1..=entry.cases.len()).contains(count) && entry.version == pack.parts[0].0.version
                            && pack.tenant == tenant(&format!("t{}", entry.tenant))
                    });
                    prop_assert!(fits);
                    // Only the last entry may go in part, so that the entries after it do not overtake it.
                    let whole = pack.parts.iter().rev().skip(1).all(|(entry, count)| *count == entry.cases.len());
                    prop_assert!(whole);
                    under_way.push(pack);
                    prop_assert!(under_way.len() <= 2);
                },
                Move::Finish => if !under_way.is_empty() {
                    let pack = under_way.remove(0);
                    let total = pack.parts.iter().map(|(_, count)| count).sum();
                    for (mut entry, count) in pack.parts {
                        sent.entry(entry.at).or_default().extend(entry.cases.drain(..count));
                        if !entry.cases.is_empty() {
                            lanes.join(entry.ticket(now), entry, QueuePosition::Front);
                        }
                    }
                    lanes.finished(&pack.account, &pack.tenant, &created(total), now);
                },
            }
        }
        prop_assert_eq!(lanes.bytes(), 0);
        for (at, cases) in joined {
            prop_assert_eq!(&sent[&at], &(0..cases).collect::<Vec<_>>());
        }
    }

    #[test]
    fn no_tenant_with_work_waits_more_than_its_share(
        batches in proptest::collection::vec(1u32..30, 2..8), requests in proptest::collection::vec(1u32..4, 200),
    ) {
        let now = Instant::now();
        let mut lanes: Lanes<u32> = Lanes::new(Limits { concurrency: 1, ..ONE_BY_ONE });
        for (tenant, count) in batches.iter().enumerate() {
            for n in 0..*count {
                lanes.join(ticket("a", &format!("t{tenant}"), 1, i64::from(n), now), n, QueuePosition::Back);
            }
        }
        let (mut used, mut left): (BTreeMap<TenantId, u32>, u32) = (BTreeMap::new(), batches.iter().sum());
        let mut waiting: BTreeMap<TenantId, u32> =
            batches.iter().enumerate().map(|(n, count)| (tenant(&format!("t{n}")), *count)).collect();
        for cost in requests {
            let Some(pack) = lanes.next(now) else { break };
            lanes.finished(&pack.account, &pack.tenant, &Report { requests: cost, push: None }, now);
            *used.entry(pack.tenant.clone()).or_default() += cost;
            *waiting.get_mut(&pack.tenant).unwrap() -= 1;
            left -= 1;
            // While two tenants have work, neither is ahead of the other by more than the cost of one turn.
            let busy: Vec<u32> = waiting.iter().filter(|(_, left)| **left > 0)
                .map(|(tenant, _)| used.get(tenant).copied().unwrap_or(0)).collect();
            if let (Some(least), Some(most)) = (busy.iter().min(), busy.iter().max()) {
                prop_assert!(most - least <= 4, "{:?}", busy);
            }
        }
        prop_assert!(left == 0 || lanes.next(now).is_some());
    }
}

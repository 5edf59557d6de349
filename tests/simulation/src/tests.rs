mod bugs;
mod generations;
mod replays;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

use testmo_courier::batch::Reason;
use testmo_courier::batch::generation::Dropped;
use testmo_courier::store::accounts::{LaneOverride, LaneSelector};

use crate::batches::{BatchPlan, CaseFate, CasePlan};
use crate::plan::{Action, Kind, Limits, Plan, TenantPlan};
use crate::weather::Rates;
use crate::{Mutation, Outcome, run, simulate};

/// What happened in many plans.
struct Totals {
    /// The violations by seed.
    failed: BTreeMap<u64, Vec<String>>,
    /// How many requests carried cases of several batches.
    packs: usize,
    /// How many entries replays have started.
    replayed: usize,
}

/// Runs plans of a family on all cores, until `most` have failed or no seed is left.
fn run_all(
    simulate: fn(u64, Option<Mutation>, bool) -> Outcome,
    seeds: std::ops::Range<u64>,
    mutation: Option<Mutation>,
    most: usize,
) -> Totals {
    let (next, failed) = (AtomicU64::new(seeds.start), std::sync::Mutex::new(BTreeMap::new()));
    let (packs, replayed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let job = || {
        while crate::diary::lock(&failed).len() < most {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let outcome = simulate(seed, mutation, false);
            packs.fetch_add(outcome.packs, Ordering::Relaxed);
            replayed.fetch_add(outcome.replayed, Ordering::Relaxed);
            if !outcome.broken.is_empty() {
                crate::diary::lock(&failed).insert(seed, outcome.broken);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..available_parallelism().map_or(1, usize::from) {
            scope.spawn(job);
        }
    });
    let failed = failed.into_inner().expect("what failed");
    Totals { failed, packs: packs.into_inner(), replayed: replayed.into_inner() }
}

#[test]
fn two_thousand_plans_lose_nothing_and_make_nothing_twice() {
    let Totals { failed, packs, replayed } = run_all(simulate, 1..2_001, None, 3);
    let again: Vec<String> = failed.keys().map(|seed| format!("make simulate FROM={seed} PLANS=1")).collect();
    assert!(failed.is_empty(), "{failed:#?}\nagain: {again:?}");
    assert!(packs > 500, "only {packs} requests carried cases of several batches");
    assert!(replayed > 500, "only {replayed} entries were started by replays");
}

#[test]
fn the_same_seed_runs_the_same_way() {
    for seed in 1..25 {
        let (first, again) = (simulate(seed, None, true), simulate(seed, None, true));
        let differ = first.timeline.iter().zip(&again.timeline).find(|(a, b)| a != b);
        assert_eq!(differ, None, "seed {seed}");
        assert_eq!(first.timeline.len(), again.timeline.len(), "seed {seed}");
    }
}

/// Returns a plan without faults, for tests to add some.
fn calm() -> Plan {
    let tenant = TenantPlan {
        name: "t0".into(),
        account: "north",
        folder: 1,
        batch_tag: true,
        connected: true,
        dropped: Dropped::Leave,
    };
    Plan {
        seed: 1,
        kind: Kind::Usual,
        mutation: None,
        replicas: 1,
        tenants: vec![tenant],
        batches: Vec::new(),
        broken: Vec::new(),
        actions: Vec::new(),
        rates: Rates::default(),
        limits: Limits {
            max_cases: 10,
            concurrency: 2,
            account_limit: 4,
            pack: true,
            prefetch: 5,
            tries: 3,
            longest_wait: ms(30_000),
        },
        roams: false,
        healed: ms(10_000),
    }
}

fn batch(id: &str, at: u64) -> BatchPlan {
    let case = CasePlan { name: format!("case of {id}"), fate: CaseFate::Taken, path: None };
    let (cases, path) = (vec![case], Vec::new());
    BatchPlan { tenant: 0, id: id.into(), cases, path, at: vec![ms(at)], after: None, astray: false }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_tenant_that_enters_another_key_lets_no_worker_run_in_circles() {
    let batches = vec![batch("b1", 100), batch("b2", 700)];
    let actions = vec![(ms(600), Action::Renew { tenant: 0 })];
    let outcome = run::run(&Plan { batches, actions, ..calm() }, true);
    assert!(outcome.broken.is_empty(), "{:#?}", outcome.broken);
    let refused = outcome.timeline.iter().filter(|line| line.contains("ConnectionChanged")).count();
    assert_eq!(refused, 1, "{:#?}", outcome.timeline);
}

/// Returns a batch of two cases, of which Testmo accepts the first.
fn partly_refused(id: &str, at: &[u64]) -> BatchPlan {
    let case = |name: String, fate| CasePlan { name, fate, path: None };
    let refused = format!("refused {}", "x".repeat(512));
    let cases = vec![case(format!("case of {id}"), CaseFate::Taken), case(refused, CaseFate::Refused)];
    BatchPlan { cases, at: at.iter().copied().map(ms).collect(), ..batch(id, 0) }
}

#[test]
fn a_copy_that_has_to_wait_does_not_take_the_refused_case_off_the_shelf() {
    for wait in [Action::Answer { account: "north", status: Some(429) }, Action::Revoke { tenant: 0 }] {
        // The worker learns of the failure from the second batch, so that the copy of the first batch must wait.
        let batches = vec![partly_refused("b1", &[0, 3_000]), batch("b2", 2_500)];
        let actions = vec![(ms(2_000), wait.clone())];
        let outcome = run::run(&Plan { batches, actions, ..calm() }, true);
        assert!(outcome.broken.is_empty(), "{wait:?}: {:#?}\n{:#?}", outcome.broken, outcome.timeline);
        let events = outcome
            .timeline
            .iter()
            .filter(|line| line.contains("event com.sqai-suite.testmo.batch.partially_delivered"));
        assert_eq!(events.count(), 2, "{wait:?}: the publisher of the copy gets its outcome, too");
    }
}

#[test]
fn a_batch_that_is_leased_before_its_worker_knows_that_it_was_shelved_is_not_lost() {
    let reach = |reachable| Action::Reach { account: "north", reachable };
    let lag = |time| Action::Lag { time: ms(time) };
    let actions = vec![(ms(0), reach(false)), (ms(0), lag(5_000)), (ms(9_000), lag(0)), (ms(9_000), reach(true))];
    let limits = Limits { tries: 1, ..calm().limits };
    let batches = vec![batch("b1", 100)];
    let outcome = run::run(&Plan { batches, actions, limits, ..calm() }, true);
    assert!(outcome.broken.is_empty(), "{:#?}\n{:#?}", outcome.broken, outcome.timeline);
}

#[test]
fn a_batch_that_is_shelved_over_a_pause_that_is_over_comes_back() {
    let lane = LaneSelector::Tenant("t0".parse().expect("a tenant"));
    let order = |paused| Action::Order(LaneOverride { lane: lane.clone(), paused, most: None });
    // The worker reads orders every three seconds.
    let actions = vec![(ms(2_900), order(true)), (ms(3_100), order(false))];
    let batches = vec![batch("b1", 3_500)];
    let outcome = run::run(&Plan { batches, actions, ..calm() }, true);
    assert!(outcome.broken.is_empty(), "{:#?}\n{:#?}", outcome.broken, outcome.timeline);
    assert!(outcome.timeline.iter().any(|line| line.contains("as paused")), "{:#?}", outcome.timeline);
}

#[test]
fn a_request_that_failed_is_told_from_one_that_created_cases_of_the_same_batch_before() {
    let case = |n| CasePlan { name: format!("case {n}"), fate: CaseFate::Taken, path: None };
    let batches = vec![BatchPlan { cases: (0..40).map(case).collect(), ..batch("b1", 0) }];
    let answer = |status| Action::Answer { account: "north", status };
    // By then, some of its requests have ended, and others have not.
    let actions = vec![(ms(1_000), answer(Some(503))), (ms(4_000), answer(None))];
    let limits = Limits { max_cases: 1, tries: 9, ..calm().limits };
    let outcome = run::run(&Plan { batches, actions, limits, ..calm() }, true);
    assert!(outcome.broken.is_empty(), "{:#?}\n{:#?}", outcome.broken, outcome.timeline);
    assert!(outcome.timeline.iter().any(|line| line.contains("ended with 503")), "{:#?}", outcome.timeline);
}

#[test]
fn many_batches_of_one_tenant_share_requests_and_of_two_in_conflict_one_arrives() {
    let many = (0..12).map(|n| batch(&format!("b{n}"), 0));
    let case = CasePlan { name: "in conflict".into(), fate: CaseFate::Taken, path: None };
    let batches = many.chain([BatchPlan { cases: vec![case], ..batch("b3", 0) }]).collect();
    let limits = Limits { prefetch: 20, ..calm().limits };
    let outcome = run::run(&Plan { batches, limits, ..calm() }, true);
    assert!(outcome.broken.is_empty(), "{:#?}\n{:#?}", outcome.broken, outcome.timeline);
    assert!(outcome.packs > 0 && outcome.pushes < 12, "{:#?}", outcome.timeline);
}

#[test]
fn a_tenant_whose_connection_is_entered_late_lets_no_worker_run_in_circles() {
    let tenant = TenantPlan { connected: false, ..calm().tenants.remove(0) };
    let batches = (0..4).map(|n| batch(&format!("b{n}"), 2_900)).collect();
    // The worker still remembers that the connection was missing when it polls the shelf, every three seconds.
    let actions = vec![(ms(2_950), Action::Renew { tenant: 0 })];
    let outcome = run::run(&Plan { tenants: vec![tenant], batches, actions, ..calm() }, true);
    assert!(outcome.broken.is_empty(), "{:#?}\n{:#?}", outcome.broken, outcome.timeline);
    let parked = |batch: &str| {
        let is_told = |line: &&String| line.contains("as unknown_tenant") && line.contains(&format!("{batch:?}"));
        outcome.timeline.iter().filter(is_told).count()
    };
    let parked = ["b0", "b1", "b2", "b3"].map(parked);
    assert!(parked.iter().all(|times| *times <= 1) && parked.contains(&1), "{parked:?} {:#?}", outcome.timeline);
}

/// Returns the position of the first line that contains both texts.
fn place_of(timeline: &[String], texts: [&str; 2]) -> usize {
    let place = timeline.iter().position(|line| texts.iter().all(|text| line.contains(text)));
    place.unwrap_or_else(|| panic!("{texts:?} are not in {timeline:#?}"))
}

#[test]
fn a_flood_of_an_unknown_tenant_holds_nobody_up() {
    let unknown = TenantPlan { connected: false, ..calm().tenants.remove(0) };
    let known = TenantPlan { name: "t1".into(), account: "south", ..calm().tenants.remove(0) };
    let flood = (0..120).map(|n| batch(&format!("b{n}"), 100));
    let batches = flood.chain([BatchPlan { tenant: 1, ..batch("good", 100) }]).collect();
    // Every commit takes long.
    let actions = vec![(ms(10), Action::Lag { time: ms(500) })];
    let limits = Limits { prefetch: 200, ..calm().limits };
    let rates = Rates { store_takes: Some(ms(10)), ..Rates::default() };
    let plan = Plan { tenants: vec![unknown, known], batches, actions, rates, limits, healed: ms(90_000), ..calm() };
    let outcome = run::run(&plan, true);
    assert!(outcome.broken.is_empty(), "{:#?}", outcome.broken);
    let seconds = second_of(&outcome.timeline, ["t1/good", " delivered"]);
    assert!(seconds < 5.0, "{:#?}", outcome.timeline);
}

/// Returns the second of the run in which the first line with both texts was written.
fn second_of(timeline: &[String], texts: [&str; 2]) -> f64 {
    let line = &timeline[place_of(timeline, texts)];
    line.split_whitespace().next().and_then(|time| time.parse().ok()).expect("a time")
}

fn suspect(body: Vec<u8>) -> Action {
    Action::Shelve { tenant: None, reason: Reason::Suspect, body }
}

#[test]
fn suspects_of_an_account_that_hangs_do_not_hold_up_the_suspect_of_another_tenant() {
    let hanging = calm().tenants.remove(0);
    let other = TenantPlan { name: "t1".into(), account: "south", ..hanging.clone() };
    let tenants = vec![hanging, other];
    // Copies arrive once all is over, so that the batches are known to the checks.
    let mut batches: Vec<BatchPlan> = (0..8).map(|n| batch(&format!("b{n}"), 170_000)).collect();
    batches.push(BatchPlan { tenant: 1, ..batch("good", 170_000) });
    let hang = (ms(0), Action::Hang { account: "north", hangs: true });
    let suspects = batches.iter().zip(1..).map(|(batch, n)| (ms(n), suspect(batch.body(&tenants))));
    let actions = [hang].into_iter().chain(suspects).collect();
    let plan = Plan { tenants, batches, actions, healed: ms(180_000), ..calm() };
    let outcome = run::run(&plan, true);
    assert!(outcome.broken.is_empty(), "{:#?}\n{:#?}", outcome.broken, outcome.timeline);
    // The first suspect fails three times; then the others are not even begun.
    let seconds = second_of(&outcome.timeline, ["t1/good", " delivered"]);
    assert!(seconds < 45.0, "{seconds} s: {:#?}", outcome.timeline);
}

#[test]
fn a_suspect_whose_lane_is_paused_does_not_hold_up_the_suspect_of_another_tenant() {
    let paused = calm().tenants.remove(0);
    let other = TenantPlan { name: "t1".into(), account: "south", ..paused.clone() };
    let tenants = vec![paused, other];
    let batches = vec![batch("b0", 100), batch("b1", 170_000), BatchPlan { tenant: 1, ..batch("good", 170_000) }];
    let suspect_at = |at, n: usize| (ms(at), suspect(batches[n].body(&tenants)));
    // Testmo asks the first batch for pauses; the suspect of the same account arrives meanwhile.
    let answer = Action::Answer { account: "north", status: Some(429) };
    let actions = vec![(ms(0), answer), suspect_at(2_000, 1), suspect_at(2_001, 2)];
    let plan = Plan { tenants, batches, actions, healed: ms(180_000), ..calm() };
    let outcome = run::run(&plan, true);
    assert!(outcome.broken.is_empty(), "{:#?}\n{:#?}", outcome.broken, outcome.timeline);
    let seconds = second_of(&outcome.timeline, ["t1/good", " delivered"]);
    assert!(seconds < 40.0, "{seconds} s: {:#?}", outcome.timeline);
}

#[test]
fn suspects_and_what_people_set_are_polled_while_a_backlog_is_taken_off_the_shelf() {
    let unknown = TenantPlan { connected: false, ..calm().tenants.remove(0) };
    let paused = TenantPlan { name: "t1".into(), account: "south", connected: true, ..unknown.clone() };
    let tenants = vec![unknown, paused];
    // Copies arrive at the end, so that the batches are known to the checks.
    let mut batches: Vec<BatchPlan> = (0..200).map(|n| batch(&format!("b{n}"), 60_000)).collect();
    let backlog = |batch: &BatchPlan| {
        let (tenant, body) = (Some("t0".parse().expect("a tenant")), batch.body(&tenants));
        (ms(500), Action::Shelve { tenant, reason: Reason::NoRoom, body })
    };
    // Each batch of the backlog goes back to the shelf, and every commit takes long: all of that takes 40 seconds.
    let mut actions = vec![(ms(0), Action::Lag { time: ms(3_000) })];
    actions.extend(batches.iter().map(backlog));
    batches.push(batch("suspect", 60_000));
    actions.push((ms(3_500), suspect(batches[200].body(&tenants))));
    let lane = LaneSelector::Tenant("t1".parse().expect("a tenant"));
    actions.push((ms(3_500), Action::Order(LaneOverride { lane, paused: true, most: None })));
    batches.push(BatchPlan { tenant: 1, ..batch("late", 6_500) });
    actions.push((ms(40_000), Action::Lag { time: ms(0) }));
    let limits = Limits { prefetch: 200, ..calm().limits };
    let rates = Rates { store_takes: Some(ms(10)), ..Rates::default() };
    let outcome = run::run(&Plan { tenants, batches, actions, rates, limits, healed: ms(90_000), ..calm() }, true);
    assert!(outcome.broken.is_empty(), "{:#?}\n{:#?}", outcome.broken, outcome.timeline);
    for texts in [["\"suspect\"", "as unknown_tenant"], ["\"late\"", "as paused"]] {
        let seconds = second_of(&outcome.timeline, texts);
        assert!(seconds < 8.0, "{texts:?} after {seconds} s: {:#?}", outcome.timeline);
    }
    // A claim would find the pause, too, but only after the batch has had its turn.
    let claimed = outcome.timeline.iter().find(|line| line.contains("claim t1/late") && line.contains("Paused"));
    assert_eq!(claimed, None);
}

#[test]
fn a_verification_goes_on_soon_although_the_store_was_away_in_the_middle_of_it() {
    let answer = |status| Action::Answer { account: "north", status };
    let actions = vec![
        (ms(0), answer(Some(403))),
        (ms(10_000), answer(None)),
        // The verification is due after 5 minutes; its first request is under way now.
        (ms(304_500), Action::Store { up: false }),
        (ms(320_000), Action::Store { up: true }),
    ];
    let rates = Rates { slow: 100, ..Rates::default() };
    let plan = Plan { batches: vec![batch("b1", 100)], actions, rates, healed: ms(500_000), ..calm() };
    let outcome = run::run(&plan, true);
    assert!(outcome.broken.is_empty(), "{:#?}\n{:#?}", outcome.broken, outcome.timeline);
    let seconds = second_of(&outcome.timeline, ["t0/b1", " delivered"]);
    assert!(seconds < 350.0, "{seconds} s: {:#?}", outcome.timeline);
}

/// Runs a plan in many weathers, each drawn from another seed.
fn holds_in_any_weather(plan: &Plan, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let outcome = run::run(&Plan { seed, ..plan.clone() }, false);
        assert!(outcome.broken.is_empty(), "seed {seed} of {plan:#?}: {:#?}", outcome.broken);
    }
}

#[test]
fn a_folder_that_is_created_just_in_time_is_created_once_although_the_stores_clock_runs_ahead() {
    let batches =
        (0..3).map(|n| BatchPlan { path: vec!["Sprint".into()], ..batch(&format!("b{n}"), n * 900) }).collect();
    let actions = (3..9).map(|second| (ms(second * 1_000), Action::Jump { ms: 60_000 })).collect();
    let rates = Rates { create: 60, ..Rates::default() };
    let plan = Plan { replicas: 3, batches, actions, rates, healed: ms(20_000), ..calm() };
    holds_in_any_weather(&plan, 0..60);
}

/// Returns a plan in which Testmo often commits after the settle time.
fn late() -> Plan {
    let rates = Rates { create: 60, too_late: 50, ..Rates::default() };
    Plan { kind: Kind::Late, rates, healed: ms(40_000), ..calm() }
}

#[test]
fn late_rows_of_one_batch_are_not_taken_for_those_of_another() {
    let tenant = TenantPlan { batch_tag: false, ..calm().tenants.remove(0) };
    let case = |n| CasePlan { name: format!("case {n}"), fate: CaseFate::Taken, path: None };
    let first = BatchPlan { cases: (0..3).map(case).collect(), ..batch("b0", 0) };
    let echo = |n: usize| BatchPlan { id: format!("b{n}"), after: Some(n - 1), ..first.clone() };
    let batches = vec![first.clone(), echo(1), echo(2)];
    holds_in_any_weather(&Plan { tenants: vec![tenant], batches, ..late() }, 0..100);
}

#[test]
fn late_rows_of_a_batch_with_equal_names_are_told_and_never_adopted_and_nothing_is_lost_over_them() {
    let case = |n| CasePlan { name: format!("case {}", n % 3), fate: CaseFate::Taken, path: None };
    let batches = vec![BatchPlan { cases: (0..9).map(case).collect(), ..batch("b1", 0) }];
    for max_cases in [1, 2] {
        let limits = Limits { max_cases, ..calm().limits };
        holds_in_any_weather(&Plan { batches: batches.clone(), limits, ..late() }, 0..100);
    }
}

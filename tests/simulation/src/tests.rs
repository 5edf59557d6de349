use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

use crate::batches::{BatchPlan, CaseFate, CasePlan};
use crate::plan::{Action, Kind, Limits, Plan, TenantPlan};
use crate::weather::Rates;
use crate::{Mutation, run, simulate};

/// Runs plans on all cores, until one of them is `wanted` or there are no more; gives what was wrong with each.
fn run_all(seeds: std::ops::Range<u64>, mutation: Option<Mutation>, most: usize) -> BTreeMap<u64, Vec<String>> {
    let (next, failed) = (AtomicU64::new(seeds.start), std::sync::Mutex::new(BTreeMap::new()));
    let job = || {
        while crate::diary::lock(&failed).len() < most {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let outcome = simulate(seed, mutation, false);
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
    failed.into_inner().expect("what failed")
}

#[test]
fn two_thousand_plans_lose_nothing_and_make_nothing_twice() {
    let failed = run_all(1..2_001, None, 3);
    let again: Vec<String> = failed.keys().map(|seed| format!("make simulate FROM={seed} PLANS=1")).collect();
    assert!(failed.is_empty(), "{failed:#?}\nagain: {again:?}");
}

/// The test of the test: a simulation that notices nothing would prove nothing.
#[test]
fn every_known_bug_is_noticed() {
    for mutation in Mutation::ALL {
        let failed = run_all(1..501, Some(mutation), 1);
        assert!(!failed.is_empty(), "{mutation:?} went unnoticed");
    }
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

/// A plan in which nothing goes wrong, to be made one in which something does.
fn calm() -> Plan {
    let tenant = TenantPlan { name: "t0".into(), account: "north", folder: 1, mark: true, connected: true };
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
        healed: ms(10_000),
    }
}

fn batch(id: &str, at: u64) -> BatchPlan {
    let case = CasePlan { name: format!("case of {id}"), fate: CaseFate::Taken };
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

/// A batch of two cases, of which Testmo takes the first.
fn partly_refused(id: &str, at: &[u64]) -> BatchPlan {
    let case = |name: String, fate| CasePlan { name, fate };
    let refused = format!("refused {}", "x".repeat(512));
    let cases = vec![case(format!("case of {id}"), CaseFate::Taken), case(refused, CaseFate::Refused)];
    BatchPlan { cases, at: at.iter().copied().map(ms).collect(), ..batch(id, 0) }
}

#[test]
fn a_copy_that_has_to_wait_does_not_take_the_refused_case_off_the_shelf() {
    for wait in [Action::Answer { account: "north", status: Some(429) }, Action::Revoke { tenant: 0 }] {
        // The second batch learns what is the matter, so that the copy of the first one has to wait.
        let batches = vec![partly_refused("b1", &[0, 3_000]), batch("b2", 2_500)];
        let actions = vec![(ms(2_000), wait.clone())];
        let outcome = run::run(&Plan { batches, actions, ..calm() }, true);
        assert!(outcome.broken.is_empty(), "{wait:?}: {:#?}\n{:#?}", outcome.broken, outcome.timeline);
        let told = outcome
            .timeline
            .iter()
            .filter(|line| line.contains("event com.sqai-suite.testmo.batch.partially_delivered"));
        assert_eq!(told.count(), 2, "{wait:?}: whoever published the copy hears of it, too");
    }
}

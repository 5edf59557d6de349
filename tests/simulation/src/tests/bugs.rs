//! Checks the checks: a simulation that notices no bug would prove nothing.

use super::{Totals, batch, calm, ms, partly_refused, run_all};
use crate::batches::BatchPlan;
use crate::people::{Act, FIRST_PERSON, Limits, Selected};
use crate::plan::{Action, Plan, TenantPlan};
use crate::{Mutation, Outcome, run, simulate, simulate_generations, simulate_quiet};

#[test]
fn every_known_bug_is_noticed() {
    for mutation in Mutation::ALL {
        let family = if mutation == Mutation::IgnoreStops {
            // Whether a replay goes on in vain is known only where everything else is quiet.
            simulate_quiet
        } else if mutation == Mutation::AdoptHeld {
            // A batch knows its own cases without the ledger, and elsewhere no other batch has the same names.
            alike
        } else if mutation == Mutation::CountApart {
            // Elsewhere workers seldom end just then.
            killed_while_counting
        } else if [Mutation::ForgetWritten, Mutation::ShareSources].contains(&mutation) {
            simulate_generations
        } else {
            simulate
        };
        let failed = run_all(family, 1..2_001, Some(mutation), 1).failed;
        assert!(!failed.is_empty(), "{mutation:?} went unnoticed");
    }
}

/// Runs two batches with the same names and without a batch tag. The second is created while it is not known what became
/// of the first.
fn alike(seed: u64, mutation: Option<Mutation>, keeps_timeline: bool) -> Outcome {
    let tenant = TenantPlan { batch_tag: false, ..calm().tenants.remove(0) };
    let first = batch("b0", 100);
    let second = BatchPlan { id: "b1".into(), at: vec![ms(1_500)], ..first.clone() };
    let answer = |status| Action::Answer { account: "north", status };
    let actions = vec![(ms(0), answer(Some(503))), (ms(1_000), answer(None))];
    let plan = Plan { seed, mutation, tenants: vec![tenant], batches: vec![first, second], actions, ..calm() };
    run::run(&plan, keeps_timeline)
}

#[test]
fn a_batch_is_not_taken_for_an_equal_one_of_which_nothing_was_created() {
    let Totals { failed, .. } = run_all(alike, 1..21, None, 1);
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Replays batches, and kills the worker at one of the calls by which it starts them and counts their outcomes.
fn killed_while_counting(seed: u64, mutation: Option<Mutation>, keeps_timeline: bool) -> Outcome {
    let batches = (0..4).map(|n| partly_refused(&format!("b{n}"), &[0])).collect();
    let limits = Limits { unchanged_too: true, ..Limits::default() };
    let act = Act::Replay { selected: Selected::All, limits, starts_after: Some(ms(1_000)) };
    let crossings = u32::try_from(seed).unwrap_or(u32::MAX);
    let actions = vec![
        (ms(10_000), Action::Person { person: FIRST_PERSON, act }),
        (ms(11_000), Action::KillAfter { replica: 0, crossings }),
    ];
    let plan = Plan { seed, mutation, batches, actions, healed: ms(60_000), ..calm() };
    run::run(&plan, keeps_timeline)
}

#[test]
fn a_worker_that_is_killed_while_it_counts_outcomes_counts_each_once() {
    let Totals { failed, replayed, .. } = run_all(killed_while_counting, 1..201, None, 1);
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(replayed > 150, "only {replayed} entries were started");
}

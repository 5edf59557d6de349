//! Replays of quiet stores, and single plans in which people get in each other's way.

use testmo_courier::app::replays::ReplayAction;

use super::{batch, calm, ms, partly_refused};
use crate::people::{Act, FIRST_PERSON, Limits, Selected};
use crate::plan::{Action, Plan};
use crate::{Outcome, run, simulate_quiet};

/// Runs a plan with two refused batches on the shelf, in which people do something at given milliseconds.
fn with_people(acts: Vec<(u64, Act)>) -> (usize, Vec<String>) {
    let outcome = outcome_with_people(acts);
    (outcome.replayed, outcome.timeline)
}

fn outcome_with_people(acts: Vec<(u64, Act)>) -> Outcome {
    let batches = vec![partly_refused("b1", &[0]), batch("b2", 500)];
    let people = acts.into_iter().zip(FIRST_PERSON..);
    let actions = people.map(|((at, act), person)| (ms(at), Action::Person { person, act }));
    let outcome = run::run(&Plan { batches, actions: actions.collect(), healed: ms(60_000), ..calm() }, true);
    assert!(outcome.broken.is_empty(), "{:#?}\n{:#?}", outcome.broken, outcome.timeline);
    outcome
}

fn replay(starts_after: u64) -> Act {
    let limits = Limits { unchanged_too: true, ..Limits::default() };
    Act::Replay { selected: Selected::All, limits, starts_after: Some(ms(starts_after)) }
}

#[test]
fn a_replay_tries_again_what_is_on_the_shelf() {
    let (replayed, timeline) = with_people(vec![(10_000, replay(1_000))]);
    assert_eq!(replayed, 1, "{timeline:#?}");
}

#[test]
fn what_a_person_changed_since_the_plan_is_not_started() {
    for act in [Act::ReplayEntry { which: 0 }, Act::Discard { which: 0 }, Act::Correct { which: 0 }] {
        let (replayed, timeline) = with_people(vec![(10_000, replay(20_000)), (15_000, act)]);
        assert_eq!(replayed, 0, "{timeline:#?}");
    }
}

#[test]
fn what_was_discarded_and_restored_since_the_plan_is_not_started() {
    let acts = [Act::Discard { which: 0 }, Act::Restore { which: 0 }];
    let acts = acts.into_iter().zip([15_000, 16_000]).map(|(act, at)| (at, act));
    let (replayed, timeline) = with_people([(10_000, replay(20_000))].into_iter().chain(acts).collect());
    assert_eq!(replayed, 0, "{timeline:#?}");
    assert!(timeline.iter().any(|line| line.contains("RestoreEntry of entry") && line.contains("true")));
}

#[test]
fn what_a_person_corrects_is_delivered() {
    let cases = |acts| outcome_with_people(acts).cases;
    assert_eq!(cases(vec![(10_000, Act::Correct { which: 0 })]), cases(Vec::new()) + 1);
}

#[test]
fn of_two_replays_of_the_same_entry_one_starts_it() {
    let (replayed, timeline) = with_people(vec![(10_000, replay(20_000)), (12_000, replay(25_000))]);
    assert_eq!(replayed, 1, "{timeline:#?}");
}

#[test]
fn a_replay_that_was_cancelled_before_its_start_starts_nothing() {
    let cancel = Act::Change { which: 0, action: ReplayAction::Cancel };
    let (replayed, timeline) = with_people(vec![(10_000, replay(20_000)), (15_000, cancel)]);
    assert_eq!(replayed, 0, "{timeline:#?}");
}

#[test]
fn in_a_quiet_store_what_the_plan_says_is_what_happens() {
    let (mut planned, mut definite) = (0, 0);
    for seed in 1..151 {
        let outcome = simulate_quiet(seed, None, false);
        let again = format!("make simulate FROM={seed} QUIET=1 PLANS=0");
        assert!(outcome.broken.is_empty(), "{:#?}\nagain: {again}", outcome.broken);
        (planned, definite) = (planned + outcome.planned.0, definite + outcome.planned.1);
    }
    assert!(planned > 3_000 && definite * 100 >= planned * 95, "{definite} of {planned}");
}

//! Runs plans in which nothing fails and one person replays what is on the shelf: what the plan says has to happen.

mod draw;
mod fill;
mod outcome;

use std::sync::Arc;
use std::time::Duration;

use testmo_courier::app::replays::{Planned, ReplayAction};
use testmo_courier::app::shelf::{Selection, ShelfFilter};
use testmo_courier::store::replays::{ReplayId, ReplayState};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;

use self::draw::{QuietPlan, Trouble};
use crate::check::replays;
use crate::mutation::Mutation;
use crate::people::{FIRST_PERSON, Person};
use crate::replica::Order;
use crate::run::{Outcome, cases_in, counts, end, heal, in_paused_time, is_drained, replicas};
use crate::stage::Stage;

/// The longest time that a replay may run, whatever happens.
const LONGEST: Duration = Duration::from_secs(3_600);
/// How often it is read whether a replay has ended.
const STEP: Duration = Duration::from_millis(50);

/// Runs the quiet plan of a seed, with or without a known bug; records a time line if `keeps_timeline` is set.
pub fn simulate(seed: u64, mutation: Option<Mutation>, keeps_timeline: bool) -> Outcome {
    in_paused_time(carry_out(&QuietPlan::of(seed, mutation), keeps_timeline))
}

async fn carry_out(quiet: &QuietPlan, keeps_timeline: bool) -> Outcome {
    let stage = Arc::new(Stage::set(&quiet.plan, keeps_timeline));
    stage.diary.note(|| format!("{quiet:#?}"));
    let tasks = TaskTracker::new();
    let orders = replicas(&stage, quiet.plan.replicas, &tasks);
    sleep(Duration::from_secs(1)).await;
    fill::fill(&stage, quiet);
    let planned = replay(&stage, quiet).await;
    heal(&stage, &quiet.plan);
    if !is_drained(&stage, &quiet.plan, |_, _| false).await {
        stage.complain("it does not come to an end".into());
    }
    for order in &orders {
        if order.send(Order::End).is_err() {
            stage.complain("a replica takes no orders".into());
        }
    }
    let mut broken = end(&stage, &tasks).await;
    broken.extend(stage.store.at_once(|tables, _| replays::check(tables, &stage.broker.heard())));
    broken.extend(outcome::in_testmo(&stage, quiet));
    let (pushes, packs, replayed) = counts(&stage);
    let (timeline, simulated, cases) = (stage.diary.lines(), stage.diary.elapsed(), cases_in(&stage));
    let planned = planned.map(|planned| outcome::definite(&planned.summary)).unwrap_or_default();
    Outcome { broken, timeline, simulated, cases, pushes, packs, replayed, planned }
}

/// Plans a replay of everything, carries it out, and compares what happens with the plan.
async fn replay(stage: &Arc<Stage>, quiet: &QuietPlan) -> Option<Planned> {
    let person = Person::new(stage, FIRST_PERSON);
    let planned = person.plan(Selection::Matching(ShelfFilter::default()), quiet.limits).await;
    let Some(planned) = planned else {
        stage.complain("no replay can be planned".into());
        return None;
    };
    outcome::forecasts(stage, quiet, &planned).into_iter().for_each(|what| stage.complain(what));
    let began = Instant::now();
    person.change(planned.id, ReplayAction::Start).await;
    let ended = end_of(stage, planned.id).await;
    let took = began.elapsed();
    outcome::ends(stage, quiet, &planned, ended).into_iter().for_each(|what| stage.complain(what));
    if let Some(limit) = outcome::longest(quiet).filter(|limit| took > *limit) {
        stage.complain(format!("the replay took {took:?}, and was to take {limit:?} at most"));
    }
    if ended == ReplayState::Paused && quiet.resumes {
        resume(stage, quiet, &person, planned.id).await;
    }
    Some(planned)
}

/// Resumes a replay that stopped itself, once the trouble has ended.
async fn resume(stage: &Arc<Stage>, quiet: &QuietPlan, person: &Person, id: ReplayId) {
    if quiet.trouble != Trouble::None {
        heal(stage, &quiet.plan);
        // What the trouble left is retried, and connections are verified again.
        sleep(Duration::from_secs(600)).await;
    }
    let before = outcome::started(stage, id);
    person.change(id, ReplayAction::Resume).await;
    let ended = end_of(stage, id).await;
    outcome::ends_again(stage, quiet, id, ended, &before).into_iter().for_each(|what| stage.complain(what));
}

/// Waits until a replay no longer runs, and returns its state.
async fn end_of(stage: &Stage, id: ReplayId) -> ReplayState {
    let state = || stage.store.at_once(|tables, _| tables.replays.get(&id).map(|replay| replay.state));
    let ending = async {
        while state() == Some(ReplayState::Running) {
            sleep(STEP).await;
        }
    };
    if timeout(LONGEST, ending).await.is_err() {
        stage.complain(format!("replay {id} does not end"));
    }
    state().unwrap_or(ReplayState::Running)
}

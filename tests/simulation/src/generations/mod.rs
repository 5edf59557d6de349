//! Runs plans in which sources have several generations and people edit, move and delete cases, while everything else fails.

mod check;
mod draw;
mod edits;
mod overwritten;
mod take_back;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use testmo_courier::batch::BatchKey;
use testmo_courier::batch::ledger::BatchState;
use testmo_courier::store::shelf::ShelfState;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::TaskTracker;

use self::check::check;
use self::draw::GenerationPlan;
use self::edits::Edits;
use self::turns::{take_all_back, turn, waits};
use crate::broker::Queue;
use crate::mutation::Mutation;
use crate::plan::ACCOUNTS;
use crate::replica::Order;
use crate::run::{LONGEST_DRAIN, Outcome, act, cases_in, counts, end, heal, in_paused_time, is_drained, replicas};
use crate::stage::Stage;
use crate::store::tables::{ShelfRow, is_of};

/// Runs the plan of generations of a seed, with or without a known bug; records a time line if `keeps_timeline` is set.
pub fn simulate(seed: u64, mutation: Option<Mutation>, keeps_timeline: bool) -> Outcome {
    in_paused_time(carry_out(&GenerationPlan::of(seed, mutation), keeps_timeline))
}

async fn carry_out(drawn: &GenerationPlan, keeps_timeline: bool) -> Outcome {
    let plan = &drawn.plan;
    let stage = Arc::new(Stage::set(plan, keeps_timeline));
    stage.diary.note(|| format!("{drawn:#?}"));
    stage.testmo.world(|world| {
        for (account, form) in ACCOUNTS.into_iter().zip(drawn.histories) {
            world.station_mut(account).expect("an account").account.settings.history = form;
        }
    });
    let tasks = TaskTracker::new();
    let orders = replicas(&stage, plan.replicas, &tasks);
    let give = |replica: usize, order: Order| {
        if orders[replica].send(order).is_err() {
            stage.complain(format!("replica {replica} takes no orders"));
        }
    };
    let (began, people) = (Instant::now(), TaskTracker::new());
    let acting = async {
        for (at, action) in &plan.actions {
            sleep_until(began + *at).await;
            stage.diary.note(|| format!("{action:?}"));
            act(&stage, action, &give, &people);
        }
        sleep_until(began + plan.healed).await;
        heal(&stage, plan);
        (0..plan.replicas).for_each(|replica| give(replica, Order::KillAfter(None)));
    };
    let mut edits = Edits::default();
    let turning = turn(&stage, drawn, began);
    let ((), (), restarts, ()) =
        tokio::join!(publish(&stage, drawn, began), edit(&stage, drawn, &mut edits, began), turning, acting);
    if !is_drained(&stage, plan, waits).await {
        stage.complain("it does not come to an end".into());
    }
    if let Some(deletes) = drawn.taken_back {
        take_all_back(&stage, drawn, deletes).await;
        if !is_drained(&stage, plan, waits).await {
            stage.complain("it does not come to an end after everything was taken back".into());
        }
    }
    (0..plan.replicas).for_each(|replica| give(replica, Order::End));
    let mut broken = end(&stage, &tasks).await;
    broken.extend(check(&stage, drawn, &edits, &restarts));
    let (pushes, packs, replayed) = counts(&stage);
    let (timeline, simulated, cases) = (stage.diary.lines(), stage.diary.elapsed(), cases_in(&stage));
    Outcome { broken, timeline, simulated, cases, pushes, packs, replayed, planned: (0, 0) }
}

/// Publishes every generation at its times; one that names the one before not before that is settled, or left to a person.
async fn publish(stage: &Stage, drawn: &GenerationPlan, began: Instant) {
    let publishing = drawn.generations.iter().map(async |generation| {
        let body = drawn.body(generation);
        for at in &generation.at {
            sleep_until(began + *at).await;
            if let Some(replaced) = generation.replaces {
                settled(stage, &drawn.key_of_number(generation.source, replaced)).await;
            }
            stage.broker.publish(Queue::Cases, "testmo.cases", body.clone());
        }
    });
    join_all(publishing).await;
}

/// Waits until a batch is finished, or on the shelf until a person decides about it or about a batch before it.
async fn settled(stage: &Stage, key: &BatchKey) {
    let limit = Instant::now() + LONGEST_DRAIN;
    let is_settled = || {
        stage.store.at_once(|tables, _| {
            let is_finished = tables.batch(key).is_some_and(|stored| stored.record.state != BatchState::Open);
            let is_left = |row: &ShelfRow| {
                (row.state == ShelfState::Dead || waits(tables, row)) && is_of(&row.content.identity, key)
            };
            is_finished || tables.shelf.values().any(is_left)
        })
    };
    while !is_settled() {
        if Instant::now() > limit {
            return stage.complain(format!("{key} is neither finished nor left to a person"));
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// Has people edit cases at their times.
async fn edit(stage: &Stage, drawn: &GenerationPlan, edits: &mut Edits, began: Instant) {
    for (at, account, edit, which) in &drawn.edits {
        sleep_until(began + *at).await;
        edits.make(stage, account, *edit, *which);
    }
}

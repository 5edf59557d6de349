//! Runs plans in which sources have several generations and people edit, move and delete cases, while everything else fails.

mod check;
mod draw;
mod edits;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::task::TaskTracker;

use self::check::check;
use self::draw::GenerationPlan;
use self::edits::Edits;
use crate::broker::Queue;
use crate::mutation::Mutation;
use crate::replica::Order;
use crate::run::{Outcome, act, cases_in, counts, end, heal, in_paused_time, is_drained, replicas};
use crate::stage::Stage;

/// Runs the plan of generations of a seed, with or without a known bug; records a time line if `keeps_timeline` is set.
pub fn simulate(seed: u64, mutation: Option<Mutation>, keeps_timeline: bool) -> Outcome {
    in_paused_time(carry_out(&GenerationPlan::of(seed, mutation), keeps_timeline))
}

async fn carry_out(drawn: &GenerationPlan, keeps_timeline: bool) -> Outcome {
    let plan = &drawn.plan;
    let stage = Arc::new(Stage::set(plan, keeps_timeline));
    stage.diary.note(|| format!("{drawn:#?}"));
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
    tokio::join!(publish(&stage, drawn, began), edit(&stage, drawn, &mut edits, began), acting);
    if !is_drained(&stage, plan).await {
        stage.complain("it does not come to an end".into());
    }
    (0..plan.replicas).for_each(|replica| give(replica, Order::End));
    let mut broken = end(&stage, &tasks).await;
    broken.extend(check(&stage, drawn, &edits));
    let (pushes, packs, replayed) = counts(&stage);
    let (timeline, simulated, cases) = (stage.diary.lines(), stage.diary.elapsed(), cases_in(&stage));
    Outcome { broken, timeline, simulated, cases, pushes, packs, replayed, planned: (0, 0) }
}

/// Publishes every generation at its times.
async fn publish(stage: &Stage, drawn: &GenerationPlan, began: Instant) {
    let of = |generation: &draw::Generation| {
        let body = drawn.body(generation);
        generation.at.iter().map(|at| (*at, body.clone())).collect::<Vec<(Duration, Vec<u8>)>>()
    };
    let mut messages: Vec<(Duration, Vec<u8>)> = drawn.generations.iter().flat_map(of).collect();
    messages.sort_by_key(|(at, _)| *at);
    for (at, body) in messages {
        sleep_until(began + at).await;
        stage.broker.publish(Queue::Cases, "testmo.cases", body);
    }
}

/// Has people edit cases at their times.
async fn edit(stage: &Stage, drawn: &GenerationPlan, edits: &mut Edits, began: Instant) {
    for (at, account, edit, which) in &drawn.edits {
        sleep_until(began + *at).await;
        edits.make(stage, account, *edit, *which);
    }
}

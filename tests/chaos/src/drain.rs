//! Waits until every batch is finished, its outcome is published, and nothing waits anywhere.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;
use testmo_courier::amqp::Event;
use testmo_courier::batch::Reason;
use testmo_courier::replay::at_once;
use testmo_courier::store::shelf::{ShelfFilter, ShelfIdentity, ShelfState, Shelved};
use testmo_courier::store::{LedgerStore, StoreError};
use tokio::time::timeout;

use crate::budget::Budget;
use crate::check::late;
use crate::plan::{Action, Plan, TENANTS};
use crate::poison;
use crate::stage::Stage;

/// How long no event must arrive before the events count as complete.
const SILENCE: Duration = Duration::from_millis(300);
/// The longest that a request may still be in flight at the stand-in.
const LAST_REQUEST: Duration = Duration::from_secs(20);

/// How often a suspect is tried alone before it becomes dead.
const MOST_CRASHES_ALONE: usize = 3;

/// Every received event, by its subject.
pub(crate) type Heard = BTreeMap<String, Vec<Value>>;

/// Waits until nothing is left to do, and stops the workers.
pub(crate) async fn drain(plan: &Plan, stage: &mut Stage) -> anyhow::Result<Heard> {
    let mut heard = Heard::new();
    let mut budget = Budget::from_now(stage, plan.form.late);
    let mut told = Vec::new();
    loop {
        stage.check_workers()?;
        budget.extend(stage).await;
        hear(stage, &mut heard).await?;
        let mut left = match left(plan, stage, &heard).await {
            Ok(left) => left,
            Err(error) => vec![format!("the store does not answer: {error}")],
        };
        if plan.form.late {
            left.extend(late::check(plan, stage, &heard)?);
            left.extend(under_way(stage));
        }
        if left.is_empty() {
            // The queues are asked last, because each question takes a second.
            left = in_queues(stage).await?;
        }
        if left != told {
            stage.timeline.note(format!("left: {}", left.join("; ")));
            told.clone_from(&left);
        }
        if left.is_empty() {
            break;
        }
        ensure!(!budget.is_over(), "not drained in time: {}", left.join("; "));
    }
    stage.timeline.note(format!("nothing is left after {}", budget.so_far()));
    for worker in &mut stage.workers {
        worker.end().await?;
    }
    for tenant in TENANTS {
        let account = stage.testmo.account(tenant);
        let quiet = account.until(|station| station.log.iter().all(|request| request.answered_at.is_some()));
        timeout(LAST_REQUEST, quiet).await.context("a request is still under way")?;
    }
    hear(stage, &mut heard).await?;
    let queued = in_queues(stage).await?;
    ensure!(queued.is_empty(), "{} after the workers stopped", queued.join("; "));
    stage.timeline.note("drained");
    Ok(heard)
}

/// Receives all events that are there.
async fn hear(stage: &mut Stage, heard: &mut Heard) -> anyhow::Result<()> {
    while let Ok(event) = timeout(SILENCE, stage.events.next()).await {
        let Event::Delivery(delivery) = event.context("the events have ended")? else { continue };
        let body: Value = serde_json::from_slice(&delivery.message.body)?;
        let subject = body["subject"].as_str().unwrap_or_default().to_owned();
        heard.entry(subject).or_default().push(body);
        // An event that is not acknowledged is delivered again, and is counted as a copy.
        drop(delivery.handle.ack().await);
    }
    Ok(())
}

/// Returns what is left to do, as far as the store and the events show.
async fn left(plan: &Plan, stage: &Stage, heard: &Heard) -> Result<Vec<String>, StoreError> {
    let mut left = Vec::new();
    for batch in &plan.batches {
        let subject = batch.subject();
        let Ok(key) = batch.key() else { continue };
        let stored = stage.store.batch(&key).await?;
        match stored.map(|stored| stored.record.state.name()) {
            None => left.push(format!("{subject} is not known")),
            Some("open") => left.push(format!("{subject} is open")),
            Some(_) if !heard.get(&subject).is_some_and(|events| events.iter().any(is_terminal)) => {
                left.push(format!("{subject} is not announced"));
            }
            Some(_) => {}
        }
    }
    let shelf = stage.store.shelf(&ShelfFilter::default(), 1_000).await?;
    left.extend(poison::missing(plan, &shelf));
    for row in shelf {
        if !is_expected(plan, &row) && !poison::is_expected(plan, &row) {
            left.push(format!("{} of {:?} is on the shelf for {}", row.id, row.content.identity, row.content.reason));
        }
        if row.content.reason == Reason::KeyRefused {
            mend(stage, &row).await;
        }
        // The batch was not at fault: the plan ended the worker while it tried the batch alone.
        if row.content.reason == Reason::CrashLoop && violent_ends(plan) > MOST_CRASHES_ALONE {
            replay(stage, &row).await?;
        }
    }
    if stage.store.unsent_count().await? > 0 {
        left.push("events wait in the outbox".into());
    }
    Ok(left)
}

/// Has a person verify the connection again, because a worker may have noticed a revoked key after the person's last
/// verification.
async fn mend(stage: &Stage, row: &Shelved) {
    if let Some(tenant) = row.tenant() {
        let mended = stage.people.mend(tenant.as_str()).await;
        stage.timeline.note(format!("{tenant} was verified again: {mended:?}"));
    }
}

/// Returns how often a plan ends a worker without asking it to stop.
fn violent_ends(plan: &Plan) -> usize {
    let crashes = plan.orders.iter().flatten().count();
    let ends = |action: &Action| {
        if let Action::Kill { then, .. } = action {
            1 + usize::from(then.is_some())
        } else {
            usize::from(matches!(action, Action::Restart { then: Some(_), .. }))
        }
    };
    crashes + plan.actions.iter().map(|(_, action)| ends(action)).sum::<usize>()
}

/// Replays a batch, as a person does.
async fn replay(stage: &Stage, row: &Shelved) -> Result<(), StoreError> {
    let replayed = match at_once(&stage.store, row, usize::MAX).await? {
        Ok((change, _)) => format!("{:?}", stage.store.commit(change.into()).await?),
        Err(hindrance) => hindrance.to_string(),
    };
    stage.timeline.note(format!("{} was replayed: {replayed}", row.id));
    Ok(())
}

/// Returns whether a row of the shelf belongs to a batch with a refused case, which waits for a person.
fn is_expected(plan: &Plan, row: &Shelved) -> bool {
    let ShelfIdentity::Batch(key, _) = &row.content.identity else { return false };
    let of_plan = |batch: &crate::batches::Batch| batch.subject() == key.to_string() && batch.refused.is_some();
    row.state == ShelfState::Dead && row.content.reason == Reason::CaseRefused && plan.batches.iter().any(of_plan)
}

/// Returns the queues that hold messages, delivered or not.
async fn in_queues(stage: &Stage) -> anyhow::Result<Vec<String>> {
    let amqp = &stage.config.amqp;
    let mut queued = Vec::new();
    for queue in [&amqp.cases_queue, &amqp.dead_letter_queue, &amqp.unrouted_queue] {
        let depth = stage.broker.depth(&stage.vhost, queue).await?;
        if depth > 0 {
            queued.push(format!("{depth} messages are in {queue}"));
        }
    }
    Ok(queued)
}

/// Returns the accounts with requests that the stand-in may still carry out.
fn under_way(stage: &Stage) -> Vec<String> {
    let is_open = |tenant| stage.testmo.account(tenant).requests().iter().any(|request| request.answered_at.is_none());
    let open = TENANTS.into_iter().filter(|tenant| is_open(tenant));
    open.map(|tenant| format!("a request to {tenant} is under way")).collect()
}

/// Returns whether an event reports an outcome.
pub(crate) fn is_terminal(event: &Value) -> bool {
    // A message that never became work has no revision, and a delay no outcome.
    event["data"]["revision"].is_number() && event["data"]["outcome"].is_string()
}

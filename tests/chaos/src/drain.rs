//! Waits until every batch is finished, its outcome is published, and nothing waits anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, ensure};
use jiff::Timestamp;
use serde_json::Value;
use testmo_courier::amqp::Event;
use testmo_courier::app::plan::batch_label;
use testmo_courier::app::restore_entry;
use testmo_courier::batch::Reason;
use testmo_courier::store::StoreError;
use testmo_courier::store::ledger::StoredBatch;
use testmo_courier::store::shelf::{ShelfFilter, ShelfState, Shelved};
use tokio::time::timeout;

use crate::batches::Batch;
use crate::budget::Budget;
use crate::check::late;
use crate::closing::Closing;
use crate::generations::{self, SOURCES};
use crate::plan::{Action, Plan, TENANTS};
use crate::poison;
use crate::stage::Stage;

/// How long no event must arrive before the events count as complete.
const SILENCE: Duration = Duration::from_millis(300);
/// The longest that a request may still be in flight at the stand-in.
const LAST_REQUEST: Duration = Duration::from_secs(20);

/// More entries than any plan leaves.
const ALL: u32 = 10_000;

/// How often a suspect is tried alone before it becomes dead.
const MOST_CRASHES_ALONE: usize = 3;

/// Every received event, by its subject.
pub(crate) type Heard = BTreeMap<String, Vec<Value>>;

/// What was received and stored when nothing was left to do.
pub(crate) struct Drained {
    pub(crate) heard: Heard,
    /// The subjects of the batches that people have discarded.
    pub(crate) given_up: BTreeSet<String>,
}

/// What is left to do, as far as the store and the events show.
#[derive(Default)]
struct Left {
    words: Vec<String>,
    /// The dead entries that can be sent now that every cause is fixed.
    curable: Vec<String>,
    given_up: BTreeSet<String>,
}

/// Waits until nothing is left to do, and stops the workers.
pub(crate) async fn drain(plan: &Plan, stage: &mut Stage) -> anyhow::Result<Drained> {
    let (mut heard, mut closing, mut given_up) = (Heard::new(), Closing::default(), BTreeSet::new());
    let mut budget = Budget::from_now(stage, plan);
    let (mut told, mut taken_back) = (Vec::new(), plan.generations.taken_back);
    loop {
        stage.check_workers()?;
        budget.extend(stage).await;
        hear(stage, &mut heard).await?;
        let mut left = match left(plan, stage, &heard).await {
            Ok(found) => {
                let mut words = found.words;
                words.extend(closing.go_on(stage, found.curable).await?);
                given_up = found.given_up;
                words
            }
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
        if left.is_empty()
            && let Some(deletes) = taken_back.take()
        {
            generations::take_all_back(&stage.persons[0], &plan.generations, deletes).await?;
            left.push("generations were taken back".into());
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
    for tenant in TENANTS.into_iter().chain([SOURCES]) {
        let account = stage.testmo.account(tenant);
        let quiet = account.until(|station| station.log.iter().all(|request| request.answered_at.is_some()));
        timeout(LAST_REQUEST, quiet).await.context("a request is still under way")?;
    }
    hear(stage, &mut heard).await?;
    let queued = in_queues(stage).await?;
    ensure!(queued.is_empty(), "{} after the workers stopped", queued.join("; "));
    stage.timeline.note("drained");
    Ok(Drained { heard, given_up })
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

/// Returns what is left to do.
async fn left(plan: &Plan, stage: &Stage, heard: &Heard) -> Result<Left, StoreError> {
    let discarded = restore_entry::list(&stage.store, &restore_entry::filter(None, None), ALL).await?;
    let given_up = discarded.iter().map(|discarded| batch_label(&discarded.entry)).collect();
    let mut left = Left { given_up, ..Left::default() };
    let mut ended = BTreeSet::new();
    for batch in &plan.batches {
        let Ok(key) = batch.key() else { continue };
        let subject = batch.subject();
        let stored = stage.store.batch(&key).await?;
        let missing = |stored: &StoredBatch| stored.record.cases.len() - stored.record.arrived().count();
        let allowed = usize::from(batch.refused.is_some());
        let is_given_up = left.given_up.contains(&subject);
        let words = match stored.as_ref().map(|stored| (stored.record.state.name(), missing(stored))) {
            None => "not known".to_owned(),
            Some(("open", _)) => "open".to_owned(),
            Some(_) if !heard.get(&subject).is_some_and(|events| events.iter().any(is_terminal)) => {
                "not announced".to_owned()
            }
            Some((state, missing)) if !is_given_up && missing > allowed => format!("{state} without {missing} cases"),
            Some(_) => {
                ended.insert(subject);
                continue;
            }
        };
        left.words.push(format!("{subject} is {words}"));
    }
    left.words.extend(generations::left(&plan.generations, &stage.store).await?);
    let shelf = stage.store.shelf(&ShelfFilter::default(), ALL).await?;
    left.words.extend(poison::missing(plan, &shelf));
    for row in shelf {
        // A message with unreadable headers can come again after its batch was delivered by a replay of the first copy.
        let is_copy = row.content.reason == Reason::UnreadableHeaders;
        let stays = (is_refused(plan, &row) || is_copy) && ended.contains(&batch_label(&row));
        if !stays && !poison::is_expected(plan, &row) {
            left.words.push(format!("{} of {} is on the shelf for {}", row.id, batch_label(&row), row.content.reason));
            if row.state == ShelfState::Dead && is_curable(plan, &row) {
                left.curable.push(row.id.to_string());
            }
        }
        if matches!(row.content.reason, Reason::KeyRefused | Reason::FolderMissing) {
            mend(stage, &row).await;
        }
    }
    if stage.store.unsent_count().await? > 0 {
        left.words.push("events wait in the outbox".into());
    }
    Ok(left)
}

/// Has a person verify the connection again, because a worker may have noticed a revoked key, or a folder that could not be
/// created, after the person's last verification.
async fn mend(stage: &Stage, row: &Shelved) {
    if let Some(tenant) = row.tenant() {
        let mended = stage.people.mend(tenant.as_str()).await;
        stage.timeline.note(format!("{tenant} was verified again: {mended:?}"));
    }
}

/// Returns how often a plan ends a worker without asking it to stop.
fn violent_ends(plan: &Plan) -> usize {
    let crashes = plan.crashes.iter().flatten().count();
    let ends = |action: &Action| {
        if let Action::Kill { then, .. } = action {
            1 + usize::from(then.is_some())
        } else {
            usize::from(matches!(action, Action::KillHolder { .. } | Action::Restart { then: Some(_), .. }))
        }
    };
    crashes + plan.actions.iter().map(|(_, action)| ends(action)).sum::<usize>()
}

/// Returns whether a dead entry can be sent now: the plan has caused its failure, and the cause is gone.
fn is_curable(plan: &Plan, row: &Shelved) -> bool {
    let (reason, tenant) = (row.content.reason, row.tenant().map(ToString::to_string));
    let refuses = |(_, action): &(Duration, Action)| matches!(action, Action::RefuseNames { tenant: of, .. } if tenant.as_deref() == Some(TENANTS[*of]));
    let was_refused = matches!(reason, Reason::CaseRefused | Reason::AllRefused);
    // A plan can end the worker each time that it tries a batch alone.
    (was_refused && plan.actions.iter().any(refuses))
        || (reason == Reason::RetriesExhausted && plan.gives_up)
        || (reason == Reason::CrashLoop && violent_ends(plan) > MOST_CRASHES_ALONE)
        || reason == Reason::UnreadableHeaders
}

/// Returns whether a row of the shelf belongs to a batch with a case that is refused in any case.
fn is_refused(plan: &Plan, row: &Shelved) -> bool {
    let of_row = |batch: &&Batch| batch.subject() == batch_label(row);
    let is_refused = plan.batches.iter().find(of_row).is_some_and(|batch| batch.refused.is_some());
    is_refused
        && row.state == ShelfState::Dead
        && matches!(row.content.reason, Reason::CaseRefused | Reason::AllRefused)
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

/// Returns when what an event reports was stored, in milliseconds since 1970.
pub(crate) fn time_of(event: &Value) -> Option<i64> {
    let time: Timestamp = event["time"].as_str()?.parse().ok()?;
    Some(time.as_millisecond())
}

/// Returns which outcome of its batch an event reports.
pub(crate) fn revision(event: &Value) -> u64 {
    event["data"]["revision"].as_u64().unwrap_or_default()
}

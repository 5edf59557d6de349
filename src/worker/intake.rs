//! How do messages become work? From the queues and off the shelf, as fast as there is room.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::courier::{Arrival, Courier, STORE_PATIENCE, STORE_PAUSE};
use super::desk::Origin;
use super::dispatch::Told;
use super::entry::Parcel;
use crate::amqp::{AckHandle, Delivery, Event, Intake, Message, UnreadableHeaders};
use crate::batch::{Reason, excerpt, hex, raw_hash};
use crate::guard::{Task, guarded_now};
use crate::store::StoreError;
use crate::store::shelf::{RAW_HEADERS, ShelfIdentity, Shelved};

/// The most batches taken off the shelf at once.
const MOST_LEASED: u32 = 500;
/// Of so many tenants at most is something taken off the shelf in one go; those that wait longest come first.
const MOST_TENANTS: u32 = 1_000;

/// How often a message was given back before it is tried apart from others: a worker that crashes over it gives it back,
/// but so does a broker that restarts.
const SUSPECT_DELIVERIES: u64 = 3;
/// How often it may stop a worker then.
const MOST_CRASHES_ALONE: u32 = 3;

/// Headers of the generator that are kept with a shelved message; everything else is dropped.
const KEPT_HEADERS: [&str; 3] = ["traceparent", "tracestate", "baggage"];

/// The most characters of a header that is kept.
const LONGEST_HEADER: usize = 8_000;

/// Takes batches from the queue until the intake is stopped.
pub(super) async fn take_cases(courier: Arc<Courier>, mut intake: Intake, news: mpsc::Sender<Told>) {
    while let Some(event) = intake.next().await {
        let told = match event {
            Event::Lost(generation) => news.send(Told::Lost(generation)).await,
            Event::Delivery(delivery) => {
                let Delivery { mut message, handle, generation, .. } = *delivery;
                if let Some(unreadable) = message.unreadable.take() {
                    let detail = unreadable.detail.clone();
                    shelve(&courier, Task::Intake, message, Some(unreadable), detail, handle).await;
                    continue;
                }
                let suspect = message.delivery_count >= SUSPECT_DELIVERIES;
                let parcel = courier.parcel_of(Task::Intake, message);
                let arrival = patiently(|| take(&courier, parcel.clone(), suspect));
                match courier.unit(Task::Intake, &parcel, arrival).await {
                    Ok(Arrival::Work(entry)) => {
                        news.send(Told::Work(entry, Box::new(Origin::Delivery { handle, generation }))).await
                    }
                    Ok(Arrival::Shelved) => {
                        acknowledge(handle).await;
                        Ok(())
                    }
                    Err(StoreError::Panicked(panic)) => {
                        let aside = patiently(|| courier.put_aside(&parcel, Some(&panic)));
                        let stored = courier.unit(Task::Intake, &parcel, aside).await;
                        end_held_back(handle, stored).await;
                        Ok(())
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the store does not answer; a message is given back");
                        give_back(handle).await;
                        Ok(())
                    }
                }
            }
        };
        if told.is_err() {
            return;
        }
    }
}

async fn take(courier: &Courier, parcel: Parcel, suspect: bool) -> Result<Arrival, StoreError> {
    if suspect {
        courier.put_aside(&parcel, None).await.map(|()| Arrival::Shelved)
    } else {
        courier.arrive(parcel).await
    }
}

/// Acknowledges a message that is on the shelf because of its panic. Where even that failed it goes back to the broker,
/// after a pause so that it does not come back again and again at once.
async fn end_held_back(handle: crate::amqp::AckHandle, stored: Result<(), StoreError>) {
    match stored {
        Ok(()) => acknowledge(handle).await,
        Err(error) => {
            tracing::warn!(%error, "a message could not be held back; it is given back");
            tokio::time::sleep(STORE_PAUSE).await;
            give_back(handle).await;
        }
    }
}

/// Where a message comes from that never became work: the task that takes it, and what is said of it.
type Undeliverable = (Task, &'static str);
/// The broker gave it back too often.
pub(super) const GIVEN_UP: Undeliverable = (Task::DeadQueue, "the broker gave up on it");
/// No queue is bound for it.
pub(super) const UNROUTED: Undeliverable = (Task::UnroutedQueue, "it fits no queue");

/// Empties a queue of messages that never became work into the shelf, until the intake is stopped.
pub(super) async fn take_undeliverable(courier: Arc<Courier>, mut intake: Intake, (task, why): Undeliverable) {
    while let Some(event) = intake.next().await {
        let Event::Delivery(delivery) = event else { continue };
        let Delivery { mut message, handle, .. } = *delivery;
        let mut detail = format!("{why}: published to exchange `{}` as `{}`", message.exchange, message.routing_key);
        let unreadable = message.unreadable.take();
        if let Some(unreadable) = &unreadable {
            detail = format!("{}; {detail}", unreadable.detail);
        }
        shelve(&courier, task, message, unreadable, detail, handle).await;
    }
}

/// Shelves a message that never becomes work, and acknowledges it once it is stored.
async fn shelve(
    courier: &Courier,
    task: Task,
    message: Message,
    unreadable: Option<UnreadableHeaders>,
    detail: String,
    handle: AckHandle,
) {
    let reason = if unreadable.is_some() { Reason::UnreadableHeaders } else { Reason::Undeliverable };
    let mut parcel = courier.parcel_of(task, message);
    let raw = unreadable.map(|unreadable| (RAW_HEADERS.to_owned(), hex(&unreadable.bytes)));
    parcel.headers.extend(raw);
    let shelving = patiently(|| courier.shelve_undeliverable(parcel.clone(), reason, detail.clone()));
    match courier.unit(task, &parcel, shelving).await {
        Ok(()) => acknowledge(handle).await,
        Err(StoreError::Panicked(panic)) => {
            // What reading it would tell of its tenant is not worth another panic.
            let detail = format!("{detail}; a defect kept the worker from reading it: {panic}");
            let unread = || courier.shelve_message(parcel.clone(), reason, None, vec![], detail.clone());
            let stored = courier.unit(task, &parcel, patiently(unread)).await;
            end_held_back(handle, stored.map(drop)).await;
        }
        Err(error) => {
            tracing::warn!(%error, "the store does not answer; a message is given back");
            give_back(handle).await;
        }
    }
}

/// Leases what is due on the shelf, as long as there is room for it, and sees what people have ordered.
pub(super) async fn take_off_shelf(courier: Arc<Courier>, news: mpsc::Sender<Told>, stop: CancellationToken) {
    let mut poll = tokio::time::interval(courier.config.shelf.poll);
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = poll.tick() => {
                let seeing = see_orders(&courier, &news);
                if let Err(error) = courier.unit(Task::Shelf, &"orders of people", seeing).await {
                    tracing::warn!(%error, "what people have ordered cannot be read");
                }
                let taking = take_suspect(&courier, &news);
                if let Err(error) = courier.unit(Task::Shelf, &"a suspect", taking).await {
                    tracing::warn!(%error, "the shelf cannot be read");
                }
            }
            () = courier.shelf_wanted.notified() => {}
        }
        while !stop.is_cancelled() {
            match courier.unit(Task::Shelf, &"what is due", take_due(&courier, &news)).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "the shelf cannot be read");
                    break;
                }
            }
        }
    }
}

async fn see_orders(courier: &Courier, news: &mpsc::Sender<Told>) -> Result<(), StoreError> {
    let orders = courier.store.lane_overrides().await?;
    // The dispatcher is gone only when the worker stops.
    drop(news.send(Told::Orders(orders)).await);
    Ok(())
}

async fn take_suspect(courier: &Courier, news: &mpsc::Sender<Told>) -> Result<(), StoreError> {
    if let Some(suspect) = courier.store.lease_suspect(&courier.holder, courier.config.shelf.lease).await? {
        take_leased(courier, suspect, news).await;
    }
    Ok(())
}

/// Takes off the shelf what is due and what there is room for, and tells how much that was.
async fn take_due(courier: &Courier, news: &mpsc::Sender<Told>) -> Result<usize, StoreError> {
    let due = courier.store.due_tenants(MOST_TENANTS).await?;
    let (answer, asks) = oneshot::channel();
    // The dispatcher is gone only when the worker stops.
    drop(news.send(Told::Shelf(due, answer)).await);
    let Ok(mut asks) = asks.await else { return Ok(0) };
    let mut left = MOST_LEASED;
    asks.retain_mut(|(_, most)| {
        *most = (*most).min(left);
        left -= *most;
        *most > 0
    });
    if asks.is_empty() {
        return Ok(0);
    }
    let leased = courier.store.lease_due(&courier.holder, courier.config.shelf.lease, &asks).await?;
    let count = leased.len();
    // By what was remembered before, it would go back at once, again and again.
    asks.iter().for_each(|(tenant, _)| courier.tenants.forget_unready(tenant));
    for shelved in leased {
        take_leased(courier, shelved, news).await;
    }
    Ok(count)
}

async fn take_leased(courier: &Courier, shelved: Shelved, news: &mpsc::Sender<Told>) {
    let (id, generation) = (shelved.id, shelved.generation);
    let content = shelved.content;
    let suspect = content.reason == Reason::Suspect;
    let mut parcel = Parcel {
        body: Arc::new(content.body),
        headers: content.headers,
        published_at: content.published_at,
        arrived_at: content.arrived_at,
        parks: if suspect { 0 } else { content.parks },
        tried_apart: if suspect { content.parks } else { 0 },
        failing_since: content.failing_since,
        lease: Some((id, generation)),
        suspect,
        nameless: matches!(content.identity, ShelfIdentity::Raw(..)),
        again: !matches!(content.reason, Reason::NoRoom | Reason::Throttled | Reason::Paused),
    };
    // What waits for a connection is due at once; what waits for longer than it had to, waited for a worker.
    // What a person had paused waited for that person, and a folder that Testmo does not show waits for a person, too.
    let waited = matches!(content.reason, Reason::Paused | Reason::FolderUnconfirmed | Reason::StoreRowUnreadable);
    let since = if waited { shelved.shelved_at } else { shelved.due_at };
    parcel.rested(courier.store.now() - since);
    let what = format!("shelf row {id}");
    if parcel.tried_apart > MOST_CRASHES_ALONE {
        let detail = match content.detail {
            Some(panic) => format!("tried alone {MOST_CRASHES_ALONE} times: {panic}"),
            None => format!("tried alone {MOST_CRASHES_ALONE} times"),
        };
        let giving_up = courier.shelve_message(parcel, Reason::CrashLoop, None, vec![], detail);
        if let Err(error) = courier.unit(Task::Shelf, &what, giving_up).await {
            tracing::warn!(%error, %id, "a suspect could not be given up; its lease runs out");
        }
        return;
    }
    match courier.unit(Task::Shelf, &what, courier.arrive(parcel.clone())).await {
        Ok(Arrival::Work(entry)) => {
            // The dispatcher is gone only when the worker stops; the lease then runs out.
            drop(news.send(Told::Work(entry, Box::new(Origin::Lease { id, generation }))).await);
        }
        Ok(Arrival::Shelved) => {}
        Err(StoreError::Panicked(panic)) => {
            let aside = courier.put_aside(&parcel, Some(&panic));
            if let Err(error) = courier.unit(Task::Shelf, &what, aside).await {
                tracing::warn!(%error, %id, "a shelved batch could not be held back; its lease runs out");
            }
        }
        Err(error) => tracing::warn!(%error, %id, "a shelved batch could not be taken; its lease runs out"),
    }
}

/// Tries until the store answers, for as long as the worker is patient with it.
pub(super) async fn patiently<T, F: Future<Output = Result<T, StoreError>>>(
    attempt: impl Fn() -> F,
) -> Result<T, StoreError> {
    let since = tokio::time::Instant::now();
    loop {
        match attempt().await {
            Err(error @ (StoreError::Closed | StoreError::Unreadable(_) | StoreError::Panicked(_))) => {
                return Err(error);
            }
            Err(error) if since.elapsed() < STORE_PATIENCE => {
                tracing::debug!(%error, "waiting for the store");
                tokio::time::sleep(STORE_PAUSE).await;
            }
            end => return end,
        }
    }
}

impl Courier {
    /// The parcel of a message; where its headers cannot be read by a defect, it goes on without them.
    fn parcel_of(&self, task: Task, mut message: Message) -> Parcel {
        let (body, published_at) = (Arc::new(std::mem::take(&mut message.body)), message.timestamp_ms);
        let headers = guarded_now(|| headers_of(message)).unwrap_or_else(|panic| {
            self.panicked(task, &format!("headers of message {}", raw_hash(&body)), panic);
            BTreeMap::new()
        });
        Parcel {
            body,
            headers,
            published_at,
            arrived_at: self.store.now(),
            parks: 0,
            tried_apart: 0,
            failing_since: None,
            lease: None,
            suspect: false,
            nameless: false,
            again: false,
        }
    }
}

/// The headers and properties of a message that are kept.
fn headers_of(message: Message) -> BTreeMap<String, String> {
    let mut headers: BTreeMap<String, String> =
        message.headers.into_iter().filter(|(name, _)| KEPT_HEADERS.contains(&name.as_str())).collect();
    let properties = [
        ("message_id", message.message_id),
        ("correlation_id", message.correlation_id),
        ("app_id", message.app_id),
        ("content_type", message.content_type),
        ("content_encoding", message.content_encoding),
        ("type", message.kind),
    ];
    headers.extend(properties.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    headers.values_mut().for_each(|value| *value = excerpt(value, LONGEST_HEADER));
    headers
}

async fn acknowledge(handle: AckHandle) {
    if let Err(error) = handle.ack().await {
        tracing::debug!(%error, "a shelved message could not be acknowledged; it comes again and is known");
    }
}

async fn give_back(handle: AckHandle) {
    if let Err(error) = handle.give_back().await {
        tracing::debug!(%error, "a message could not be given back; it comes again by itself");
    }
}

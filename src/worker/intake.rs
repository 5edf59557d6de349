//! How do messages become work? From the queues and off the shelf, as fast as there is room.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::courier::{Arrival, Courier, STORE_PATIENCE, STORE_PAUSE};
use super::desk::Origin;
use super::dispatch::News;
use super::entry::Parcel;
use crate::amqp::{Delivery, Event, Intake, Message};
use crate::batch::{Reason, excerpt};
use crate::store::StoreError;
use crate::store::shelf::Shelved;

/// The most batches taken off the shelf at once.
const MOST_LEASED: u32 = 100;

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
pub(super) async fn take_cases(courier: Arc<Courier>, mut intake: Intake, news: mpsc::Sender<News>) {
    while let Some(event) = intake.next().await {
        let told = match event {
            Event::Lost(generation) => news.send(News::Lost(generation)).await,
            Event::Delivery(delivery) => {
                let Delivery { message, handle, generation, .. } = *delivery;
                let suspect = message.delivery_count >= SUSPECT_DELIVERIES;
                let parcel = parcel_of(message, courier.store.now());
                let arrival = patiently(|| take(&courier, parcel.clone(), suspect));
                match arrival.await {
                    Ok(Arrival::Work(entry)) => {
                        news.send(News::Work(entry, Box::new(Origin::Delivery { handle, generation }))).await
                    }
                    Ok(Arrival::Shelved) => {
                        acknowledge(handle).await;
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
    if suspect { courier.put_aside(parcel).await.map(|()| Arrival::Shelved) } else { courier.arrive(parcel).await }
}

/// Empties a queue of messages that never became work into the shelf, until the intake is stopped.
pub(super) async fn take_undeliverable(courier: Arc<Courier>, mut intake: Intake, why: &'static str) {
    while let Some(event) = intake.next().await {
        let Event::Delivery(delivery) = event else { continue };
        let Delivery { message, handle, .. } = *delivery;
        let detail = format!("{why}: published to exchange `{}` as `{}`", message.exchange, message.routing_key);
        let parcel = parcel_of(message, courier.store.now());
        match patiently(|| courier.shelve_undeliverable(parcel.clone(), detail.clone())).await {
            Ok(()) => acknowledge(handle).await,
            Err(error) => {
                tracing::warn!(%error, "the store does not answer; a message is given back");
                give_back(handle).await;
            }
        }
    }
}

/// Leases what is due on the shelf, as long as there is room for it.
pub(super) async fn take_off_shelf(courier: Arc<Courier>, news: mpsc::Sender<News>, stop: CancellationToken) {
    let mut poll = tokio::time::interval(courier.config.shelf.poll);
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = poll.tick() => {}
        }
        let in_hand = u32::try_from(courier.metrics.batches_in_hand.get()).unwrap_or(0);
        let room = u32::from(courier.config.amqp.prefetch).saturating_sub(in_hand).min(MOST_LEASED);
        if room == 0 {
            continue;
        }
        match lease_some(&courier, room).await {
            Ok(leased) => {
                for shelved in leased {
                    take_leased(&courier, shelved, &news).await;
                }
            }
            Err(error) => tracing::warn!(%error, "the shelf cannot be read"),
        }
    }
}

async fn lease_some(courier: &Courier, room: u32) -> Result<Vec<Shelved>, StoreError> {
    let lease = courier.config.shelf.lease;
    let mut leased = courier.store.lease_due(&courier.holder, lease, room).await?;
    leased.extend(courier.store.lease_suspect(&courier.holder, lease).await?);
    Ok(leased)
}

async fn take_leased(courier: &Courier, shelved: Shelved, news: &mpsc::Sender<News>) {
    let (id, generation) = (shelved.id, shelved.generation);
    let content = shelved.content;
    let mut parcel = Parcel {
        body: Arc::new(content.body),
        headers: content.headers,
        published_at: content.published_at,
        arrived_at: content.arrived_at,
        parks: content.parks,
        failing_since: content.failing_since,
        lease: Some((id, generation)),
        suspect: content.reason == Reason::Suspect,
    };
    // What waits for a connection is due at once; what waits for longer than it had to, waited for a worker.
    parcel.rested(courier.store.now() - shelved.due_at);
    if parcel.suspect && parcel.parks > MOST_CRASHES_ALONE {
        let detail = format!("tried alone {MOST_CRASHES_ALONE} times");
        if let Err(error) = courier.shelve_message(parcel, Reason::CrashLoop, None, vec![], detail).await {
            tracing::warn!(%error, %id, "a suspect could not be given up; its lease runs out");
        }
        return;
    }
    let parks = if parcel.suspect { 0 } else { parcel.parks };
    match courier.arrive(Parcel { parks, ..parcel }).await {
        Ok(Arrival::Work(entry)) => {
            // The dispatcher is gone only when the worker stops; the lease then runs out.
            drop(news.send(News::Work(entry, Box::new(Origin::Lease { id, generation }))).await);
        }
        Ok(Arrival::Shelved) => {}
        Err(error) => tracing::warn!(%error, %id, "a shelved batch could not be taken; its lease runs out"),
    }
}

/// Tries until the store answers, for as long as the worker is patient with it.
async fn patiently<T, F: Future<Output = Result<T, StoreError>>>(attempt: impl Fn() -> F) -> Result<T, StoreError> {
    let since = tokio::time::Instant::now();
    loop {
        match attempt().await {
            Err(error) if !matches!(error, StoreError::Closed) && since.elapsed() < STORE_PATIENCE => {
                tracing::debug!(%error, "waiting for the store");
                tokio::time::sleep(STORE_PAUSE).await;
            }
            end => return end,
        }
    }
}

fn parcel_of(message: Message, now: i64) -> Parcel {
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
    Parcel {
        body: Arc::new(message.body),
        headers,
        published_at: message.timestamp_ms,
        arrived_at: now,
        parks: 0,
        failing_since: None,
        lease: None,
        suspect: false,
    }
}

async fn acknowledge(handle: crate::amqp::AckHandle) {
    if let Err(error) = handle.ack().await {
        tracing::debug!(%error, "a shelved message could not be acknowledged; it comes again and is known");
    }
}

async fn give_back(handle: crate::amqp::AckHandle) {
    if let Err(error) = handle.give_back().await {
        tracing::debug!(%error, "a message could not be given back; it comes again by itself");
    }
}

//! Lets a worker work on one message at a time for a while after an unclean end, so that a message that ends the worker
//! again is recognized.
//!
//! In normal running a turn costs nothing: nobody waits, and nothing is stored. While messages are taken one by one, the
//! hash of each is stored before it is read. If the process ends then, this message is suspected, and no other.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::amqp::IntakeControl;
use crate::batch::raw_hash;
use crate::config::Config;
use crate::guard::lock;
use crate::offload::run_blocking_if_large;
use crate::store::instances::StartRule;
use crate::store::{Storage, StoreError};

/// How many messages are worked on one by one.
const DELIVERIES: u32 = 20;
/// The longest time for which messages are worked on one by one: one that waits for Testmo must not hold up the others
/// for longer.
const LONGEST: Duration = Duration::from_secs(60);
/// How often the store is asked how to start; if it does not answer, the worker starts as after an unclean end.
const MOST_TRIES: u32 = 3;
/// The pause between two of these tries.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Decides whether another message may be worked on, and knows which messages are suspected.
pub(super) struct Turns {
    store: Arc<dyn Storage>,
    /// The name of the instance, and of this process.
    name: String,
    run: String,
    seat: Arc<Seat>,
    /// Whether a hash may be stored that has to be removed when the one-by-one mode has ended.
    has_stored: AtomicBool,
    suspected: Mutex<BTreeSet<String>>,
}

/// The one seat of the one-by-one mode.
#[derive(Debug)]
struct Seat {
    free: Arc<Semaphore>,
    is_on: AtomicBool,
    done: AtomicU32,
    until: OnceLock<Instant>,
    controls: Mutex<Vec<IntakeControl>>,
}

/// The right to work on a message; it ends when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Turn {
    seat: Option<(Arc<Seat>, OwnedSemaphorePermit)>,
    /// Whether a message was worked on.
    used: AtomicBool,
}

impl Turns {
    pub(super) fn new(store: Arc<dyn Storage>, name: String, run: String) -> Self {
        let seat = Seat {
            free: Arc::new(Semaphore::new(1)),
            is_on: AtomicBool::new(false),
            done: AtomicU32::new(0),
            until: OnceLock::new(),
            controls: Mutex::default(),
        };
        Self { store, name, run, seat: Arc::new(seat), has_stored: AtomicBool::new(false), suspected: Mutex::default() }
    }

    /// Notes the start of this process in the store, waits as long as its earlier ends demand, and has `controls` take
    /// messages one by one if they do. `stop` ends each wait.
    pub(super) async fn begin(&self, controls: &[IntakeControl], stop: &CancellationToken) {
        controls.iter().for_each(IntakeControl::pause);
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            rule = self.start_rule() => {
                if !rule.wait.is_zero() {
                    tracing::warn!(wait = ?rule.wait, "this worker has ended unexpectedly several times; it waits");
                }
                tokio::select! {
                    biased;
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(rule.wait) => {}
                }
                if rule.one_by_one {
                    tracing::warn!("this worker ended unexpectedly; it takes messages one by one at first");
                    self.seat.begin(Instant::now(), controls);
                }
            }
        }
        stop.run_until_cancelled(self.refresh()).await.unwrap_or_default();
        controls.iter().for_each(IntakeControl::resume);
    }

    async fn start_rule(&self) -> StartRule {
        for _ in 0..MOST_TRIES {
            match self.store.begin_instance(&self.name, &self.run).await {
                Ok(rule) => return rule,
                Err(error) => tracing::warn!(%error, "how the worker ended before cannot be read"),
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
        StartRule { one_by_one: true, wait: Duration::ZERO }
    }

    /// Notes that this process ends in order.
    pub(super) async fn end(&self) {
        if let Err(error) = self.store.end_instance(&self.name, &self.run).await {
            tracing::warn!(%error, "that the worker ends in order cannot be stored; it takes messages one by one next time");
        }
    }

    /// Gives no more turns while messages are taken one by one: the worker stops.
    pub(super) fn close(&self) {
        if self.is_one_by_one() {
            self.seat.free.close();
        }
    }

    /// Returns whether messages are worked on one by one.
    pub(super) fn is_one_by_one(&self) -> bool {
        self.seat.is_on.load(Ordering::Acquire)
    }

    /// Waits for a turn; returns `None` if the worker stops.
    pub(super) async fn next(&self) -> Option<Turn> {
        let Some(until) = self.seat.until.get().filter(|_| self.is_one_by_one()) else { return Some(Turn::default()) };
        let permit = tokio::select! {
            biased;
            permit = self.seat.free.clone().acquire_owned() => permit.ok()?,
            () = sleep_until(*until) => {
                self.seat.end();
                return Some(Turn::default());
            }
        };
        let seat = self.is_one_by_one().then(|| (self.seat.clone(), permit));
        Some(Turn { seat, used: AtomicBool::new(false) })
    }

    /// Begins a turn with what is known of its message: the hash is stored while messages are worked on one by one. A
    /// suspect has none, since its tries are counted on the shelf.
    pub(super) async fn take(&self, turn: &Turn, hash: Option<&str>) -> Result<(), StoreError> {
        if turn.seat.is_none() {
            return self.clear().await;
        }
        turn.used.store(true, Ordering::Release);
        if hash.is_none() {
            return self.clear().await;
        }
        self.has_stored.store(true, Ordering::Release);
        self.store.set_in_hand(&self.name, &self.run, hash).await
    }

    /// Removes the stored hash, if there may be one.
    async fn clear(&self) -> Result<(), StoreError> {
        if self.has_stored.swap(false, Ordering::AcqRel)
            && let Err(error) = self.store.set_in_hand(&self.name, &self.run, None).await
        {
            self.has_stored.store(true, Ordering::Release);
            return Err(error);
        }
        Ok(())
    }

    /// Returns the hash of a message, if it is needed: hashing every message would cost time for nothing.
    pub(super) async fn hash_of(&self, body: &Arc<Vec<u8>>) -> Option<String> {
        let is_needed = self.is_one_by_one() || !self.suspected().is_empty();
        if !is_needed {
            return None;
        }
        let body = Arc::clone(body);
        Some(run_blocking_if_large(body.len(), move || raw_hash(&body)).await)
    }

    /// Returns whether a worker may have ended over the message of this hash.
    pub(super) fn suspects(&self, hash: Option<&str>) -> bool {
        hash.is_some_and(|hash| self.suspected().contains(hash))
    }

    /// Removes a suspicion, because the message is on the shelf as a suspect.
    pub(super) async fn settle(&self, hash: Option<&str>) {
        let Some(hash) = hash.filter(|hash| self.suspected().remove(*hash)) else { return };
        if let Err(error) = self.store.drop_suspicion(hash).await {
            tracing::debug!(%error, "a suspicion stays, and a copy of the message would be tried alone, too");
        }
    }

    /// Ends the one-by-one mode if it has lasted long enough, and reads the suspicions of all workers.
    pub(super) async fn refresh(&self) {
        if self.seat.until.get().is_some_and(|until| Instant::now() >= *until) {
            self.seat.end();
        }
        let cleared = if self.is_one_by_one() { Ok(()) } else { self.clear().await };
        match (cleared, self.store.suspicions().await) {
            (Ok(()), Ok(suspected)) => *self.suspected() = suspected,
            (Err(error), _) | (_, Err(error)) => tracing::warn!(%error, "suspicions cannot be read"),
        }
    }

    fn suspected(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        lock(&self.suspected)
    }
}

impl Seat {
    fn begin(&self, now: Instant, controls: &[IntakeControl]) {
        if self.until.set(now + LONGEST).is_ok() {
            controls.iter().for_each(|control| control.take_one_by_one(true));
            *lock(&self.controls) = controls.to_vec();
            self.is_on.store(true, Ordering::Release);
        }
    }

    fn end(&self) {
        if self.is_on.swap(false, Ordering::AcqRel) {
            tracing::info!("messages are not taken one by one any more");
            let controls = std::mem::take(&mut *lock(&self.controls));
            controls.iter().for_each(|control| control.take_one_by_one(false));
            // Whoever still waits for the seat goes on.
            self.free.add_permits(Semaphore::MAX_PERMITS / 2);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some((seat, _)) = &self.seat
            && self.used.load(Ordering::Acquire)
            && seat.done.fetch_add(1, Ordering::AcqRel) + 1 >= DELIVERIES
        {
            seat.end();
        }
    }
}

/// Returns the name by which a worker knows after a restart how it ended. Two workers of one host listen at different
/// addresses; one that listens at any free port cannot be told from another, and so is a new one each time.
pub(super) fn instance_name(config: &Config, run: &str) -> String {
    if !config.worker.name.is_empty() {
        return config.worker.name.clone();
    }
    if config.observe.listen.port() == 0 {
        return run.to_owned();
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{} {}", host.trim(), config.observe.listen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    fn name(settings: &[(&str, &str)]) -> String {
        let environment = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        instance_name(&load(&Sources { files: vec![], environment }).unwrap(), "run")
    }

    #[test]
    fn an_instance_is_named_by_its_setting_or_else_by_its_host_and_address() {
        let usual = name(&[]);
        assert!(usual.ends_with(" 127.0.0.1:9464") && usual == name(&[]), "{usual}");
        assert_ne!(usual, name(&[("COURIER_OBSERVE__LISTEN", "127.0.0.1:9465")]));
        assert_eq!(name(&[("COURIER_OBSERVE__LISTEN", "127.0.0.1:0")]), "run");
        assert_eq!(name(&[("COURIER_OBSERVE__LISTEN", "127.0.0.1:0"), ("COURIER_WORKER__NAME", "w")]), "w");
    }
}

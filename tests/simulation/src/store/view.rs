//! The store as one worker sees it: calls take time, may fail before or after they take effect, and end with the
//! worker.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use testmo_courier::store::StoreError;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::MemoryStore;
use super::tables::Tables;
use crate::diary::lock;
use crate::fuse::Fuse;
use crate::weather::StoreEnd;

/// The store as one worker sees it.
#[derive(Clone)]
pub(crate) struct StoreOf {
    pub(super) store: Arc<MemoryStore>,
    pub(super) worker: u64,
    pub(super) fuse: Fuse,
}

impl fmt::Debug for StoreOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreOf({})", self.worker)
    }
}

impl StoreOf {
    /// Makes a call; `call` is its name in the diary.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        call: &'static str,
        act: impl FnOnce(&mut Tables, i64) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        self.fuse.cross().await;
        let answer = self.fuse.hold(self.carry_out(call, act)).await;
        self.fuse.cross().await;
        answer
    }

    async fn carry_out<T: Send + 'static>(
        &self,
        call: &'static str,
        act: impl FnOnce(&mut Tables, i64) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (store, worker) = (self.store.clone(), self.worker);
        store.pace().await;
        if store.away.load(Ordering::Relaxed) {
            sleep(store.weather.ms(1..2_000)).await;
            return Err(StoreError::Away("it is away".into()));
        }
        let (end, before, after) = store.weather.store_call();
        if end == StoreEnd::FailsBefore {
            sleep(before).await;
            store.diary.note(|| format!("w{worker} store {call}: failed, nothing done"));
            return Err(StoreError::Away("it failed before".into()));
        }
        let act = move |store: &MemoryStore| {
            let now = store.diary.now();
            let mut tables = lock(&store.tables);
            tables.caller = worker;
            act(&mut tables, now)
        };
        let done = if before.is_zero() { act(&store) } else { self.later(before, act).await? };
        let lags = matches!(call, "commit" | "claim" | "claim_folder");
        let lag = if lags { *lock(&store.lag) } else { Duration::ZERO };
        if !(after + lag).is_zero() {
            sleep(after + lag).await;
        }
        if end == StoreEnd::FailsAfter {
            store.diary.note(|| format!("w{worker} store {call}: done, but the answer was lost"));
            return Err(StoreError::Away("it failed after".into()));
        }
        Ok(done)
    }

    /// Carries a call out after a while, even if the caller is gone by then.
    async fn later<T: Send + 'static>(
        &self,
        after: Duration,
        act: impl FnOnce(&MemoryStore) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let store = self.store.clone();
        self.store.under_way.spawn(async move {
            sleep(after).await;
            // The caller may be gone; the change is stored nevertheless.
            drop(answer.send(act(&store)));
        });
        answered.await.map_err(|_| StoreError::Closed)
    }
}

//! Lets many concurrent claims and changes share one commit: what waits in a queue goes into one transaction.

mod work;
mod writer;
mod written;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use sqlx::AnyPool;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::writer::{LARGEST_GROUP, Writer, serve, watched};
pub(in crate::store) use self::written::Written;
use super::StoreError;
use super::ledger::{Claim, ClaimOutcome, Commit, CommitOutcome};
use super::outbox::PublishAttempt;
use super::sql::Dialect;
use super::unreadable::UnreadableRows;
use crate::clock::Clock;
use crate::guard::{Count, lock};

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

#[derive(Debug)]
enum Request {
    Claim(Box<Claim>, Reply<ClaimOutcome>),
    Commit(Arc<Commit>, Reply<CommitOutcome>),
    Sent(Vec<PublishAttempt>, Reply<()>),
}

/// Where requests wait for their commit.
#[derive(Clone, Debug)]
struct Queues {
    claims: mpsc::Sender<Request>,
    changes: mpsc::Sender<Request>,
    sent: mpsc::Sender<Request>,
}

/// The queues of the store's writers.
#[derive(Clone, Debug)]
pub(in crate::store) struct Group {
    unreadable: UnreadableRows,
    queues: Arc<Mutex<Option<Queues>>>,
    no_room: Arc<AtomicBool>,
    written: Written,
    tasks: TaskTracker,
    panics: Count,
    /// Cancelled when the loop of a writer has ended although nobody has closed the store.
    broken: CancellationToken,
    closed: CancellationToken,
}

impl Group {
    pub(in crate::store) fn start(dialect: Dialect, pool: AnyPool, clock: Clock, unreadable: UnreadableRows) -> Self {
        let (tasks, panics, broken) = (TaskTracker::new(), Count::default(), CancellationToken::new());
        let written = Written::default();
        let queue = || {
            let (queue, requests) = mpsc::channel(4 * LARGEST_GROUP);
            let (pool, clock) = (pool.clone(), clock.clone());
            let writer = Writer { pool, clock, held: None, panics: panics.clone(), written: written.clone() };
            tasks.spawn(watched(serve(writer, requests), broken.clone()));
            queue
        };
        let claims = queue();
        let queues = match dialect {
            // One connection writes to a file, so all requests that wait share a commit.
            Dialect::Sqlite => Queues { changes: claims.clone(), sent: claims.clone(), claims },
            // Each of them is a chain of round trips, and none has to wait for the others.
            Dialect::Postgres => Queues { changes: queue(), sent: queue(), claims },
        };
        tasks.close();
        let queues = Arc::new(Mutex::new(Some(queues)));
        let closed = CancellationToken::new();
        Self { unreadable, queues, no_room: Arc::default(), written, tasks, panics, broken, closed }
    }

    /// Runs a task of the store until it is closed; as with the writers, it is noticed if the task ends before.
    pub(in crate::store) fn accompany<T: Future<Output = ()> + Send + 'static>(
        &self,
        task: impl FnOnce(CancellationToken) -> T,
    ) {
        self.tasks.spawn(watched(task(self.closed.clone()), self.broken.clone()));
    }

    pub(in crate::store) async fn claim(&self, claim: Claim) -> Result<ClaimOutcome, StoreError> {
        let claimed = self.ask(|queues| queues.claims, |answer| Request::Claim(Box::new(claim), answer)).await?;
        match &claimed {
            ClaimOutcome::Unreadable(row) => self.unreadable.note(row),
            ClaimOutcome::Granted { unreadable, .. } => {
                unreadable.iter().for_each(|(_, row)| self.unreadable.note(row))
            }
            ClaimOutcome::Full { .. }
            | ClaimOutcome::Wait(_)
            | ClaimOutcome::Probe
            | ClaimOutcome::Paused
            | ClaimOutcome::ConnectionChanged
            | ClaimOutcome::Stale { .. } => {}
        }
        Ok(claimed)
    }

    pub(in crate::store) async fn commit(&self, change: Arc<Commit>) -> Result<CommitOutcome, StoreError> {
        self.ask(|queues| queues.changes, |answer| Request::Commit(change, answer)).await
    }

    pub(in crate::store) async fn sent(&self, sent: Vec<PublishAttempt>) -> Result<(), StoreError> {
        self.ask(|queues| queues.sent, |answer| Request::Sent(sent, answer)).await
    }

    async fn ask<T>(
        &self,
        which: impl FnOnce(Queues) -> mpsc::Sender<Request>,
        request: impl FnOnce(Reply<T>) -> Request,
    ) -> Result<T, StoreError> {
        let queues = lock(&self.queues).clone().ok_or(StoreError::Closed)?;
        let queue = which(queues);
        let (answer, answered) = oneshot::channel();
        queue.send(request(answer)).await.map_err(|_| StoreError::Closed)?;
        let answer = self.unreadable.noted(answered.await.map_err(|_| StoreError::Closed)?);
        if let Err(StoreError::NoRoom(_)) = &answer {
            self.no_room.store(true, Ordering::SeqCst);
        }
        answer
    }

    /// Returns how many transactions panicked.
    pub(in crate::store) fn panics(&self) -> u64 {
        self.panics.get()
    }

    /// Waits until the loop of a writer has ended although the store was not closed. Its requests then fail as those of
    /// a closed store do.
    pub(in crate::store) async fn broken(&self) {
        self.broken.cancelled().await;
    }

    /// Returns what is known of whether the store can be written.
    pub(in crate::store) fn written(&self) -> &Written {
        &self.written
    }

    /// Whether something could not be stored for want of room, since there was some.
    pub(in crate::store) fn had_no_room(&self) -> bool {
        self.no_room.load(Ordering::SeqCst)
    }

    /// Notes that there is room.
    pub(in crate::store) fn has_room(&self) {
        self.no_room.store(false, Ordering::SeqCst);
    }

    pub(in crate::store) async fn close(&self) {
        *lock(&self.queues) = None;
        self.closed.cancel();
        self.tasks.wait().await;
    }
}

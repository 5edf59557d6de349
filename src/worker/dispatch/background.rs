//! Runs the work that the dispatcher must not wait for: shelving, resolving again, acknowledging and giving back.
//! Batches whose work is cut come again as after a crash.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::command::DispatcherCommand;
use super::in_flight::AckTarget;
use crate::batch::{BatchKey, Reason};
use crate::guard::{Task, guarded};
use crate::lane::QueuePosition;
use crate::store::StoreError;
use crate::store::ledger::{Commit, CommitOutcome};
use crate::store::shelf::{ShelfId, ShelvedUntil};
use crate::worker::admission::admit::admit_or_shelve;
use crate::worker::context::WorkerContext;
use crate::worker::delivery::hold_back;
use crate::worker::failpoint::{self, Failpoint};
use crate::worker::model::{ActiveBatch, Disposition, REST, WorkKey};
use crate::worker::outcome::park::{park_expecting, park_unreadable};
use crate::worker::store_retry::patiently;
use crate::worker::unit::{panicked, unit};

/// How long a batch that was lost to a panic waits before it is given back.
const HELD_BACK: Duration = Duration::from_secs(5);

/// Tasks that only a shutdown waits for. The disposition of their batches goes to the dispatcher as a command.
pub(super) struct Background {
    context: Arc<WorkerContext>,
    tasks: TaskTracker,
    commands: mpsc::UnboundedSender<DispatcherCommand>,
    /// Whether the store is being asked for pauses.
    is_asking: Arc<AtomicBool>,
}

impl Background {
    pub(super) fn new(context: Arc<WorkerContext>, commands: mpsc::UnboundedSender<DispatcherCommand>) -> Self {
        Self { context, tasks: TaskTracker::new(), commands, is_asking: Arc::default() }
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.context.stop.clone();
        self.tasks.spawn(async move { stop.unless_cut("batches on their way to the shelf", work).await });
    }

    /// Waits until all tasks have ended, which is soon once they are cut.
    pub(super) async fn finished(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Resolves and renders a batch again whose connection has changed.
    pub(super) fn resolve_again(&self, batch: Box<ActiveBatch>) {
        let (context, commands) = (self.context.clone(), self.commands.clone());
        self.spawn(async move {
            let admitting = admit_or_shelve(&context, &batch.message);
            let (batch, disposition) = match unit(&context, Task::Dispatcher, &batch.key, admitting).await {
                Ok(Some(admitted)) => {
                    let admitted = Box::new(ActiveBatch { panics: batch.panics, ..*admitted });
                    (admitted, Disposition::Enqueue(QueuePosition::Back))
                }
                Ok(None) => (batch, Disposition::Shelved),
                Err(error) => held_up(&context, batch, error).await,
            };
            // The dispatcher is gone only when everything has been given back.
            drop(commands.send(DispatcherCommand::Dispose(batch, disposition)));
        });
    }

    /// Shelves a batch for `wait`, whose turn is expected after `expected`.
    pub(super) fn shelve(
        &self,
        batch: Box<ActiveBatch>,
        reason: Reason,
        detail: Option<String>,
        wait: Duration,
        expected: Duration,
    ) {
        let (context, commands) = (self.context.clone(), self.commands.clone());
        self.spawn(async move {
            let (until, expected) = (ShelvedUntil::After(wait), ShelvedUntil::After(expected));
            let parking = park_expecting(&context, &batch, reason, detail, until, expected);
            let (batch, disposition) = match unit(&context, Task::Dispatcher, &batch.key, parking).await {
                Ok(()) => (batch, Disposition::Shelved),
                Err(error) => held_up(&context, batch, error).await,
            };
            // The dispatcher is gone only when everything has been given back.
            drop(commands.send(DispatcherCommand::Dispose(batch, disposition)));
        });
    }

    /// Asks the store which of these accounts are open although their lanes are paused: a probe or a request was
    /// answered, maybe to another worker, or a person has ended the pause.
    pub(super) fn find_open(&self, accounts: Vec<Arc<str>>) {
        let is_asking = self.is_asking.clone();
        if accounts.is_empty() || is_asking.swap(true, Ordering::Relaxed) {
            return;
        }
        let (context, commands) = (self.context.clone(), self.commands.clone());
        self.spawn(async move {
            let as_of = Instant::now();
            match guarded(context.store.pauses(&accounts)).await {
                Ok(Ok(pauses)) => {
                    let open = accounts.into_iter().zip(pauses).filter(|(_, pause)| pause.is_none());
                    let open = open.map(|(account, _)| account).collect();
                    // The dispatcher is gone only when the worker has ended.
                    drop(commands.send(DispatcherCommand::Reopen(open, as_of)));
                }
                Ok(Err(error)) => tracing::debug!(%error, "it is not known which accounts are open"),
                Err(panic) => drop(panicked(&context, Task::Dispatcher, &"pauses of accounts", panic)),
            }
            is_asking.store(false, Ordering::Relaxed);
        });
    }

    /// Acknowledges a batch where it came from.
    ///
    /// A row can have been leased after the batch was shelved and before that was known here. The row is then the very
    /// one that keeps the batch. So the lease of a shelved batch is released, and a row is removed only for a finished
    /// batch. A person may have replayed that as well before its end was known here: then the row is released.
    pub(super) fn acknowledge(&self, key: &WorkKey, targets: Vec<AckTarget>, is_shelved: bool) {
        for target in targets {
            let (context, batch) = (self.context.clone(), key.batch.clone());
            self.run(format!("end of {key}"), async move {
                let acknowledged = match target {
                    AckTarget::Delivery { handle, turn: _turn, .. } => {
                        handle.ack().await.map_err(|error| error.to_string())
                    }
                    AckTarget::Lease { id, generation, turn: _turn } if is_shelved => {
                        context.store.release(&[(id, generation)]).await.map_err(|error| error.to_string())
                    }
                    AckTarget::Lease { id, generation, turn: _turn } => {
                        remove_finished(&context, batch, (id, generation)).await.map_err(|error| error.to_string())
                    }
                };
                failpoint::after(Failpoint::Ack);
                if let Err(error) = acknowledged {
                    tracing::debug!(
                        error,
                        "a finished batch could not be acknowledged; its redelivery will be recognized as a duplicate"
                    );
                }
            });
        }
    }

    /// Gives a batch back to where it came from.
    pub(super) fn give_back(&self, key: &WorkKey, targets: Vec<AckTarget>) {
        self.run(format!("returning {key}"), give_back(self.context.clone(), targets));
    }

    /// Returns a suspect to the shelf, behind the others: it was not tried.
    pub(super) fn postpone(&self, key: &WorkKey, targets: Vec<AckTarget>) {
        let context = self.context.clone();
        self.run(format!("postponing {key}"), async move {
            let mut others = Vec::new();
            for target in targets {
                let AckTarget::Lease { id, generation, turn: _turn } = target else {
                    others.push(target);
                    continue;
                };
                if let Err(error) = patiently(|| context.store.postpone_row(id, generation, REST)).await {
                    tracing::debug!(%error, "a suspect could not be returned to the shelf; its lease expires");
                }
            }
            give_back(context, others).await;
        });
    }

    /// Gives a batch back after a pause, so that it does not come again and again at once.
    pub(super) fn give_back_later(&self, key: WorkKey) {
        let (context, commands) = (self.context.clone(), self.commands.clone());
        self.spawn(async move {
            // A worker that stops gives back everything anyway.
            drop(tokio::time::timeout(HELD_BACK, context.stop.draining().cancelled()).await);
            // The dispatcher is gone only when everything has been given back.
            drop(commands.send(DispatcherCommand::GiveBack(key)));
        });
    }

    /// Runs a task. If it panics, a delivery or a lease comes again later.
    pub(super) fn run(&self, what: String, task: impl Future<Output = ()> + Send + 'static) {
        let context = self.context.clone();
        self.spawn(async move {
            if let Err(panic) = guarded(task).await {
                panicked(&context, Task::Dispatcher, &what, panic);
            }
        });
    }
}

/// Removes a leased row of a finished batch, or releases it if its batch is open: it may be the one that continues it. A row
/// that was shelved again is of another generation and stays.
async fn remove_finished(
    context: &WorkerContext,
    batch: BatchKey,
    (id, generation): (ShelfId, i64),
) -> Result<(), StoreError> {
    let change = Commit { unless_open: Some(batch), unshelve: Some((id.0, generation)), ..Commit::default() };
    match context.store.commit(change.into()).await? {
        CommitOutcome::Done(_) => Ok(()),
        CommitOutcome::Fenced => context.store.release(&[(id, generation)]).await,
    }
}

/// Decides what becomes of a batch that could not be shelved or resolved again.
async fn held_up(
    context: &WorkerContext,
    batch: Box<ActiveBatch>,
    error: StoreError,
) -> (Box<ActiveBatch>, Disposition) {
    if let StoreError::Panicked(why) | StoreError::Data(why) = error {
        return hold_back(context, batch, &why).await;
    }
    let StoreError::Unreadable(row) = error else { return (batch, Disposition::GiveBack) };
    let parking = park_unreadable(context, &batch, &row);
    let parked = unit(context, Task::Dispatcher, &batch.key, parking).await;
    (batch, if parked.is_ok() { Disposition::Shelved } else { Disposition::GiveBack })
}

/// Gives deliveries back to the broker, and leases back to the shelf.
pub(super) async fn give_back(context: Arc<WorkerContext>, targets: Vec<AckTarget>) {
    let mut leases = Vec::new();
    for target in targets {
        match target {
            AckTarget::Delivery { handle, .. } => {
                if let Err(error) = handle.give_back().await {
                    tracing::debug!(%error, "a batch could not be returned to the queue; the broker redelivers it");
                }
            }
            AckTarget::Lease { id, generation, .. } => leases.push((id, generation)),
        }
    }
    if leases.is_empty() {
        return;
    }
    if let Err(error) = context.store.release(&leases).await {
        tracing::debug!(%error, "leases could not be released; they expire");
    }
}

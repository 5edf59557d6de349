//! Runs the loops of a worker, and notices when one of them ends.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::watch::Receiver;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::amqp::Status;
use crate::guard::{Panic, Task, guarded, ordered_end};
use crate::http::Readiness;

/// How long everything but the drain may take in a worker that stops because of a defect.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// The loop of a task ended before the worker was asked to stop, or by a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task `{task}` of the worker ended because of a defect")]
pub struct TaskEnded {
    /// The task.
    pub task: Task,
}

/// Starts the loops of a worker, and receives the end of each.
pub(super) struct Loops {
    ended: mpsc::UnboundedSender<Ended>,
    ends: mpsc::UnboundedReceiver<Ended>,
}

/// The end of a loop, and the panic that was its cause.
#[derive(Debug)]
struct Ended {
    task: Task,
    panic: Option<Panic>,
}

impl Loops {
    pub(super) fn new() -> Self {
        let (ended, ends) = mpsc::unbounded_channel();
        Self { ended, ends }
    }

    /// Runs the loop of a task until it ends.
    pub(super) fn spawn(
        &self,
        tracker: &TaskTracker,
        task: Task,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        // Boxed, so that it is not copied from layer to layer on the stack of the caller.
        let (ended, work) = (self.ended.clone(), Box::pin(work));
        tracker.spawn(async move {
            let panic = guarded(or_ordered_end(task, work)).await.err();
            // The receiver is gone only when the worker has ended.
            drop(ended.send(Ended { task, panic }));
        })
    }

    /// Waits until the worker is asked to stop, or the end of a loop stops it; then it is not ready any more.
    pub(super) async fn until_stopped(
        &mut self,
        stop: &CancellationToken,
        readiness: &Readiness,
    ) -> Result<(), TaskEnded> {
        let ended = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            Some(ended) = self.ends.recv() => ended,
        };
        let Ended { task, panic } = ended;
        let panic = panic.map(|panic| panic.to_string());
        tracing::error!(%task, panic, "a task ended because of a defect; the worker stops");
        readiness.set(task.name(), false);
        stop.cancel();
        Err(TaskEnded { task })
    }

    /// Returns an error if a loop has panicked since the worker was asked to stop. Loops that returned were asked to
    /// stop.
    pub(super) fn panicked(&mut self) -> Result<(), TaskEnded> {
        while let Ok(Ended { task, panic }) = self.ends.try_recv() {
            if let Some(panic) = panic {
                tracing::error!(%task, %panic, "a task panicked while the worker was stopping");
                return Err(TaskEnded { task });
            }
        }
        Ok(())
    }
}

/// Runs a loop; builds for tests can be ordered to end it by a panic.
pub(super) async fn or_ordered_end(task: Task, work: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = ordered_end(task) => {}
        () = work => {}
    }
}

/// Waits until the writer of a status is gone, or until `close`.
pub(super) async fn while_kept(mut status: Receiver<Status>, close: CancellationToken) {
    tokio::select! {
        biased;
        () = close.cancelled() => {}
        () = async { while status.changed().await.is_ok() {} } => {}
    }
}

/// Waits for an end, but not beyond `limit`.
pub(super) async fn within<T>(limit: Option<Instant>, what: &str, end: impl Future<Output = T>) -> Option<T> {
    let Some(limit) = limit else { return Some(end.await) };
    let ended = timeout_at(limit, end).await.ok();
    if ended.is_none() {
        tracing::warn!(what, "the worker stops waiting and ends as after a crash");
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: Task = Task::Recheck;

    struct Side {
        loops: Loops,
        tracker: TaskTracker,
        stop: CancellationToken,
        readiness: Readiness,
    }

    fn side() -> Side {
        let readiness = Readiness::default();
        for neighbour in ["intake", "events", "store", "dead_letters", "unrouted"] {
            readiness.set(neighbour, true);
        }
        Side { loops: Loops::new(), tracker: TaskTracker::new(), stop: CancellationToken::new(), readiness }
    }

    #[tokio::test]
    async fn the_end_of_a_loop_stops_the_worker_which_is_not_ready_then() {
        for panics in [true, false] {
            let mut side = side();
            drop(side.loops.spawn(&side.tracker, Task::Prune, std::future::pending()));
            drop(side.loops.spawn(&side.tracker, TASK, async move { assert!(!panics, "a defect") }));
            let end = side.loops.until_stopped(&side.stop, &side.readiness).await;
            assert_eq!((end, side.stop.is_cancelled()), (Err(TaskEnded { task: TASK }), true));
            assert_eq!(side.readiness.missing(), [TASK.name()]);
        }
    }

    #[tokio::test]
    async fn a_loop_may_return_once_the_worker_is_asked_to_stop_but_not_panic() {
        for panics in [true, false] {
            let mut side = side();
            let stopped = side.stop.clone().cancelled_owned();
            let stopping = side.loops.spawn(&side.tracker, TASK, async move {
                stopped.await;
                assert!(!panics, "a defect");
            });
            side.stop.cancel();
            assert_eq!(side.loops.until_stopped(&side.stop, &side.readiness).await, Ok(()));
            stopping.await.unwrap();
            assert_eq!(side.loops.panicked().is_err(), panics);
            assert!(side.readiness.missing().is_empty());
        }
    }

    #[tokio::test]
    async fn a_wait_ends_at_its_limit_and_without_one_lasts() {
        let over = Some(Instant::now());
        assert_eq!(within(over, "what never ends", std::future::pending::<()>()).await, None);
        assert_eq!(within(over, "what has ended", async { 1 }).await, Some(1));
        let later = async { tokio::task::yield_now().await };
        assert_eq!(within(None, "what has no limit", later).await, Some(()));
    }

    #[tokio::test]
    async fn a_status_is_kept_until_its_writer_is_gone() {
        let (writer, status) = tokio::sync::watch::channel(Status::Up);
        let kept = while_kept(status, CancellationToken::new());
        let mut kept = std::pin::pin!(kept);
        writer.send_replace(Status::Connecting);
        assert!(futures_util::poll!(kept.as_mut()).is_pending());
        drop(writer);
        kept.await;
    }
}

//! Stops a worker in two phases: it drains, and what has not ended when the drain time is over is cut.
//!
//! A cut leaves what a crash leaves: leases run out, and the broker delivers again.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How long a message is still worked on that was taken before the worker was asked to stop, where that waits for the
/// store.
const SOON: Duration = Duration::from_secs(2);
/// How long after the cut batches may be given back and the ends of events be stored.
const AFTERWARDS: Duration = Duration::from_secs(3);
/// How long after the drain time a worker has ended at the latest, apart from its connections to the broker.
pub(super) const WORK_OVER: Duration = Duration::from_secs(4);
/// How long after the drain time a worker has ended at the latest.
pub(super) const ALL_OVER: Duration = Duration::from_millis(4_500);

/// The phases of the end of a worker. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    draining: CancellationToken,
    cut: CancellationToken,
    over: CancellationToken,
    cuts: mpsc::UnboundedSender<&'static str>,
}

/// Receives what was cut.
pub(super) type Cuts = mpsc::UnboundedReceiver<&'static str>;

/// How a worker has ended that was asked to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Everything had ended in time.
    Drained,
    /// This had not, and was cut.
    Cut(Vec<&'static str>),
}

impl Stop {
    /// Creates the phases of a worker that drains once `draining` is cancelled.
    pub(super) fn new(draining: CancellationToken) -> (Self, Cuts) {
        let (cuts, received) = mpsc::unbounded_channel();
        (Self { draining, cut: CancellationToken::new(), over: CancellationToken::new(), cuts }, received)
    }

    /// Begins each phase at its time.
    pub(super) async fn follow(self, drain_timeout: Duration) {
        self.draining.cancelled().await;
        sleep(drain_timeout).await;
        self.cut.cancel();
        sleep(AFTERWARDS).await;
        self.over.cancel();
    }

    /// Returns the token of the first phase, in which nothing new is begun.
    pub(super) fn draining(&self) -> &CancellationToken {
        &self.draining
    }

    /// Waits for the second phase, in which nothing is waited for any more.
    pub(super) async fn is_cut(&self) {
        self.cut.cancelled().await;
    }

    /// Waits until the second phase has lasted for some time.
    pub(super) async fn is_cut_for(&self, time: Duration) {
        self.is_cut().await;
        sleep(time).await;
    }

    /// Runs work to its end, or until the cut.
    pub(super) async fn unless_cut<T>(&self, what: &'static str, work: impl Future<Output = T>) -> Option<T> {
        self.unless(&self.cut, what, work).await
    }

    /// Runs work to its end, or until a worker that was cut has given back what it held.
    pub(super) async fn unless_over<T>(&self, what: &'static str, work: impl Future<Output = T>) -> Option<T> {
        self.unless(&self.over, what, work).await
    }

    async fn unless<T>(
        &self,
        phase: &CancellationToken,
        what: &'static str,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = phase.cancelled() => {
                self.note_cut(what);
                None
            }
        }
    }

    /// Runs work to its end; a worker that drains gives it up after a moment.
    pub(super) async fn unless_draining<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let drained = async {
            self.draining.cancelled().await;
            sleep(SOON).await;
        };
        tokio::select! {
            biased;
            done = work => Some(done),
            () = drained => None,
        }
    }

    /// Notes that something was cut.
    pub(super) fn note_cut(&self, what: &'static str) {
        tracing::warn!(what, "the drain time is over; it is not waited for any longer");
        // The receiver is gone only when the worker has ended.
        self.cuts.send(what).unwrap_or_default();
    }
}

/// Returns how a worker has ended, by what was cut.
pub(super) fn stopped(mut cuts: Cuts) -> Stopped {
    let mut cut: Vec<&'static str> = std::iter::from_fn(|| cuts.try_recv().ok()).collect();
    cut.sort_unstable();
    cut.dedup();
    if cut.is_empty() { Stopped::Drained } else { Stopped::Cut(cut) }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::Instant;

    use super::*;

    const DRAIN: Duration = Duration::from_millis(50);

    /// Runs work in a worker that is asked to stop at once, and returns how long it took.
    async fn timed<T>(stop: &Stop, work: impl Future<Output = T>) -> (T, Duration) {
        stop.draining.cancel();
        let since = Instant::now();
        let (done, ()) = tokio::join!(async { (work.await, since.elapsed()) }, stop.clone().follow(DRAIN));
        done
    }

    #[tokio::test]
    async fn each_phase_ends_what_still_waits_in_it_and_names_it() {
        let (stop, cuts) = Stop::new(CancellationToken::new());
        let waits = async {
            tokio::join!(
                stop.unless_draining(pending::<()>()),
                stop.unless_cut("requests", pending::<()>()),
                stop.unless_over("events", pending::<()>()),
            )
        };
        let (ends, took) = timed(&stop, waits).await;
        assert_eq!(ends, (None, None, None));
        assert!(took >= DRAIN + AFTERWARDS, "{took:?}");
        assert_eq!(stopped(cuts), Stopped::Cut(vec!["events", "requests"]));
    }

    #[tokio::test]
    async fn what_ends_in_time_is_not_cut() {
        let (stop, cuts) = Stop::new(CancellationToken::new());
        stop.draining.cancel();
        stop.cut.cancel();
        assert_eq!(stop.unless_cut("requests", async { 1 }).await, Some(1));
        assert_eq!(stopped(cuts), Stopped::Drained);
    }
}

//! Starts and stops workers, and ends a stage, which fails the test if work is left over.

use std::sync::Arc;

use testmo_courier::store::StoreHealth;
use testmo_courier::worker;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Stage;
use crate::support::waiting::patient;

/// Work that a test may leave over on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LeftOver {
    /// Messages in a queue of the worker.
    Messages,
    /// Rows on the shelf, parked or dead.
    ShelfRows,
    /// Events that are stored and not sent.
    Events,
}

/// Fails a test that forgets to end its stage, which would hide work that is left over.
pub(super) struct MustEnd {
    pub(super) has_ended: bool,
}

impl Drop for MustEnd {
    fn drop(&mut self) {
        assert!(self.has_ended || std::thread::panicking(), "a stage was dropped without `end` or `end_leaving`");
    }
}

impl Stage {
    /// Starts a worker in this process; on PostgreSQL there can be several.
    pub(crate) fn start_worker(&mut self) {
        let stop = CancellationToken::new();
        let task = self.links.spawn(worker::run(watch::channel(self.config.clone()).1, Vec::new(), stop.clone()));
        self.workers.push((task, stop));
    }

    /// Stops the workers as SIGTERM does.
    pub(crate) async fn stop_worker(&mut self) {
        for (task, stop) in std::mem::take(&mut self.workers) {
            stop.cancel();
            patient(task).await.expect("a worker that does not panic").expect("a worker that could run");
        }
    }

    /// Stops everything, and fails if any work is left over.
    pub(crate) async fn end(self) {
        self.end_leaving(&[]).await;
    }

    /// Stops everything, and fails if the work that is left over is not exactly of these kinds.
    pub(crate) async fn end_leaving(mut self, wanted: &[LeftOver]) {
        if !self.workers.is_empty() && !wanted.contains(&LeftOver::Events) {
            // A stopping worker does not wait for an event whose next try is due later.
            self.all_sent().await;
        }
        self.stop_worker().await;
        assert_eq!(Arc::strong_count(&self.running), 1, "a worker process is still running");
        let shelf = self.shelf().await;
        self.close.cancel();
        self.events.close().await;
        self.links.close();
        patient(self.links.wait()).await;
        let shelf: Vec<_> = shelf.iter().map(|row| (row.state, row.content.reason)).collect();
        let queues = self.broker.filled_queues(&self.vhost);
        let events = self.store.unsent_count().await.expect("a store");
        let mut found = Vec::new();
        found.extend((!queues.is_empty()).then_some(LeftOver::Messages));
        found.extend((!shelf.is_empty()).then_some(LeftOver::ShelfRows));
        found.extend((events > 0).then_some(LeftOver::Events));
        assert_eq!(found, wanted, "left over: messages in {queues:?}, on the shelf {shelf:?}, {events} unsent events");
        self.store.close().await;
        self.testmo.stop().await;
        self.must_end.has_ended = true;
    }
}

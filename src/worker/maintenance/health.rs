//! Checks broker and store, and pauses the intake while the store is unavailable.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select_all;
use tokio::sync::watch::Receiver;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::amqp::{Intake, IntakeControl, Publish, Status};
use crate::certificates::{self, Peer};
use crate::guard::{Count, Task};
use crate::http::Readiness;
use crate::store::StoreError;
use crate::worker::context::WorkerContext;
use crate::worker::unit::unit;

/// How often the store is checked.
const PERIOD: Duration = Duration::from_secs(2);
/// How long the store may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// The store's name in readiness.
const STORE: &str = "store";

/// Everything that is checked.
pub(in crate::worker) struct Watched {
    pub(in crate::worker) context: Arc<WorkerContext>,
    pub(in crate::worker) readiness: Readiness,
    /// The connections to the broker, by the name that readiness and metrics use.
    pub(in crate::worker) links: [(&'static str, Receiver<Status>); 4],
    pub(in crate::worker) controls: Vec<IntakeControl>,
    pub(in crate::worker) panics: Panics,
}

/// Panics that were caught outside the worker's own tasks, and how many of them are counted.
pub(in crate::worker) struct Panics {
    context: Arc<WorkerContext>,
    consuming: Vec<Count>,
    publishing: Count,
}

impl Panics {
    pub(in crate::worker) fn new(context: &Arc<WorkerContext>, intakes: [&Intake; 3], publisher: &dyn Publish) -> Self {
        let consuming = intakes.into_iter().map(Intake::panics).collect();
        Self { context: context.clone(), consuming, publishing: publisher.panics() }
    }

    fn show(&self) {
        let consumed = self.consuming.iter().map(Count::get).sum();
        let seen = [
            (Task::Consumer, consumed),
            (Task::Publisher, self.publishing.get()),
            (Task::Store, self.context.store.panics()),
        ];
        for (task, count) in seen {
            let counter = self.context.metrics.panics.with_label_values(&[task.name()]);
            counter.inc_by(count.saturating_sub(counter.get()));
        }
    }
}

/// Watches until `stop`.
pub(in crate::worker) async fn watch(mut watched: Watched, stop: CancellationToken) {
    let mut due = tokio::time::interval(PERIOD);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = due.tick() => {
                watched.panics.show();
                watched.show_certificates();
                watched.check_store().await;
            }
            () = changed(&mut watched.links) => {}
        }
        watched.check_broker();
    }
}

/// Waits until the state of a connection changes.
async fn changed(links: &mut [(&'static str, Receiver<Status>)]) {
    let changes = links.iter_mut().map(|(_, status)| {
        Box::pin(async {
            // A connection that is closed for good changes no more.
            if status.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    });
    select_all(changes).await;
}

/// Returns whether messages can flow over a connection, and otherwise why not.
///
/// The state is borrowed once: a second loan beside the first would wait for a change that waits for the first one to end.
fn shown(status: &Receiver<Status>) -> (bool, Option<String>) {
    let status = status.borrow();
    (status.is_up(), status.trouble())
}

impl Watched {
    fn show_certificates(&self) {
        for peer in Peer::ALL {
            let end = certificates::earliest_end(peer).unwrap_or(0);
            self.context.metrics.certificate_end_timestamp_seconds.with_label_values(&[peer.name()]).set(end);
        }
    }

    fn check_broker(&self) {
        for (link, status) in &self.links {
            let (up, trouble) = shown(status);
            self.context.metrics.broker_up.with_label_values(&[*link]).set(i64::from(up));
            match trouble {
                Some(cause) => self.readiness.unset(link, cause),
                None => self.readiness.set(link, up),
            };
        }
    }

    /// Nothing but the answer to a ping decides: what takes longer the more is stored is not a part of it.
    async fn check_store(&mut self) {
        let context = self.context.clone();
        let pinging = unit(&context, Task::Health, &"the store", context.store.ping());
        let failure = match tokio::time::timeout(ANSWER, pinging).await {
            // A row that this version cannot read, or a panic, does not mean that the store is unavailable.
            Ok(Ok(())) => None,
            Ok(Err(
                StoreError::Unreadable(_) | StoreError::Malformed(_) | StoreError::Data(_) | StoreError::Panicked(_),
            )) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!(
                "the store does not answer within {ANSWER:?}: check that its disk responds or its database runs, and \
                 store.url"
            )),
        };
        let up = failure.is_none();
        self.context.metrics.store_up.set(i64::from(up));
        let has_changed = match failure {
            None => {
                let was_down = self.readiness.set(STORE, true);
                if was_down {
                    tracing::info!("the store can be used");
                }
                was_down
            }
            Some(cause) => {
                let was_up = self.readiness.unset(STORE, cause.clone());
                if was_up {
                    tracing::warn!(cause, "the store cannot be used; no batches are taken until it can");
                }
                was_up
            }
        };
        if has_changed {
            for control in &self.controls {
                if up { control.resume() } else { control.pause() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;

    #[test]
    fn each_peer_that_shows_certificates_has_a_gauge() {
        assert_eq!(Peer::ALL.map(Peer::name), crate::metrics::CERTIFICATE_PEERS);
    }

    #[test]
    fn the_state_of_a_connection_is_read_while_it_changes() {
        let changes = 20_000;
        let (sender, receiver) = watch::channel(Status::Connecting);
        let changing = std::thread::spawn(move || {
            for change in 0..changes {
                sender.send_replace(if change % 2 == 0 { Status::Up } else { Status::Closed });
            }
        });
        // Ends once the other thread has: a reader that waits for it, and is waited for, would not.
        while receiver.has_changed().is_ok() {
            let (is_up, trouble) = shown(&receiver);
            assert!(!is_up || trouble.is_none());
        }
        changing.join().unwrap();
        assert_eq!(shown(&receiver), (false, None));
    }
}

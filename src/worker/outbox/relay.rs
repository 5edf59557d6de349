//! Publishes events until the broker has confirmed each: fresh ones from memory, others from the store. An event that
//! no queue is bound for steps aside, and waits in the store until its routing key is bound.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::fresh::publish_fresh;
use super::publishing::Publishing;
use super::stored::publish_stored;
use super::unbound::UnboundKeys;
use crate::amqp::Publish;
use crate::store::outbox::OutboxEvent;
use crate::worker::context::WorkerContext;

/// The most events that wait in memory to be published; more wait in the store.
pub(in crate::worker) const RELAY_CAPACITY: usize = 4_000;
/// How long a stopping worker goes on publishing. Another worker, or the next start, publishes the rest.
pub(in crate::worker) const FAREWELL: Duration = Duration::from_secs(3);

/// Publishes stored events until `stop`, and then what is left, until it is left to others; events that this worker
/// stores arrive by `fresh`.
pub(in crate::worker) async fn relay(
    context: Arc<WorkerContext>,
    publisher: Arc<dyn Publish>,
    fresh: mpsc::Receiver<OutboxEvent>,
    (stop, left): (CancellationToken, CancellationToken),
) {
    let publishing = Publishing { context, publisher, unbound: UnboundKeys::default(), left };
    tokio::join!(publish_fresh(&publishing, fresh, &stop), publish_stored(&publishing, &stop));
    if publishing.left.is_cancelled() {
        tracing::info!("some events are not published yet; the next start or another worker publishes them");
    }
}

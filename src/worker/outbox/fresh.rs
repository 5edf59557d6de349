//! Publishes fresh events from memory. They never wait for the events of the store, of which there may be very many.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::ends::Ends;
use super::publishing::{AT_ONCE, Publishing, unit};
use crate::store::outbox::OutboxEvent;

/// Publishes fresh events until `stop`, and then those that are in memory, until they are left to others.
pub(super) async fn publish_fresh(
    publishing: &Publishing,
    mut fresh: mpsc::Receiver<OutboxEvent>,
    stop: &CancellationToken,
) {
    let mut reachable = publishing.publisher.status();
    let (mut taken, mut ends, mut gone) = (Vec::with_capacity(AT_ONCE), Ends::new(publishing.context.clone()), false);
    loop {
        let up = !gone && reachable.borrow_and_update().is_up();
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            changed = reachable.changed(), if !gone => gone = changed.is_err(),
            _ = fresh.recv_many(&mut taken, AT_ONCE), if up => {}
        }
        if !gone && reachable.borrow().is_up() {
            unit(&publishing.context, publish(publishing, &mut taken, &mut ends)).await;
        }
    }
    // Any worker may publish the events that are stored from now on.
    fresh.close();
    let up = !gone && reachable.borrow().is_up();
    while up && !(fresh.is_empty() && taken.is_empty()) && !publishing.left.is_cancelled() {
        taken.extend(std::iter::from_fn(|| fresh.try_recv().ok()).take(AT_ONCE));
        unit(&publishing.context, publish(publishing, &mut taken, &mut ends)).await;
    }
    ends.stored().await;
}

/// Publishes events, except those that other workers may publish by now.
async fn publish(publishing: &Publishing, taken: &mut Vec<OutboxEvent>, ends: &mut Ends) {
    let now = publishing.context.store.now();
    let events: Vec<OutboxEvent> = taken.drain(..).filter(|event| event.due_at > now).collect();
    if !events.is_empty() {
        publishing.publish(events, ends).await;
    }
}

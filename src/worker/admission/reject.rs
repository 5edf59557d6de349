//! Marks messages dead that never become work: malformed, too large, in conflict, or undeliverable.

use crate::batch::event::{self, MessageInput};
use crate::batch::message::decode::{Undecodable, decode};
use crate::batch::{BatchKey, Fault, Reason, TenantId, excerpt};
use crate::guard::may_panic;
use crate::offload::run_blocking_if_large;
use crate::store::StoreError;
use crate::store::ledger::{Commit, CommitOutcome};
use crate::store::shelf::{ShelfIdentity, ShelvedUntil, Shelving};
use crate::trace::logged;
use crate::worker::context::WorkerContext;
use crate::worker::failpoint::{self, Failpoint};
use crate::worker::model::{InboundMessage, unproven};
use crate::worker::outcome::commit::commit;
use crate::worker::outcome::park::{count_shelved, shelving_of};

/// The most characters of a detail on the shelf.
pub(in crate::worker) const LONGEST_DETAIL: usize = 8_000;

/// The tenant of a message and the batch in it, as far as they can be read.
pub(in crate::worker) type Subject = Option<(TenantId, Option<BatchKey>)>;

/// The reason why a message is rejected.
#[derive(Clone)]
pub(in crate::worker) struct Rejection {
    pub(in crate::worker) reason: Reason,
    pub(in crate::worker) subject: Subject,
    pub(in crate::worker) faults: Vec<Fault>,
    pub(in crate::worker) detail: String,
}

/// Shelves a message as dead; no record of a batch is touched.
pub(in crate::worker) async fn reject(
    context: &WorkerContext,
    message: &InboundMessage,
    rejection: Rejection,
) -> Result<(), StoreError> {
    let Rejection { reason, subject, faults, detail } = rejection;
    let detail = excerpt(&detail, LONGEST_DETAIL);
    let hash = message.hash().await;
    // No event reports on a tenant's batch because of a message that was not published for this tenant.
    let subject = subject.filter(|(tenant, _)| unproven(&context.config.amqp, &message.headers, tenant).is_none());
    let (tenant, key) = subject.map_or((None, None), |(tenant, key)| (Some(tenant), key));
    let batch = key.as_ref().map(|key| &key.batch);
    let event = event::of_message(&MessageInput {
        tenant: tenant.as_ref(),
        batch,
        raw_hash: &hash,
        properties: &message.headers,
        reason,
        faults: &faults,
        // The detail of a message with faults lists the same faults.
        detail: Some(detail.as_str()).filter(|_| faults.is_empty()),
        now: context.clock.now(),
    });
    let identity = ShelfIdentity::Raw(hash, tenant, key.map(|key| key.batch));
    tracing::warn!(batch = ?identity, trace_id = logged(message.trace().as_ref()), %reason, detail, "message shelved");
    let row = Shelving { detail: Some(detail), ..shelving_of(message, identity, reason, ShelvedUntil::Person) };
    let (subject, id) = (event.subject.clone(), event.id.clone());
    let change = Commit { shelve: Some(row), unshelve: message.row(), events: vec![event], ..Commit::default() };
    if matches!(commit(context, change).await?, CommitOutcome::Done(fresh) if fresh.is_empty()) {
        // The same bytes came before: their publisher waits for the event again.
        context.store.resend_event(&subject, &id).await?;
        context.outbox_wanted.notify_one();
    }
    failpoint::after(Failpoint::Park);
    count_shelved(context, message, reason, "dead");
    Ok(())
}

/// Shelves a message that the broker could not deliver, or whose headers cannot be read. It is decoded only to name the
/// batch in the event.
pub(in crate::worker) async fn reject_undeliverable(
    context: &WorkerContext,
    message: &InboundMessage,
    reason: Reason,
    detail: String,
) -> Result<(), StoreError> {
    may_panic("undeliverable", message);
    let subject = subject_of(context, message).await;
    reject(context, message, Rejection { reason, subject, faults: vec![], detail }).await
}

/// Reads the tenant and the batch of a message. A message above the size limit is not decoded, here either.
async fn subject_of(context: &WorkerContext, message: &InboundMessage) -> Subject {
    if message.body.len() > context.config.amqp.max_message_bytes {
        return None;
    }
    let body = message.body.clone();
    match run_blocking_if_large(body.len(), move || decode(&body)).await {
        Ok(batch) => Some((batch.key.tenant.clone(), Some(batch.key))),
        Err(Undecodable::Schema { key: Some(key), .. }) => Some((key.tenant.clone(), Some(key))),
        Err(Undecodable::Schema { tenant, .. }) => tenant.map(|tenant| (tenant, None)),
        Err(Undecodable::NotJson(_)) => None,
    }
}

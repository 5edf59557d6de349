//! Decodes a message, resolves its tenant's connection and renders the batch; shelves messages that cannot be worked on
//! now.

use crate::batch::ledger::BatchRecord;
use crate::batch::message::decode::{Undecodable, decode};
use crate::batch::{Batch, Reason, fingerprint};
use crate::guard::may_panic;
use crate::store::StoreError;
use crate::store::ledger::Commit;
use crate::store::shelf::{ShelfIdentity, ShelvedUntil, Shelving};
use crate::tenants::{Resolution, ResolveError};
use crate::worker::admission::reject::{Rejection, reject};
use crate::worker::context::WorkerContext;
use crate::worker::model::{ActiveBatch, InboundMessage};
use crate::worker::offload::run_blocking_if_large;
use crate::worker::outcome::commit::commit;
use crate::worker::outcome::duplicate::resend_if_finished;
use crate::worker::outcome::park::{count_shelved, deferral, name_of_row, shelving_of, unreadable_row_wait};

/// Returns the batch of a message, ready for its lane; `None` if the message is on the shelf now.
pub(in crate::worker) async fn admit(
    context: &WorkerContext,
    message: InboundMessage,
) -> Result<Option<Box<ActiveBatch>>, StoreError> {
    let (bytes, most) = (message.body.len(), context.config.amqp.max_message_bytes);
    if bytes > most {
        let detail = format!("the message has {bytes} bytes; at most {most} are allowed");
        let rejection = Rejection { reason: Reason::TooLarge, subject: None, faults: vec![], detail };
        return reject(context, &message, rejection).await.map(|()| None);
    }
    let body = message.body.clone();
    let decoded = match run_blocking_if_large(bytes, move || decode(&body)).await {
        Ok(decoded) => decoded,
        Err(undecodable) => return reject(context, &message, rejection_of(undecodable)).await.map(|()| None),
    };
    may_panic("arrive", &decoded.key);
    match resolve(context, &decoded).await? {
        Resolution::Ready(connection) => {
            let render = move || ActiveBatch::new(&decoded, message, connection);
            Ok(Some(Box::new(run_blocking_if_large(bytes, render).await)))
        }
        Resolution::NotReady { reason, detail, version } => {
            await_connection(context, &decoded, &message, reason, detail, version).await.map(|()| None)
        }
    }
}

/// Resolves the tenant's connection; a row that cannot be read holds the batch like a connection that is not ready.
async fn resolve(context: &WorkerContext, decoded: &Batch) -> Result<Resolution, StoreError> {
    match context.tenants.resolve(&decoded.key.tenant).await {
        Ok(resolution) => Ok(resolution),
        Err(ResolveError::Store(StoreError::Unreadable(row))) => {
            let (reason, detail) = (Reason::StoreRowUnreadable, Some(name_of_row(&row)));
            Ok(Resolution::NotReady { reason, detail, version: None })
        }
        Err(ResolveError::Store(error)) => Err(error),
    }
}

/// Shelves a batch whose connection is not ready, unless the batch is finished already.
async fn await_connection(
    context: &WorkerContext,
    decoded: &Batch,
    message: &InboundMessage,
    reason: Reason,
    detail: Option<String>,
    version: Option<String>,
) -> Result<(), StoreError> {
    let fingerprint = fingerprint(decoded);
    let (reason, detail) = match resend_if_finished(context, &decoded.key, &fingerprint, message).await {
        Ok(true) => return Ok(()),
        Ok(false) => (reason, detail),
        Err(StoreError::Unreadable(row)) => (Reason::StoreRowUnreadable, Some(name_of_row(&row))),
        Err(error) => return Err(error),
    };
    // A row does not become readable by a new connection.
    let is_unreadable = reason == Reason::StoreRowUnreadable;
    let until =
        if is_unreadable { ShelvedUntil::After(unreadable_row_wait(context)) } else { ShelvedUntil::Connection };
    let record = BatchRecord::fresh(decoded.key.clone(), fingerprint.clone(), decoded.case_keys());
    let events = deferral(context, &record, reason, detail.as_deref(), until);
    let identity = ShelfIdentity::Batch(decoded.key.clone(), fingerprint);
    let row = Shelving { connection: version, detail, ..shelving_of(message, identity, reason, until) };
    let unshelve = message.nameless_row();
    commit(context, Commit { shelve: Some(row), unshelve, events, ..Commit::default() }).await?;
    count_shelved(context, reason, "parked");
    Ok(())
}

fn rejection_of(undecodable: Undecodable) -> Rejection {
    let detail = undecodable.detail();
    let (reason, key, tenant, faults) = match undecodable {
        Undecodable::NotJson(fault) => (Reason::NotJson, None, None, vec![fault]),
        Undecodable::Schema { faults, key, tenant } => (Reason::InvalidMessage, key, tenant, faults),
    };
    let subject = match key {
        Some(key) => Some((key.tenant.clone(), Some(key))),
        None => tenant.map(|tenant| (tenant, None)),
    };
    Rejection { reason, subject, faults, detail }
}

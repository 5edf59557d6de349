//! Decodes a message, resolves its tenant's connection and renders the batch.

use crate::batch::message::decode::{Undecodable, decode};
use crate::batch::message::encoding::Encoded;
use crate::batch::{Batch, Reason, fingerprint};
use crate::guard::may_panic;
use crate::offload::run_blocking_if_large;
use crate::store::StoreError;
use crate::tenants::{Resolution, ResolveError};
use crate::worker::admission::awaiting::Awaiting;
use crate::worker::admission::reject::{Rejection, reject};
use crate::worker::context::WorkerContext;
use crate::worker::model::{ActiveBatch, InboundMessage, unproven};
use crate::worker::outcome::duplicate::resend_if_finished;
use crate::worker::outcome::park::name_of_row;

/// What becomes of a message.
pub(in crate::worker) enum Admission {
    /// It is a batch, ready for its lane.
    Ready(Box<ActiveBatch>),
    /// Its batch is finished, and its outcome was reported again.
    Finished,
    /// It goes to the shelf.
    Shelve(Box<Unready>),
}

/// A message that cannot be worked on now.
#[derive(Clone)]
pub(in crate::worker) enum Unready {
    /// It never becomes work.
    Rejected(Rejection),
    /// Its batch waits until its connection is ready.
    Awaits(Awaiting),
}

impl Unready {
    /// Shelves the message.
    pub(in crate::worker) async fn shelve(
        self,
        context: &WorkerContext,
        message: &InboundMessage,
    ) -> Result<(), StoreError> {
        match self {
            Self::Rejected(rejection) => reject(context, message, rejection).await,
            Self::Awaits(awaiting) => awaiting.shelve(context, message).await,
        }
    }
}

/// Returns the batch of a message, ready for its lane; `None` if the message is on the shelf now, or was finished.
pub(in crate::worker) async fn admit_or_shelve(
    context: &WorkerContext,
    message: &InboundMessage,
) -> Result<Option<Box<ActiveBatch>>, StoreError> {
    match admit(context, message).await? {
        Admission::Ready(batch) => Ok(Some(batch)),
        Admission::Finished => Ok(None),
        Admission::Shelve(unready) => unready.shelve(context, message).await.map(|()| None),
    }
}

/// Decides what becomes of a message; nothing is stored.
pub(in crate::worker) async fn admit(
    context: &WorkerContext,
    message: &InboundMessage,
) -> Result<Admission, StoreError> {
    let (bytes, most) = (message.body.len(), context.config.amqp.max_message_bytes);
    if bytes > most {
        let detail = format!("the message has {bytes} bytes; at most {most} are allowed");
        return Ok(rejected(Rejection { reason: Reason::TooLarge, subject: None, faults: vec![], detail }));
    }
    if let Some(undecoded) = &message.undecoded {
        return Ok(rejected(rejection_of_body(undecoded)));
    }
    let _room = context.reading.enter(bytes).await;
    let body = message.body.clone();
    let decoded = match run_blocking_if_large(bytes, move || decode(&body)).await {
        Ok(decoded) => decoded,
        Err(undecodable) => return Ok(rejected(rejection_of(undecodable))),
    };
    if let Some(fault) = unproven(&context.config.amqp, &message.headers, &decoded.key.tenant) {
        let (reason, detail) = (Reason::InvalidMessage, fault.to_string());
        return Ok(rejected(Rejection { reason, subject: None, faults: vec![fault], detail }));
    }
    may_panic("arrive", &decoded.key);
    match resolve(context, &decoded).await? {
        Resolution::Ready(connection) => {
            let message = message.clone();
            let render = move || ActiveBatch::new(&decoded, message, connection);
            let mut batch = Box::new(run_blocking_if_large(bytes, render).await);
            batch.record.continue_after(&context.restored);
            batch.join_trace(&context.spans);
            Ok(Admission::Ready(batch))
        }
        Resolution::NotReady { reason, detail, version } => {
            await_connection(context, decoded, message, (reason, detail), version).await
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

/// Has a batch wait whose connection is not ready, unless the batch is finished already.
async fn await_connection(
    context: &WorkerContext,
    batch: Batch,
    message: &InboundMessage,
    (reason, detail): (Reason, Option<String>),
    version: Option<String>,
) -> Result<Admission, StoreError> {
    let fingerprint = fingerprint(&batch);
    let (reason, detail, revision) = match resend_if_finished(context, &batch.key, &fingerprint, message).await {
        Ok(None) => return Ok(Admission::Finished),
        Ok(Some(revision)) => (reason, detail, revision),
        Err(StoreError::Unreadable(row)) => {
            (Reason::StoreRowUnreadable, Some(name_of_row(&row)), context.restored.first_revision())
        }
        Err(error) => return Err(error),
    };
    let awaiting = Awaiting { batch, fingerprint, reason, detail, version, revision };
    Ok(Admission::Shelve(Box::new(Unready::Awaits(awaiting))))
}

fn rejected(rejection: Rejection) -> Admission {
    Admission::Shelve(Box::new(Unready::Rejected(rejection)))
}

fn rejection_of_body(undecoded: &Encoded) -> Rejection {
    let (reason, faults) = match undecoded {
        Encoded::Broken(fault) => (Reason::NotJson, vec![fault.clone()]),
        Encoded::TooLarge(_) => (Reason::TooLarge, vec![]),
    };
    Rejection { reason, subject: None, faults, detail: undecoded.detail() }
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

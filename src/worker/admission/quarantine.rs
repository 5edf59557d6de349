//! Sets a message apart that may have stopped workers, so that it is retried alone.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::batch::{Reason, excerpt};
use crate::store::StoreError;
use crate::store::ledger::Commit;
use crate::store::shelf::{ShelfIdentity, ShelvedUntil, Shelving};
use crate::trace::logged;
use crate::worker::admission::reject::LONGEST_DETAIL;
use crate::worker::context::WorkerContext;
use crate::worker::model::InboundMessage;
use crate::worker::outcome::commit::commit;
use crate::worker::outcome::park::{count_shelved, shelving_of};

/// Shelves a message undecoded that was in hand when workers stopped, whose processing panicked, or of which the store
/// refuses a value. The row that it came from is removed.
pub(in crate::worker) async fn quarantine(
    context: &WorkerContext,
    message: &InboundMessage,
    panic: Option<&str>,
) -> Result<(), StoreError> {
    let (hash, trace) = (message.hash().await, message.trace());
    let identity = ShelfIdentity::Raw(hash.clone(), None, None);
    let row = Shelving {
        detail: panic.map(|panic| excerpt(&format!("a defect in the worker: {panic}"), LONGEST_DETAIL)),
        // The attempts of a suspect do not count as failures of its batch.
        parks: message.tried_apart,
        ..shelving_of(message, identity, Reason::Suspect, ShelvedUntil::After(Duration::ZERO))
    };
    let change = |row| Commit { shelve: Some(row), unshelve: message.row(), ..Commit::default() };
    match commit(context, change(row.clone())).await {
        Err(StoreError::Data(refused)) => {
            tracing::warn!(
                message_hash = hash,
                trace_id = logged(trace.as_ref()),
                refused,
                "the headers of a message are left out"
            );
            let bytes = Shelving { headers: BTreeMap::new(), detail: None, ..row };
            commit(context, change(bytes)).await?
        }
        stored => stored?,
    };
    match panic {
        None => tracing::warn!(
            message_hash = hash,
            trace_id = logged(trace.as_ref()),
            "a message may have stopped workers; the message is tried alone"
        ),
        Some(_) => {
            tracing::warn!(
                message_hash = hash,
                trace_id = logged(trace.as_ref()),
                "the worker panicked while it handled a message; the message is tried alone"
            )
        }
    }
    count_shelved(context, message, Reason::Suspect, "parked");
    Ok(())
}

//! Sends a request that changes or deletes cases of earlier batches, and says what its end means for them.

use tokio::time::Instant;

use super::super::failure::call_failed;
use super::super::state::Delivery;
use crate::batch::verdict::answer::FieldRefusal;
use crate::batch::verdict::{UpdateFailure, after_failed_update};
use crate::store::StoreError;
use crate::testmo::{ShownCase, WINDOW};
use crate::worker::failpoint::{self, Failpoint};
use crate::worker::model::{ActiveBatch, NextStep, PushFeedback};
use crate::worker::permit::check_rate_limit;

/// How such a request ended.
pub(super) enum RequestEnd {
    /// It was carried out. The answer shows these cases; that of a deletion shows none.
    Done(Vec<ShownCase>),
    /// Testmo refused what was sent, so nothing was changed.
    Refused(Vec<FieldRefusal>),
    /// Nothing was changed; what follows.
    NotDone(NextStep),
    /// It was not sent: too much time has passed since the cases were read.
    Late,
    /// It may be carried out; what follows.
    Unclear(NextStep),
}

/// Sends a request for some cases that were read at `read_at`, with a permit: `body` sets fields of them, and without one they
/// are deleted.
pub(super) async fn send_request(
    delivery: &Delivery,
    batch: &mut ActiveBatch,
    (ids, read_at): (&[u64], Instant),
    body: Option<String>,
    feedback: &mut PushFeedback,
) -> Result<RequestEnd, StoreError> {
    let (context, connection) = (&delivery.context, batch.connection.clone());
    let (access, project) = (&connection.access, connection.project);
    if read_at.elapsed() >= WINDOW {
        return Ok(RequestEnd::Late);
    }
    if let Some(next) = check_rate_limit(context, access, &connection.tenant, feedback).await? {
        return Ok(RequestEnd::NotDone(next));
    }
    // The store may have taken its time.
    if read_at.elapsed() >= WINDOW {
        return Ok(RequestEnd::Late);
    }
    feedback.requests += 1;
    let end = match body {
        Some(body) => context.client.update_cases(access, project, body).await,
        None => context.client.delete_cases(access, project, ids).await.map(|()| Vec::new()),
    };
    failpoint::after(Failpoint::Update);
    let error = match end {
        Ok(shown) => return Ok(RequestEnd::Done(shown)),
        Err(error) => error,
    };
    match after_failed_update(&error) {
        UpdateFailure::Unclear(verdict) => {
            call_failed(context, batch, &error, verdict, feedback).await.map(RequestEnd::Unclear)
        }
        UpdateFailure::NotWritten(verdict) => {
            call_failed(context, batch, &error, verdict, feedback).await.map(RequestEnd::NotDone)
        }
        UpdateFailure::Refused(said) => Ok(RequestEnd::Refused(said)),
    }
}

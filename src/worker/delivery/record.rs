//! Stores the end of a create request for each of its batches.

use futures_util::future::join_all;

use super::apply::{Slice, apply};
use super::cause::{Asked, find_cause};
use super::failure::blame_connection;
use super::match_rows::span;
use super::settle_time::lease_after;
use super::share::Share;
use super::state::Delivery;
use super::written::{count_repeated, written};
use crate::batch::Reason;
use crate::batch::verdict::answer::{ApiError, CreateResult};
use crate::batch::verdict::{DEFAULT_THROTTLE_PAUSE, NO_SOCKET_PAUSE, Verdict, signal_of};
use crate::batch::written::{WrittenCase, WrittenFields};
use crate::store::StoreError;
use crate::store::history;
use crate::store::ledger::{Commit, PushEnded};
use crate::tenants::Connection;
use crate::worker::context::WorkerContext;
use crate::worker::failpoint::{self, Failpoint};
use crate::worker::model::{ActiveBatch, NextStep, PushFeedback};
use crate::worker::outcome::commit::commit_record;
use crate::worker::outcome::finish::finish;
use crate::worker::outcome::reasons::reason_of_outcome;
use crate::worker::permit::{note_end, observation};

/// How a request ended.
pub(super) struct RequestEnd<'a> {
    pub(super) push: String,
    pub(super) result: CreateResult,
    /// Whether the answer says that cases were created, whose ids cannot be theirs.
    pub(super) is_carried_out: bool,
    /// The fields of each case that is remembered, by position in the request.
    pub(super) fields: Vec<Option<WrittenFields>>,
    pub(super) verdict: Verdict,
    pub(super) connection: &'a Connection,
}

/// What is stored for one batch.
struct Recording<'s, 'p> {
    share: &'s mut Share<'p>,
    next: NextStep,
    /// Positions and ids of the created cases.
    created: Vec<(usize, u64)>,
    refused: usize,
    change: Commit,
}

/// Stores the end of a push for each of its batches. A batch of which it was the last push is finished in the same
/// transaction.
pub(super) async fn record_end(
    delivery: &Delivery,
    mut shares: Vec<Share<'_>>,
    end: &RequestEnd<'_>,
    feedback: &mut PushFeedback,
) -> Result<(), StoreError> {
    let RequestEnd { verdict, connection, .. } = end;
    if let Verdict::Throttle(wait) = verdict {
        feedback.close(wait.unwrap_or(DEFAULT_THROTTLE_PAUSE), Reason::Throttled);
        delivery.context.metrics.rate_limited_responses.inc();
    }
    if *verdict == Verdict::AwaitSocket {
        feedback.close(NO_SOCKET_PAUSE, Reason::NoRoom);
    }
    let recordings = apply_to_all(delivery, &mut shares, end);
    let storing = recordings.into_iter().map(|recording| async move {
        let Recording { share, next, created, refused, change } = recording;
        let next = store_end(&delivery.context, &mut share.part.batch, next, change).await?;
        if !matches!(next, NextStep::Refresh) {
            count_cases(&delivery.context, created.len(), refused);
            count_repeated(&delivery.context, &share.part.batch, created.iter().map(|(at, _)| *at));
        }
        share.part.next = Some(next);
        Ok::<(), StoreError>(())
    });
    // Concurrently, so that they share a transaction; each is stored or fenced on its own all the same.
    if let Err(error) = join_all(storing).await.into_iter().collect::<Result<(), _>>() {
        // A batch is parked only for a connection that was found to fail.
        for share in &mut shares {
            share.part.next = share.part.next.take().filter(|next| !next.awaits_connection());
        }
        return Err(error);
    }
    failpoint::after(Failpoint::Record);
    let parts = shares.into_iter().map(|share| share.part).collect();
    if let Verdict::FindCause { status } = verdict {
        return find_cause(delivery, parts, Asked { connection, status: *status }, feedback).await;
    }
    blame_connection(&delivery.context, parts, feedback).await
}

/// Applies the end to the record of each batch, and returns what is to be stored.
fn apply_to_all<'s, 'p>(
    delivery: &Delivery,
    shares: &'s mut [Share<'p>],
    end: &RequestEnd<'_>,
) -> Vec<Recording<'s, 'p>> {
    let RequestEnd { push, result, is_carried_out, fields, verdict, connection } = end;
    let answer = result.as_ref().err().map_or_else(|| "2xx".to_owned(), ApiError::received);
    let ids = span(result.iter().flatten().flatten().copied());
    let detail = result.as_ref().err().map(|error| history::kept(&error.to_string()));
    let ended = PushEnded { push: push.clone(), answer, detail, ids };
    let signal = signal_of(result.as_ref().err());
    if let Some(signal) = signal {
        note_end(&delivery.context, connection.access.origin.as_str(), signal, result.as_ref().err());
    }
    // One batch is enough to report what the answer shows of the account.
    let mut observation = signal.map(|signal| observation(&delivery.context, &connection.access, signal));
    let sent = shares.iter().map(|share| share.positions.len()).sum();
    let mut first = 0;
    let mut recordings = Vec::new();
    for share in shares {
        let count = share.positions.len();
        let of_share = Slice { end: result, first, positions: &share.positions, sent };
        let (next, refused) = apply(delivery, &mut share.part.batch, &of_share, verdict);
        if *is_carried_out {
            share.part.batch.record.carried_out();
        }
        let written = written_of(share, &of_share, fields.get(first..).unwrap_or_default());
        first += count;
        let created = of_share.created().collect();
        let lease = share.part.batch.record.open_push.is_some().then(|| lease_after(&delivery.context, result));
        let (ended, observation) = (Some(ended.clone()), observation.take());
        let change = Commit { ended, observation, lease, written, ..Commit::default() };
        recordings.push(Recording { share, next, created, refused, change });
    }
    recordings
}

/// Returns what is remembered of the cases that a request created, from the fields of the request's cases from the first
/// one of the share on.
fn written_of(share: &Share<'_>, created: &Slice<'_>, fields: &[Option<WrittenFields>]) -> Vec<WrittenCase> {
    let of_position = |at: usize| {
        let index = share.positions.iter().position(|position| *position == at)?;
        fields.get(index)?.clone()
    };
    let cases = created.created().filter_map(|(at, id)| Some((at, id, of_position(at)?)));
    written(&share.part.batch, |at| Some(share.target_of(at).clone()), cases)
}

/// Stores a batch's record; a batch with an outcome is finished.
async fn store_end(
    context: &WorkerContext,
    batch: &mut ActiveBatch,
    next: NextStep,
    change: Commit,
) -> Result<NextStep, StoreError> {
    if let (Some(state), NextStep::NextTurn) = (batch.record.outcome(), &next) {
        let reason = reason_of_outcome(batch, state);
        let changed = finish(context, batch, state, reason, change).await?;
        return Ok(if changed.is_done() { NextStep::Finished } else { NextStep::Refresh });
    }
    let changed = commit_record(context, batch, change).await?;
    Ok(if changed.is_done() { next } else { NextStep::Refresh })
}

fn count_cases(context: &WorkerContext, created: usize, refused: usize) {
    context.metrics.cases.with_label_values(&["created"]).inc_by(created as u64);
    context.metrics.cases.with_label_values(&["refused"]).inc_by(refused as u64);
}

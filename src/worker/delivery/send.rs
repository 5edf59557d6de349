//! Sends one create request with the claimed cases of its batches.

use std::time::Duration;

use tokio::time::Instant;

use super::answer_ids::check_ids;
use super::cause::note_created;
use super::lost_fields::{Ended, known};
use super::record::{RequestEnd, record_end};
use super::response_diff::report_differences;
use super::share::{Request, Share};
use super::state::Delivery;
use super::suspects::name_of as name_of_connection;
use super::unsent::release_claims;
use super::written::are_remembered;
use crate::batch::verdict::answer::{ApiError, CreateOutcome, CreateResult};
use crate::batch::verdict::{Verdict, after_push};
use crate::batch::{Reason, RenderedCase, push_body};
use crate::guard::may_panic;
use crate::lane::{RequestOutcome, RequestReport};
use crate::store::StoreError;
use crate::tenants::Connection;
use crate::trace::{Scope, within};
use crate::worker::context::WorkerContext;
use crate::worker::failpoint::{self, Failpoint};
use crate::worker::model::PushFeedback;
use crate::worker::reconciliation::canary::Canary;

/// Sends the granted cases in one request, and has its end recorded.
pub(super) async fn send(
    delivery: &Delivery,
    shares: Vec<Share<'_>>,
    request: Request<'_>,
    feedback: &mut PushFeedback,
) -> Result<(), StoreError> {
    let Request { push, connection, asked, last_try, ids } = request;
    if shares.is_empty() {
        return Ok(());
    }
    failpoint::after(Failpoint::Claim);
    // A request that begins later could still create cases when the lease is over.
    if asked.elapsed() > delivery.context.config.testmo.latest_start() {
        return release_claims(&delivery.context, shares, &push).await;
    }
    let sent = sent_by(&shares);
    let started = Instant::now();
    feedback.requests += 1;
    let remembered = are_remembered(&shares);
    let scope = Scope::of(shares.iter().map(|share| share.part.batch.trace()));
    let outcome = within(scope, create_cases(delivery, connection, &sent, remembered)).await;
    let CreateOutcome { end: mut result, differing, fields, offset } = outcome;
    failpoint::after(Failpoint::Push);
    shares.iter().for_each(|share| may_panic("push", &share.part.batch.key));
    let account = connection.access.origin.as_str();
    let mut is_carried_out = false;
    if let Ok(answered) = &mut result {
        is_carried_out = check_ids(delivery, account, ids, answered).await;
    }
    if let Some(offset) = offset {
        delivery.memory.clock_offsets.note(account, offset);
    }
    let took = started.elapsed();
    measure(&delivery.context, &result, took, sent.len());
    report_differences(&delivery.context, &differing, |index| name_of(&shares, index));
    let cases: Vec<&RenderedCase> = sent.iter().map(|(_, case)| *case).collect();
    let sent = cases.len();
    let standing = delivery.accepted.of(&name_of_connection(connection));
    let last_try = last_try && !works_without(&shares, standing.created_at);
    let ended = Ended { connection, result: &result, cases: &cases, standing };
    let verdict = match known(delivery, &shares, ended, feedback).await {
        Ok(known) => judged(after_push(&result, &cases, &known), shares.len(), last_try),
        Err(again) => again,
    };
    if verdict == Verdict::Created {
        keep_canary(delivery, &shares, &result, started);
        note_created(delivery, connection);
        let now = delivery.context.store.now();
        delivery.accepted.note(name_of_connection(connection), cases.into_iter(), now);
    }
    feedback.push = Some(RequestReport { cases: sent, took, end: outcome_of(&result, &verdict) });
    let end = RequestEnd { push, result, is_carried_out, fields, verdict, connection };
    record_end(delivery, shares, &end, feedback).await
}

async fn create_cases(
    delivery: &Delivery,
    connection: &Connection,
    sent: &[(u64, &RenderedCase)],
    remembered: Vec<bool>,
) -> CreateOutcome {
    let body = push_body(sent.iter().copied());
    let _under_way = delivery.context.metrics.create_request_begins();
    delivery.context.client.create_cases(&connection.access, connection.project, body, remembered).await
}

fn measure(context: &WorkerContext, result: &CreateResult, took: Duration, sent: usize) {
    let metrics = &context.metrics;
    metrics.create_request_duration_seconds.observe(took.as_secs_f64());
    metrics.create_request_cases.observe(f64::from(u32::try_from(sent).unwrap_or(u32::MAX)));
    let answer = result.as_ref().err().map_or("2xx", ApiError::class);
    metrics.create_requests.with_label_values(&[answer]).inc();
}

/// Returns what the lane has to know of a verdict.
fn outcome_of(result: &CreateResult, verdict: &Verdict) -> RequestOutcome {
    if matches!(result, Err(ApiError::TimedOut)) {
        return RequestOutcome::Unanswered;
    }
    match verdict {
        Verdict::Created => RequestOutcome::Created,
        Verdict::Halve { reason, .. } => RequestOutcome::RefusedWhole { counts: *reason == Reason::CaseRefused },
        Verdict::Attribute(_)
        | Verdict::RefuseAll(_)
        | Verdict::Reconcile
        | Verdict::FindCause { .. }
        | Verdict::Retry(_)
        | Verdict::Undecided(..)
        | Verdict::Throttle(_)
        | Verdict::Park(_)
        | Verdict::ParkUnclear(_) => RequestOutcome::Other,
        Verdict::AwaitSocket => RequestOutcome::Unsent,
    }
}

/// Remembers the last case of a request as a canary.
fn keep_canary(delivery: &Delivery, shares: &[Share<'_>], end: &CreateResult, sent_at: Instant) {
    let (Some(share), Some(id)) = (shares.last(), end.as_ref().ok().and_then(|ids| *ids.last()?)) else { return };
    let tag = share.part.batch.record.open_push.as_ref().and_then(|push| push.batch_tag.clone());
    let Some(last) = share.positions.last() else { return };
    delivery.memory.canaries.keep(share.target_of(*last).clone(), Canary { tag, id, sent_at });
}

/// Adjusts a verdict to the request: requests that are refused without naming a case are halved, until that has gone on
/// for so long that the connection must be to blame. A refusal of an unknown kind counts against a single batch only.
fn judged(verdict: Verdict, batches: usize, last_try: bool) -> Verdict {
    match verdict {
        Verdict::Halve { reason: Reason::CaseRefused, .. } if last_try => Verdict::Park(Reason::ConnectionRejected),
        Verdict::RefuseAll(reason) if batches > 1 => Verdict::Halve { reason, said: Vec::new() },
        verdict @ (Verdict::Created
        | Verdict::Attribute(_)
        | Verdict::Halve { .. }
        | Verdict::RefuseAll(_)
        | Verdict::Reconcile
        | Verdict::FindCause { .. }
        | Verdict::Retry(_)
        | Verdict::Undecided(..)
        | Verdict::Throttle(_)
        | Verdict::AwaitSocket
        | Verdict::Park(_)
        | Verdict::ParkUnclear(_)) => verdict,
    }
}

/// Returns whether cases of other batches were created over the connection since it was blamed for the batches of this
/// request: then what these batches contain is to blame.
fn works_without(shares: &[Share<'_>], created_at: Option<i64>) -> bool {
    let mut blamed = shares.iter().map(|share| share.part.batch.blamed_at());
    blamed.all(|at| at.zip(created_at).is_some_and(|(blamed_at, created_at)| blamed_at < created_at))
}

/// Returns the batch and the key of a case, by its position in the request.
fn name_of(shares: &[Share<'_>], index: usize) -> String {
    let of = |share: &Share<'_>| {
        let batch = &share.part.batch;
        share.positions.iter().map(|at| format!("{} {}", batch.key.batch, batch.cases[*at].key)).collect::<Vec<_>>()
    };
    shares.iter().flat_map(of).nth(index).unwrap_or_default()
}

/// Returns the cases to send, in order, each with its folder.
fn sent_by<'s>(shares: &'s [Share<'_>]) -> Vec<(u64, &'s RenderedCase)> {
    let of = |share: &'s Share<'_>| {
        share.positions.iter().map(|at| (share.target_of(*at).folder, &share.part.batch.cases[*at]))
    };
    shares.iter().flat_map(of).collect()
}

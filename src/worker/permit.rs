//! Asks the store whether a request that creates nothing may be sent, and reports to it how the account answered.

use std::time::Duration;

use tokio::time::timeout;

use crate::account::Signal;
use crate::batch::verdict::answer::ApiError;
use crate::batch::verdict::signal_of;
use crate::batch::{Reason, TenantId};
use crate::store::StoreError;
use crate::store::accounts::{AccountObservation, Pause, Permit};
use crate::store::ledger::Commit;
use crate::testmo::Access;
use crate::worker::context::WorkerContext;
use crate::worker::model::{NextStep, PushFeedback};

/// How long nothing is sent after a failed probe, until the store says how long the pause really is.
const AFTER_PROBE: Duration = Duration::from_secs(5);

/// The longest that a probe may take.
const LONGEST_PROBE: Duration = Duration::from_secs(20);
/// How long after its time limit others may probe in its place.
const PROBE_MARGIN: Duration = Duration::from_secs(5);

/// Takes a permit for one request to a connection's account; returns what follows where there is none. An account that
/// failed is probed first, if that is due.
pub(super) async fn check_rate_limit(
    context: &WorkerContext,
    access: &Access,
    tenant: &TenantId,
    feedback: &mut PushFeedback,
) -> Result<Option<NextStep>, StoreError> {
    let lease = probe_limit(context) + PROBE_MARGIN;
    Ok(match context.store.permit(access.origin.as_str(), Some(tenant), lease).await? {
        Permit::Granted => None,
        Permit::Wait(Pause { wait, broken }) => {
            feedback.close(wait, if broken { Reason::ServerError } else { Reason::Throttled });
            Some(NextStep::NextTurn)
        }
        Permit::Probe => {
            let is_answered = probe(context, access, feedback).await?;
            (!is_answered).then_some(NextStep::NextTurn)
        }
        Permit::Paused => Some(NextStep::Paused),
    })
}

fn probe_limit(context: &WorkerContext) -> Duration {
    let testmo = &context.config.testmo;
    (testmo.connect_timeout + testmo.request_timeout).min(LONGEST_PROBE)
}

/// Probes an account whose circuit breaker is open, by a request that changes nothing; returns whether the account is
/// open now.
async fn probe(context: &WorkerContext, access: &Access, feedback: &mut PushFeedback) -> Result<bool, StoreError> {
    feedback.requests += 1;
    let asking = context.client.user(access);
    let end = timeout(probe_limit(context), asking).await.unwrap_or(Err(ApiError::TimedOut));
    let signal = match signal_of(end.as_ref().err()) {
        Some(Signal::Failed) | None => Signal::ProbeFailed,
        Some(Signal::Answered) => Signal::ProbeAnswered,
        Some(signal) => signal,
    };
    tracing::info!(account = %access.origin, ?signal, "an account with an open circuit breaker was probed");
    match signal {
        Signal::Throttled(wait) => {
            context.metrics.rate_limited_responses.inc();
            feedback.close(wait, Reason::Throttled);
        }
        Signal::ProbeFailed => feedback.close(AFTER_PROBE, Reason::ServerError),
        Signal::Answered | Signal::ProbeAnswered | Signal::Slow | Signal::Failed | Signal::IdsDisordered => {}
    }
    report(context, access, signal).await?;
    Ok(signal == Signal::ProbeAnswered)
}

/// Stores what an answer showed of an account.
pub(super) async fn report(context: &WorkerContext, access: &Access, signal: Signal) -> Result<(), StoreError> {
    let observation = Some(observation(context, access, signal));
    context.store.commit(Commit { observation, ..Commit::default() }.into()).await.map(drop)
}

/// Returns an observation of the account of a connection, to be stored.
pub(super) fn observation(context: &WorkerContext, access: &Access, signal: Signal) -> AccountObservation {
    let account = access.origin.as_str().to_owned();
    AccountObservation { account, signal, ceiling: context.config.requests.account_concurrency }
}

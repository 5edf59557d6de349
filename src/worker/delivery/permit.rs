//! Asks the store whether a request that creates nothing may be sent, and reports to it how the account answered.

use std::time::Duration;

use crate::account::Signal;
use crate::batch::Reason;
use crate::batch::verdict::signal_of;
use crate::store::StoreError;
use crate::store::accounts::{AccountObservation, Pause, Permit};
use crate::store::ledger::Commit;
use crate::tenants::Connection;
use crate::worker::context::WorkerContext;
use crate::worker::model::{NextStep, PushFeedback};

/// How long nothing is sent after a failed probe, until the store says how long the pause really is.
const AFTER_PROBE: Duration = Duration::from_secs(5);

/// Takes a permit for one request to a connection's account; returns what follows where there is none.
pub(super) async fn check_rate_limit(
    context: &WorkerContext,
    connection: &Connection,
    feedback: &mut PushFeedback,
) -> Result<Option<NextStep>, StoreError> {
    let testmo = &context.config.testmo;
    let lease = testmo.connect_timeout + testmo.request_timeout;
    let account = connection.access.origin.as_str();
    Ok(match context.store.permit(account, Some(&connection.tenant), lease).await? {
        Permit::Granted => None,
        Permit::Wait(Pause { wait, broken }) => {
            feedback.close(wait, if broken { Reason::ServerError } else { Reason::Throttled });
            Some(NextStep::NextTurn)
        }
        Permit::Probe => {
            probe(context, connection, feedback).await?;
            Some(NextStep::NextTurn)
        }
        Permit::Paused => Some(NextStep::Paused),
    })
}

/// Probes an account whose circuit breaker is open, by a request that changes nothing.
pub(super) async fn probe(
    context: &WorkerContext,
    connection: &Connection,
    feedback: &mut PushFeedback,
) -> Result<(), StoreError> {
    feedback.requests += 1;
    let end = context.client.user(&connection.access).await;
    let signal = match signal_of(end.as_ref().err()) {
        Some(Signal::Failed) | None => Signal::ProbeFailed,
        Some(signal) => signal,
    };
    tracing::info!(account = %connection.access.origin, ?signal, "an account with an open circuit breaker was probed");
    if signal == Signal::ProbeFailed {
        feedback.close(AFTER_PROBE, Reason::ServerError);
    }
    report(context, connection, signal).await
}

/// Stores what an answer showed of an account.
pub(super) async fn report(context: &WorkerContext, connection: &Connection, signal: Signal) -> Result<(), StoreError> {
    let observation = Some(observation(context, connection, signal));
    context.store.commit(Commit { observation, ..Commit::default() }.into()).await.map(drop)
}

/// Returns an observation of the account of a connection, to be stored.
pub(super) fn observation(context: &WorkerContext, connection: &Connection, signal: Signal) -> AccountObservation {
    let account = connection.access.origin.as_str().to_owned();
    AccountObservation { account, signal, ceiling: context.config.requests.account_concurrency }
}

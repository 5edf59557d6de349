//! Asks the store whether a request that creates nothing may be sent, and reports to it how the account answered.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, timeout};

use crate::account::Signal;
use crate::batch::verdict::answer::ApiError;
use crate::batch::verdict::{reason_of, signal_of};
use crate::batch::{Reason, TenantId};
use crate::store::StoreError;
use crate::store::accounts::{AccountObservation, Pause, Permit};
use crate::store::ledger::Commit;
use crate::testmo::{Access, ReadPermits};
use crate::worker::context::WorkerContext;
use crate::worker::model::{NextStep, PushFeedback};

/// How long nothing is sent after a failed probe, until the store says how long the pause really is.
const AFTER_PROBE: Duration = Duration::from_secs(5);

/// The longest that a probe may take.
const LONGEST_PROBE: Duration = Duration::from_secs(20);
/// The longest pause that is waited for between two pages of a list.
const PAGE_PATIENCE: Duration = Duration::from_secs(2);
/// The shortest wait before the store is asked again.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
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
    take_permit(context, access, tenant, feedback, Duration::ZERO).await
}

/// Takes a permit for one request, and waits until there is one where that takes at most `patience`.
async fn take_permit(
    context: &WorkerContext,
    access: &Access,
    tenant: &TenantId,
    feedback: &mut PushFeedback,
    patience: Duration,
) -> Result<Option<NextStep>, StoreError> {
    let until = Instant::now() + patience;
    let lease = probe_limit(context) + PROBE_MARGIN;
    let mut has_probed = false;
    loop {
        match context.store.permit(access.origin.as_str(), Some(tenant), lease).await? {
            Permit::Granted => return Ok(None),
            Permit::Wait(Pause { wait, broken }) => {
                let wait = wait.max(SHORTEST_WAIT);
                let is_soon = Instant::now() + wait <= until;
                if !is_soon || timeout(wait, context.stop.draining().cancelled()).await.is_ok() {
                    note_wait(context, access.origin.as_str(), Pause { wait, broken }, feedback);
                    return Ok(Some(NextStep::NextTurn));
                }
            }
            // The permit was for the probe, so the request needs one of its own.
            Permit::Probe if !has_probed => {
                has_probed = true;
                if !probe(context, access, feedback).await? {
                    return Ok(Some(NextStep::NextTurn));
                }
            }
            Permit::Probe => {
                note_wait(context, access.origin.as_str(), Pause { wait: AFTER_PROBE, broken: true }, feedback);
                return Ok(Some(NextStep::NextTurn));
            }
            Permit::Paused => return Ok(Some(NextStep::Paused)),
        }
    }
}

/// The permits for the requests of a reading. Between two pages a short pause is waited for, as otherwise a long list
/// would be begun again and again; a worker that stops reads no further page.
pub(super) struct PagePermits<'a> {
    context: &'a WorkerContext,
    access: &'a Access,
    tenant: &'a TenantId,
    feedback: &'a mut PushFeedback,
    has_begun: bool,
}

impl<'a> PagePermits<'a> {
    /// Returns the permits for reading from a connection's account. They count the requests.
    pub(super) fn new(
        context: &'a WorkerContext,
        access: &'a Access,
        tenant: &'a TenantId,
        feedback: &'a mut PushFeedback,
    ) -> Self {
        Self { context, access, tenant, feedback, has_begun: false }
    }
}

#[async_trait]
impl ReadPermits for PagePermits<'_> {
    type Refused = Result<NextStep, StoreError>;

    async fn next(&mut self) -> Result<(), Self::Refused> {
        if self.has_begun && self.context.stop.draining().is_cancelled() {
            return Err(Ok(NextStep::NextTurn));
        }
        let patience = if self.has_begun { PAGE_PATIENCE } else { Duration::ZERO };
        match take_permit(self.context, self.access, self.tenant, self.feedback, patience).await {
            Ok(None) => {
                self.has_begun = true;
                self.feedback.requests += 1;
                Ok(())
            }
            Ok(Some(next_step)) => Err(Ok(next_step)),
            Err(error) => Err(Err(error)),
        }
    }
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
    note_end(context, access.origin.as_str(), signal, end.as_ref().err());
    tracing::info!(account = %access.origin, ?signal, "an account with an open circuit breaker was probed");
    match signal {
        Signal::Throttled(wait) => {
            context.metrics.rate_limited_responses.inc();
            feedback.close(wait, Reason::Throttled);
        }
        Signal::ProbeFailed => {
            note_wait(context, access.origin.as_str(), Pause { wait: AFTER_PROBE, broken: true }, feedback);
        }
        Signal::Answered | Signal::ProbeAnswered | Signal::Slow | Signal::Failed | Signal::IdsDisordered => {}
    }
    report(context, access, signal).await?;
    Ok(signal == Signal::ProbeAnswered)
}

/// Notes that nothing is sent to an account for a time.
pub(super) fn note_wait(context: &WorkerContext, account: &str, pause: Pause, feedback: &mut PushFeedback) {
    if pause.broken {
        context.troubles.closed(account, context.store.now());
    }
    feedback.close(pause.wait, if pause.broken { Reason::ServerError } else { Reason::Throttled });
}

/// Notes what the end of a request showed of its account.
pub(super) fn note_end(context: &WorkerContext, account: &str, signal: Signal, error: Option<&ApiError>) {
    match (signal, error) {
        (Signal::Answered | Signal::Slow | Signal::Throttled(_), _) => context.troubles.ended(account),
        (Signal::Failed | Signal::ProbeFailed, Some(error)) => {
            context.troubles.failed(account, reason_of(error), error.to_string(), context.store.now());
        }
        // An answered probe does not show that create requests are answered, too.
        (Signal::Failed | Signal::ProbeFailed | Signal::ProbeAnswered | Signal::IdsDisordered, _) => {}
    }
}

/// Stores what an answer showed of an account.
pub(super) async fn report(context: &WorkerContext, access: &Access, signal: Signal) -> Result<(), StoreError> {
    let observation = Some(observation(context, access, signal));
    context.store.commit(Commit { observation, ..Commit::default() }.into()).await.map(drop)
}

/// Stores what the failure of a read showed of an account, if it shows anything. That a read is answered does not show that
/// create requests are.
pub(super) async fn report_failed_read(
    context: &WorkerContext,
    access: &Access,
    error: &ApiError,
) -> Result<(), StoreError> {
    match signal_of(Some(error)) {
        Some(signal) if signal != Signal::Answered => report(context, access, signal).await,
        Some(_) | None => Ok(()),
    }
}

/// Returns an observation of the account of a connection, to be stored.
pub(super) fn observation(context: &WorkerContext, access: &Access, signal: Signal) -> AccountObservation {
    let account = access.origin.as_str().to_owned();
    AccountObservation { account, signal, ceiling: context.live.account_concurrency() }
}

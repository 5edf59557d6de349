//! May a request go out that creates nothing, what did it tell, and who is to blame when it failed?

use std::time::Duration;

use super::courier::Courier;
use super::deliver::{Flow, Learnt};
use super::entry::Entry;
use crate::account::Signal;
use crate::batch::Reason;
use crate::batch::message::FolderWish;
use crate::batch::verdict::answer::ApiError;
use crate::batch::verdict::{DEFAULT_GATE, Next, after_failed_look, reason_of, signal_of};
use crate::store::StoreError;
use crate::store::accounts::{Pause, Permit};
use crate::store::connections::Verification;
use crate::store::ledger::Commit;
use crate::tenants::Connection;

/// How long nothing is sent after a failed probe; then the store says how long it really is.
const AFTER_PROBE: Duration = Duration::from_secs(5);

impl Courier {
    /// Asks for leave to send a request to a connection's account; `None` grants it.
    pub(super) async fn may_ask(
        &self,
        connection: &Connection,
        learnt: &mut Learnt,
    ) -> Result<Option<Flow>, StoreError> {
        let testmo = &self.config.testmo;
        let lease = testmo.connect_timeout + testmo.request_timeout;
        let account = connection.access.origin.as_str();
        Ok(match self.store.permit(account, Some(&connection.tenant), lease).await? {
            Permit::Granted => None,
            Permit::Wait(Pause { wait, broken }) => {
                learnt.close(wait, if broken { Reason::ServerError } else { Reason::Throttled });
                Some(Flow::Turn)
            }
            Permit::Probe => {
                self.probe(connection, learnt).await?;
                Some(Flow::Turn)
            }
            Permit::Paused => Some(Flow::Paused),
        })
    }

    /// Finds out whether an account whose circuit breaker is open is well again, by a request that changes nothing.
    pub(super) async fn probe(&self, connection: &Connection, learnt: &mut Learnt) -> Result<(), StoreError> {
        learnt.requests += 1;
        let end = self.client.user(&connection.access).await;
        let signal = match signal_of(end.as_ref().err()) {
            Some(Signal::Failed) | None => Signal::ProbeFailed,
            Some(signal) => signal,
        };
        tracing::info!(account = %connection.access.origin, ?signal, "an account that failed was probed");
        if signal == Signal::ProbeFailed {
            learnt.close(AFTER_PROBE, Reason::ServerError);
        }
        let observation = Some(self.observation(connection, signal));
        self.store.commit(Commit { observation, ..Commit::default() }.into()).await?;
        Ok(())
    }

    /// What follows a call that was no push.
    pub(super) async fn call_failed(
        &self,
        entry: &mut Entry,
        trouble: &ApiError,
        next: Next,
        learnt: &mut Learnt,
    ) -> Result<Flow, StoreError> {
        if let Some(signal @ (Signal::Throttled(_) | Signal::Failed)) = signal_of(Some(trouble)) {
            let observation = Some(self.observation(&entry.connection, signal));
            self.store.commit(Commit { observation, ..Commit::default() }.into()).await?;
        }
        let detail = Some(trouble.to_string());
        if let (ApiError::Inconclusive { status }, Next::Again(reason)) = (trouble, &next)
            && self.is_answered_everywhere(entry, *status, learnt).await?
        {
            return self.connection_failed(entry, *reason, detail, learnt).await;
        }
        Ok(match next {
            Next::Gate(wait) => {
                self.metrics.throttled.inc();
                learnt.close(wait.unwrap_or(DEFAULT_GATE), Reason::Throttled);
                Flow::Turn
            }
            Next::Park(reason) | Next::ParkUnclear(reason) => {
                self.connection_failed(entry, reason, detail, learnt).await?
            }
            Next::Again(reason) => Flow::Again(reason, detail, Duration::ZERO),
            Next::Created
            | Next::TakeOut(_)
            | Next::Halve { .. }
            | Next::Refuse(_)
            | Next::Look
            | Next::Suspect { .. } => Flow::Again(reason_of(trouble), detail, Duration::ZERO),
        })
    }

    /// Something that the tenant has to mend: a refused key is asked about once more before the tenant is stopped.
    pub(super) async fn connection_failed(
        &self,
        entry: &mut Entry,
        reason: Reason,
        detail: Option<String>,
        learnt: &mut Learnt,
    ) -> Result<Flow, StoreError> {
        let connection = entry.connection.clone();
        let own_folder = matches!(reason, Reason::ConnectionRejected | Reason::TargetMissing);
        if own_folder && entry.wish != FolderWish::Tenant && entry.relocated.is_none() {
            // The folder of this batch may have vanished: it is looked for anew, once.
            (entry.folder, entry.relocated) = (None, Some(self.store.now()));
            return Ok(Flow::Turn);
        }
        if reason == Reason::KeyRefused {
            if let Some(flow) = self.may_ask(&connection, learnt).await? {
                return Ok(flow);
            }
            learnt.requests += 1;
            match self.client.user(&connection.access).await {
                Err(ApiError::KeyRefused) => {}
                Err(trouble @ ApiError::Throttled { .. }) => {
                    let next = after_failed_look(&trouble);
                    return Box::pin(self.call_failed(entry, &trouble, next, learnt)).await;
                }
                Ok(_) | Err(_) => return Ok(Flow::Again(Reason::KeyRefused, detail, Duration::ZERO)),
            }
        }
        let whatever_its_folder = matches!(reason, Reason::KeyRefused | Reason::UnexpectedStatus | Reason::NotTestmo);
        let of_this_batch = reason == Reason::ConnectionRejected || entry.wish != FolderWish::Tenant;
        if !of_this_batch || whatever_its_folder {
            let finding = Verification::Fails { reason, detail: detail.clone().unwrap_or_default() };
            let Connection { tenant, version, epoch, .. } = &*connection;
            let written = self.store.record_verification(tenant, version, *epoch, &finding).await?;
            self.tenants.forget(tenant);
            if !written.is_done() {
                // What was found out may be outdated: the connection is read again, and the batch tried by that one.
                return Ok(Flow::Renew);
            }
            tracing::warn!(tenant = %connection.tenant, %reason, detail, "the tenant's connection does not work");
        }
        Ok(Flow::Park(reason, detail))
    }
}

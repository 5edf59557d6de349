//! Verifies a connection within its account's rate limit, which a verification can pause just like a create request.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use super::connection::Tenants;
use super::verify::{Ended, Examined, examine, pause_of};
use crate::account::Signal;
use crate::batch::render::mapping_spec::MappingSpec;
use crate::batch::verdict::answer::ApiError;
use crate::batch::verdict::reason::Class;
use crate::batch::verdict::verification_failure;
use crate::batch::{Reason, TenantId};
use crate::store::accounts::{AccountObservation, Pause, Permit};
use crate::store::connections::Verification;
use crate::store::ledger::Commit;
use crate::store::{Storage, StoreError};
use crate::testmo::{Access, Client, ReadPermits};

/// How long a request of a verification may take that probes whether a failing account works again.
const PROBE: Duration = Duration::from_secs(120);

/// The longest pause that is waited for between two requests of a verification.
const PATIENCE: Duration = Duration::from_secs(2);

/// A connection to verify.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The origin and the key.
    pub access: &'a Access,
    /// The project and the folder.
    pub target: (u64, u64),
    /// How cases are to be rendered.
    pub mapping: &'a MappingSpec,
    /// Whether this mapping has been in force for this project, so that what the project's lists lack is only reported.
    pub in_force: bool,
    /// The tenant, if a pause of the tenant or of the account applies, which it does not to a person's own command.
    pub paused_with: Option<&'a TenantId>,
}

impl Tenants {
    /// Verifies a connection, and resolves the names in its mapping; sends nothing while the account is paused. Where it
    /// is paused before everything was read, the verification fails.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn examine(&self, client: &Client, candidate: Candidate<'_>) -> Result<Examined, StoreError> {
        let Candidate { access, target, mapping, in_force, paused_with } = candidate;
        let account = access.origin.as_str();
        let mut permits = AccountPermits { paused_with, ..self.permits(account, PATIENCE) };
        let examined = match examine(client, access, target, mapping, &mut permits).await {
            Ok(examined) if in_force => examined,
            Ok(examined) => examined.kept_out(),
            Err(NoPermit::Store(error)) => return Err(error),
            Err(NoPermit::Pause(reason, why)) if permits.has_begun => {
                let why = format!("{why}; not everything was read");
                return Ok(Examined::ended(Ended::because(reason, why), mapping));
            }
            Err(NoPermit::Pause(reason, why)) => {
                return Ok(Examined::failed(reason, format!("{why}; no request was sent")));
            }
        };
        let has_failed = matches!(&examined.finding, Verification::Fails { reason, .. } if fails_account(*reason));
        if let Some(signal) = signal_of(examined.pause, has_failed, permits.probe) {
            permits.report(signal).await?;
        }
        let fields = examined.fields.map(|fields| fields.read_at(self.store().now()));
        Ok(Examined { fields, ..examined })
    }

    /// Returns the permits for the requests of a person's own command to an account, which waits for at most `patience`
    /// between two of them.
    pub fn permits<'a>(&'a self, account: &'a str, patience: Duration) -> AccountPermits<'a> {
        AccountPermits {
            store: self.store(),
            account,
            paused_with: None,
            patience,
            has_begun: false,
            probe: Probe::None,
        }
    }
}

/// The permits for requests that are sent one after the other, by a verification or a person's own command.
#[derive(Debug)]
pub struct AccountPermits<'a> {
    store: &'a dyn Storage,
    account: &'a str,
    paused_with: Option<&'a TenantId>,
    patience: Duration,
    has_begun: bool,
    probe: Probe,
}

/// Whether a verification probes an account whose circuit breaker is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    None,
    /// The request under way is the probe.
    UnderWay,
    /// An earlier request was the probe, and it was answered.
    Answered,
}

/// Why there is no permit.
#[derive(Debug)]
pub enum NoPermit {
    /// The account takes no requests now, for this reason.
    Pause(Reason, String),
    /// The store does not answer.
    Store(StoreError),
}

#[async_trait]
impl ReadPermits for AccountPermits<'_> {
    type Refused = NoPermit;

    async fn next(&mut self) -> Result<(), NoPermit> {
        self.permit().await.map_err(NoPermit::Store)?.map_or(Ok(()), |(reason, why)| Err(NoPermit::Pause(reason, why)))
    }
}

impl<'a> AccountPermits<'a> {
    /// Returns the permits for requests that are made for a tenant: there are none while a person has paused the tenant.
    pub fn of_tenant(self, tenant: &'a TenantId) -> Self {
        Self { paused_with: Some(tenant), ..self }
    }
}

impl AccountPermits<'_> {
    /// Takes a permit; returns why there is none.
    async fn permit(&mut self) -> Result<Option<(Reason, String)>, StoreError> {
        if self.probe == Probe::UnderWay {
            // The verification goes on, so the probe was answered. What follows needs permits like any request.
            self.report(Signal::ProbeAnswered).await?;
            self.probe = Probe::Answered;
        }
        let until = Instant::now() + if self.has_begun { self.patience } else { Duration::ZERO };
        loop {
            match self.store.permit(self.account, self.paused_with, PROBE).await? {
                Permit::Granted => break,
                Permit::Probe => {
                    self.probe = Probe::UnderWay;
                    break;
                }
                Permit::Paused => return Ok(Some((Reason::Paused, "a person has paused requests".into()))),
                Permit::Wait(Pause { wait, .. }) if Instant::now() + wait < until => {
                    sleep(wait.max(Duration::from_millis(1))).await;
                }
                Permit::Wait(Pause { wait, broken }) => {
                    let (reason, why) = if broken {
                        (Reason::ServerError, "requests are paused because Testmo failed repeatedly")
                    } else {
                        (Reason::Throttled, "requests are paused by Testmo's rate limit")
                    };
                    return Ok(Some((reason, format!("{why}, for {} s more", wait.as_secs() + 1))));
                }
            }
        }
        self.has_begun = true;
        Ok(None)
    }

    /// Notes how a request ended that had a permit, so that every worker and command obeys the pause that it asks for.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn note(&mut self, error: Option<&ApiError>) -> Result<(), StoreError> {
        // A refusal in Testmo's own form is an answer.
        let is_refusal = |error: &ApiError| {
            matches!(error, ApiError::Invalid(_) | ApiError::Rejected { .. } | ApiError::Missing | ApiError::Forbidden)
        };
        let has_failed = error.is_some_and(|error| !is_refusal(error) && fails_account(verification_failure(error)));
        let Some(signal) = signal_of(error.and_then(pause_of), has_failed, self.probe) else { return Ok(()) };
        self.report(signal).await?;
        if self.probe == Probe::UnderWay {
            self.probe = if signal == Signal::ProbeAnswered { Probe::Answered } else { Probe::None };
        }
        Ok(())
    }

    async fn report(&self, signal: Signal) -> Result<(), StoreError> {
        let observation = Some(AccountObservation { account: self.account.to_owned(), signal, ceiling: u32::MAX });
        self.store.commit(Commit { observation, ..Commit::default() }.into()).await.map(drop)
    }
}

/// Returns whether a request that ended for this reason shows that its account fails.
fn fails_account(reason: Reason) -> bool {
    reason.class() == Class::Account || reason == Reason::UnexpectedStatus
}

/// Returns what a verification or a request shows of the account. Except for a pause, one that was no probe shows nothing
/// that a create request would not show.
fn signal_of(pause: Option<Duration>, has_failed: bool, probe: Probe) -> Option<Signal> {
    if let Some(pause) = pause {
        return Some(Signal::Throttled(pause));
    }
    match (probe, has_failed) {
        (Probe::UnderWay, true) => Some(Signal::ProbeFailed),
        (Probe::UnderWay, false) => Some(Signal::ProbeAnswered),
        (Probe::Answered, true) => Some(Signal::Failed),
        (Probe::Answered, false) | (Probe::None, _) => None,
    }
}

//! Verifies a connection within its account's rate limit, which a verification can pause just like a create request.

use std::time::Duration;

use super::connection::Tenants;
use super::verify::{Examined, examine};
use crate::account::Signal;
use crate::batch::Reason;
use crate::batch::render::mapping_spec::MappingSpec;
use crate::batch::verdict::reason::Class;
use crate::store::StoreError;
use crate::store::accounts::{AccountObservation, Pause, Permit};
use crate::store::connections::Verification;
use crate::store::ledger::Commit;
use crate::testmo::{Access, Client};

/// How long a verification may take that probes whether a failing account works again.
const PROBE: Duration = Duration::from_secs(120);

impl Tenants {
    /// Verifies a connection, and resolves the names in its mapping; sends nothing while the account is paused.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn examine(
        &self,
        client: &Client,
        access: &Access,
        project: u64,
        folder: u64,
        spec: &MappingSpec,
    ) -> Result<Examined, StoreError> {
        let account = access.origin.as_str();
        let permit = self.store().permit(account, None, PROBE).await?;
        if let Permit::Wait(Pause { wait, broken }) = permit {
            let seconds = wait.as_secs() + 1;
            let (reason, why) = if broken {
                (Reason::ServerError, "requests are paused because Testmo failed repeatedly")
            } else {
                (Reason::Throttled, "requests are paused by Testmo's rate limit")
            };
            return Ok(Examined::failed(reason, format!("{why}, for {seconds} s more; no request was sent")));
        }
        let examined = examine(client, access, project, folder, spec).await;
        let signal = match (&examined.finding, examined.pause) {
            (_, Some(pause)) => Some(Signal::Throttled(pause)),
            (Verification::Fails { reason, .. }, None)
                if reason.class() == Class::Account || *reason == Reason::UnexpectedStatus =>
            {
                Some(Signal::ProbeFailed)
            }
            (Verification::Fails { .. } | Verification::Works { .. }, None) => Some(Signal::ProbeAnswered),
        };
        // Except for a pause, a verification that was no probe shows nothing that a create request would not show.
        if let Some(signal) = signal.filter(|_| permit == Permit::Probe || examined.pause.is_some()) {
            let observation = Some(AccountObservation { account: account.to_owned(), signal, ceiling: u32::MAX });
            self.store().commit(Commit { observation, ..Commit::default() }.into()).await?;
        }
        Ok(examined)
    }
}

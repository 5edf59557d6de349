//! May a connection be looked at now? The account's gate holds for looks as for pushes, and a look can close it.

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

/// How long a look may take that finds out whether a failing account is well again.
const PROBE: Duration = Duration::from_secs(120);

impl Tenants {
    /// Looks at a connection, and finds out what the names in its mapping stand for; asks nothing while the account
    /// wants to be left alone.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn examine(
        &self,
        client: &Client,
        access: &Access,
        project: u64,
        folder: u64,
        written: &MappingSpec,
    ) -> Result<Examined, StoreError> {
        let account = access.origin.as_str();
        let permit = self.store().permit(account, None, PROBE).await?;
        if let Permit::Wait(Pause { wait, broken }) = permit {
            let seconds = wait.as_secs() + 1;
            let (reason, why) = if broken {
                (Reason::ServerError, "Testmo has failed again and again, so it has a pause")
            } else {
                (Reason::Throttled, "Testmo asked for a pause")
            };
            return Ok(Examined::failed(
                reason,
                format!("{why}, and {seconds} s of it are left; it was not asked again"),
            ));
        }
        let examined = examine(client, access, project, folder, written).await;
        let signal = match (&examined.finding, examined.pause) {
            (_, Some(pause)) => Some(Signal::Throttled(pause)),
            (Verification::Fails { reason, .. }, None)
                if reason.class() == Class::Account || *reason == Reason::UnexpectedStatus =>
            {
                Some(Signal::ProbeFailed)
            }
            (Verification::Fails { .. } | Verification::Works { .. }, None) => Some(Signal::Answered),
        };
        // But for a pause, a look that was no probe tells nothing that a push would not tell.
        if let Some(signal) = signal.filter(|_| permit == Permit::Probe || examined.pause.is_some()) {
            let observation = Some(AccountObservation { account: account.to_owned(), signal, ceiling: u32::MAX });
            self.store().commit(Commit { observation, ..Commit::default() }.into()).await?;
        }
        Ok(examined)
    }
}

//! Decides whether the ids of an account show which case is older, and stores it if they do not.

use crate::account::Signal;
use crate::batch::ledger::BatchRecord;
use crate::store::StoreError;
use crate::store::accounts::AccountObservation;
use crate::store::ledger::Commit;
use crate::worker::context::WorkerContext;

/// Whether the ids of an account show which case is older.
#[derive(Clone, Copy)]
pub(in crate::worker) struct IdOrder {
    pub(in crate::worker) disordered: bool,
}

impl IdOrder {
    /// Reads what is known of an account.
    pub(in crate::worker) async fn of(context: &WorkerContext, account: &str) -> Result<Self, StoreError> {
        Ok(Self { disordered: context.store.throttle(account).await?.ids_disordered })
    }

    /// Removes the floor of a record where ids do not show which case is older.
    pub(in crate::worker) fn apply(self, record: &mut BatchRecord) {
        if self.disordered {
            record.floor = None;
        }
    }
}

/// Stores that the ids of an account do not show which case is older.
pub(in crate::worker) async fn note_disorder(context: &WorkerContext, account: &str) -> Result<(), StoreError> {
    tracing::warn!(account, "case ids do not ascend in this account; after an unknown outcome a person has to decide");
    let ceiling = context.live.account_concurrency();
    let observation = Some(AccountObservation { account: account.to_owned(), signal: Signal::IdsDisordered, ceiling });
    context.store.commit(Commit { observation, ..Commit::default() }.into()).await.map(drop)
}

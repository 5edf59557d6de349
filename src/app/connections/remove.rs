//! Removes a tenant: pauses it while a person decides, discards its batches if that is wanted, deletes its connection.

use std::time::{Duration, Instant};

use super::super::actor::{ActionError, Actor, NotAllowed, Role, require};
use super::super::discard::plan_purge;
use super::entries;
use super::lookup::{ConnectionError, missing};
use super::source::{KeptInFile, require_no_file};
use crate::batch::TenantId;
use crate::config::Tenants;
pub use crate::store::removal::Removal;
use crate::store::removal::RemovalOutcome;
use crate::store::unfinished::Unfinished;
use crate::store::{Store, StoreError};

/// How long a tenant stays paused if the process dies before it ends the pause.
pub const HOLD: Duration = Duration::from_secs(600);
/// How long after it began the pause is prolonged while batches are discarded.
const PROLONG: Duration = Duration::from_secs(60);
/// How many entries are discarded together.
const AT_ONCE: usize = 100;

/// How a removal has ended.
#[derive(Debug)]
pub struct RemovalEnd<E> {
    /// How many entries of the shelf were discarded with the connection, or why it was not removed.
    pub result: Result<usize, E>,
    /// Why the tenant's pause could not be ended; it then ends after [`HOLD`].
    pub pause_error: Option<StoreError>,
}

/// Why a tenant is not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// It has no connection, or that cannot be read.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// It has batches that cannot be discarded now.
    #[error("{tenant} has batches that are not finished; nothing was removed")]
    NotFinished {
        /// The tenant.
        tenant: TenantId,
        /// The batches, each with the reason.
        batches: Vec<(String, Unfinished)>,
    },
    /// It has batches on the shelf, and they are not to be discarded.
    #[error("{tenant} has batches on the shelf: {load}")]
    HasShelved {
        /// The tenant.
        tenant: TenantId,
        /// How many there are of each kind.
        load: String,
    },
    /// The person has not agreed.
    #[error("Cancelled; nothing was removed.")]
    Cancelled,
    /// The tenant was changed while the person decided.
    #[error("{tenant} was changed meanwhile: {what}")]
    Changed {
        /// The tenant.
        tenant: TenantId,
        /// What has been done, and what has not.
        what: String,
        /// How many entries were discarded before its connection turned out to have changed.
        discarded: usize,
    },
    /// It has a file, from which its connection would come back.
    #[error(transparent)]
    KeptInFile(#[from] KeptInFile),
    /// The person lacks the role.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ActionError> for RemoveError {
    fn from(error: ActionError) -> Self {
        match error {
            ActionError::NotAllowed(error) => error.into(),
            ActionError::Store(error) => error.into(),
        }
    }
}

/// Who removes a tenant, and why.
#[derive(Clone, Copy)]
struct Order<'a> {
    actor: &'a Actor,
    reason: Option<&'a str>,
}

/// Removes a tenant, with its batches on the shelf if `purge` says so, once `confirm` has agreed; pauses it until then. The
/// pause is part of the removal and no entry of the audit.
pub async fn remove<E: From<RemoveError>>(
    (store, settings): (&Store, &Tenants),
    actor: &Actor,
    tenant: &TenantId,
    purge: bool,
    reason: Option<&str>,
    confirm: impl AsyncFnOnce(&Removal) -> Result<bool, E>,
) -> RemovalEnd<E> {
    if let Err(error) = may_remove(settings, actor, tenant) {
        return RemovalEnd::failed(error);
    }
    let before = match store.begin_removal(tenant, HOLD).await {
        Ok(Some(before)) => before,
        Ok(None) => return RemovalEnd::failed(missing(store, tenant).await.into()),
        Err(error) => return RemovalEnd::failed(error.into()),
    };
    let result = decide(store, Order { actor, reason }, &before, purge, confirm).await;
    let pause_error = match &result {
        Ok(_) => None,
        Err(_) => store.end_removal(tenant).await.err(),
    };
    RemovalEnd { result, pause_error }
}

impl<E: From<RemoveError>> RemovalEnd<E> {
    fn failed(error: RemoveError) -> Self {
        Self { result: Err(error.into()), pause_error: None }
    }
}

/// Shows what a removal of a tenant would take away, and what keeps it from being removed. Nothing is changed or paused.
///
/// # Errors
/// When the person may not remove it, it has a file or no connection, or the store does not answer.
pub async fn preview(
    (store, settings): (&Store, &Tenants),
    actor: &Actor,
    tenant: &TenantId,
) -> Result<Removal, RemoveError> {
    may_remove(settings, actor, tenant)?;
    match store.removal_of(tenant).await? {
        Some(removal) => Ok(removal),
        None => Err(missing(store, tenant).await.into()),
    }
}

fn may_remove(settings: &Tenants, actor: &Actor, tenant: &TenantId) -> Result<(), RemoveError> {
    require(actor, Role::Admin)?;
    Ok(require_no_file(settings, tenant)?)
}

/// Describes how many entries a tenant has on the shelf.
pub fn load(removal: &Removal) -> String {
    format!("{} parked, {} dead", removal.parked, removal.shelved.len() - removal.parked)
}

async fn decide<E: From<RemoveError>>(
    store: &Store,
    order: Order<'_>,
    before: &Removal,
    purge: bool,
    confirm: impl AsyncFnOnce(&Removal) -> Result<bool, E>,
) -> Result<usize, E> {
    let tenant = &before.connection.tenant;
    require_finished(before)?;
    if !before.shelved.is_empty() && !purge {
        return Err(RemoveError::HasShelved { tenant: tenant.clone(), load: load(before) }.into());
    }
    if !confirm(before).await? {
        return Err(RemoveError::Cancelled.into());
    }
    Ok(carry_out(store, order, before).await?)
}

async fn carry_out(store: &Store, order: Order<'_>, before: &Removal) -> Result<usize, RemoveError> {
    let tenant = &before.connection.tenant;
    // The pause may have ended before the person answered.
    let now = store.begin_removal(tenant, HOLD).await?.filter(|now| now.is_as_before(before));
    let now = now.ok_or_else(|| changed(tenant, "nothing was removed", 0))?;
    require_finished(&now)?;
    let discarded = discard(store, order, before).await?;
    let entry = entries::remove(order.actor, &before.connection, discarded).because(order.reason);
    match store.remove_tenant(tenant, &before.connection.version, &[entry]).await? {
        RemovalOutcome::Done => Ok(discarded),
        RemovalOutcome::ChangedMeanwhile | RemovalOutcome::HasWork => {
            Err(changed(tenant, "its connection was not removed", discarded))
        }
    }
}

fn require_finished(removal: &Removal) -> Result<(), RemoveError> {
    if removal.unfinished.is_empty() {
        return Ok(());
    }
    Err(RemoveError::NotFinished { tenant: removal.connection.tenant.clone(), batches: removal.unfinished.clone() })
}

/// Discards exactly the entries that were counted, some at a time, and returns how many there were.
async fn discard(store: &Store, order: Order<'_>, before: &Removal) -> Result<usize, RemoveError> {
    let tenant = &before.connection.tenant;
    let (mut done, mut prolonged) = (0, Instant::now());
    for entries in before.shelved.chunks(AT_ONCE) {
        if prolonged.elapsed() > PROLONG {
            store.begin_removal(tenant, HOLD).await?;
            prolonged = Instant::now();
        }
        let plan = plan_purge(store, entries).await?;
        let is_whole = plan.steps.len() == entries.len();
        let outcome =
            if is_whole { plan.carry_out(store, order.actor, order.reason).await? } else { Default::default() };
        done += outcome.done.len();
        if !is_whole || !outcome.changed.is_empty() {
            let all = before.shelved.len();
            let what = format!("{done} of {all} entries were discarded; the connection was not removed");
            return Err(changed(tenant, &what, 0));
        }
    }
    Ok(done)
}

fn changed(tenant: &TenantId, what: &str, discarded: usize) -> RemoveError {
    RemoveError::Changed { tenant: tenant.clone(), what: what.to_owned(), discarded }
}

#[cfg(test)]
mod tests {
    use super::super::super::actor::Face;
    use super::super::super::fixture::{acme, anna, with_acme};
    use super::*;
    use crate::batch::ledger::{BatchRecord, BatchState};
    use crate::batch::message::decode::decode;
    use crate::batch::{BatchKey, Reason, fingerprint};
    use crate::config::{Sources, load};
    use crate::store::ledger::{Commit, CommitOutcome, RecordUpdate};
    use crate::store::shelf::{ShelfFilter, ShelfIdentity, ShelvedUntil, Shelving};
    use crate::store::{ConnectionStore, LedgerStore, OutboxStore, ShelfStore};

    fn no_files() -> Tenants {
        load(&Sources::default()).unwrap().tenants
    }

    fn key(batch: &str) -> BatchKey {
        format!("acme/{batch}").parse().unwrap()
    }

    async fn park(store: &Store, batch: &str) {
        let message = serde_json::json!({"schema_version": 1, "batch_id": batch, "tenant_id": "acme",
            "generated_at": "2026-11-23T09:30:00Z", "cases": [{"name": "a"}]});
        let body = message.to_string().into_bytes();
        let shelving = Shelving {
            identity: ShelfIdentity::Batch(key(batch), fingerprint(&decode(&body).unwrap())),
            reason: Reason::Paused,
            detail: None,
            until: ShelvedUntil::After(Duration::from_secs(86_400)),
            account: None,
            connection: None,
            parks: 0,
            failing_since: None,
            arrived_at: 1,
            published_at: None,
            headers: Default::default(),
            body: body.into(),
        };
        store.commit(Commit { shelve: Some(shelving), ..Commit::default() }.into()).await.unwrap();
    }

    async fn shelved(store: &Store) -> usize {
        store.shelf_ids(&ShelfFilter::default()).await.unwrap().len()
    }

    async fn state_of(store: &Store, batch: &str) -> Option<BatchState> {
        store.batch(&key(batch)).await.unwrap().map(|stored| stored.record.state)
    }

    async fn removed(
        store: &Store,
        purge: bool,
        confirm: impl AsyncFnOnce(&Removal) -> Result<bool, RemoveError>,
    ) -> Result<usize, RemoveError> {
        let end = remove((store, &no_files()), &anna(), &acme(), purge, None, confirm).await;
        assert!(end.pause_error.is_none());
        end.result
    }

    #[tokio::test]
    async fn a_batch_that_is_parked_while_a_person_decides_is_neither_deleted_nor_discarded() {
        for (purge, there) in [(false, 0), (true, 2)] {
            let (store, _dir) = with_acme().await;
            for n in 0..there {
                park(&store, &format!("before-{n}")).await;
            }
            let confirm = async |_: &Removal| {
                park(&store, "meanwhile").await;
                Ok(true)
            };
            let said = removed(&store, purge, confirm).await.unwrap_err().to_string();
            assert!(said.contains("changed meanwhile: nothing was removed"), "{said}");
            assert_eq!((shelved(&store).await, store.unsent_count().await.unwrap()), (there + 1, 0));
            assert!(store.connection(&acme()).await.unwrap().is_some());
            let due = store.due_tenants(9).await.unwrap();
            assert!(due[0].is_due, "the tenant goes on at once, with what was parked meanwhile");
            // A second run takes everything that is there by then.
            let again = removed(&store, true, async |_| Ok(true)).await;
            assert!(again.is_ok(), "{again:?}");
            assert_eq!(state_of(&store, "meanwhile").await, Some(BatchState::Discarded));
        }
    }

    #[tokio::test]
    async fn a_purge_stores_a_record_and_an_event_for_each_batch() {
        let (store, _dir) = with_acme().await;
        let count = AT_ONCE + 5;
        for n in 0..count {
            park(&store, &format!("b-{n}")).await;
        }
        let said = removed(&store, false, async |_| Ok(true)).await.unwrap_err().to_string();
        assert!(said.contains("105 parked, 0 dead"), "{said}");
        removed(&store, true, async |_| Ok(true)).await.unwrap();
        assert_eq!(shelved(&store).await, 0);
        assert!(store.connection(&acme()).await.unwrap().is_none());
        for n in 0..count {
            assert_eq!(state_of(&store, &format!("b-{n}")).await, Some(BatchState::Discarded));
        }
        let events = store.unsent(1_000, Duration::ZERO).await.unwrap();
        assert_eq!(events.len(), count);
        assert!(events.iter().all(|event| event.body.contains(r#""outcome":"discarded""#)));
    }

    #[tokio::test]
    async fn a_removal_that_is_not_confirmed_changes_nothing() {
        let (store, _dir) = with_acme().await;
        park(&store, "b").await;
        let confirm = async |_: &Removal| {
            let leased = store.lease_due("w", Duration::from_secs(9), &[(acme(), 9)], usize::MAX).await?;
            assert!(leased.is_empty(), "the tenant is paused while a person decides");
            Ok(false)
        };
        let said = removed(&store, true, confirm).await.unwrap_err().to_string();
        assert!(said.contains("nothing was removed"), "{said}");
        assert_eq!((shelved(&store).await, state_of(&store, "b").await), (1, None));
        assert_eq!(store.lease_due("w", Duration::from_secs(9), &[(acme(), 9)], usize::MAX).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_preview_counts_what_a_removal_finds_and_pauses_nothing() {
        let (store, _dir) = with_acme().await;
        park(&store, "b").await;
        let found = preview((&store, &no_files()), &anna(), &acme()).await.unwrap();
        assert_eq!((found.shelved.len(), found.parked, found.unfinished.len()), (1, 1, 0));
        let paused = store.begin_removal(&acme(), HOLD).await.unwrap().unwrap();
        assert!(found.is_as_before(&paused));
        store.end_removal(&acme()).await.unwrap();
        let carol = Actor::new("carol", Role::Operator, Face::Console);
        assert!(matches!(preview((&store, &no_files()), &carol, &acme()).await, Err(RemoveError::NotAllowed(_))));
    }

    #[tokio::test]
    async fn a_tenant_with_unfinished_batches_is_refused_before_anybody_is_asked() {
        let (store, _dir) = with_acme().await;
        let mut record = BatchRecord::fresh(key("b"), "1:f".into(), ["a".to_owned()]);
        (record.epoch, record.unclear_since) = (1, Some(7));
        let batch = Some(RecordUpdate { record, from_epoch: 0 });
        let stored = store.commit(Commit { batch, ..Commit::default() }.into()).await.unwrap();
        assert!(matches!(stored, CommitOutcome::Done(_)));
        let confirm = async |_: &Removal| panic!("nobody is asked");
        let said = removed(&store, true, confirm).await.unwrap_err().to_string();
        assert!(said.contains("not finished; nothing was removed"), "{said}");
        assert_eq!(state_of(&store, "b").await, Some(BatchState::Open));
    }
}

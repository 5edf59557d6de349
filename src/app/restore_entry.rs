//! Lists discarded entries, and puts them back onto the shelf.

use serde_json::json;

use super::actor::{Actor, NotAllowed, Role, require};
use super::discard::own_batch;
use super::plan::{PlannedEntry, subject_of};
use crate::batch::ledger::{BatchRecord, Standing};
use crate::batch::{Batch, TenantId, fingerprint};
use crate::store::audit::{AuditAction, AuditEntry};
pub use crate::store::discarded::{Discarded, DiscardedFilter};
use crate::store::ledger::{Commit, RecordUpdate};
pub use crate::store::shelf::ShelfId;
use crate::store::{LedgerStore, Store, StoreError};

/// How many entries are read at once.
const PAGE: u32 = 500;

/// An entry that is on the shelf again.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The entry.
    pub entry: PlannedEntry,
    /// Whether the batch is open again, which was given up when the entry was discarded.
    pub is_reopened: bool,
    /// Whether it is retried automatically, as it was before.
    pub is_parked: bool,
}

/// Why an entry is not put back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The person lacks the role.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// It is on the shelf.
    #[error("the entry {0} is on the shelf: it was not discarded, or was restored before")]
    OnShelf(ShelfId),
    /// It is not known.
    #[error("no discarded entry {0} is known: its time is over, its tenant was removed, or there never was one")]
    NotKnown(ShelfId),
    /// The same message is on the shelf again.
    #[error(
        "the message of the entry {0} was received again meanwhile, and is on the shelf as another entry: use that one"
    )]
    ReceivedAgain(ShelfId),
    /// A worker or another person has changed the batch since.
    #[error("the batch of the entry {0} was changed meanwhile, and nothing was restored: try again")]
    Changed(ShelfId),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads at most `most` discarded entries that match a filter, without their messages, those that were discarded last
/// first.
///
/// # Errors
/// When the store does not answer.
pub async fn list(store: &Store, filter: &DiscardedFilter, most: u32) -> Result<Vec<Discarded>, StoreError> {
    let (mut entries, mut filter) = (Vec::new(), filter.clone());
    loop {
        let left = most.saturating_sub(u32::try_from(entries.len()).unwrap_or(u32::MAX));
        let page = store.discarded(&filter, left.min(PAGE)).await?;
        let is_last = page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        filter.behind = page.last().map(|last| (last.at, last.entry.id)).or(filter.behind);
        entries.extend(page);
        if is_last || left <= PAGE {
            return Ok(entries);
        }
    }
}

/// Returns the place of a discarded entry in the list, for the page behind it.
///
/// # Errors
/// When there is none with this id, or the store does not answer.
pub async fn place_of(store: &Store, id: ShelfId) -> Result<(i64, ShelfId), RestoreError> {
    Ok((discarded(store, id).await?.at, id))
}

/// Returns a discarded entry.
///
/// # Errors
/// When there is none with this id, or the store does not answer.
pub async fn discarded(store: &Store, id: ShelfId) -> Result<Discarded, RestoreError> {
    match store.discarded_entry(id).await? {
        Some(discarded) => Ok(discarded),
        None if store.shelved(id).await?.is_some() => Err(RestoreError::OnShelf(id)),
        None => Err(RestoreError::NotKnown(id)),
    }
}

/// Puts an entry back onto the shelf as it was. A batch that was given up with it is open again.
///
/// # Errors
/// When the person may not, it cannot be put back, or the store does not answer.
pub async fn restore(
    store: &Store,
    id: ShelfId,
    actor: &Actor,
    because: Option<&str>,
) -> Result<Restored, RestoreError> {
    require(actor, Role::Operator)?;
    let discarded = discarded(store, id).await?;
    let row = &discarded.entry;
    let batch = own_batch(row);
    let update = match &batch {
        Some(batch) => reopened(store, batch).await?,
        None => None,
    };
    let is_reopened = update.is_some();
    let entry = PlannedEntry::of(row);
    let subject = subject_of(row);
    let after = json!({"state": row.state.name(), "batch_reopened": is_reopened});
    let audit = AuditEntry::new(actor, AuditAction::RestoreEntry, subject)
        .because(because)
        .change(Some(json!({"state": "discarded", "discarded_by": discarded.by})), Some(after));
    let change = Commit { restore: Some(id), batch: update, audit: vec![audit], ..Commit::default() };
    if store.commit(change.into()).await?.is_done() {
        let is_parked = row.state == super::shelf::ShelfState::Parked;
        return Ok(Restored { entry, is_reopened, is_parked });
    }
    Err(why_not(store, id).await?)
}

/// Returns the record of a batch that was given up, open again.
async fn reopened(store: &Store, batch: &Batch) -> Result<Option<RecordUpdate>, StoreError> {
    Ok(store.batch(&batch.key).await?.and_then(|stored| open_again(batch, stored.record)))
}

/// Returns the record of a batch open again, if it is of this very batch and was given up; nothing is stored yet.
pub fn open_again(batch: &Batch, mut record: BatchRecord) -> Option<RecordUpdate> {
    let from_epoch = record.epoch;
    let is_own = record.standing(&fingerprint(batch)) == Standing::Present;
    (is_own && record.restore()).then_some(RecordUpdate { record, from_epoch })
}

/// Finds out why nothing was restored.
async fn why_not(store: &Store, id: ShelfId) -> Result<RestoreError, StoreError> {
    if store.shelved(id).await?.is_some() {
        return Ok(RestoreError::OnShelf(id));
    }
    Ok(match store.discarded_is_shelved(id).await? {
        true => RestoreError::ReceivedAgain(id),
        false => RestoreError::Changed(id),
    })
}

/// Returns the filter for what a tenant has discarded, or for all, behind a place.
pub fn filter(tenant: Option<TenantId>, behind: Option<(i64, ShelfId)>) -> DiscardedFilter {
    DiscardedFilter { tenant, behind }
}

#[cfg(test)]
mod tests {
    use super::super::discard::plan as plan_discard;
    use super::super::fixture::{acme, anna, message, own, raw, record, with_acme};
    use super::*;
    use crate::app::actor::Face;
    use crate::batch::Reason;
    use crate::batch::ledger::{BatchState, CaseState};
    use crate::replay::at_once;
    use crate::store::audit::AuditFilter;
    use crate::store::shelf::{ShelfIdentity, Shelving};

    async fn shelved(store: &Store, content: Shelving) -> ShelfId {
        store.commit(Commit { shelve: Some(content), ..Commit::default() }.into()).await.unwrap();
        *store.shelf_ids(&Default::default()).await.unwrap().last().unwrap()
    }

    async fn discard(store: &Store, id: ShelfId) {
        let plan = plan_discard(store, &[id]).await.unwrap();
        assert_eq!(plan.carry_out(store, &anna(), Some("by mistake")).await.unwrap().done.len(), 1);
    }

    async fn state(store: &Store) -> Option<(BatchState, u32)> {
        let stored = store.batch(&super::super::fixture::batch().key).await.unwrap();
        stored.map(|stored| (stored.record.state, stored.record.revision))
    }

    #[tokio::test]
    async fn an_entry_is_as_it_was_once_it_is_restored_and_is_restored_once() {
        let (store, _dir) = with_acme().await;
        let mut content = own().content;
        content.headers.insert("message_id".into(), "m-1".into());
        let id = shelved(&store, content).await;
        let before = store.shelved(id).await.unwrap().unwrap();
        discard(&store, id).await;
        assert_eq!(state(&store).await, Some((BatchState::Discarded, 2)));
        assert!(store.shelved(id).await.unwrap().is_none());
        let [listed] = &list(&store, &filter(Some(acme()), None), 9).await.unwrap()[..] else { panic!() };
        assert_eq!((listed.entry.id, listed.by.as_str(), listed.because.as_deref()), (id, "anna", Some("by mistake")));
        assert_eq!(list(&store, &filter(None, Some(place_of(&store, id).await.unwrap())), 9).await.unwrap().len(), 0);
        assert_eq!(list(&store, &filter("birch".parse().ok(), None), 9).await.unwrap().len(), 0);

        let viewer = Actor::new("bert", Role::Viewer, Face::Api);
        let error = restore(&store, id, &viewer, None).await.unwrap_err();
        assert!(matches!(error, RestoreError::NotAllowed(_)), "{error}");
        let restored = restore(&store, id, &anna(), Some("still needed")).await.unwrap();
        assert!(restored.is_reopened && !restored.is_parked);
        assert_eq!(state(&store).await, Some((BatchState::Open, 3)));
        let after = store.shelved(id).await.unwrap().unwrap();
        assert_eq!(after.generation, before.generation + 1);
        let shown = |row: &crate::store::shelf::Shelved| {
            format!("{row:?}").replace("generation: 2", "generation: 1").replace("person_epoch: 1", "person_epoch: 0")
        };
        assert_eq!(shown(&after), shown(&before));
        let error = restore(&store, id, &anna(), None).await.unwrap_err();
        assert!(matches!(error, RestoreError::OnShelf(_)), "{error}");
        let error = restore(&store, ShelfId(77), &anna(), None).await.unwrap_err();
        assert!(matches!(error, RestoreError::NotKnown(_)), "{error}");
        let actions: Vec<String> =
            store.audit(&AuditFilter::default(), 9).await.unwrap().into_iter().map(|entry| entry.action).collect();
        assert_eq!(actions, ["shelf.restore", "shelf.discard"]);
    }

    #[tokio::test]
    async fn a_message_that_was_replayed_has_its_batch_given_up_and_opened_again_and_a_dead_copy_has_not() {
        let (store, _dir) = with_acme().await;
        let batch = Some(RecordUpdate { record: BatchRecord { epoch: 1, ..record(BatchState::Open) }, from_epoch: 0 });
        store.commit(Commit { batch, ..Commit::default() }.into()).await.unwrap();
        let id = shelved(&store, raw(Reason::Undeliverable).content).await;
        discard(&store, id).await;
        assert_eq!(state(&store).await, Some((BatchState::Open, 1)));
        let restored = restore(&store, id, &anna(), None).await.unwrap();
        assert!(!restored.is_reopened && !restored.is_parked);
        let dead = store.shelved(id).await.unwrap().unwrap();
        let (replay, _) = at_once(&store, &dead, 10_000).await.unwrap().unwrap();
        assert!(store.commit(replay.into()).await.unwrap().is_done());
        discard(&store, id).await;
        assert_eq!(state(&store).await, Some((BatchState::Discarded, 2)));
        let restored = restore(&store, id, &anna(), None).await.unwrap();
        assert!(restored.is_reopened && restored.is_parked);
        assert_eq!(state(&store).await, Some((BatchState::Open, 3)));
    }

    #[tokio::test]
    async fn of_two_who_restore_at_once_one_does() {
        let (store, _dir) = with_acme().await;
        let id = shelved(&store, raw(Reason::NotJson).content).await;
        discard(&store, id).await;
        let anna = anna();
        let (one, other) = tokio::join!(restore(&store, id, &anna, None), restore(&store, id, &anna, None));
        assert_eq!(usize::from(one.is_ok()) + usize::from(other.is_ok()), 1);
        assert_eq!(store.shelf_ids(&Default::default()).await.unwrap(), [id]);
    }

    #[tokio::test]
    async fn a_finished_batch_keeps_its_outcome_and_one_that_was_received_again_is_not_there_twice() {
        let (store, _dir) = with_acme().await;
        let mut failed = record(BatchState::Failed);
        failed.cases[0].state = CaseState::Lost;
        let batch = Some(RecordUpdate { record: BatchRecord { epoch: 1, ..failed }, from_epoch: 0 });
        let shelve = Some(own().content);
        store.commit(Commit { batch, shelve, ..Commit::default() }.into()).await.unwrap();
        let id = store.shelf_ids(&Default::default()).await.unwrap()[0];
        discard(&store, id).await;
        assert_eq!(state(&store).await, Some((BatchState::Failed, 1)));
        assert!(!restore(&store, id, &anna(), None).await.unwrap().is_reopened);
        assert_eq!(state(&store).await, Some((BatchState::Failed, 1)));

        let broken = Shelving {
            identity: ShelfIdentity::Raw("h2".into(), None, None),
            body: message().into(),
            ..raw(Reason::InvalidMessage).content
        };
        let id = shelved(&store, broken.clone()).await;
        discard(&store, id).await;
        shelved(&store, broken).await;
        let error = restore(&store, id, &anna(), None).await.unwrap_err();
        assert!(matches!(error, RestoreError::ReceivedAgain(_)), "{error}");
    }
}

//! Reads what people have changed, with what has become of it since.

use crate::batch::ledger::BatchState;
use crate::batch::{BatchId, BatchKey, TenantId};
pub use crate::store::audit::{AuditAction, AuditFilter, AuditId, AuditRow};
use crate::store::ledger::StoredBatch;
use crate::store::{Store, StoreError};

/// The most entries that are read by one statement.
const PAGE: u32 = 500;
/// The most entries whose batches are read by one statement.
const BATCHES: usize = 100;

/// A page of the audit.
#[derive(Clone, Debug)]
pub struct AuditPage {
    /// Its entries, the newest first.
    pub entries: Vec<AuditItem>,
    /// The entry behind which the next page begins; nothing if there is no next page.
    pub next: Option<AuditId>,
}

/// An entry of the audit, with what has become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditItem {
    /// The entry.
    pub row: AuditRow,
    /// What has become of its batch; nothing if the entry sends no batch.
    pub since: Option<Since>,
}

/// What has become of a batch since a person had it sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since {
    /// It was finished in this state, at a time in milliseconds on the store's clock.
    Finished(BatchState, i64),
    /// Some of its cases are still to be sent, or their outcome is unknown.
    Open,
    /// Nothing: the ledger has no later outcome of it that this version can read.
    Nothing,
}

/// Why the audit cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A page is to begin behind an entry that is not there.
    #[error("the audit has no entry {0}")]
    NoEntry(AuditId),
    /// A batch was named without its tenant.
    #[error("a batch is named together with its tenant")]
    NoTenant,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Returns up to `most` entries that a filter names, the newest first, behind the entry `after`; 0 means all.
///
/// # Errors
/// When the filter is wrong, or the store does not answer.
pub async fn list(
    store: &Store,
    filter: &AuditFilter,
    after: Option<AuditId>,
    most: u32,
) -> Result<AuditPage, AuditError> {
    if filter.batch.is_some() && filter.tenant.is_none() {
        return Err(AuditError::NoTenant);
    }
    let mut filter = filter.clone();
    if let Some(after) = after {
        let at = store.audit_time(after).await?.ok_or(AuditError::NoEntry(after))?;
        filter.behind = Some((at, after));
    }
    let most = if most == 0 { usize::MAX } else { usize::try_from(most).unwrap_or(usize::MAX) };
    let mut rows: Vec<AuditRow> = Vec::new();
    // One more than is shown, to know whether there are more.
    while rows.len() <= most {
        let left = u32::try_from((most - rows.len()).saturating_add(1)).unwrap_or(u32::MAX).min(PAGE);
        let page = store.audit(&filter, left).await?;
        let is_last = page.len() < usize::try_from(left).unwrap_or(usize::MAX);
        rows.extend(page);
        filter.behind = rows.last().map(|row| (row.at, row.id)).or(filter.behind);
        if is_last {
            break;
        }
    }
    let is_more = rows.len() > most;
    rows.truncate(most);
    let next = rows.last().filter(|_| is_more).map(|row| row.id);
    let mut entries = Vec::with_capacity(rows.len());
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let chunk = rows.by_ref().take(BATCHES).map(|row| (sent_batch(&row), row)).collect::<Vec<_>>();
        let stored = store.batches_named(chunk.iter().filter_map(|(key, _)| key.as_ref()).collect()).await?;
        entries.extend(chunk.into_iter().map(|(key, row)| {
            let since = key.map(|key| since(&row, stored.get(&key)));
            AuditItem { row, since }
        }));
    }
    Ok(AuditPage { entries, next })
}

/// Tells what has become of the batch that an entry sends, of which this is stored.
fn since(row: &AuditRow, stored: Option<&StoredBatch>) -> Since {
    match stored.map(|stored| (stored.record.state, stored.record.settled_at)) {
        Some((BatchState::Open, _)) => Since::Open,
        Some((state, Some(at))) if at >= row.at => Since::Finished(state, at),
        Some(_) | None => Since::Nothing,
    }
}

/// Returns the batch that an entry sends, if it sends one.
fn sent_batch(row: &AuditRow) -> Option<BatchKey> {
    let is_sent = match row.action.parse().ok()? {
        AuditAction::ReplayEntry | AuditAction::EditEntry | AuditAction::PublishMessage => true,
        AuditAction::SetConnection
        | AuditAction::DiscardConnectionChange
        | AuditAction::VerifyConnection
        | AuditAction::ProbeConnection
        | AuditAction::RemoveTenant
        | AuditAction::PauseLane
        | AuditAction::ResumeLane
        | AuditAction::SetLane
        | AuditAction::DiscardEntry
        | AuditAction::RestoreEntry
        | AuditAction::DecideCandidates
        | AuditAction::UndoBatch
        | AuditAction::RestoreBatch
        | AuditAction::RemoveDuplicates
        | AuditAction::NoteCause
        | AuditAction::PlanReplay
        | AuditAction::StartReplay
        | AuditAction::PauseReplay
        | AuditAction::ResumeReplay
        | AuditAction::CancelReplay
        | AuditAction::EndReplay
        | AuditAction::CreateToken
        | AuditAction::RevokeToken
        | AuditAction::CreateLink
        | AuditAction::RevokeLink
        | AuditAction::RestoreStore
        | AuditAction::MoveStore
        | AuditAction::RotateMasterKey => false,
    };
    let tenant = TenantId::new(row.tenant.as_deref()?).ok()?;
    let batch = BatchId::new(row.batch.as_deref()?).ok()?;
    is_sent.then(|| BatchKey::new(tenant, batch))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{acme, anna, batch, record, with_acme};
    use super::*;
    use crate::batch::ledger::BatchRecord;
    use crate::store::LedgerStore;
    use crate::store::audit::{AuditEntry, AuditSubject};
    use crate::store::ledger::{Commit, RecordUpdate};
    use crate::store::shelf::ShelfId;

    fn replayed(id: i64) -> AuditEntry {
        AuditEntry::new(&anna(), AuditAction::ReplayEntry, AuditSubject::entry(ShelfId(id), Some(&batch().key), None))
    }

    #[tokio::test]
    async fn pages_follow_each_other_without_a_gap() {
        let (store, _dir) = with_acme().await;
        for first in [0, 400, 800] {
            let audit = (first..first + 400).map(replayed).collect();
            store.commit(Commit { audit, ..Commit::default() }.into()).await.unwrap();
        }
        let filter = AuditFilter { tenant: Some(acme()), ..AuditFilter::default() };
        let ids = |page: &AuditPage| page.entries.iter().map(|item| item.row.id.0).collect::<Vec<_>>();
        let all = list(&store, &filter, None, 0).await.unwrap();
        assert_eq!((ids(&all), all.next), ((1..=1_200).rev().collect(), None));
        let first = list(&store, &filter, None, 700).await.unwrap();
        assert_eq!((first.entries.len(), first.next), (700, Some(AuditId(501))));
        let second = list(&store, &filter, first.next, 500).await.unwrap();
        assert_eq!((ids(&second), second.next), ((1..=500).rev().collect(), None));
        assert!(matches!(list(&store, &filter, Some(AuditId(9_999)), 5).await, Err(AuditError::NoEntry(_))));
        let batch = Some(batch().key.batch);
        let unnamed = AuditFilter { batch, ..AuditFilter::default() };
        assert!(matches!(list(&store, &unnamed, None, 5).await, Err(AuditError::NoTenant)));
    }

    #[tokio::test]
    async fn an_entry_that_sends_a_batch_says_what_became_of_it_since() {
        let (store, _dir) = with_acme().await;
        let set = async |record: BatchRecord, from_epoch| {
            let batch = Some(RecordUpdate { record, from_epoch });
            assert!(store.commit(Commit { batch, ..Commit::default() }.into()).await.unwrap().is_done());
        };
        let since = async || list(&store, &AuditFilter::default(), None, 1).await.unwrap().entries[0].since.clone();
        let settled = |state, at| BatchRecord { state, settled_at: Some(at), ..record(state) };
        let failed = BatchRecord { epoch: 1, ..settled(BatchState::Failed, 1) };
        set(failed, 0).await;
        store.commit(Commit { audit: vec![replayed(1)], ..Commit::default() }.into()).await.unwrap();
        assert_eq!(since().await, Some(Since::Nothing), "it failed before");
        set(BatchRecord { epoch: 2, ..record(BatchState::Open) }, 1).await;
        assert_eq!(since().await, Some(Since::Open));
        let end = i64::MAX / 2;
        set(BatchRecord { epoch: 3, ..settled(BatchState::Delivered, end) }, 2).await;
        assert_eq!(since().await, Some(Since::Finished(BatchState::Delivered, end)));
        let note = AuditEntry::new(&anna(), AuditAction::NoteCause, AuditSubject::named("group c-00000007"));
        store.commit(Commit { audit: vec![note], ..Commit::default() }.into()).await.unwrap();
        assert_eq!(since().await, None);
    }
}

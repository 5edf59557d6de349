//! Reads from the ledger which cases of a tenant, or of one batch, are expected in Testmo.

use std::collections::HashMap;

use super::selected::Selected;
use crate::app::batches::source_key::source_key;
use crate::batch::event::address;
use crate::batch::ledger::{BatchRecord, BatchState, CaseState, Target};
use crate::batch::message::key_by_position;
use crate::batch::written::CaseIdentity;
use crate::batch::{BatchId, BatchKey, TenantId, batch_tag};
use crate::store::{LedgerStore, Store, StoreError};

/// How many batches are read at once.
const CHUNK: u32 = 200;

/// The cases that are expected in one project.
#[derive(Debug, Default)]
pub(super) struct Expected {
    pub(super) batches: Vec<ExpectedBatch>,
    /// The places of each case by its id, each with its batch and its position: several batches may have written it.
    pub(super) ids: HashMap<u64, Vec<(usize, usize)>>,
    /// The batches by their tags.
    pub(super) tags: HashMap<String, usize>,
    /// The lowest id that a row of these batches can have.
    pub(super) lowest: Option<u64>,
    /// How many batches are no longer known in detail.
    pub(super) pruned: usize,
    /// How many batches went to another account or project.
    pub(super) elsewhere: usize,
}

/// A batch whose cases are expected.
#[derive(Debug)]
pub(super) struct ExpectedBatch {
    pub(super) key: BatchKey,
    /// The name of its source, by which what was written is remembered.
    pub(super) source: Option<String>,
    /// Where its cases were sent.
    pub(super) targets: Vec<Target>,
    pub(super) cases: Vec<ExpectedCase>,
    /// Whether a person has taken back what it did.
    pub(super) is_undone: bool,
}

/// A case that is expected.
#[derive(Debug)]
pub(super) struct ExpectedCase {
    pub(super) key: String,
    pub(super) id: Option<u64>,
    /// Which of the batch's targets it was sent to.
    target: usize,
    /// Rows that are known to duplicate it.
    pub(super) duplicates: Vec<u64>,
}

/// Reads what is expected in a project of an account.
pub(super) async fn expected(
    store: &Store,
    selected: &Selected,
    (account, project): (&str, u64),
) -> Result<Expected, StoreError> {
    let mut expected = Expected::default();
    match selected {
        Selected::Batch(key) => {
            if let (Some(stored), _) = store.batch_at(key).await? {
                expected.add(store, stored.record, (account, project)).await?;
            }
        }
        Selected::Tenant(tenant) => {
            let mut after: Option<BatchId> = None;
            loop {
                let chunk = chunk(store, tenant, after.as_ref()).await?;
                let Some(last) = chunk.last() else { break };
                after = Some(last.key.batch.clone());
                for record in chunk {
                    expected.add(store, record, (account, project)).await?;
                }
            }
        }
    }
    Ok(expected)
}

async fn chunk(store: &Store, tenant: &TenantId, after: Option<&BatchId>) -> Result<Vec<BatchRecord>, StoreError> {
    let stored = store.batches_after(tenant, after, CHUNK).await?;
    Ok(stored.into_iter().map(|stored| stored.record).collect())
}

impl Expected {
    async fn add(&mut self, store: &Store, record: BatchRecord, project: (&str, u64)) -> Result<(), StoreError> {
        if record.cases.is_empty() {
            self.pruned += 1;
            return Ok(());
        }
        let is_there = |target: &Target| (target.account.as_str(), target.project) == project;
        if !record.targets.iter().any(is_there) && record.arrived().next().is_some() {
            self.elsewhere += 1;
            return Ok(());
        }
        let has_arrived = record.arrived().next().is_some();
        let source = match &record.source {
            None if has_arrived => source_key(store, &record.key).await?,
            source => source.clone(),
        };
        self.take(record, source);
        Ok(())
    }

    /// Adds the cases of a record.
    pub(super) fn take(&mut self, record: BatchRecord, source: Option<String>) {
        let at = self.batches.len();
        let ids = record.arrived().map(|(_, id)| id);
        let lowest = ids.chain(record.floor.map(|floor| floor.saturating_add(1))).min();
        self.lowest = self.lowest.into_iter().chain(lowest).min();
        let mut cases = Vec::with_capacity(record.cases.len());
        for (position, case) in record.cases.into_iter().enumerate() {
            let id = match &case.state {
                CaseState::Created(id) | CaseState::Adopted(id) => Some(*id),
                CaseState::Repeated(_) => case.repeated_id(),
                CaseState::Waiting | CaseState::Claimed | CaseState::Refused(_) | CaseState::Lost => None,
            };
            if let Some(id) = id {
                self.ids.entry(id).or_default().push((at, position));
            }
            cases.push(ExpectedCase { key: case.key, id, target: case.target, duplicates: case.duplicates });
        }
        self.tags.insert(batch_tag(&record.key), at);
        let is_undone = record.state == BatchState::Undone;
        self.batches.push(ExpectedBatch { key: record.key, source, targets: record.targets, cases, is_undone });
    }
}

impl ExpectedBatch {
    /// Returns where a case was sent.
    pub(super) fn target(&self, position: usize) -> Option<&Target> {
        self.targets.get(self.cases[position].target)
    }

    /// Returns by what a case is remembered; `None` if it is not.
    pub(super) fn identity(&self, position: usize) -> Option<CaseIdentity> {
        let key = self.cases[position].key.as_str();
        let id = Some(key).filter(|key| *key != key_by_position(position));
        CaseIdentity::of(self.target(position)?, &self.key.tenant, self.source.as_deref(), id)
    }

    /// Returns the address of a row in a folder.
    pub(super) fn link(&self, position: usize, folder: u64, id: u64) -> Option<String> {
        Some(address(self.target(position)?, folder, id))
    }
}

//! Reads from the store which cases earlier batches wrote that a batch has, or does not have any more.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::app::connections::ConnectionRow;
use crate::batch::generation::{Removal, Replaced, is_retired, prefers_replaced, replaced};
use crate::batch::ledger::Target;
use crate::batch::message::{Case, key_by_position};
use crate::batch::written::{CaseIdentity, WrittenFields, source_name};
use crate::batch::{Batch, BatchKey, TenantId, batch_tag};
use crate::store::undos::UndoStore;
use crate::store::written::Remembered;
use crate::store::{LedgerStore, Store, StoreError, WrittenStore};

/// The most cases of a source that are read, as by the worker.
const MOST_DROPPED: usize = 1_000;
/// How many remembered cases are read at once.
const CHUNK: u32 = 500;

/// The names of a batch's sources, the own one first, and what a person should know of them.
pub(super) struct Sources {
    pub(super) names: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// A case that an earlier batch wrote.
pub(super) struct Known {
    pub(super) id: u64,
    pub(super) folder: u64,
    pub(super) batch: Option<String>,
    pub(super) tag: Option<String>,
    pub(super) fields: WrittenFields,
}

/// A case of the source that the batch does not have.
pub(super) struct Gone {
    pub(super) known: Known,
}

/// Returns the sources of a batch: its own one, and that of the batch that it replaces.
pub(super) async fn sources(store: &Store, batch: &Batch) -> Result<Sources, StoreError> {
    let own = || source_name(batch.source.key.as_deref(), &batch.key.batch).into_owned();
    let Some(id) = &batch.replaces else { return Ok(Sources { names: vec![own()], notes: Vec::new() }) };
    let key = BatchKey::new(batch.key.tenant.clone(), id.clone());
    let stored = store.batch_at(&key).await?.0;
    let source = stored.as_ref().and_then(|stored| stored.record.source.clone());
    let note = match replaced(stored.as_ref().map(|stored| &stored.record)) {
        Replaced::Known(_) => None,
        Replaced::Open => Some(format!("batch {} is not finished, and this batch waits for it", id.as_str())),
        Replaced::Unknown => Some(format!("batch {} is not known, so this batch fails: replaced_unknown", id.as_str())),
    };
    let mut names: Vec<String> = match (&batch.source.key, source) {
        (None, Some(source)) => vec![source],
        (_, source) => std::iter::once(own()).chain(source).collect(),
    };
    names.dedup();
    Ok(Sources { names, notes: note.into_iter().collect() })
}

/// Returns the cases of the batch that earlier batches wrote, by their indexes.
pub(super) async fn known(
    store: &Store,
    row: &ConnectionRow,
    batch: &Batch,
    names: &[String],
) -> Result<BTreeMap<usize, Known>, StoreError> {
    let positions: HashMap<CaseIdentity, (usize, usize)> = identities(row, batch, names)
        .into_iter()
        .map(|(at, of_source, identity)| (identity, (at, of_source)))
        .collect();
    let wanted: Vec<CaseIdentity> = positions.keys().copied().collect();
    let mut found: BTreeMap<usize, (usize, Remembered)> = BTreeMap::new();
    for remembered in store.written(&row.tenant, &wanted).await? {
        let Some((at, of_source)) = positions.get(&remembered.case.identity) else { continue };
        let chosen = match found.remove(at) {
            None => (*of_source, remembered),
            Some((other_source, other)) => {
                let (own, replaced) = if *of_source < other_source { (remembered, other) } else { (other, remembered) };
                let prefers = prefers_replaced(&own.case, &replaced.case);
                (0, if prefers { replaced } else { own })
            }
        };
        found.insert(*at, chosen);
    }
    Ok(found.into_iter().map(|(at, (_, remembered))| (at, Known::of(&row.tenant, remembered))).collect())
}

/// Returns the cases of the sources that the batch does not have, by their ids.
pub(super) async fn gone(
    store: &Store,
    row: &ConnectionRow,
    batch: &Batch,
    names: &[String],
    known: &BTreeMap<usize, Known>,
    removal: Removal,
) -> Result<BTreeMap<u64, Gone>, StoreError> {
    let own = identities(row, batch, names);
    let identities: HashSet<CaseIdentity> = own.iter().map(|(.., identity)| *identity).collect();
    let ids: HashSet<u64> = known.values().map(|known| known.id).collect();
    let mut gone = BTreeMap::new();
    let sources: HashSet<_> = own.iter().map(|(.., identity)| identity.source()).collect();
    for source in sources {
        let mut after = None;
        while gone.len() < MOST_DROPPED {
            let read = store.written_of_source(&row.tenant, source, after, CHUNK).await?;
            after = read.last().map(|last| last.case.identity);
            let is_last = read.len() < CHUNK as usize;
            for remembered in read {
                let case = &remembered.case;
                let is_here = identities.contains(&case.identity) || ids.contains(&case.testmo_id);
                if !is_here && !is_retired(removal, &case.fields) && gone.len() < MOST_DROPPED {
                    gone.insert(case.testmo_id, Gone { known: Known::of(&row.tenant, remembered) });
                }
            }
            if is_last {
                break;
            }
        }
    }
    Ok(gone)
}

/// Returns which batch has written a later generation of the sources.
pub(super) async fn later(
    store: &Store,
    row: &ConnectionRow,
    batch: &Batch,
    names: &[String],
) -> Result<Option<BatchKey>, StoreError> {
    let sources: HashSet<_> = identities(row, batch, names).iter().map(|(.., identity)| identity.source()).collect();
    let sources: Vec<_> = sources.into_iter().collect();
    let latest = store.latest_generation(&sources).await?;
    Ok(latest.filter(|(at, by)| *at > batch.generated_at && *by != batch.key).map(|(_, by)| by))
}

/// Returns by what the cases of a batch are recognized in each source, with their indexes and those of the sources.
fn identities(row: &ConnectionRow, batch: &Batch, names: &[String]) -> Vec<(usize, usize, CaseIdentity)> {
    let target = Target { account: row.origin.clone(), project: row.project, folder: row.folder };
    let mut identities = Vec::new();
    for (at, case) in batch.cases.iter().enumerate() {
        let id = case.external_id.as_deref().filter(|_| is_named(at, case));
        for (of_source, name) in names.iter().enumerate() {
            let identity = CaseIdentity::of(&target, &row.tenant, Some(name), id);
            identities.extend(identity.map(|identity| (at, of_source, identity)));
        }
    }
    identities
}

/// Returns whether the case at an index has an id by which it is recognized in other batches.
pub(super) fn is_named(index: usize, case: &Case) -> bool {
    case.external_id.as_deref().is_some_and(|id| id != key_by_position(index))
}

impl Known {
    fn of(tenant: &TenantId, Remembered { case, batch }: Remembered) -> Self {
        let tag = batch.as_ref().map(|by| batch_tag(&BatchKey::new(tenant.clone(), by.clone())));
        let batch = batch.map(|by| by.as_str().to_owned());
        Self { id: case.testmo_id, folder: case.folder, batch, tag, fields: case.fields }
    }
}

//! Reads what earlier batches wrote of the cases of a batch.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::batch::ledger::{Change, PreviousCase, Repeat};
use crate::batch::written::CaseIdentity;
use crate::batch::{BatchKey, batch_tag};
use crate::store::StoreError;
use crate::testmo::CasesOf;
use crate::worker::context::WorkerContext;
use crate::worker::model::{ActiveBatch, KnownCase, Progress};

/// The most batch tags by which rows are sought that are not in their folders.
const MOST_TAGS: usize = 20;

/// Reads which undecided cases earlier batches wrote, and where their rows are to be read. `latest_at` says when the latest
/// generation that was written before was generated.
pub(super) async fn read_known(
    context: &WorkerContext,
    batch: &mut ActiveBatch,
    progress: &mut Progress,
    latest_at: Option<i64>,
) -> Result<(), StoreError> {
    let undecided = batch.record.undecided();
    let positions: HashMap<CaseIdentity, usize> =
        undecided.filter_map(|position| Some((batch.own_identity(position)?, position))).collect();
    let wanted: Vec<CaseIdentity> = positions.keys().copied().collect();
    let tenant = &batch.key.batch.tenant;
    let is_later = latest_at.is_some_and(|latest_at| batch.generation.generated_at > latest_at);
    let (mut known, mut superseded) = (BTreeMap::new(), Vec::new());
    for remembered in context.store.written(tenant, &wanted).await? {
        let Some(position) = positions.get(&remembered.case.identity) else { continue };
        let (id, folder) = (remembered.case.testmo_id, remembered.case.folder);
        let tag = remembered.batch.as_ref().map(|by| batch_tag(&BatchKey::new(tenant.clone(), by.clone())));
        let previous = PreviousCase { batch: remembered.batch.map(|by| by.to_string()), id, folder };
        let is_own = remembered.case.batch.fits(&batch.key.batch);
        if !is_later && !is_own && remembered.case.batch.first_seen_at() > batch.record.first_seen_at {
            superseded.push((*position, Some(previous), Repeat::only(Change::Superseded)));
            continue;
        }
        let mark = remembered.case.batch;
        known.insert(*position, KnownCase { previous, fields: remembered.case.fields, mark, tag });
    }
    let folders: BTreeSet<u64> = known.values().map(|known| known.previous.folder).collect();
    progress.lists = folders.into_iter().map(CasesOf::Folder).collect();
    let tags: BTreeSet<String> = known.values().filter_map(|known| known.tag.clone()).collect();
    if !known.is_empty() {
        progress.lists.push_back(CasesOf::Tags(tags.into_iter().chain(batch.batch_tag()).take(MOST_TAGS).collect()));
    }
    progress.page = 1;
    progress.known = Some(known);
    if !superseded.is_empty() {
        batch.record.repeats(superseded);
    }
    Ok(())
}

//! Reads what earlier batches wrote of the cases of a batch.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::batch::generation::prefers_replaced;
use crate::batch::ledger::{Change, PreviousCase, Repeat};
use crate::batch::written::{CaseIdentity, WrittenCase};
use crate::batch::{BatchKey, TenantId, batch_tag};
use crate::store::StoreError;
use crate::store::written::Remembered;
use crate::testmo::CasesOf;
use crate::worker::context::WorkerContext;
use crate::worker::model::{ActiveBatch, KnownCase, Progress};

/// Reads which undecided cases earlier batches wrote, and where their rows are to be read. `latest_at` says when the latest
/// generation that was written before was generated.
pub(super) async fn read_known(
    context: &WorkerContext,
    batch: &mut ActiveBatch,
    progress: &mut Progress,
    latest_at: Option<i64>,
) -> Result<(), StoreError> {
    let undecided = batch.record.undecided();
    let identities = |position| batch.own_identities(position).map(move |identity| (identity, position));
    let positions: HashMap<CaseIdentity, usize> = undecided.flat_map(identities).collect();
    let wanted: Vec<CaseIdentity> = positions.keys().copied().collect();
    let tenant = &batch.key.batch.tenant;
    let is_later = latest_at.is_some_and(|latest_at| batch.generation.generated_at > latest_at);
    let (mut known, mut superseded) = (BTreeMap::new(), Vec::new());
    let remembered = context.store.written(tenant, &wanted).await?;
    for (position, remembered) in by_position(batch, &positions, remembered) {
        let case = known_case(tenant, remembered);
        let is_own = case.mark.fits(&batch.key.batch);
        if !is_later && !is_own && case.mark.first_seen_at() > batch.record.first_seen_at {
            superseded.push((position, Some(case.previous), Repeat::only(Change::Superseded)));
            continue;
        }
        known.insert(position, case);
    }
    let folders: BTreeSet<u64> = known.values().map(|known| known.previous.folder).collect();
    let tags: BTreeSet<String> = known.values().filter_map(|known| known.tag.clone()).collect();
    let tags = tags.into_iter().chain(batch.batch_tag()).filter(|_| !known.is_empty());
    progress.lists = CasesOf::sought(folders, tags).collect();
    progress.page = 1;
    progress.known = Some(known);
    if !superseded.is_empty() {
        batch.record.repeats(superseded);
    }
    Ok(())
}

/// Returns a case as it is remembered.
pub(super) fn known_case(tenant: &TenantId, Remembered { case, batch }: Remembered) -> KnownCase {
    let tag = batch.as_ref().map(|by| batch_tag(&BatchKey::new(tenant.clone(), by.clone())));
    let previous = PreviousCase { batch: batch.map(|by| by.to_string()), id: case.testmo_id, folder: case.folder };
    KnownCase { previous, fields: case.fields, mark: case.batch, tag }
}

/// Returns for each case what is remembered of the one for which it stands.
fn by_position(
    batch: &ActiveBatch,
    positions: &HashMap<CaseIdentity, usize>,
    remembered: Vec<Remembered>,
) -> BTreeMap<usize, Remembered> {
    let mut found: BTreeMap<usize, Remembered> = BTreeMap::new();
    for remembered in remembered {
        let Some(position) = positions.get(&remembered.case.identity) else { continue };
        let Some(other) = found.remove(position) else {
            found.insert(*position, remembered);
            continue;
        };
        let is_own = batch.own_identity(*position) == Some(remembered.case.identity);
        let (own, replaced) = if is_own { (remembered, other) } else { (other, remembered) };
        let chosen = if prefers_replaced(&own.case, &replaced.case) { replaced } else { own };
        found.insert(*position, chosen);
    }
    found
}

/// Returns what is remembered of a case that a batch takes over from the one that it replaces, and of which it writes nothing:
/// the same, for its own source, too.
pub(super) fn taken_over(batch: &ActiveBatch, position: usize, known: &KnownCase) -> Vec<WrittenCase> {
    if batch.generation.replaced.is_none() {
        return Vec::new();
    }
    let case = |identity| WrittenCase {
        identity,
        testmo_id: known.previous.id,
        folder: known.previous.folder,
        batch: known.mark,
        fields: known.fields.clone(),
    };
    batch.own_identities(position).map(case).collect()
}

//! Reads which cases of its source a batch does not have.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::known::known_case;
use crate::batch::generation::{Removal, is_retired};
use crate::batch::ledger::DropChange;
use crate::batch::written::CaseIdentity;
use crate::store::StoreError;
use crate::testmo::CasesOf;
use crate::worker::context::WorkerContext;
use crate::worker::model::{ActiveBatch, GoneCase, Progress};

/// The most such cases that are decided for one batch; further ones are left to the next generation.
const MOST_DROPPED: usize = 1_000;
/// How many remembered cases are read at once.
const CHUNK: u32 = 500;

/// Reads which cases of its source a batch does not have and has not decided yet, and where their rows are to be read.
pub(super) async fn read_gone(
    context: &WorkerContext,
    batch: &mut ActiveBatch,
    progress: &mut Progress,
    removal: Removal,
) -> Result<(), StoreError> {
    let tenant = batch.key.batch.tenant.clone();
    let own: HashSet<CaseIdentity> = (0..batch.cases.len()).flat_map(|at| batch.own_identities(at)).collect();
    let mut decided: HashSet<u64> = batch.record.known_ids_at(batch.account()).collect();
    let is_final = |change| change != DropChange::Writing;
    let dropped = batch.record.dropped_at(batch.account());
    decided.extend(dropped.filter(|case| is_final(case.change)).map(|case| case.id));
    let (mut gone, mut more): (BTreeMap<u64, GoneCase>, bool) = Default::default();
    for source in batch.sources() {
        let mut after = None;
        loop {
            let read = context.store.written_of_source(&tenant, source, after, CHUNK).await?;
            after = read.last().map(|last| last.case.identity);
            let is_last = read.len() < CHUNK as usize;
            for remembered in read {
                let case = &remembered.case;
                let (id, identity) = (case.testmo_id, case.identity);
                let is_later = case.batch.first_seen_at() > batch.record.first_seen_at;
                if own.contains(&identity) || decided.contains(&id) || is_later || is_retired(removal, &case.fields) {
                    continue;
                }
                if !gone.contains_key(&id) && gone.len() == MOST_DROPPED {
                    more = true;
                    continue;
                }
                let known = known_case(&tenant, remembered);
                gone.entry(id).or_insert_with(|| GoneCase { known, identities: Vec::new() }).identities.push(identity);
            }
            if is_last || more {
                break;
            }
        }
    }
    batch.record.dropped.more = more;
    let folders: BTreeSet<u64> = gone.values().map(|gone| gone.known.previous.folder).collect();
    let tags: BTreeSet<String> = gone.values().filter_map(|gone| gone.known.tag.clone()).collect();
    progress.lists = CasesOf::sought(folders, tags.into_iter()).collect();
    progress.page = 1;
    progress.gone = Some(gone);
    Ok(())
}

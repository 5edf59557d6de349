//! Finds the folders of a batch's cases: the tenant's own, one below it by id, or one by path.

use std::time::Duration;

use super::folder_cache::{CachedPath, REMEMBERED};
use super::folder_creation::create;
use super::folder_list::list_folders;
use super::state::Delivery;
use crate::batch::message::RequestedFolder;
use crate::batch::{Reason, folded_folder_name};
use crate::store::StoreError;
use crate::store::folders::{KnownFolder, NewFolder};
use crate::tenants::{child, lies_under};
use crate::testmo::Folder;
use crate::worker::context::WorkerContext;
use crate::worker::model::{ActiveBatch, NextStep, PushFeedback};

/// Whether the folder of one level of a path exists.
enum Level {
    At(u64),
    Missing,
    /// Testmo could not be called.
    Unseen(NextStep),
}

/// Whether the folder that cases request is found.
enum Search {
    Found(u64),
    /// This follows for the batch first.
    Then(NextStep),
}

/// Finds the folders of a batch's cases one after the other, or creates one level of a path that leads to one. The batch
/// waits as a whole until all are found, so that its first request fixes them for every case.
pub(super) async fn locate(
    delivery: &Delivery,
    batch: &mut ActiveBatch,
    feedback: &mut PushFeedback,
) -> Result<NextStep, StoreError> {
    if batch.relocated.is_none() && batch.folders.take_over(&batch.record, &batch.connection) {
        return Ok(NextStep::NextTurn);
    }
    let mut list = None;
    while let Some((place, requested)) = batch.folders.next_missing() {
        let search = match requested.clone() {
            RequestedFolder::Tenant => Search::Found(batch.connection.folder),
            RequestedFolder::Id(id) => locate_by_id(&delivery.context, batch, id, feedback).await?,
            RequestedFolder::Path(names) => locate_by_path(delivery, batch, names, &mut list, feedback).await?,
        };
        match search {
            Search::Found(folder) => batch.folders.note(place, folder),
            Search::Then(next_step) => return Ok(attributed(batch, place, next_step)),
        }
    }
    Ok(NextStep::NextTurn)
}

/// Names the cases that are concerned where a folder is not found and cases of the batch go to several.
fn attributed(batch: &ActiveBatch, place: usize, next_step: NextStep) -> NextStep {
    let places = batch.folders.places();
    let is_of_folder = |reason: &Reason| matches!(reason, Reason::FolderMissing | Reason::FolderUnconfirmed);
    let named = |detail: Option<String>| {
        let mut positions = places.cases_in(place);
        let first = positions.next().map_or("", |position| batch.cases[position].key.as_str());
        let cases = match positions.count() {
            0 => format!("case {first}"),
            others => format!("case {first} and {others} more"),
        };
        Some(format!("{} (the folder of {cases})", detail.unwrap_or_default()))
    };
    match next_step {
        _ if places.requested().len() == 1 => next_step,
        NextStep::AwaitConnection(reason, detail) if is_of_folder(&reason) => {
            NextStep::AwaitConnection(reason, named(detail))
        }
        NextStep::Defer(reason, detail, wait) if is_of_folder(&reason) => NextStep::Defer(reason, named(detail), wait),
        other @ (NextStep::NextTurn
        | NextStep::Pause(_)
        | NextStep::Retry(..)
        | NextStep::AwaitConnection(..)
        | NextStep::Defer(..)
        | NextStep::AwaitStore(_)
        | NextStep::Paused
        | NextStep::ResolveAgain
        | NextStep::Refresh
        | NextStep::Finished) => other,
    }
}

async fn locate_by_id(
    context: &WorkerContext,
    batch: &mut ActiveBatch,
    id: u64,
    feedback: &mut PushFeedback,
) -> Result<Search, StoreError> {
    let connection = batch.connection.clone();
    let folders = match list_folders(context, batch, feedback).await? {
        Ok(folders) => folders,
        Err(next_step) => return Ok(Search::Then(next_step)),
    };
    if lies_under(&folders, id, connection.folder) {
        return Ok(Search::Found(id));
    }
    let detail = format!("folder {id} does not exist, or is not below the tenant's folder {}", connection.folder);
    Ok(Search::Then(NextStep::AwaitConnection(Reason::FolderMissing, Some(detail))))
}

/// Finds the folder of a path, with the list of folders if it was fetched for another path.
async fn locate_by_path(
    delivery: &Delivery,
    batch: &mut ActiveBatch,
    names: Vec<String>,
    list: &mut Option<Vec<Folder>>,
    feedback: &mut PushFeedback,
) -> Result<Search, StoreError> {
    let connection = batch.connection.clone();
    let path = CachedPath {
        account: batch.account().to_owned(),
        connection: connection.version.clone(),
        names: names.clone(),
    };
    if let Some(folder) = delivery.folders.get(&path).filter(|_| batch.relocated.is_none()) {
        return Ok(Search::Found(folder));
    }
    let mut reached = connection.folder;
    for name in &names {
        let new = NewFolder {
            account: batch.account().to_owned(),
            project: connection.project,
            parent: reached,
            name: name.trim().to_owned(),
        };
        match level(&delivery.context, batch, &new, list, feedback).await? {
            Level::At(id) => reached = id,
            Level::Missing => return create(&delivery.context, batch, new, feedback).await.map(Search::Then),
            Level::Unseen(next_step) => return Ok(Search::Then(next_step)),
        }
    }
    delivery.folders.keep(path, reached);
    Ok(Search::Found(reached))
}

/// Finds one level of a path: by the id that its creation returned, or in the list of folders, which is fetched at most
/// once for all paths. The list is not used for a folder that was created within the last minute, as it may show that
/// late.
async fn level(
    context: &WorkerContext,
    batch: &mut ActiveBatch,
    folder: &NewFolder,
    list: &mut Option<Vec<Folder>>,
    feedback: &mut PushFeedback,
) -> Result<Level, StoreError> {
    let known = context.store.known_folder(folder).await?;
    let has_vanished = known.as_ref().is_some_and(|known| batch.relocated.is_some_and(|at| known.since <= at));
    let is_recent = |known: &&KnownFolder| context.store.now() < known.since + millis(REMEMBERED);
    if let Some(known) = known.as_ref().filter(|_| !has_vanished).filter(is_recent) {
        return Ok(Level::At(known.id));
    }
    let folders = match list {
        Some(folders) => folders,
        None => match list_folders(context, batch, feedback).await? {
            Ok(folders) => list.insert(folders),
            Err(next_step) => return Ok(Level::Unseen(next_step)),
        },
    };
    let outdated = known.as_ref().filter(|known| is_outdated(folders, folder, known, has_vanished));
    if let Some(known) = outdated {
        context.store.forget_folder(folder, known.id).await?;
    }
    let known = known.as_ref().filter(|_| outdated.is_none());
    Ok(placed(folders, folder, known).map_or(Level::Missing, Level::At))
}

/// Returns whether a known id no longer leads to the folder: a person moved or renamed it, or it vanished and is not
/// listed.
fn is_outdated(folders: &[Folder], asked: &NewFolder, known: &KnownFolder, has_vanished: bool) -> bool {
    let Some(listed) = folders.iter().find(|folder| folder.id == known.id) else { return has_vanished };
    // Testmo may have made another name of the one that was asked for.
    let is_named = |name: &str| folded_folder_name(name) == folded_folder_name(&listed.name);
    let is_same = is_named(&asked.name) || known.shown_as.as_deref().is_none_or(is_named);
    listed.parent_id != Some(asked.parent) || !is_same
}

/// Returns the id of a folder: the known one where it is listed or no other folder fits, as the list may show new
/// folders late or never; otherwise the listed one.
fn placed(folders: &[Folder], asked: &NewFolder, known: Option<&KnownFolder>) -> Option<u64> {
    let listed = child(folders, asked.parent, &asked.name);
    match known {
        Some(known) if folders.iter().any(|folder| folder.id == known.id) => Some(known.id),
        Some(known) => Some(listed.unwrap_or(known.id)),
        None => listed,
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(id: u64, parent: u64, name: &str) -> Folder {
        Folder { id, name: name.into(), parent_id: Some(parent) }
    }

    #[test]
    fn a_known_id_is_the_folder_until_a_person_moves_renames_or_removes_it() {
        let asked = NewFolder { account: "a".into(), project: 1, parent: 2, name: "A  B".into() };
        let known = KnownFolder { id: 7, shown_as: Some("A-B".into()), since: 0 };
        let renamed = |name: &str| [at(5, 2, "A  B"), at(7, 2, name)];
        for (folders, vanished, outdated) in [
            (vec![], false, false),
            (vec![], true, true),
            (vec![at(5, 2, "A B")], true, true),
            (renamed("A B").into(), true, false),
            (renamed("A-B").into(), false, false),
            (renamed("A B (old)").into(), false, true),
            (vec![at(7, 3, "A B")], false, true),
        ] {
            assert_eq!(is_outdated(&folders, &asked, &known, vanished), outdated, "{folders:?} {vanished}");
        }
        let unnamed = KnownFolder { shown_as: None, ..known.clone() };
        assert!(!is_outdated(&renamed("x"), &asked, &unnamed, false));
        for (folders, known, id) in [
            (vec![], None, None),
            (vec![], Some(&known), Some(7)),
            (vec![at(5, 2, "A B")], Some(&known), Some(5)),
            (vec![at(5, 2, "A B"), at(7, 2, "A B")], Some(&known), Some(7)),
            (vec![at(5, 2, "A B"), at(7, 2, "A  B")], None, Some(7)),
        ] {
            assert_eq!(placed(&folders, &asked, known), id, "{folders:?} {known:?}");
        }
    }
}

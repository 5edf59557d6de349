//! Which folder does a batch go to? The tenant's, one below it by id, or one by path, created where it is missing.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::courier::Courier;
use super::crash::{self, Point};
use super::deliver::{Flow, Learnt};
use super::entry::Entry;
use super::intake::patiently;
use crate::batch::message::FolderWish;
use crate::batch::verdict::answer::ApiError;
use crate::batch::verdict::{after_failed_folder, after_failed_look};
use crate::batch::{Reason, folded_folder_name};
use crate::store::StoreError;
use crate::store::folders::{FolderClaim, FolderEnd, FolderLimits, FolderPermit, KnownFolder, NewFolder};
use crate::tenants::{child, lies_under};
use crate::testmo::{CreatedFolder, Folder};

/// By then a list that shows new folders at all shows each of them. A create request with an unknown outcome whose folder
/// is not shown by then created nothing.
const SHOWN_WITHIN: Duration = Duration::from_secs(600);

/// Whether the folder of one level of a path is there.
enum Level {
    At(u64),
    Missing,
    /// Testmo could not be asked.
    Unseen(Flow),
}

impl Courier {
    /// Finds the folder, or creates one level of the path that leads to it.
    pub(super) async fn locate(&self, entry: &mut Entry, learnt: &mut Learnt) -> Result<Flow, StoreError> {
        let connection = entry.connection.clone();
        let fixed = entry.record.target().filter(|t| t.account == entry.account() && t.project == connection.project);
        if let Some(target) = fixed.filter(|_| entry.relocated.is_none()) {
            entry.folder = Some(target.folder);
            return Ok(Flow::Turn);
        }
        match &entry.wish {
            FolderWish::Tenant => {
                entry.folder = Some(connection.folder);
                Ok(Flow::Turn)
            }
            FolderWish::Id(id) => {
                let id = *id;
                self.locate_by_id(entry, id, learnt).await
            }
            FolderWish::Path(names) => {
                let names = names.clone();
                self.locate_by_path(entry, names, learnt).await
            }
        }
    }

    async fn locate_by_id(&self, entry: &mut Entry, id: u64, learnt: &mut Learnt) -> Result<Flow, StoreError> {
        let connection = entry.connection.clone();
        let folders = match self.list_folders(entry, learnt).await? {
            Ok(folders) => folders,
            Err(flow) => return Ok(flow),
        };
        if lies_under(&folders, id, connection.folder) {
            entry.folder = Some(id);
            return Ok(Flow::Turn);
        }
        let detail = format!("folder {id} is not there, or not under the tenant's folder {}", connection.folder);
        Ok(Flow::Park(Reason::FolderMissing, Some(detail)))
    }

    async fn locate_by_path(
        &self,
        entry: &mut Entry,
        names: Vec<String>,
        learnt: &mut Learnt,
    ) -> Result<Flow, StoreError> {
        let connection = entry.connection.clone();
        let wish =
            Known { account: entry.account().to_owned(), connection: connection.version.clone(), names: names.clone() };
        if let Some(folder) = self.folders.recall(&wish).filter(|_| entry.relocated.is_none()) {
            entry.folder = Some(folder);
            return Ok(Flow::Turn);
        }
        let (mut reached, mut list) = (connection.folder, None);
        for name in &names {
            let new = NewFolder {
                account: entry.account().to_owned(),
                project: connection.project,
                parent: reached,
                name: name.trim().to_owned(),
            };
            match self.level(entry, &new, &mut list, learnt).await? {
                Level::At(id) => reached = id,
                Level::Missing => return self.create(entry, new, learnt).await,
                Level::Unseen(flow) => return Ok(flow),
            }
        }
        self.folders.keep(wish, reached);
        entry.folder = Some(reached);
        Ok(Flow::Turn)
    }

    /// Finds one level of a path: by the id that creating it returned, or in Testmo's list, which is fetched at most once
    /// for a path. The list is not asked for what was created a moment ago, as it may show that late.
    async fn level(
        &self,
        entry: &mut Entry,
        folder: &NewFolder,
        list: &mut Option<Vec<Folder>>,
        learnt: &mut Learnt,
    ) -> Result<Level, StoreError> {
        let known = self.store.known_folder(folder).await?;
        let has_vanished = known.as_ref().is_some_and(|known| entry.relocated.is_some_and(|at| known.since <= at));
        let is_recent = |known: &&KnownFolder| self.store.now() < known.since + millis(REMEMBERED);
        if let Some(known) = known.as_ref().filter(|_| !has_vanished).filter(is_recent) {
            return Ok(Level::At(known.id));
        }
        let folders = match list {
            Some(folders) => folders,
            None => match self.list_folders(entry, learnt).await? {
                Ok(folders) => list.insert(folders),
                Err(flow) => return Ok(Level::Unseen(flow)),
            },
        };
        let outdated = known.as_ref().filter(|known| is_outdated(folders, folder, known, has_vanished));
        if let Some(known) = outdated {
            self.store.forget_folder(folder, known.id).await?;
        }
        let known = known.as_ref().filter(|_| outdated.is_none());
        Ok(placed(folders, folder, known).map_or(Level::Missing, Level::At))
    }

    /// Every folder of the project, or what follows where Testmo could not be asked.
    async fn list_folders(
        &self,
        entry: &mut Entry,
        learnt: &mut Learnt,
    ) -> Result<Result<Vec<Folder>, Flow>, StoreError> {
        let connection = entry.connection.clone();
        if let Some(flow) = self.may_ask(&connection, learnt).await? {
            return Ok(Err(flow));
        }
        learnt.requests += 1;
        match self.client.folders(&connection.access, connection.project).await {
            Ok(folders) => Ok(Ok(folders)),
            Err(trouble) => {
                let next = after_failed_look(&trouble);
                self.call_failed(entry, &trouble, next, learnt).await.map(Err)
            }
        }
    }

    /// Creates one folder under a claim: its holder looks first, so that the folder is created once.
    async fn create(&self, entry: &mut Entry, new: NewFolder, learnt: &mut Learnt) -> Result<Flow, StoreError> {
        let connection = entry.connection.clone();
        let access = &connection.access;
        let (lease, asked) = (self.config.testmo.lease(), Instant::now());
        // What an outdated claim of this worker stores must not pass for the end of a later one.
        let holder = format!("{} {}", self.holder, Uuid::new_v4().simple());
        let created = match self.store.claim_folder(&new, &holder, lease).await? {
            FolderClaim::Granted { created } => created,
            FolderClaim::Busy(wait) => return Ok(Flow::Pause(wait)),
        };
        learnt.requests += 2;
        let folders = match self.client.folders(access, new.project).await {
            Ok(folders) => folders,
            Err(trouble) => {
                self.free(&new, &holder, &FolderEnd::NotCreated).await?;
                return self.call_failed(entry, &trouble, after_failed_look(&trouble), learnt).await;
            }
        };
        if child(&folders, new.parent, &new.name).is_some() {
            self.free(&new, &holder, &FolderEnd::NotCreated).await?;
            return Ok(Flow::Turn);
        }
        let shows_new_ones = folders.iter().any(|folder| created.contains(&folder.id));
        let limits = self.folder_limits(shows_new_ones);
        let leave = patiently(|| self.store.begin_folder_request(&new, &holder, &limits)).await?;
        if leave != FolderPermit::Granted || asked.elapsed() > self.config.testmo.latest_start() {
            // What a request that began so late created could still be unsettled when the lease is over.
            self.free(&new, &holder, &FolderEnd::NotCreated).await?;
            return Ok(match leave {
                FolderPermit::Granted => {
                    let detail = Some("the list of folders took too long to create one by it".to_owned());
                    Flow::Again(Reason::NoAnswer, detail, Duration::ZERO)
                }
                FolderPermit::Known | FolderPermit::Lost => Flow::Turn,
                FolderPermit::Spent(wait) => {
                    let detail = format!("folder \"{}\" in folder {}", new.name, new.parent);
                    Flow::Hold(Reason::FolderUnconfirmed, Some(detail), wait)
                }
            });
        }
        let sent = self.client.create_folder(access, new.project, new.parent, &new.name).await;
        crash::after(Point::Folder);
        match sent {
            Ok(CreatedFolder { id, name }) => {
                tracing::info!(batch = %entry.identity.key, folder = id, name = new.name, "folder created");
                let end = FolderEnd::Created { id, shown_as: name };
                self.free(&new, &holder, &end).await?;
                // The next level, or the cases.
                Ok(Flow::Turn)
            }
            Err(trouble) => self.folder_failed(entry, &new, &holder, &trouble, learnt).await,
        }
    }

    /// Gives a claim back. A count or an id that is not stored would have a folder created late or again.
    async fn free(&self, folder: &NewFolder, holder: &str, end: &FolderEnd) -> Result<(), StoreError> {
        patiently(|| self.store.release_folder(folder, holder, end)).await
    }

    /// What follows a create request for a folder that did not return one.
    async fn folder_failed(
        &self,
        entry: &mut Entry,
        new: &NewFolder,
        holder: &str,
        trouble: &ApiError,
        learnt: &mut Learnt,
    ) -> Result<Flow, StoreError> {
        let testmo = &self.config.testmo;
        let settle = match trouble.settle_time(testmo.settle_answered, testmo.settle_unanswered) {
            Duration::ZERO => Duration::ZERO,
            // As with any claim, the store's clock may run ahead by the margin.
            settle => settle + testmo.margin,
        };
        let end = if matches!(trouble, ApiError::Unreadable(_)) {
            // An answer of success.
            FolderEnd::Astray(settle)
        } else if trouble.may_have_committed() {
            FolderEnd::Unknown(settle)
        } else {
            FolderEnd::NotCreated
        };
        self.free(new, holder, &end).await?;
        let refused = matches!(trouble, ApiError::Invalid(_) | ApiError::Missing);
        if refused && new.parent != entry.connection.folder && entry.relocated.is_none() {
            // The folder that it was to be in may have vanished: the path is looked for again, once.
            entry.relocated = Some(self.store.now());
            return Ok(Flow::Turn);
        }
        let flow = self.call_failed(entry, trouble, after_failed_folder(trouble), learnt).await?;
        if let Flow::Again(reason, detail, least) = flow {
            return Ok(Flow::Again(reason, detail, least.max(settle)));
        }
        Ok(flow)
    }

    /// How many create requests for one folder there may be. Where the list shows what was created in this project, it
    /// would show a folder that an unanswered request created.
    fn folder_limits(&self, shows_new_ones: bool) -> FolderLimits {
        let window = self.config.testmo.folder_window;
        FolderLimits {
            window,
            unknown: if shows_new_ones { SHOWN_WITHIN.min(window) } else { window },
            spacing: self.config.retry.first_park,
        }
    }
}

/// Whether a known id does not lead to the folder any more: a person moved or renamed it, or it vanished and is not
/// listed.
fn is_outdated(folders: &[Folder], asked: &NewFolder, known: &KnownFolder, has_vanished: bool) -> bool {
    let Some(listed) = folders.iter().find(|folder| folder.id == known.id) else { return has_vanished };
    // Testmo may have made another name of the one that was asked for.
    let is_named = |name: &str| folded_folder_name(name) == folded_folder_name(&listed.name);
    let is_same = is_named(&asked.name) || known.shown_as.as_deref().is_none_or(is_named);
    listed.parent_id != Some(asked.parent) || !is_same
}

/// The id of a folder: the known one, where it is listed or no other folder fits, as the list may show new folders late or
/// never; else the listed one.
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

/// How long it is believed that a path leads to a folder. Where it does so no more, Testmo refuses the cases, and the
/// folder is looked for anew.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Folders that were found: many batches go to the same one.
#[derive(Debug, Default)]
pub(super) struct Folders(Mutex<HashMap<Known, (Instant, u64)>>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Known {
    account: String,
    connection: String,
    names: Vec<String>,
}

impl Folders {
    fn recall(&self, path: &Known) -> Option<u64> {
        let known = self.0.lock().ok()?;
        known.get(path).filter(|(at, _)| !path.names.is_empty() && at.elapsed() < REMEMBERED).map(|(_, id)| *id)
    }

    fn keep(&self, path: Known, folder: u64) {
        if let Ok(mut known) = self.0.lock() {
            known.retain(|_, (at, _)| at.elapsed() < REMEMBERED);
            known.insert(path, (Instant::now(), folder));
        }
    }
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

//! Which folder does a batch go to? The tenant's, one below it by id, or one by path, created where it is missing.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::courier::Courier;
use super::deliver::{Flow, Learnt};
use super::entry::Entry;
use crate::batch::Reason;
use crate::batch::answer::Trouble;
use crate::batch::message::FolderWish;
use crate::batch::verdict::{after_failed_folder, after_failed_look};
use crate::store::StoreError;
use crate::store::folders::{FolderClaim, NewFolder};
use crate::tenants::{descend, lies_under};

impl Courier {
    /// Finds the folder, or creates one level of the path that leads to it.
    pub(super) async fn locate(&self, entry: &mut Entry, learnt: &mut Learnt) -> Result<Flow, StoreError> {
        let connection = entry.connection.clone();
        let fixed = entry.record.target().filter(|t| t.account == entry.account() && t.project == connection.project);
        if let Some(target) = fixed.filter(|_| !entry.relocated) {
            entry.folder = Some(target.folder);
            return Ok(Flow::Turn);
        }
        let names = match &entry.wish {
            FolderWish::Tenant => {
                entry.folder = Some(connection.folder);
                return Ok(Flow::Turn);
            }
            FolderWish::Id(_) => &[][..],
            FolderWish::Path(names) => names,
        };
        let wish = Known {
            account: entry.account().to_owned(),
            connection: connection.version.clone(),
            names: names.to_vec(),
        };
        if let Some(folder) = self.folders.recall(&wish).filter(|_| !entry.relocated) {
            entry.folder = Some(folder);
            return Ok(Flow::Turn);
        }
        if let Some(flow) = self.may_ask(&connection, learnt).await? {
            return Ok(flow);
        }
        learnt.requests += 1;
        let folders = match self.client.folders(&connection.access, connection.project).await {
            Ok(folders) => folders,
            Err(trouble) => {
                let next = after_failed_look(&trouble);
                return self.call_failed(entry, &trouble, next, learnt).await;
            }
        };
        if let FolderWish::Id(id) = entry.wish {
            if lies_under(&folders, id, connection.folder) {
                entry.folder = Some(id);
                return Ok(Flow::Turn);
            }
            let detail = format!("folder {id} is not there, or not under the tenant's folder {}", connection.folder);
            return Ok(Flow::Park(Reason::FolderMissing, Some(detail)));
        }
        match descend(&folders, connection.folder, names) {
            (reached, []) => {
                self.folders.keep(wish, reached);
                entry.folder = Some(reached);
                Ok(Flow::Turn)
            }
            (parent, [name, ..]) => {
                let new = NewFolder {
                    account: entry.account().to_owned(),
                    project: connection.project,
                    parent,
                    name: name.trim().to_owned(),
                };
                self.create(entry, new, learnt).await
            }
        }
    }

    /// Creates one folder under a claim: whoever gets it looks first, so that it is created once.
    async fn create(&self, entry: &mut Entry, new: NewFolder, learnt: &mut Learnt) -> Result<Flow, StoreError> {
        let connection = entry.connection.clone();
        let access = &connection.access;
        let (lease, asked) = (self.config.testmo.lease(), Instant::now());
        if let FolderClaim::Busy(wait) = self.store.claim_folder(&new, &self.holder, lease).await? {
            return Ok(Flow::Pause(wait));
        }
        learnt.requests += 2;
        let there = match self.client.folders(access, new.project).await {
            Ok(folders) => descend(&folders, new.parent, std::slice::from_ref(&new.name)).1.is_empty(),
            Err(trouble) => {
                self.store.free_folder(&new, &self.holder, Duration::ZERO).await?;
                return self.call_failed(entry, &trouble, after_failed_look(&trouble), learnt).await;
            }
        };
        if !there && asked.elapsed() > self.config.testmo.latest_start() {
            // What a request that began now created could still be unsettled when the lease is over.
            self.store.free_folder(&new, &self.holder, Duration::ZERO).await?;
            let detail = Some("the list of folders took too long to create one by it".to_owned());
            return Ok(Flow::Again(Reason::NoAnswer, detail, Duration::ZERO));
        }
        let created = if there { Ok(()) } else { self.send_folder(entry, &new).await };
        match created {
            Ok(()) => {
                self.store.free_folder(&new, &self.holder, Duration::ZERO).await?;
                // The next look finds it, and the next level.
                Ok(Flow::Turn)
            }
            Err(trouble) => {
                let testmo = &self.config.testmo;
                let settle = match trouble.settle_time(testmo.settle_answered, testmo.settle_unanswered) {
                    Duration::ZERO => Duration::ZERO,
                    // As with any claim, the store's clock may run ahead by the margin.
                    settle => settle + testmo.margin,
                };
                self.store.free_folder(&new, &self.holder, settle).await?;
                let flow = self.call_failed(entry, &trouble, after_failed_folder(&trouble), learnt).await?;
                if let Flow::Again(reason, detail, least) = flow {
                    return Ok(Flow::Again(reason, detail, least.max(settle)));
                }
                Ok(flow)
            }
        }
    }

    async fn send_folder(&self, entry: &Entry, new: &NewFolder) -> Result<(), Trouble> {
        let id = self.client.create_folder(&entry.connection.access, new.project, new.parent, &new.name).await?;
        tracing::info!(batch = %entry.identity.key, folder = id, name = new.name, "folder created");
        Ok(())
    }
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

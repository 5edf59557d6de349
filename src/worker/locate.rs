//! Which folder does a batch go to? The tenant's, one below it by id, or one by path, created where it is missing.

use std::time::Duration;

use super::courier::Courier;
use super::deliver::Flow;
use super::entry::Entry;
use crate::batch::Reason;
use crate::batch::answer::Trouble;
use crate::batch::message::FolderWish;
use crate::batch::verdict::{Next, after_failed_folder, after_failed_look, reason_of};
use crate::store::StoreError;
use crate::store::folders::{FolderClaim, NewFolder};
use crate::tenants::{descend, lies_under};

impl Courier {
    /// Finds the folder, or creates one level of the path that leads to it.
    pub(super) async fn locate(&self, entry: &mut Entry) -> Result<Flow, StoreError> {
        let connection = entry.connection.clone();
        let fixed = entry.record.target().filter(|t| t.account == entry.account() && t.project == connection.project);
        if let Some(target) = fixed.filter(|_| !entry.relocated) {
            entry.folder = Some(target.folder);
            return Ok(Flow::On);
        }
        let names = match &entry.wish {
            FolderWish::Tenant => {
                entry.folder = Some(connection.folder);
                return Ok(Flow::On);
            }
            FolderWish::Id(_) => &[][..],
            FolderWish::Path(names) => names,
        };
        if let Some(wait) = self.store.gate(entry.account()).await? {
            return Ok(Flow::Gate(wait));
        }
        let folders = match self.client.folders(&connection.access, connection.project).await {
            Ok(folders) => folders,
            Err(trouble) => return self.call_failed(entry, &trouble, after_failed_look(&trouble)).await,
        };
        if let FolderWish::Id(id) = entry.wish {
            if lies_under(&folders, id, connection.folder) {
                entry.folder = Some(id);
                return Ok(Flow::On);
            }
            let detail = format!("folder {id} is not there, or not under the tenant's folder {}", connection.folder);
            return Ok(Flow::Park(Reason::FolderMissing, Some(detail)));
        }
        match descend(&folders, connection.folder, names) {
            (reached, []) => {
                entry.folder = Some(reached);
                Ok(Flow::On)
            }
            (parent, [name, ..]) => {
                let new = NewFolder {
                    account: entry.account().to_owned(),
                    project: connection.project,
                    parent,
                    name: name.trim().to_owned(),
                };
                self.create(entry, new).await
            }
        }
    }

    /// Creates one folder under a claim: whoever gets it looks first, so that it is created once.
    async fn create(&self, entry: &mut Entry, new: NewFolder) -> Result<Flow, StoreError> {
        let connection = entry.connection.clone();
        let access = &connection.access;
        let lease = self.config.testmo.lease();
        if let FolderClaim::Busy(wait) = self.store.claim_folder(&new, &self.holder, lease).await? {
            return Ok(Flow::Pause(wait));
        }
        let there = match self.client.folders(access, new.project).await {
            Ok(folders) => descend(&folders, new.parent, std::slice::from_ref(&new.name)).1.is_empty(),
            Err(trouble) => {
                self.store.free_folder(&new, &self.holder, Duration::ZERO).await?;
                return self.call_failed(entry, &trouble, after_failed_look(&trouble)).await;
            }
        };
        let created = if there { Ok(()) } else { self.send(entry, &new).await };
        match created {
            Ok(()) => {
                self.store.free_folder(&new, &self.holder, Duration::ZERO).await?;
                // The next look finds it, and the next level.
                Ok(Flow::On)
            }
            Err(trouble) => {
                let testmo = &self.config.testmo;
                let settle = trouble.settle_time(testmo.settle_answered, testmo.settle_unanswered);
                self.store.free_folder(&new, &self.holder, settle).await?;
                let flow = self.call_failed(entry, &trouble, after_failed_folder(&trouble)).await?;
                if let Flow::Again(reason, detail, least) = flow {
                    return Ok(Flow::Again(reason, detail, least.max(settle)));
                }
                Ok(flow)
            }
        }
    }

    async fn send(&self, entry: &Entry, new: &NewFolder) -> Result<(), Trouble> {
        let id = self.client.create_folder(&entry.connection.access, new.project, new.parent, &new.name).await?;
        tracing::info!(batch = %entry.identity.key, folder = id, name = new.name, "folder created");
        Ok(())
    }

    /// What follows a call that was no push.
    pub(super) async fn call_failed(
        &self,
        entry: &mut Entry,
        trouble: &Trouble,
        next: Next,
    ) -> Result<Flow, StoreError> {
        let detail = Some(trouble.to_string());
        Ok(match next {
            Next::Gate(wait) => self.close_gate(entry, wait).await?,
            Next::Park(reason) | Next::ParkUnclear(reason) => self.connection_failed(entry, reason, detail).await?,
            Next::Again(reason) => Flow::Again(reason, detail, Duration::ZERO),
            Next::Created | Next::TakeOut(_) | Next::Halve { .. } | Next::Refuse(_) | Next::Look => {
                Flow::Again(reason_of(trouble), detail, Duration::ZERO)
            }
        })
    }
}

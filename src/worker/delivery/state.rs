//! Holds what deliveries need and remember.

use std::sync::Arc;

use super::accepted::Accepted;
use super::folder_cache::FolderCache;
use super::project_fields::ProjectFields;
use super::suspects::Suspects;
use crate::worker::context::WorkerContext;
use crate::worker::reconciliation::memory::ReconcileMemory;

/// What deliveries need and remember.
pub(in crate::worker) struct Delivery {
    pub(in crate::worker) context: Arc<WorkerContext>,
    /// Folders that were found by path.
    pub(super) folders: FolderCache,
    /// What is known of accounts for reconciliation.
    pub(super) memory: Arc<ReconcileMemory>,
    /// Connections whose create requests were answered with a status that leaves the outcome unknown.
    pub(super) suspects: Suspects,
    /// What was accepted over connections.
    pub(super) accepted: Accepted,
    /// The fields that projects list.
    pub(super) project_fields: ProjectFields,
}

impl Delivery {
    /// Returns a delivery that remembers nothing yet of folders and connections.
    pub(in crate::worker) fn new(context: Arc<WorkerContext>, memory: Arc<ReconcileMemory>) -> Self {
        let (folders, suspects, accepted) = (FolderCache::default(), Suspects::default(), Accepted::default());
        Self { context, folders, memory, suspects, accepted, project_fields: ProjectFields::default() }
    }
}

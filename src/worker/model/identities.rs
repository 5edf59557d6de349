//! Computes by what the cases of a batch are recognized in later batches, and what they are to be.

use serde_json::{Map, Value};

use super::active_batch::ActiveBatch;
use crate::batch::ledger::Target;
use crate::batch::message::key_by_position;
use crate::batch::written::CaseIdentity;

impl ActiveBatch {
    /// Returns where the case at a position goes, once its folder is found.
    pub(in crate::worker) fn goes_to(&self, position: usize) -> Option<Target> {
        let folder = self.folders.of_case(position)?;
        Some(Target { account: self.account().to_owned(), project: self.connection.project, folder })
    }

    /// Returns by what the case at a position is recognized in later batches, once its folder is found.
    pub(in crate::worker) fn own_identity(&self, position: usize) -> Option<CaseIdentity> {
        self.identity(position, &self.goes_to(position)?)
    }

    /// Returns the fields of the case at a position as they are rendered, with its folder.
    pub(in crate::worker) fn wanted(&self, position: usize) -> Option<Map<String, Value>> {
        let mut fields: Map<String, Value> = serde_json::from_str(&self.cases[position].entry).ok()?;
        fields.insert("folder_id".into(), self.folders.of_case(position)?.into());
        Some(fields)
    }

    /// Returns by what a case is recognized in later batches, if it goes to a target; `None` if it has no source key or
    /// no external id.
    pub(in crate::worker) fn identity(&self, position: usize, target: &Target) -> Option<CaseIdentity> {
        let key = &self.cases[position].key;
        let id = Some(key.as_str()).filter(|key| *key != key_by_position(position));
        CaseIdentity::of(target, &self.key.batch.tenant, self.source.key.as_deref(), id)
    }
}

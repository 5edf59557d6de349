//! Computes by what the cases of a batch are recognized in later batches, and what they are to be.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::active_batch::ActiveBatch;
use crate::batch::ledger::Target;
use crate::batch::message::key_by_position;
use crate::batch::written::{CaseIdentity, SourceId, source_name};

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

    /// Returns by what the case at a position is recognized in later batches, once its folder is found; see
    /// [`Self::identities`].
    pub(in crate::worker) fn own_identities(&self, position: usize) -> impl Iterator<Item = CaseIdentity> + use<> {
        self.goes_to(position).map(|target| self.identities(position, &target)).into_iter().flatten()
    }

    /// Returns the sources of its cases, from any that has an identity, once its folder is found: its own one, and that of the
    /// batch that is replaced.
    pub(in crate::worker) fn sources(&self) -> BTreeSet<SourceId> {
        let first = (0..self.cases.len()).find(|position| self.own_identity(*position).is_some());
        first.iter().flat_map(|position| self.own_identities(*position)).map(|identity| identity.source()).collect()
    }

    /// Returns the fields of the case at a position as they are rendered, with its folder.
    pub(in crate::worker) fn wanted(&self, position: usize) -> Option<Map<String, Value>> {
        let mut fields: Map<String, Value> = serde_json::from_str(&self.cases[position].entry).ok()?;
        fields.insert("folder_id".into(), self.folders.of_case(position)?.into());
        Some(fields)
    }

    /// Returns by what a case is recognized in later batches of its source, if it goes to a target; `None` if it has no
    /// external id.
    pub(in crate::worker) fn identity(&self, position: usize, target: &Target) -> Option<CaseIdentity> {
        self.identity_in(&self.own_source(), position, target)
    }

    /// Returns by what a case is recognized in later batches, if it goes to a target: as one of its own source, and as one of
    /// the source of the batch that its batch replaces, if that is another one.
    pub(in crate::worker) fn identities(
        &self,
        position: usize,
        target: &Target,
    ) -> impl Iterator<Item = CaseIdentity> + use<> {
        let own = self.identity(position, target);
        let replaced = self.generation.replaced.as_deref();
        let replaced = replaced.and_then(|source| self.identity_in(source, position, target));
        own.into_iter().chain(replaced.filter(|identity| Some(*identity) != own))
    }

    /// Returns whether an earlier batch can have written its cases: a batch that names neither a source nor one that it
    /// replaces is a source of its own.
    pub(in crate::worker) fn can_have_earlier(&self) -> bool {
        self.source.key.is_some() || self.generation.replaces.is_some()
    }

    /// Returns the name of its source: that of its key or, without one, of the batch that it replaces.
    pub(in crate::worker) fn own_source(&self) -> Cow<'_, str> {
        match (&self.source.key, &self.generation.replaced) {
            (None, Some(replaced)) => Cow::Borrowed(replaced),
            (key, _) => source_name(key.as_deref(), &self.key.batch.batch),
        }
    }

    fn identity_in(&self, source: &str, position: usize, target: &Target) -> Option<CaseIdentity> {
        let key = &self.cases[position].key;
        let id = Some(key.as_str()).filter(|key| *key != key_by_position(position));
        CaseIdentity::of(target, &self.key.batch.tenant, Some(source), id)
    }
}

//! Verifies the connection that is to succeed a verified one, and puts it in force if it works.

use secrecy::ExposeSecret;

use super::connection::Tenants;
use super::rate_limit::Candidate;
use super::verify::Examined;
use crate::batch::{Reason, TenantId};
use crate::store::StoreError;
use crate::store::audit::AuditEntry;
use crate::store::connections::{ConnectionRow, Refusal, Successor, Verification, WriteOutcome};
use crate::testmo::{Access, Client};

impl Tenants {
    /// Verifies the successor of a connection; `None` if there is none. A pause by a person applies if `paused_with` names
    /// the tenant.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn examine_successor(
        &self,
        client: &Client,
        row: &ConnectionRow,
        paused_with: Option<&TenantId>,
    ) -> Result<Option<Examined>, StoreError> {
        let Some(next) = &row.successor else { return Ok(None) };
        let candidate = next.in_place_of(row);
        self.learn_key_of(row).await?;
        match self.access(&candidate) {
            Ok(access) => {
                let (target, mapping) = ((next.project, next.folder), &next.mapping);
                let in_force = row.has_worked_with(&next.origin, next.project, mapping);
                let candidate = Candidate { access: &access, target, mapping, in_force, paused_with };
                self.examine(client, candidate).await.map(Some)
            }
            Err((reason, detail)) => Ok(Some(Examined::failed(reason, detail))),
        }
    }

    /// Stores what the verification of a successor showed: one that works takes the place of the connection in force. A
    /// connection that has changed since `row` was read is not changed. The entries of the audit, of a person who has asked
    /// for it, are stored with the result.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn note_successor(
        &self,
        row: &ConnectionRow,
        examined: &Examined,
        audit: &[AuditEntry],
    ) -> Result<WriteOutcome, StoreError> {
        let Some(next) = &row.successor else { return Ok(WriteOutcome::ChangedMeanwhile) };
        let mut candidate = next.in_place_of(row);
        if let (Some(mapping), Ok(access)) = (&examined.mapping, self.access(&candidate)) {
            candidate.version = self.version_of(&access, next.project, next.folder, &next.mapping, Some(mapping));
            candidate.resolved = Some(mapping.clone());
            candidate.fields = examined.fields.clone().unwrap_or_default();
        }
        let written = self.store().set_connection_by(&self.succeed(row, candidate, &examined.finding), audit).await;
        self.forget(&row.tenant);
        written
    }

    /// Returns the row to store once a connection was verified that a person entered in place of one that is stored. A
    /// verified connection stays in force until another works, also where it has failed since another was entered.
    pub fn succeed(&self, stored: &ConnectionRow, candidate: ConnectionRow, finding: &Verification) -> ConnectionRow {
        let now = self.store().now();
        // The same key stays as it is encrypted, so that two rows show whether the key is another one.
        let key = if self.has_same_key(stored, &candidate) { stored.key.clone() } else { candidate.key.clone() };
        let candidate =
            ConnectionRow { epoch: stored.epoch, successor: None, key, ..candidate.judged(finding.clone(), now) };
        let may_still_work = stored.is_verified() || stored.successor.is_some();
        if may_still_work && !candidate.is_verified() && candidate.version != stored.version {
            let next = Successor::of(candidate, stored, finding.clone(), now);
            return ConnectionRow { successor: Some(Box::new(next)), ..stored.clone() };
        }
        let refusal = self.kept_refusal(stored, &candidate);
        ConnectionRow { refusal, ..candidate }
    }

    /// Returns what is known to have been refused and may be refused again: everything for the same content, and for other
    /// content the right to create, which belongs to the key and the project.
    fn kept_refusal(&self, stored: &ConnectionRow, candidate: &ConnectionRow) -> Option<Refusal> {
        let applies = |refusal: &&Refusal| {
            let has_same_rights = || candidate.project == stored.project && self.has_same_key(stored, candidate);
            candidate.version == stored.version || (refusal.reason == Reason::Forbidden && has_same_rights())
        };
        stored.refusal.as_ref().filter(applies).cloned()
    }

    fn has_same_key(&self, one: &ConnectionRow, other: &ConnectionRow) -> bool {
        self.access(one).is_ok_and(|access| self.has_key(other, &access))
    }

    /// Returns whether a stored connection has this key, for this origin.
    pub fn has_key(&self, row: &ConnectionRow, access: &Access) -> bool {
        let same =
            |kept: Access| kept.origin == access.origin && kept.key.expose_secret() == access.key.expose_secret();
        self.access(row).is_ok_and(same)
    }
}

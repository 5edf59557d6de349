//! Describes what a person does with an entry of the shelf, as the audit keeps it.

use serde_json::{Value, json};

use super::super::actor::Actor;
use crate::batch::BatchKey;
use crate::store::audit::{AuditAction, AuditEntry, AuditSubject};
use crate::store::ledger::Commit;
use crate::store::shelf::{Action, ShelfIdentity, Shelved};

/// Names an entry for the audit, with its batch as far as that is known.
pub(in crate::app) fn subject_of(row: &Shelved) -> AuditSubject {
    let key = match &row.content.identity {
        ShelfIdentity::Batch(key, _) => Some(key.clone()),
        ShelfIdentity::Raw(_, Some(tenant), Some(batch)) => Some(BatchKey::new(tenant.clone(), batch.clone())),
        ShelfIdentity::Raw(..) => None,
    };
    AuditSubject::entry(row.id, key.as_ref(), row.tenant()).traced(row.content.trace().as_ref())
}

/// An entry of the shelf as it was before a person changed it.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    subject: AuditSubject,
    before: Value,
}

impl Trace {
    /// Notes how an entry is, without its message.
    pub(super) fn of(row: &Shelved) -> Self {
        Self {
            subject: subject_of(row),
            before: json!({"state": row.state.name(), "reason": row.content.reason.code()}),
        }
    }

    /// Describes a change of the entry; nothing if it is no person's.
    pub(super) fn entry(&self, actor: &Actor, change: &Commit) -> Option<AuditEntry> {
        let (action, state) = match change.operator_action.as_ref()?.action {
            Action::Discard => (AuditAction::DiscardEntry, "discarded"),
            Action::Replay => (AuditAction::ReplayEntry, "parked"),
        };
        let mut after = json!({"state": state});
        if let Some(batch) = &change.batch {
            after["batch"] = batch.record.state.name().into();
        }
        let entry = AuditEntry::new(actor, action, self.subject.clone());
        Some(entry.change(Some(self.before.clone()), Some(after)))
    }
}

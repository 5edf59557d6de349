//! Writes, replaces and removes the note on a group.

use serde_json::json;

use super::super::actor::{ActionError, Actor, NotAllowed, Role, require};
use super::groups::CauseNote;
use crate::batch::cause::CauseId;
use crate::store::audit::{AuditAction, AuditEntry, AuditSubject};
use crate::store::{Store, StoreError};

/// The most characters of a note.
const LONGEST: usize = 1_000;

/// Why a note is not written.
#[derive(Debug, thiserror::Error)]
pub enum NoteError {
    /// Nothing of the group is on the shelf.
    #[error("nothing of group {0} is on the shelf")]
    NoGroup(CauseId),
    /// There is no note to remove.
    #[error("group {0} has no note")]
    NoNote(CauseId),
    /// The text has no characters, or too many.
    #[error("a note has from 1 to {LONGEST} characters, and this one has {0}")]
    Length(usize),
    /// The person lacks the role.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ActionError> for NoteError {
    fn from(error: ActionError) -> Self {
        match error {
            ActionError::NotAllowed(error) => error.into(),
            ActionError::Store(error) => error.into(),
        }
    }
}

/// Writes a note on a group in place of the one before, and returns that.
///
/// # Errors
/// When the person may not, the text is too long or empty, nothing of the group is on the shelf, or the store does not answer.
pub async fn write_note(
    store: &Store,
    actor: &Actor,
    cause: CauseId,
    text: &str,
) -> Result<Option<CauseNote>, NoteError> {
    require(actor, Role::Operator)?;
    let text = text.trim();
    let characters = text.chars().count();
    if !(1..=LONGEST).contains(&characters) {
        return Err(NoteError::Length(characters));
    }
    if store.cause_samples(&[cause]).await?.is_empty() {
        return Err(NoteError::NoGroup(cause));
    }
    let entry = |before: Option<&CauseNote>| entry(actor, cause, before, Some(text));
    Ok(store.set_cause_note(cause, Some((text, actor.name())), entry).await?)
}

/// Removes the note on a group, and returns it.
///
/// # Errors
/// When the person may not, there is none, or the store does not answer.
pub async fn remove_note(store: &Store, actor: &Actor, cause: CauseId) -> Result<CauseNote, NoteError> {
    require(actor, Role::Operator)?;
    let removed = store.set_cause_note(cause, None, |before| entry(actor, cause, before, None)).await?;
    removed.ok_or(NoteError::NoNote(cause))
}

/// Describes the change of a note as the audit keeps it.
fn entry(actor: &Actor, cause: CauseId, before: Option<&CauseNote>, after: Option<&str>) -> AuditEntry {
    let before = before.map(|note| json!({"note": note.text, "written_by": note.actor}));
    let subject = AuditSubject::named(format_args!("group {cause}"));
    AuditEntry::new(actor, AuditAction::NoteCause, subject).change(before, after.map(|note| json!({"note": note})))
}

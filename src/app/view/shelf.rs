//! Shows entries of the shelf to programs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::super::shelf::{CauseNote, Pauses, commands, group_of, story};
use super::super::time::rfc3339;
use super::super::waits::Wait;
use super::group::NoteView;
use super::waits::sent_when;
use crate::batch::Reason;
use crate::store::shelf::{ShelfIdentity, Shelved, ShelvedUntil};

/// An entry of the shelf without its message.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ShelfEntryView {
    id: String,
    state: &'static str,
    reason: Reason,
    title: &'static str,
    cause: &'static str,
    remedy: &'static str,
    detail: Option<String>,
    tenant_id: Option<String>,
    batch_id: Option<String>,
    message_hash: Option<String>,
    account: Option<String>,
    arrived_at: Option<String>,
    shelved_at: Option<String>,
    next_retry: String,
    due_at: Option<String>,
    times_parked: u32,
}

/// An entry of the shelf with its message.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ShelvedMessageView {
    #[serde(flatten)]
    entry: ShelfEntryView,
    group: String,
    group_note: Option<NoteView>,
    commands: Vec<String>,
    story: Option<String>,
    published_at: Option<String>,
    headers: BTreeMap<String, String>,
    body: Value,
}

impl ShelfEntryView {
    /// Shows an entry at `now`, in milliseconds since 1970.
    pub fn of(entry: &Shelved, pauses: &Pauses, now: i64) -> Self {
        let content = &entry.content;
        let (tenant_id, batch_id, message_hash) = match &content.identity {
            ShelfIdentity::Batch(key, _) => (Some(key.tenant.to_string()), Some(key.batch.as_str().to_owned()), None),
            ShelfIdentity::Raw(hash, tenant, batch) => (
                tenant.as_ref().map(ToString::to_string),
                batch.as_ref().map(|batch| batch.as_str().to_owned()),
                Some(hash.clone()),
            ),
        };
        Self {
            id: entry.id.to_string(),
            state: entry.state.name(),
            reason: content.reason,
            title: content.reason.title(),
            cause: content.reason.cause(),
            remedy: content.reason.remedy(),
            detail: content.detail.clone(),
            tenant_id,
            batch_id,
            message_hash,
            account: content.account.clone(),
            arrived_at: rfc3339(content.arrived_at),
            shelved_at: rfc3339(entry.shelved_at),
            next_retry: due(entry, pauses, now),
            due_at: matches!(content.until, ShelvedUntil::After(_)).then(|| rfc3339(entry.due_at)).flatten(),
            times_parked: content.parks,
        }
    }
}

impl ShelvedMessageView {
    /// Shows an entry with its message at `now`, in milliseconds since 1970.
    pub fn of(entry: &Shelved, pauses: &Pauses, now: i64) -> Self {
        let body = serde_json::from_slice(&entry.content.body)
            .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&entry.content.body)));
        let commands = commands(entry, pauses).into_iter().map(|command| command.line).collect();
        let content = &entry.content;
        Self {
            entry: ShelfEntryView::of(entry, pauses, now),
            group: group_of(entry).to_string(),
            group_note: None,
            commands,
            story: story(entry).map(|command| command.line),
            published_at: content.published_at.and_then(rfc3339),
            headers: content.headers.clone(),
            body,
        }
    }

    /// Adds the note on the group of the entry.
    #[must_use]
    pub fn noted(self, note: Option<&CauseNote>) -> Self {
        Self { group_note: note.map(NoteView::from), ..self }
    }
}

/// Writes when an entry is retried.
pub fn due(entry: &Shelved, pauses: &Pauses, now: i64) -> String {
    if entry.leased {
        return "taken by a worker".into();
    }
    if let Some(lane) = pauses.of(entry) {
        return sent_when(&Wait::Person(lane.clone()), now);
    }
    match entry.content.until {
        ShelvedUntil::After(_) if entry.due_at <= now => sent_when(&Wait::Room, now),
        ShelvedUntil::After(_) => sent_when(&Wait::Time(entry.due_at), now),
        ShelvedUntil::Connection => sent_when(&Wait::Connection, now),
        ShelvedUntil::Person => "not automatically".into(),
    }
}

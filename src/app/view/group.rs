//! Shows groups of the shelf to programs.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::shelf::{CauseNote, Group};
use super::super::time::rfc3339;

/// Everything on the shelf that has one cause.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct GroupView {
    id: String,
    reason: Option<&'static str>,
    title: Option<&'static str>,
    remedy: Option<&'static str>,
    detail: String,
    field: Option<String>,
    entries: u64,
    dead: u64,
    parked: u64,
    /// Whether all entries are counted, which they are.
    is_complete: bool,
    cases: u64,
    /// Entries whose cases are not counted yet.
    uncounted_entries: u64,
    tenants: Vec<TenantShareView>,
    first_arrived_at: Option<String>,
    last_shelved_at: Option<String>,
    note: Option<NoteView>,
    commands: Vec<String>,
}

/// What a person has noted about a group.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct NoteView {
    text: String,
    actor: String,
    at: Option<String>,
}

impl From<&CauseNote> for NoteView {
    fn from(note: &CauseNote) -> Self {
        Self { text: note.text.clone(), actor: note.actor.clone(), at: rfc3339(note.at) }
    }
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct TenantShareView {
    tenant_id: Option<String>,
    entries: u64,
}

impl From<&Group> for GroupView {
    fn from(group: &Group) -> Self {
        let tenants = group.tenants.iter().map(|(tenant, entries)| TenantShareView {
            tenant_id: tenant.as_ref().map(ToString::to_string),
            entries: *entries,
        });
        Self {
            id: group.cause.to_string(),
            reason: group.reason.map(|reason| reason.code()),
            title: group.reason.map(|reason| reason.title()),
            remedy: group.reason.map(|reason| reason.remedy()),
            detail: group.shape.clone(),
            field: group.field.clone(),
            entries: group.entries(),
            dead: group.dead,
            parked: group.parked,
            is_complete: true,
            cases: group.cases,
            uncounted_entries: group.uncounted,
            tenants: tenants.collect(),
            first_arrived_at: rfc3339(group.first_at),
            last_shelved_at: rfc3339(group.last_at),
            note: group.note.as_ref().map(NoteView::from),
            commands: group.commands.iter().map(|command| command.line.clone()).collect(),
        }
    }
}

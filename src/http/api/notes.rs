//! Routes: the notes on groups of the shelf.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::admin::problem::Problem;
use super::call::Call;
use super::reply::Reply;
use super::route::{Answer, Body, Route, Scope, Verb};
use crate::app::shelf::{CauseId, Group, remove_note, write_note};

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "putGroupNote",
        verb: Verb::Put,
        path: "/api/v1/shelf/groups/{group}/note",
        about: "Writes a note on a group of the shelf in place of the one before, for the next person.",
        scope: Scope::All,
        body: Body::Json(|g| g.subschema_for::<NoteBody>()),
        answers: &[(200, Answer::Json(|g| g.subschema_for::<NoteChangeView>()))],
        handler: |call| Box::pin(put(call)),
        ..Route::CHANGE
    },
    Route {
        id: "deleteGroupNote",
        verb: Verb::Delete,
        path: "/api/v1/shelf/groups/{group}/note",
        about: "Removes the note on a group of the shelf.",
        scope: Scope::All,
        answers: &[(200, Answer::Json(|g| g.subschema_for::<NoteChangeView>()))],
        handler: |call| Box::pin(delete(call)),
        ..Route::CHANGE
    },
];

/// A note.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoteBody {
    #[schemars(length(min = 1, max = 1_000))]
    text: String,
}

/// What the note on a group was changed to.
#[derive(Debug, Serialize, JsonSchema)]
struct NoteChangeView {
    group: String,
    text: Option<String>,
    /// The note before.
    previous: Option<String>,
}

/// Hides the notes on groups from a caller that sees one tenant alone: a note is about every tenant of its group.
pub(super) fn hide_foreign<'a>(call: &Call, groups: impl IntoIterator<Item = &'a mut Group>) {
    if !call.reach().is_all() {
        groups.into_iter().for_each(|group| group.note = None);
    }
}

async fn put(call: Call) -> Result<Reply, Problem> {
    let (group, NoteBody { text }) = (call.path::<CauseId>("group")?, call.json()?);
    let previous = write_note(call.store(), call.actor(), group, &text).await?.map(|note| note.text);
    Reply::json(200, &NoteChangeView { group: group.to_string(), text: Some(text.trim().to_owned()), previous })
}

async fn delete(call: Call) -> Result<Reply, Problem> {
    let group: CauseId = call.path("group")?;
    let previous = Some(remove_note(call.store(), call.actor(), group).await?.text);
    Reply::json(200, &NoteChangeView { group: group.to_string(), text: None, previous })
}

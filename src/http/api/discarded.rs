//! Routes: lists discarded entries, and puts them back onto the shelf.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::admin::problem::Problem;
use super::call::Call;
use super::page::{AFTER, LIMIT, Page, limit, shelf_place, shelf_place_text};
use super::reply::Reply;
use super::route::{Answer, Body, Route, Scope};
use super::selection::{TENANT, reason};
use crate::app::restore_entry;
use crate::app::shelf::ShelfId;
use crate::app::view::{DiscardedView, RestoredView};

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "listDiscarded",
        path: "/api/v1/shelf/discarded",
        about: "Lists discarded entries, those that were discarded last first. They can be restored for as long as they are \
                kept.",
        query: &[TENANT, LIMIT, AFTER],
        answers: &[(200, Answer::Json(|g| g.subschema_for::<Page<DiscardedView>>()))],
        handler: |call| Box::pin(list(call)),
        ..Route::READ
    },
    Route {
        id: "restoreEntry",
        path: "/api/v1/shelf/discarded/{id}/restore",
        about: "Puts a discarded entry back onto the shelf as it was. A batch that was given up with it is open again.",
        scope: Scope::Discarded,
        body: Body::Json(|g| g.subschema_for::<RestoreBody>()),
        answers: &[(200, Answer::Json(|g| g.subschema_for::<RestoredView>()))],
        handler: |call| Box::pin(restore(call)),
        ..Route::CHANGE
    },
];

/// Why an entry is restored.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RestoreBody {
    /// Why, for the audit.
    #[serde(default)]
    reason: Option<String>,
}

async fn list(call: Call) -> Result<Reply, Problem> {
    let (tenant, most) = (call.reach().only(call.query("tenant_id")?)?, limit(&call)?);
    let behind = shelf_place(&call)?.map(|(at, id)| (at, ShelfId(id)));
    let entries = restore_entry::list(call.store(), &restore_entry::filter(tenant, behind), most).await?;
    let is_full = entries.len() >= usize::try_from(most).unwrap_or(usize::MAX);
    let next = entries.last().filter(|_| is_full).map(|last| shelf_place_text((last.at, last.entry.id.0)));
    Reply::json(200, &Page::of(&call, entries.iter().map(DiscardedView::of).collect(), next))
}

async fn restore(call: Call) -> Result<Reply, Problem> {
    let (id, RestoreBody { reason: why }) = (call.named.discarded()?, call.json()?);
    let restored = restore_entry::restore(call.store(), id, call.actor(), reason(why.as_deref())).await?;
    Reply::json(200, &RestoredView::of(&restored))
}

//! Routes: take back what a batch did in Testmo, and take that back.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::admin::problem::Problem;
use super::call::Call;
use super::reply::Reply;
use super::route::{Answer, Body, Route, Scope};
use super::selection::reason;
use crate::app::undo::{Tools, UndoError, UndoKind, carry_out, plan};
use crate::app::view::UndoView;

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "undoBatch",
        path: "/api/v1/batches/{tenant}/{batch}/undo",
        about: "Takes back what a batch did in Testmo, as far as nobody has touched it since: its cases are retired as the \
                mapping says or, on request and by an admin, deleted where that is safe, and fields get their former content. \
                With `dry_run`, returns what would be done. Sent again after an interruption, it goes on. A reason is needed.",
        handler: |call| Box::pin(change(call, UndoKind::Undo)),
        ..UNDO
    },
    Route {
        id: "restoreBatch",
        path: "/api/v1/batches/{tenant}/{batch}/restore",
        about: "Takes an undo of a batch back, as far as nobody has changed its cases since. What was deleted is created \
                again, with new ids. A reason is needed.",
        handler: |call| Box::pin(change(call, UndoKind::Restore)),
        ..UNDO
    },
    Route {
        id: "removeDuplicates",
        path: "/api/v1/batches/{tenant}/{batch}/remove-duplicates",
        about: "Retires or deletes rows that Testmo created late, beside the rows of the same cases, as far as nobody has \
                touched them. A reason is needed.",
        handler: |call| Box::pin(change(call, UndoKind::Duplicates)),
        ..UNDO
    },
];

const UNDO: Route = Route {
    scope: Scope::Path,
    body: Body::Json(|g| g.subschema_for::<UndoBody>()),
    answers: &[(200, Answer::Json(|g| g.subschema_for::<UndoView>()))],
    refusals: &[409],
    reads_testmo: true,
    ..Route::CHANGE
};

/// How a batch is taken back, and why.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UndoBody {
    /// Why, for the audit.
    #[serde(default)]
    reason: Option<String>,
    /// Whether untouched cases are deleted where that loses nothing of people; this needs the role of an admin. A restore
    /// deletes nothing.
    #[serde(default)]
    delete: bool,
    /// Returns what would be done, and does nothing.
    #[serde(default)]
    dry_run: bool,
}

async fn change(call: Call, kind: UndoKind) -> Result<Reply, Problem> {
    let UndoBody { reason: why, delete, dry_run } = call.json()?;
    let client = call.context().client().map_err(UndoError::from)?;
    let tools = Tools::of(call.context(), &client);
    let plan = plan(&tools, &call.batch()?, kind, delete).await?;
    let view = UndoView::of(&plan);
    if dry_run || !plan.changes_anything() {
        return Reply::json(200, &view);
    }
    let outcome = carry_out(&tools, plan, call.actor(), reason(why.as_deref()).unwrap_or_default()).await?;
    Reply::json(200, &view.with(&outcome))
}

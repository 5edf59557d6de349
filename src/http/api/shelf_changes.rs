//! Routes: discards entries of the shelf.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::admin::problem::{Code, Problem};
use super::call::Call;
use super::reply::Reply;
use super::route::{Answer, Body, Route};
use super::selection::{SelectionBody, chosen, reason};
use crate::app::discard;
use crate::app::view::{PlanOutcomeView, ShelfChangeView};

pub(super) const ROUTES: &[Route] = &[Route {
    id: "discardEntries",
    path: "/api/v1/shelf/discard",
    about: "Gives entries of the shelf up. A batch that has no outcome yet is marked discarded, with an event. A reason \
                is needed.",
    body: Body::Json(|g| g.subschema_for::<ChangeBody>()),
    answers: &[(200, Answer::Json(|g| g.subschema_for::<ShelfChangeView>()))],
    handler: |call| Box::pin(discard_entries(call)),
    ..Route::CHANGE
}];

/// Which entries are changed, and why.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    /// Ids as the list shows them, batches as TENANT/BATCH, or the first 12 digits of a message's hash.
    #[serde(default)]
    ids: Option<Vec<String>>,
    /// What the entries have in common, in place of ids.
    #[serde(default)]
    selection: Option<SelectionBody>,
    /// How many entries were seen: nothing is changed if the selection now has another number.
    #[serde(default)]
    expected_entries: Option<u64>,
    /// Why, for the audit.
    #[serde(default)]
    reason: Option<String>,
    /// Returns what would be done, and does nothing.
    #[serde(default)]
    dry_run: bool,
}

async fn discard_entries(call: Call) -> Result<Reply, Problem> {
    let body: ChangeBody = call.json()?;
    let reason = reason(body.reason.as_deref());
    if reason.is_none() && !body.dry_run {
        return Err(Problem::new(Code::InvalidBody, "A discard needs a reason.").at("/reason"));
    }
    let ids = chosen(&call, (body.ids.as_deref(), body.selection.as_ref()), body.expected_entries).await?;
    let plan = discard::plan(call.store(), &ids).await?;
    let view = ShelfChangeView::of(&plan);
    if body.dry_run {
        return Reply::json(200, &view);
    }
    let outcome = plan.carry_out(call.store(), call.actor(), reason).await?;
    Reply::json(200, &view.with(PlanOutcomeView::of_discard(&outcome)))
}

//! Routes: discards entries of the shelf.

use schemars::JsonSchema;
use serde::Deserialize;

use super::call::Call;
use super::problem::{Code, Problem};
use super::reply::Reply;
use super::route::{Answer, Body, Route};
use super::selection::{SelectionBody, selection};
use crate::app::discard;
use crate::app::plan::Plan;
use crate::app::view::{PlanOutcomeView, ShelfChangeView};

/// The most entries that one request changes.
const MOST: usize = 2_000;

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
    let reason = body.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
    if reason.is_none() && !body.dry_run {
        return Err(Problem::new(Code::InvalidBody, "A discard needs a reason.").at("/reason"));
    }
    let plan = plan(&call, &body).await?;
    let view = ShelfChangeView::of(&plan);
    if body.dry_run {
        return Reply::json(200, &view);
    }
    let outcome = plan.carry_out(call.store(), call.actor(), reason).await?;
    Reply::json(200, &view.with(PlanOutcomeView::of_discard(&outcome)))
}

/// Plans the discarding of the entries that a body means, all of which the caller may know.
async fn plan(call: &Call, body: &ChangeBody) -> Result<Plan, Problem> {
    let store = call.store();
    let too_large = |entries: usize| {
        let detail = format!("The selection has {entries} entries, and one request changes at most {MOST}.");
        Problem::new(Code::SelectionTooLarge, detail)
            .remedy("Narrow the selection, for example by tenant, group or time. Nothing was changed.")
    };
    if let Some(named) = body.ids.as_ref().filter(|ids| ids.len() > MOST) {
        return Err(too_large(named.len()));
    }
    let ids = selection(call, body.ids.as_deref(), body.selection.as_ref())?.ids(store).await?;
    if ids.len() > MOST {
        return Err(too_large(ids.len()));
    }
    if body.expected_entries.is_some_and(|expected| usize::try_from(expected) != Ok(ids.len())) {
        let detail = format!("The selection has {} entries now. Nothing was changed.", ids.len());
        return Err(Problem::new(Code::ChangedMeanwhile, detail)
            .at("/expected_entries")
            .remedy("Read the list again."));
    }
    let plan = discard::plan(store, &ids).await?;
    let entries = plan.steps.iter().map(|step| &step.entry).chain(plan.skipped.iter().map(|skipped| &skipped.entry));
    match entries.into_iter().find(|entry| !call.may_know(entry.tenant.as_ref())) {
        Some(other) => Err(Problem::not_found(format!("No entry {} is on the shelf.", other.id))),
        None => Ok(plan),
    }
}

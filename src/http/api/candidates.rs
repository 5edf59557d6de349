//! Routes: shows which cases in Testmo may be missing ones of a batch, and takes a person's decision about them.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::admin::problem::Problem;
use super::call::Call;
use super::reply::Reply;
use super::route::{Answer, Body, Route, Scope};
use super::selection::reason;
use crate::app::candidates::{self, Decisions};
use crate::app::view::CandidatesView;

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "listCandidates",
        path: "/api/v1/shelf/{id}/candidates",
        about: "Reads from Testmo which cases may be the missing ones of an entry, each with its id, name and link.",
        scope: Scope::Entry,
        answers: &[(200, Answer::Json(|g| g.subschema_for::<CandidatesView>()))],
        refusals: &[409],
        reads_testmo: true,
        handler: |call| Box::pin(list(call)),
        ..Route::READ
    },
    Route {
        id: "decideCandidates",
        path: "/api/v1/shelf/{id}/candidates",
        about: "Says which cases in Testmo are missing ones, and which are none. An adopted case is never created again; a case \
                of which every candidate was refused is created by the next replay.",
        scope: Scope::Entry,
        body: Body::Json(|g| g.subschema_for::<DecisionsBody>()),
        answers: &[(200, Answer::Json(|g| g.subschema_for::<CandidatesView>()))],
        reads_testmo: true,
        handler: |call| Box::pin(decide(call)),
        ..Route::CHANGE
    },
];

/// What is decided.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DecisionsBody {
    /// Cases in Testmo that are missing ones.
    #[serde(default)]
    adopt: Vec<AdoptionBody>,
    /// The ids of cases in Testmo that are none of the missing ones.
    #[serde(default)]
    refuse: Vec<u64>,
    /// Why, for the audit.
    #[serde(default)]
    reason: Option<String>,
}

/// A case in Testmo that is a missing one.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AdoptionBody {
    /// The missing case, as the list names it.
    case: String,
    testmo_id: u64,
}

async fn list(call: Call) -> Result<Reply, Problem> {
    let id = call.named.entry()?.id;
    Reply::json(200, &CandidatesView::of(&candidates::find(call.context(), id).await?))
}

async fn decide(call: Call) -> Result<Reply, Problem> {
    let id = call.named.entry()?.id;
    let DecisionsBody { adopt, refuse, reason: why } = call.json()?;
    let adopted = adopt.into_iter().map(|AdoptionBody { case, testmo_id }| (case, testmo_id)).collect();
    let decisions = Decisions { adopted, refused: refuse };
    let found = candidates::find(call.context(), id).await?;
    let view = CandidatesView::of(&found);
    let decided = found.decide(call.context(), &decisions, call.actor(), reason(why.as_deref())).await?;
    Reply::json(200, &view.with(decided))
}

//! Routes: reads batches.

use super::super::admin::problem::Problem;
use super::call::Call;
use super::page::{AFTER, LIMIT, Page, batch_place, batch_place_text, limit};
use super::reply::Reply;
use super::route::{Answer, Kind, Parameter, Route, Scope};
use super::selection::TENANT;
use crate::app::batches::{self, BatchDetails, BatchFilter, BatchState};
use crate::app::shelf::TimeBound;
use crate::app::store_now;
use crate::app::view::{BatchDetailsView, BatchEventView, BatchView};

/// The parameters of the list.
const QUERY: &[Parameter] = &[
    TENANT,
    Parameter { name: "state", about: "Only batches in this state.", kind: Kind::Word(states) },
    Parameter {
        name: "since",
        about: "Only batches whose first case was sent since this time: an age such as 2h, a day or a time.",
        kind: Kind::Text("2h"),
    },
    Parameter {
        name: "until",
        about: "Only batches whose first case was sent before this time, in the same forms.",
        kind: Kind::Text("2026-11-20"),
    },
    LIMIT,
    AFTER,
];

fn states() -> Vec<&'static str> {
    BatchState::ALL.map(BatchState::name).into()
}

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "listBatches",
        path: "/api/v1/batches",
        about: "Lists batches, those that were sent last first. A batch is listed once its first case was sent.",
        query: QUERY,
        answers: &[(200, Answer::Json(|g| g.subschema_for::<Page<BatchView>>()))],
        handler: |call| Box::pin(list(call)),
        ..Route::READ
    },
    Route {
        id: "getBatch",
        path: "/api/v1/batches/{tenant}/{batch}",
        about: "Returns everything that is known of a batch: its cases, create requests, outcomes, events and shelf entries.",
        scope: Scope::Path,
        answers: &[(200, Answer::Json(|g| g.subschema_for::<BatchDetailsView>()))],
        handler: |call| Box::pin(async move { Reply::json(200, &BatchDetailsView::of(&details(&call).await?)) }),
        ..Route::READ
    },
    Route {
        id: "listBatchEvents",
        path: "/api/v1/batches/{tenant}/{batch}/events",
        about: "Lists the events about a batch with their content, the first one first.",
        scope: Scope::Path,
        answers: &[(200, Answer::Json(|g| g.subschema_for::<Page<BatchEventView>>()))],
        handler: |call| Box::pin(events(call)),
        ..Route::READ
    },
];

async fn list(call: Call) -> Result<Reply, Problem> {
    let tenant = call.reach().only(call.query("tenant_id")?)?;
    let at = |bound: TimeBound| bound.at(store_now(call.store()));
    let (since, until) = (call.query("since")?.map(at), call.query("until")?.map(at));
    let filter = BatchFilter { tenant, state: call.query("state")?, since, until };
    let (records, next) = batches::page(call.store(), &filter, batch_place(&call)?.as_ref(), limit(&call)?).await?;
    let views = records.iter().map(BatchView::of).collect();
    Reply::json(200, &Page::<BatchView>::of(&call, views, next.as_ref().map(batch_place_text)))
}

async fn events(call: Call) -> Result<Reply, Problem> {
    let details = details(&call).await?;
    Reply::json(200, &Page::of(&call, details.history.events.iter().map(BatchEventView::of).collect(), None))
}

async fn details(call: &Call) -> Result<BatchDetails, Problem> {
    Ok(batches::show(call.store(), &call.batch()?).await?)
}

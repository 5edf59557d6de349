//! Routes: pauses, resumes and limits lanes.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::admin::problem::{Code, Problem};
use super::call::Call;
use super::reply::Reply;
use super::route::{Answer, Body, Route};
use crate::app::lanes::{LaneOrder, MOST_REQUESTS, order, overrides};
use crate::app::view::{LaneOrderedView, LaneOverridesView};

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "listLanes",
        path: "/api/v1/lanes",
        about: "Lists the lanes that a person has paused or limited.",
        answers: &[(200, Answer::Json(|g| g.subschema_for::<LaneOverridesView>()))],
        handler: |call| Box::pin(list(call)),
        ..Route::READ
    },
    Route {
        id: "pauseLane",
        path: "/api/v1/lanes/pause",
        about: "Pauses the lane of a tenant or an account: nothing is sent, and nothing is lost.",
        body: Body::Json(|g| g.subschema_for::<LaneBody>()),
        answers: &[(200, Answer::Json(|g| g.subschema_for::<LaneOrderedView>()))],
        handler: |call| Box::pin(pause(call)),
        ..Route::CHANGE
    },
    Route {
        id: "resumeLane",
        path: "/api/v1/lanes/resume",
        about: "Ends the pause of a lane that a person has ordered.",
        body: Body::Json(|g| g.subschema_for::<ResumeBody>()),
        answers: &[(200, Answer::Json(|g| g.subschema_for::<LaneOrderedView>()))],
        handler: |call| Box::pin(resume(call)),
        ..Route::CHANGE
    },
    Route {
        id: "limitLane",
        path: "/api/v1/lanes/limit",
        about: "Limits how many requests all workers send at once over a lane.",
        body: Body::Json(|g| g.subschema_for::<LimitBody>()),
        answers: &[(200, Answer::Json(|g| g.subschema_for::<LaneOrderedView>()))],
        handler: |call| Box::pin(limit(call)),
        ..Route::CHANGE
    },
];

/// A lane.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LaneBody {
    /// The id of a tenant, or the base URL of an account.
    lane: String,
    /// Why, for the audit.
    #[serde(default)]
    reason: Option<String>,
}

/// A lane whose pause ends.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ResumeBody {
    /// The id of a tenant, or the base URL of an account.
    lane: String,
    /// Also ends a pause that Testmo asked for, and tries an account that fails at once.
    #[serde(default)]
    now: bool,
    /// Why, for the audit.
    #[serde(default)]
    reason: Option<String>,
}

/// The limit of a lane.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LimitBody {
    /// The id of a tenant, or the base URL of an account.
    lane: String,
    /// How many requests are sent at once; null ends the limit.
    #[schemars(range(min = 1, max = MOST_REQUESTS))]
    requests: Option<u32>,
    /// Why, for the audit.
    #[serde(default)]
    reason: Option<String>,
}

async fn list(call: Call) -> Result<Reply, Problem> {
    let mut all = overrides(call.store()).await?;
    all.retain(|order| call.reach().may_know_lane(&order.lane));
    Reply::json(200, &LaneOverridesView::of(&all))
}

async fn pause(call: Call) -> Result<Reply, Problem> {
    let LaneBody { lane, reason } = call.json()?;
    ordered(&call, &lane, LaneOrder::Pause, reason.as_deref()).await
}

async fn resume(call: Call) -> Result<Reply, Problem> {
    let ResumeBody { lane, now, reason } = call.json()?;
    // An account is shared by tenants, so what Testmo asked for is not for one of them to end.
    ordered(&call, &lane, LaneOrder::Resume { now: now && call.reach().is_all() }, reason.as_deref()).await
}

async fn limit(call: Call) -> Result<Reply, Problem> {
    let LimitBody { lane, requests, reason } = call.json()?;
    if requests.is_some_and(|requests| !(1..=MOST_REQUESTS).contains(&requests)) {
        let why = format!("Write a number of requests from 1 to {MOST_REQUESTS}, or null.");
        return Err(Problem::new(Code::InvalidBody, why).at("/requests"));
    }
    ordered(&call, &lane, LaneOrder::Limit(requests), reason.as_deref()).await
}

async fn ordered(call: &Call, lane: &str, what: LaneOrder, reason: Option<&str>) -> Result<Reply, Problem> {
    call.reach().check_lane(lane)?;
    let ordered = order(call.store(), call.actor(), &call.context().config.testmo, lane, what, reason).await?;
    Reply::json(200, &LaneOrderedView::of(&ordered))
}

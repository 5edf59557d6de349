//! Routes: what a person has to act on, what waits, how it went lately, and the API itself.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::super::admin::problem::Problem;
use super::call::Call;
use super::notes;
use super::page::LIMIT;
use super::reply::Reply;
use super::route::{Answer, Route, Scope};
use super::selection::TENANT;
use crate::app::attention::attention;
use crate::app::time::rfc3339;
use crate::app::trend::trend;
use crate::app::view::{AttentionView, TrendView, WaitsView};
use crate::app::{store_now, waits};

/// How many groups of what waits are shown if nothing else is asked for.
const USUAL_GROUPS: usize = 50;

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "getHealth",
        path: "/api/v1/health",
        about: "Returns the version of the program, and the time of its store.",
        scope: Scope::Nothing,
        answers: &[(200, Answer::Json(|g| g.subschema_for::<HealthView>()))],
        handler: |call| Box::pin(health(call)),
        ..Route::READ
    },
    Route {
        id: "getOpenApi",
        path: "/api/v1/openapi.json",
        about: "Returns the OpenAPI document of this API.",
        scope: Scope::Nothing,
        answers: &[(200, Answer::Json(|g| g.subschema_for::<Map<String, Value>>()))],
        handler: |call| Box::pin(async move { document(&call) }),
        ..Route::READ
    },
    Route {
        id: "getAttention",
        path: "/api/v1/attention",
        about: "Returns what needs attention: causes on which somebody has to act, tenants that are not green, and pauses; and \
                how many batches were delivered within the last hour.",
        query: &[TENANT],
        answers: &[(200, Answer::Json(|g| g.subschema_for::<AttentionView>()))],
        handler: |call| Box::pin(attend(call)),
        ..Route::READ
    },
    Route {
        id: "getTrend",
        path: "/api/v1/trend",
        about: "Returns how many batches of all tenants were delivered, failed and waited over the last 24 hours and the last 30 \
                days. Workers add what they have counted every five minutes.",
        scope: Scope::All,
        answers: &[(200, Answer::Json(|g| g.subschema_for::<TrendView>()))],
        handler: |call| Box::pin(show_trend(call)),
        ..Route::READ
    },
    Route {
        id: "getWaits",
        path: "/api/v1/waits",
        about: "Returns what waits over all workers, and what each group of batches waits for.",
        scope: Scope::All,
        query: &[LIMIT],
        answers: &[(200, Answer::Json(|g| g.subschema_for::<WaitsView>()))],
        handler: |call| Box::pin(wait(call)),
        ..Route::READ
    },
];

/// The state of the API.
#[derive(Debug, Serialize, JsonSchema)]
struct HealthView {
    version: &'static str,
    /// The time on the store's clock.
    time: Option<String>,
}

fn document(call: &Call) -> Result<Reply, Problem> {
    let document: Value = serde_json::from_str(&call.api.document).map_err(|error| {
        tracing::error!(%error, "the OpenAPI document is no JSON");
        Problem::defect()
    })?;
    Reply::json(200, &document)
}

async fn health(call: Call) -> Result<Reply, Problem> {
    // Recognizing the token has read from the store.
    let time = rfc3339(store_now(call.store()));
    Reply::json(200, &HealthView { version: env!("CARGO_PKG_VERSION"), time })
}

async fn attend(call: Call) -> Result<Reply, Problem> {
    let tenant = call.reach().only(call.query("tenant_id")?)?;
    let mut attention = attention(call.store(), tenant.as_ref()).await?;
    notes::hide_foreign(&call, attention.causes.iter_mut().map(|cause| &mut cause.group));
    Reply::json(200, &AttentionView::of(&attention))
}

async fn show_trend(call: Call) -> Result<Reply, Problem> {
    Reply::json(200, &TrendView::of(&trend(call.store()).await?))
}

async fn wait(call: Call) -> Result<Reply, Problem> {
    let most = call.query("limit")?.unwrap_or(USUAL_GROUPS);
    Reply::json(200, &WaitsView::of(&waits::read(call.store(), most).await?))
}

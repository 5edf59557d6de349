//! Routes: finds batches and cases by what a customer names.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::admin::problem::Problem;
use super::call::Call;
use super::page::{AFTER, LIMIT, Page, limit};
use super::reply::Reply;
use super::route::{Answer, Kind, Parameter, Route};
use super::selection::TENANT;
use crate::app::TenantId;
use crate::app::find::{FindRequest, find};
use crate::app::view::{FoundBatchView, FoundView, SearchedView};

const TEXT: Parameter = Parameter {
    name: "text",
    about: "A part of a batch id, of a case's name or external_id, of a source key or of a batch tag; the number of a case in \
            Testmo, a link into Testmo, or TENANT/BATCH.",
    kind: Kind::Needed(&Kind::Text("SHOP-142")),
};

pub(super) const ROUTES: &[Route] = &[Route {
    id: "findBatches",
    path: "/api/v1/find",
    about: "Finds batches and cases on the shelf and among the finished ones, those that became known last first.",
    query: &[TEXT, TENANT, LIMIT, AFTER],
    answers: &[(200, Answer::Json(|g| g.subschema_for::<FoundPage>()))],
    handler: |call| Box::pin(show(call)),
    ..Route::READ
}];

/// A page of what was found.
#[derive(Debug, Serialize, JsonSchema)]
struct FoundPage {
    searched: SearchedView,
    #[serde(flatten)]
    page: Page<FoundBatchView>,
}

async fn show(call: Call) -> Result<Reply, Problem> {
    let tenant = call.reach().only(call.query("tenant_id")?)?;
    let text = call.query.get("text").cloned().unwrap_or_default();
    let request = FindRequest { text, tenant, after: call.query("after")?, limit: limit(&call)? };
    let found = find(call.store(), &request).await?;
    let FindRequest { text, tenant, .. } = request;
    let FoundView { searched, batches, next } = FoundView::of(&found, &text, tenant.as_ref().map(TenantId::as_str));
    Reply::json(200, &FoundPage { searched, page: Page::of(&call, batches, next) })
}

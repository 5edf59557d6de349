//! Routes: reads the connections of tenants.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::admin::problem::Problem;
use super::call::Call;
use super::etag::tag;
use super::page::{AFTER, LIMIT, Page, limit};
use super::reply::Reply;
use super::route::{Access, Answer, Route, Scope};
use crate::app::connections::{self, connection, status, statuses, waiting};
use crate::app::view::{ConnectionView, StatusView};
use crate::app::{TenantId, store_now};

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "listTenants",
        path: "/api/v1/tenants",
        about: "Lists the connections of tenants with their lights, by tenant.",
        query: &[LIMIT, AFTER],
        answers: &[(200, Answer::Json(|g| g.subschema_for::<Page<ConnectionView>>()))],
        handler: |call| Box::pin(list(call)),
        ..Route::READ
    },
    Route {
        id: "getTenant",
        path: "/api/v1/tenants/{tenant}",
        about: "Returns a tenant's connection without its API key. The ETag names what people have entered.",
        scope: Scope::Path,
        answers: &[(200, Answer::Json(|g| g.subschema_for::<ConnectionView>()))],
        handler: |call| Box::pin(show(call)),
        ..Route::READ
    },
    Route {
        id: "getTenantStatus",
        path: "/api/v1/tenants/{tenant}/status",
        about: "Returns the light of a tenant with a sentence and what to do; grey if no connection was entered.",
        scope: Scope::Path,
        answers: &[(200, Answer::Json(|g| g.subschema_for::<StatusView>()))],
        handler: |call| Box::pin(async move { of_tenant(&call, call.tenant()?).await }),
        ..Route::READ
    },
    Route {
        id: "draftMapping",
        path: "/api/v1/tenants/{tenant}/mapping/draft",
        about: "Drafts a mapping for a tenant, as JSON with comments, from what its project was seen to have.",
        scope: Scope::Path,
        answers: &[(200, Answer::Json(|g| g.subschema_for::<DraftView>()))],
        refusals: &[409],
        handler: |call| Box::pin(draft(call)),
        ..Route::READ
    },
    Route {
        id: "getLinkStatus",
        path: "/t/{link}/api/status",
        about: "Returns the light of the tenant that a link is for. The secret of the link is in the path.",
        access: Access::Link,
        answers: &[(200, Answer::Json(|g| g.subschema_for::<StatusView>()))],
        handler: |call| Box::pin(of_link(call)),
        ..Route::READ
    },
];

/// A draft of a mapping.
#[derive(Debug, Serialize, JsonSchema)]
struct DraftView {
    /// JSON with comments.
    draft: String,
}

async fn list(call: Call) -> Result<Reply, Problem> {
    let store = call.store();
    let (rows, next) = match call.reach().own() {
        None => {
            let after = call.query::<String>("after")?.unwrap_or_default();
            connections::page(store, &after, limit(&call)?).await?
        }
        Some(own) => match connection(store, own).await {
            Ok(row) => (vec![row], None),
            Err(connections::ConnectionError::NoConnection { .. }) => (Vec::new(), None),
            Err(error) => return Err(error.into()),
        },
    };
    let (statuses, now) = (statuses(store, &rows).await?, store_now(store));
    let views = rows.iter().zip(&statuses).map(|(row, status)| ConnectionView::of(row, status, now)).collect();
    Reply::json(200, &Page::<ConnectionView>::of(&call, views, next))
}

async fn show(call: Call) -> Result<Reply, Problem> {
    let row = connection(call.store(), &call.tenant()?).await?;
    let status = status(call.store(), &row).await?;
    Ok(Reply::json(200, &ConnectionView::of(&row, &status, store_now(call.store())))?.tagged(&tag(&row)))
}

async fn of_link(call: Call) -> Result<Reply, Problem> {
    let tenant = call.reach().own().cloned().ok_or_else(Problem::defect)?;
    of_tenant(&call, tenant).await
}

/// Answers with the light of a tenant.
async fn of_tenant(call: &Call, tenant: TenantId) -> Result<Reply, Problem> {
    let store = call.store();
    let waiting = waiting(store, &tenant).await?;
    let view = match connection(store, &tenant).await {
        Ok(row) => StatusView::of(&row, &status(store, &row).await?, waiting, store_now(store)),
        Err(connections::ConnectionError::NoConnection { .. }) => StatusView::of_none(&tenant, waiting),
        Err(error) => return Err(error.into()),
    };
    Reply::json(200, &view)
}

async fn draft(call: Call) -> Result<Reply, Problem> {
    let row = connection(call.store(), &call.tenant()?).await?;
    Reply::json(200, &DraftView { draft: connections::draft(&row)? })
}

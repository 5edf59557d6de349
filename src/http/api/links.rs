//! Routes: the short-lived links of tenants.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::admin::problem::Problem;
use super::call::Call;
use super::page::{LIMIT, Page, limit};
use super::reply::Reply;
use super::route::{Access, Answer, Body, Route, Scope, Verb};
use crate::app::access::{LINK_LIFE, create_link, links, revoke_link};
use crate::app::actor::Role;
use crate::app::view::{CreatedLinkView, LinkView};

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "listLinks",
        path: "/api/v1/tenants/{tenant}/links",
        about: "Lists the newest links of a tenant, without their secrets. Links are kept for a day after their end.",
        access: Access::Token(Role::Admin),
        scope: Scope::Path,
        query: &[LIMIT],
        answers: &[(200, Answer::Json(|g| g.subschema_for::<Page<LinkView>>()))],
        handler: |call| Box::pin(list(call)),
        ..Route::READ
    },
    Route {
        id: "createLink",
        path: "/api/v1/tenants/{tenant}/links",
        about: "Creates a link for a tenant's admin, which shows the light of this tenant and nothing else. The secret is \
                shown once.",
        access: Access::Token(Role::Admin),
        scope: Scope::Path,
        body: Body::Json(|g| g.subschema_for::<LinkBody>()),
        answers: &[(201, Answer::Json(|g| g.subschema_for::<CreatedLinkView>()))],
        handler: |call| Box::pin(create(call)),
        ..Route::CHANGE
    },
    Route {
        id: "revokeLink",
        verb: Verb::Delete,
        path: "/api/v1/tenants/{tenant}/links/{link}",
        about: "Revokes a link at once, for every worker.",
        access: Access::Token(Role::Admin),
        scope: Scope::Path,
        answers: &[(200, Answer::Json(|g| g.subschema_for::<LinkView>()))],
        handler: |call| Box::pin(revoke(call)),
        ..Route::CHANGE
    },
];

/// A link that is wanted.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LinkBody {
    /// How many minutes it is valid; 30 if it is left out.
    #[serde(default)]
    #[schemars(range(min = 1, max = 30))]
    minutes: Option<u32>,
}

async fn list(call: Call) -> Result<Reply, Problem> {
    let rows = links(call.store(), &call.tenant()?, limit(&call)?).await?;
    Reply::json(200, &Page::of(&call, rows.iter().map(LinkView::of).collect(), None))
}

async fn create(call: Call) -> Result<Reply, Problem> {
    let minutes = call.json::<LinkBody>()?.minutes;
    let minutes = minutes.unwrap_or_else(|| u32::try_from(LINK_LIFE.as_secs() / 60).unwrap_or(1));
    let created = create_link(call.store(), call.actor(), &call.tenant()?, minutes).await?;
    Ok(Reply::json(201, &CreatedLinkView::of(&created))?.once(&["secret", "status_path"]))
}

async fn revoke(call: Call) -> Result<Reply, Problem> {
    let id: String = call.path("link")?;
    Reply::json(200, &LinkView::of(&revoke_link(call.store(), call.actor(), &call.tenant()?, &id).await?))
}

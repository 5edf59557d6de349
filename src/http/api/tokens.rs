//! Routes: tokens.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::admin::problem::{Code, Problem};
use super::call::Call;
use super::page::{AFTER, LIMIT, Page, limit};
use super::reply::Reply;
use super::route::{Access, Answer, Body, Route, Scope, Verb};
use crate::app::TenantId;
use crate::app::access::{self, MOST_DAYS, TokenInput};
use crate::app::actor::Role;
use crate::app::view::{CreatedTokenView, TokenView};

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "listTokens",
        path: "/api/v1/tokens",
        about: "Lists all tokens by name, also those that were revoked, without their secrets.",
        access: Access::Token(Role::Admin),
        scope: Scope::All,
        query: &[LIMIT, AFTER],
        answers: &[(200, Answer::Json(|g| g.subschema_for::<Page<TokenView>>()))],
        handler: |call| Box::pin(list(call)),
        ..Route::READ
    },
    Route {
        id: "createToken",
        path: "/api/v1/tokens",
        about: "Creates a token. The secret is shown once.",
        access: Access::Token(Role::Admin),
        scope: Scope::All,
        body: Body::Json(|g| g.subschema_for::<TokenBody>()),
        answers: &[(201, Answer::Json(|g| g.subschema_for::<CreatedTokenView>()))],
        handler: |call| Box::pin(create(call)),
        ..Route::CHANGE
    },
    Route {
        id: "revokeToken",
        verb: Verb::Delete,
        path: "/api/v1/tokens/{name}",
        about: "Revokes a token at once, for every worker. Its name is not used again.",
        access: Access::Token(Role::Admin),
        scope: Scope::All,
        answers: &[(200, Answer::Json(|g| g.subschema_for::<TokenView>()))],
        handler: |call| Box::pin(revoke(call)),
        ..Route::CHANGE
    },
];

/// A token that is wanted.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TokenBody {
    /// Its name: 1 to 64 of the characters A-Z a-z 0-9 . _ -
    #[schemars(regex(pattern = r"^[A-Za-z0-9._-]{1,64}$"))]
    name: String,
    role: RoleWord,
    /// The only tenant of which its holder may name anything.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[A-Za-z0-9._:@-]{1,64}$"))]
    tenant_id: Option<String>,
    /// After how many days it expires; never if it is left out.
    #[serde(default)]
    #[schemars(range(min = 1, max = 3_650))]
    expires_in_days: Option<u32>,
}

/// What a holder may do.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum RoleWord {
    /// Reads.
    Viewer,
    /// Also replays, discards, pauses and verifies.
    Operator,
    /// Also changes tenants and tokens.
    Admin,
}

async fn list(call: Call) -> Result<Reply, Problem> {
    let (after, most) = (call.query::<String>("after")?.unwrap_or_default(), limit(&call)?);
    let rows = access::list(call.store(), &after, most).await?;
    let is_full = rows.len() >= usize::try_from(most).unwrap_or(usize::MAX);
    let next = rows.last().filter(|_| is_full).map(|row| row.name.clone());
    Reply::json(200, &Page::of(&call, rows.iter().map(TokenView::of).collect(), next))
}

async fn create(call: Call) -> Result<Reply, Problem> {
    let body: TokenBody = call.json()?;
    let wrong = |pointer: &str, why: String| Problem::new(Code::InvalidBody, why).at(pointer);
    let tenant = body.tenant_id.map(|id| TenantId::new(&id).map_err(|why| wrong("/tenant_id", why.to_string())));
    if body.expires_in_days.is_some_and(|days| !(1..=MOST_DAYS).contains(&days)) {
        return Err(wrong("/expires_in_days", format!("Write a number of days from 1 to {MOST_DAYS}.")));
    }
    let input = TokenInput {
        name: body.name.parse().map_err(|why| wrong("/name", why))?,
        role: match body.role {
            RoleWord::Viewer => Role::Viewer,
            RoleWord::Operator => Role::Operator,
            RoleWord::Admin => Role::Admin,
        },
        tenant: tenant.transpose()?,
        days: body.expires_in_days,
    };
    let created = access::create(call.store(), call.actor(), input).await?;
    Ok(Reply::json(201, &CreatedTokenView::of(&created))?.once(&["secret"]))
}

async fn revoke(call: Call) -> Result<Reply, Problem> {
    let name = call.path("name")?;
    Reply::json(200, &TokenView::of(&access::revoke(call.store(), call.actor(), name).await?))
}

//! Shows tokens and links to programs, with their secret only when they are created.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::access::{CreatedLink, CreatedToken, LinkRow, TokenRow};
use super::super::time::rfc3339;

/// A token without its secret.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TokenView {
    name: String,
    role: &'static str,
    /// The only tenant of which its holder may name anything.
    tenant_id: Option<String>,
    created_at: Option<String>,
    created_by: String,
    expires_at: Option<String>,
    revoked_at: Option<String>,
    /// When it was last used, to the minute.
    last_used_at: Option<String>,
}

/// A token that was just created.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CreatedTokenView {
    #[serde(flatten)]
    token: TokenView,
    /// The secret, which is shown this once; null where a request was repeated.
    secret: Option<String>,
}

/// A link without its secret.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LinkView {
    id: String,
    tenant_id: String,
    created_at: Option<String>,
    created_by: String,
    expires_at: Option<String>,
    revoked_at: Option<String>,
}

/// A link that was just created.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CreatedLinkView {
    #[serde(flatten)]
    link: LinkView,
    /// The secret, which is shown this once; null where a request was repeated.
    secret: Option<String>,
    /// The path of the link's own status, which has the secret in it; null where a request was repeated.
    status_path: Option<String>,
}

impl TokenView {
    /// Shows a token.
    pub fn of(row: &TokenRow) -> Self {
        Self {
            name: row.name.clone(),
            role: row.role.name(),
            tenant_id: row.tenant.as_ref().map(ToString::to_string),
            created_at: rfc3339(row.created_at),
            created_by: row.created_by.clone(),
            expires_at: row.expires_at.and_then(rfc3339),
            revoked_at: row.revoked_at.and_then(rfc3339),
            last_used_at: row.last_used_at.and_then(rfc3339),
        }
    }
}

impl CreatedTokenView {
    /// Shows a token with its secret.
    pub fn of(created: &CreatedToken) -> Self {
        Self { token: TokenView::of(&created.row), secret: Some(created.secret.clone()) }
    }
}

impl LinkView {
    /// Shows a link.
    pub fn of(row: &LinkRow) -> Self {
        Self {
            id: row.id.clone(),
            tenant_id: row.tenant.to_string(),
            created_at: rfc3339(row.created_at),
            created_by: row.created_by.clone(),
            expires_at: rfc3339(row.expires_at),
            revoked_at: row.revoked_at.and_then(rfc3339),
        }
    }
}

impl CreatedLinkView {
    /// Shows a link with its secret.
    pub fn of(created: &CreatedLink) -> Self {
        let CreatedLink { row, secret } = created;
        let status_path = Some(format!("/t/{secret}/api/status"));
        Self { link: LinkView::of(row), secret: Some(secret.clone()), status_path }
    }
}

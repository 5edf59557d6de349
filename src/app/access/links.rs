//! Creates, lists and revokes the short-lived links by which a tenant's admin sees its connection.

use std::time::Duration;

use serde_json::json;

use super::super::actor::Actor;
use super::secret::{hash_of, random};
use super::tokens::NoEntry;
use crate::batch::TenantId;
use crate::store::access::{LinkRow, NewLink};
use crate::store::audit::{AuditAction, AuditEntry, AuditSubject};
use crate::store::{Store, StoreError, StoreHealth};

/// How the secret of a link begins.
const PREFIX: &str = "tl_";
/// The longest that a link is valid.
pub const LINK_LIFE: Duration = Duration::from_secs(1_800);

/// A link with its secret, which is not stored and cannot be shown again.
#[derive(Clone, Debug)]
pub struct CreatedLink {
    /// What is stored.
    pub row: LinkRow,
    /// The secret.
    pub secret: String,
}

/// Why a link is not created or revoked.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It would be valid for too short or too long.
    #[error("a link is valid for 1 to {} minutes", LINK_LIFE.as_secs() / 60)]
    Minutes,
    /// There is none.
    #[error("the tenant has no such link that is not revoked yet")]
    Unknown,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Creates a link for a tenant that is valid for so many minutes. The tenant may be one without a connection.
///
/// # Errors
/// When its life is too short or too long, or the store does not answer.
pub async fn create_link(
    store: &Store,
    actor: &Actor,
    tenant: &TenantId,
    minutes: u32,
) -> Result<CreatedLink, LinkError> {
    let life = Duration::from_secs(u64::from(minutes) * 60);
    if life.is_zero() || life > LINK_LIFE {
        return Err(LinkError::Minutes);
    }
    let secret = random(PREFIX);
    let link = NewLink {
        id: uuid::Uuid::new_v4().simple().to_string(),
        hash: hash_of(PREFIX, &secret).unwrap_or_default(),
        tenant: tenant.clone(),
        created_by: actor.name().to_owned(),
        valid_for: i64::from(minutes) * 60_000,
    };
    let entry = entry(actor, AuditAction::CreateLink, tenant, &link.id).change(None, Some(json!({"minutes": minutes})));
    Ok(CreatedLink { row: store.create_link(&link, &entry).await?, secret })
}

/// Reads up to `most` links of a tenant, the newest first.
///
/// # Errors
/// When the store does not answer.
pub async fn links(store: &Store, tenant: &TenantId, most: u32) -> Result<Vec<LinkRow>, StoreError> {
    store.links_of(tenant, most).await
}

/// Revokes a link of a tenant.
///
/// # Errors
/// When there is none of this id, or the store does not answer.
pub async fn revoke_link(store: &Store, actor: &Actor, tenant: &TenantId, id: &str) -> Result<LinkRow, LinkError> {
    let entry = entry(actor, AuditAction::RevokeLink, tenant, id);
    store.revoke_link(tenant, id, &entry).await?.ok_or(LinkError::Unknown)
}

fn entry(actor: &Actor, action: AuditAction, tenant: &TenantId, id: &str) -> AuditEntry {
    AuditEntry::new(actor, action, AuditSubject { name: format!("link {id}"), ..AuditSubject::tenant(tenant) })
}

/// Returns the tenant that a link is for.
///
/// # Errors
/// When the secret opens nothing.
pub async fn open_link(store: &Store, secret: &str) -> Result<TenantId, NoEntry> {
    let hash = hash_of(PREFIX, secret).ok_or(NoEntry::Unknown)?;
    let link = store.link_of(&hash).await?.ok_or(NoEntry::Unknown)?;
    match link.revoked_at {
        Some(_) => Err(NoEntry::Revoked),
        None if link.expires_at <= store.now() => Err(NoEntry::Expired),
        None => Ok(link.tenant),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::actor::{Face, Role};
    use super::super::super::fixture::{acme, with_acme};
    use super::*;

    #[tokio::test]
    async fn a_link_opens_one_tenant_until_it_is_revoked() {
        let (store, _dir) = with_acme().await;
        let anna = Actor::new("anna", Role::Admin, Face::Api);
        for minutes in [0, 31] {
            assert!(matches!(create_link(&store, &anna, &acme(), minutes).await, Err(LinkError::Minutes)), "{minutes}");
        }
        let CreatedLink { row, secret } = create_link(&store, &anna, &acme(), 30).await.unwrap();
        assert_eq!(row.expires_at - row.created_at, 1_800_000);
        assert_eq!(open_link(&store, &secret).await.unwrap(), acme());
        assert_eq!(open_link(&store, &secret).await.unwrap(), acme(), "more than once");
        assert!(matches!(open_link(&store, &random(PREFIX)).await, Err(NoEntry::Unknown)));
        let other = "other".parse().unwrap();
        assert!(matches!(revoke_link(&store, &anna, &other, &row.id).await, Err(LinkError::Unknown)));
        revoke_link(&store, &anna, &acme(), &row.id).await.unwrap();
        assert!(matches!(open_link(&store, &secret).await, Err(NoEntry::Revoked)));
        assert_eq!(links(&store, &acme(), 10).await.unwrap().len(), 1);
    }
}

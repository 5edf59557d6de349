//! Creates, lists, revokes and recognizes tokens.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_json::json;

use super::super::actor::{Actor, Face, Role};
use super::secret::{hash_of, is_same, random};
use crate::batch::TenantId;
use crate::store::access::{NewToken, TokenRow};
use crate::store::audit::{AuditAction, AuditEntry, AuditSubject};
use crate::store::{Store, StoreError, StoreHealth};

/// How the secret of a token begins, by which people and scanners recognize one.
const PREFIX: &str = "tc_";
/// The most days for which a token can be valid.
pub const MOST_DAYS: u32 = 3_650;
/// A day in milliseconds.
const DAY: i64 = 86_400_000;
/// The longest that noting the use of a token may hold up a request.
const LONGEST_NOTE: Duration = Duration::from_secs(1);

/// The name of a token: 1 to 64 of `A-Z a-z 0-9 . _ -`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenName(String);

impl FromStr for TokenName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let is_name = (1..=64).contains(&text.len()) && text.chars().all(allowed) && !text.chars().all(|c| c == '.');
        if is_name { Ok(Self(text.to_owned())) } else { Err("use 1 to 64 of the characters A-Z a-z 0-9 . _ -".into()) }
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a person enters for a token.
#[derive(Clone, Debug)]
pub struct TokenInput {
    /// Its name.
    pub name: TokenName,
    /// What its holder may do.
    pub role: Role,
    /// The only tenant of which its holder may name anything.
    pub tenant: Option<TenantId>,
    /// After how many days it expires, at most [`MOST_DAYS`]; never if it is empty.
    pub days: Option<u32>,
}

/// A token with its secret, which is not stored and cannot be shown again.
#[derive(Clone, Debug)]
pub struct CreatedToken {
    /// What is stored.
    pub row: TokenRow,
    /// The secret.
    pub secret: String,
}

/// Why a token is not created or revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Its name is taken.
    #[error("there is or was a token named {0}")]
    NameTaken(TokenName),
    /// It would be valid for too short or too long.
    #[error("a token is valid for 1 to {MOST_DAYS} days")]
    Days,
    /// There is none.
    #[error("there is no token named {0} that is not revoked yet")]
    Unknown(TokenName),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who sends a request, and of which tenant alone it may name anything.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who it is, with the role.
    pub actor: Actor,
    /// The only tenant of which it may name anything; every tenant if it is empty.
    pub tenant: Option<TenantId>,
}

/// Why a secret opens nothing.
#[derive(Debug, thiserror::Error)]
pub enum NoEntry {
    /// It is no secret, or nobody's.
    #[error("the token is not known")]
    Unknown,
    /// Its token was revoked.
    #[error("the token was revoked")]
    Revoked,
    /// Its token has expired.
    #[error("the token has expired")]
    Expired,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Creates a token.
///
/// # Errors
/// When its name is taken, its life too long, or the store does not answer.
pub async fn create(store: &Store, actor: &Actor, input: TokenInput) -> Result<CreatedToken, TokenError> {
    if input.days.is_some_and(|days| !(1..=MOST_DAYS).contains(&days)) {
        return Err(TokenError::Days);
    }
    let secret = random(PREFIX);
    let token = NewToken {
        name: input.name.to_string(),
        hash: hash_of(PREFIX, &secret).unwrap_or_default(),
        role: input.role,
        tenant: input.tenant,
        created_by: actor.name().to_owned(),
        valid_for: input.days.map(|days| i64::from(days) * DAY),
    };
    let state = json!({"role": token.role.name(), "tenant_id": token.tenant.as_ref().map(TenantId::as_str),
                       "days": input.days});
    let entry = entry(actor, AuditAction::CreateToken, &input.name).change(None, Some(state));
    let row = store.create_token(&token, &entry).await?.ok_or(TokenError::NameTaken(input.name))?;
    Ok(CreatedToken { row, secret })
}

/// Reads up to `most` tokens by name, after one of this name.
///
/// # Errors
/// When the store does not answer.
pub async fn list(store: &Store, after: &str, most: u32) -> Result<Vec<TokenRow>, StoreError> {
    store.tokens_after(after, most).await
}

/// Revokes a token, at once for every worker.
///
/// # Errors
/// When there is none of this name, or the store does not answer.
pub async fn revoke(store: &Store, actor: &Actor, name: TokenName) -> Result<TokenRow, TokenError> {
    store.revoke_token(&name.0, &entry(actor, AuditAction::RevokeToken, &name)).await?.ok_or(TokenError::Unknown(name))
}

fn entry(actor: &Actor, action: AuditAction, name: &TokenName) -> AuditEntry {
    AuditEntry::new(actor, action, AuditSubject::named(format_args!("token {name}")))
}

/// Recognizes the holder of a secret. It is read from the store each time, so that a token is not accepted any more once it
/// was revoked, whichever worker is asked.
///
/// # Errors
/// When the secret opens nothing.
pub async fn authenticate(store: &Store, secret: &str, face: Face) -> Result<Caller, NoEntry> {
    let hash = hash_of(PREFIX, secret).ok_or(NoEntry::Unknown)?;
    let row = store.token_of(&hash).await?.filter(|row| is_same(&row.hash, &hash)).ok_or(NoEntry::Unknown)?;
    let now = store.now();
    check(&row, now)?;
    let noting = tokio::time::timeout(LONGEST_NOTE, store.note_token_use(&row, now)).await;
    if let Ok(Err(error)) = noting {
        tracing::warn!(%error, "the use of a token could not be noted");
    }
    Ok(caller(&row, face))
}

/// Returns who holds a token.
pub(super) fn caller(row: &TokenRow, face: Face) -> Caller {
    Caller { actor: Actor::new(&row.name, row.role, face), tenant: row.tenant.clone() }
}

/// Decides whether a token is valid at `now`, in milliseconds on the store's clock.
pub(super) fn check(row: &TokenRow, now: i64) -> Result<(), NoEntry> {
    match (row.revoked_at, row.expires_at) {
        (Some(_), _) => Err(NoEntry::Revoked),
        (None, Some(end)) if end <= now => Err(NoEntry::Expired),
        (None, _) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::{acme, with_acme};
    use super::*;

    fn anna() -> Actor {
        Actor::new("anna", Role::Admin, Face::CommandLine)
    }

    fn input(name: &str) -> TokenInput {
        TokenInput { name: name.parse().unwrap(), role: Role::Operator, tenant: Some(acme()), days: None }
    }

    #[tokio::test]
    async fn a_token_opens_until_it_is_revoked_and_is_stored_as_a_hash() {
        let (store, _dir) = with_acme().await;
        let CreatedToken { row, secret } = create(&store, &anna(), input("ci")).await.unwrap();
        assert!(!row.hash.contains(&secret) && row.created_by == "anna" && row.last_used_at.is_none());
        let caller = authenticate(&store, &secret, Face::Api).await.unwrap();
        assert_eq!((caller.actor.name(), caller.actor.role, caller.tenant), ("ci", Role::Operator, Some(acme())));
        let used = list(&store, "", 10).await.unwrap().remove(0).last_used_at;
        assert!(used.is_some());
        revoke(&store, &anna(), "ci".parse().unwrap()).await.unwrap();
        assert!(matches!(authenticate(&store, &secret, Face::Api).await, Err(NoEntry::Revoked)));
        let again = revoke(&store, &anna(), "ci".parse().unwrap()).await;
        assert!(matches!(again, Err(TokenError::Unknown(_))));
        assert!(matches!(create(&store, &anna(), input("ci")).await, Err(TokenError::NameTaken(_))));
    }

    #[tokio::test]
    async fn a_secret_of_nobody_opens_nothing() {
        let (store, _dir) = with_acme().await;
        for secret in ["", "tc_short", &random(PREFIX), &random("tl_")] {
            assert!(matches!(authenticate(&store, secret, Face::Api).await, Err(NoEntry::Unknown)), "{secret}");
        }
    }

    #[test]
    fn a_token_is_valid_until_the_millisecond_in_which_it_expires() {
        let row = TokenRow {
            name: "x".into(),
            hash: String::new(),
            role: Role::Viewer,
            tenant: None,
            created_at: 0,
            created_by: String::new(),
            expires_at: Some(5),
            revoked_at: None,
            last_used_at: None,
        };
        assert!(check(&row, 4).is_ok());
        assert!(matches!(check(&row, 5), Err(NoEntry::Expired)));
        assert!(check(&TokenRow { expires_at: None, ..row.clone() }, i64::MAX).is_ok());
        assert!(matches!(check(&TokenRow { revoked_at: Some(1), ..row }, 1), Err(NoEntry::Revoked)));
    }

    #[tokio::test]
    async fn what_cannot_be_a_token_is_refused() {
        let (store, _dir) = with_acme().await;
        for days in [0, MOST_DAYS + 1] {
            let created = create(&store, &anna(), TokenInput { days: Some(days), ..input("x") }).await;
            assert!(matches!(created, Err(TokenError::Days)), "{days}");
        }
        for name in ["", ".", "..", "a b", "a/b", "ä", &"x".repeat(65)] {
            assert!(name.parse::<TokenName>().is_err(), "{name}");
        }
    }
}

//! Begins, resumes and ends the sessions of people who enter a token on the console's log-in page.

use std::time::Duration;

use super::super::actor::Face;
use super::secret::{hash_of, random};
use super::tokens::{self, Caller, NoEntry, authenticate};
use crate::store::access::{NewSession, SessionRow};
use crate::store::{Store, StoreError, StoreHealth};

/// How the secret of a session begins.
const PREFIX: &str = "ts_";
/// How long a session lasts at most.
pub const LONGEST_SESSION: Duration = Duration::from_secs(12 * 3_600);
/// How long a session lasts that is not used.
pub const LONGEST_IDLE: Duration = Duration::from_secs(3_600);
/// The longest that noting the use of a session may hold up a page.
const LONGEST_NOTE: Duration = Duration::from_secs(1);

/// Begins a session for the holder of a token, and returns its secret, which is not stored.
///
/// # Errors
/// When the token opens nothing.
pub async fn log_in(store: &Store, token: &str) -> Result<String, NoEntry> {
    let caller = authenticate(store, token, Face::Console).await?;
    let secret = random(PREFIX);
    let hash = hash_of(PREFIX, &secret).unwrap_or_default();
    let session = NewSession { hash, token: caller.actor.name().to_owned(), longest: in_ms(LONGEST_SESSION) };
    store.begin_session(&session).await?;
    Ok(secret)
}

/// Recognizes the holder of a session. Its token is read each time, so that a session ends with its token, whichever worker is
/// asked.
///
/// # Errors
/// When the session is not known or over, or its token does not open anything any more.
pub async fn resume(store: &Store, secret: &str) -> Result<Caller, NoEntry> {
    let hash = hash_of(PREFIX, secret).ok_or(NoEntry::Unknown)?;
    let session = store.session_of(&hash).await?.ok_or(NoEntry::Unknown)?;
    let now = store.now();
    check(&session, now)?;
    let noting = tokio::time::timeout(LONGEST_NOTE, async {
        store.note_session_use(&session, now).await?;
        store.note_token_use(&session.token, now).await
    });
    if let Ok(Err(error)) = noting.await {
        tracing::warn!(%error, "the use of a session could not be noted");
    }
    Ok(tokens::caller(&session.token, Face::Console))
}

/// Ends a session.
///
/// # Errors
/// When the store does not answer.
pub async fn log_out(store: &Store, secret: &str) -> Result<(), StoreError> {
    match hash_of(PREFIX, secret) {
        Some(hash) => store.end_session(&hash).await,
        None => Ok(()),
    }
}

/// Returns whether a token was ever created, without which nobody can log in.
///
/// # Errors
/// When the store does not answer.
pub async fn is_open(store: &Store) -> Result<bool, StoreError> {
    Ok(!store.tokens_after("", 1).await?.is_empty())
}

/// Decides whether a session goes on at `now`, in milliseconds on the store's clock.
fn check(session: &SessionRow, now: i64) -> Result<(), NoEntry> {
    let is_over = now.saturating_sub(session.created_at) >= in_ms(LONGEST_SESSION);
    if is_over || now.saturating_sub(session.used_at) >= in_ms(LONGEST_IDLE) {
        return Err(NoEntry::Expired);
    }
    tokens::check(&session.token, now)
}

fn in_ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::super::actor::{Actor, Role};
    use super::super::super::fixture::{acme, with_acme};
    use super::super::tokens::{TokenInput, create, revoke};
    use super::*;

    async fn with_token() -> (Store, tempfile::TempDir, Actor, String) {
        let (store, dir) = with_acme().await;
        assert!(!is_open(&store).await.unwrap());
        let anna = Actor::new("anna", Role::Admin, Face::CommandLine);
        let input = TokenInput { name: "ben".parse().unwrap(), role: Role::Operator, tenant: Some(acme()), days: None };
        let token = create(&store, &anna, input).await.unwrap().secret;
        (store, dir, anna, token)
    }

    #[tokio::test]
    async fn a_session_has_the_rights_of_its_token_and_ends_with_it() {
        let (store, _dir, anna, token) = with_token().await;
        assert!(is_open(&store).await.unwrap());
        let one = log_in(&store, &token).await.unwrap();
        let other = log_in(&store, &token).await.unwrap();
        assert_ne!(one, other);
        let caller = resume(&store, &one).await.unwrap();
        assert_eq!((caller.actor.name(), caller.actor.role, caller.tenant), ("ben", Role::Operator, Some(acme())));
        assert_eq!(caller.actor.face, Face::Console);
        log_out(&store, &one).await.unwrap();
        assert!(matches!(resume(&store, &one).await, Err(NoEntry::Unknown)));
        resume(&store, &other).await.unwrap();
        revoke(&store, &anna, "ben".parse().unwrap()).await.unwrap();
        assert!(matches!(resume(&store, &other).await, Err(NoEntry::Revoked)));
        assert!(matches!(log_in(&store, &token).await, Err(NoEntry::Revoked)));
    }

    #[tokio::test]
    async fn what_is_no_session_opens_nothing() {
        let (store, _dir, _, token) = with_token().await;
        for secret in ["", "ts_", &token, &random(PREFIX), &random("tc_")] {
            assert!(matches!(resume(&store, secret).await, Err(NoEntry::Unknown)), "{secret}");
            log_out(&store, secret).await.unwrap();
        }
        assert!(matches!(log_in(&store, &random(PREFIX)).await, Err(NoEntry::Unknown)), "a session is no token");
    }

    #[tokio::test]
    async fn a_session_ends_after_its_time_and_sooner_if_it_is_not_used() {
        let (store, _dir, _, token) = with_token().await;
        let hash = hash_of(PREFIX, &log_in(&store, &token).await.unwrap()).unwrap();
        let begun = store.session_of(&hash).await.unwrap().unwrap();
        let (idle, longest) = (in_ms(LONGEST_IDLE), in_ms(LONGEST_SESSION));
        let end_of = |used_at: i64, now: i64| check(&SessionRow { used_at, ..begun.clone() }, now);
        assert!(end_of(begun.used_at, begun.used_at + idle - 1).is_ok());
        assert!(matches!(end_of(begun.used_at, begun.used_at + idle), Err(NoEntry::Expired)));
        let late = begun.created_at + longest;
        assert!(end_of(late - 2, late - 1).is_ok());
        assert!(matches!(end_of(late - 2, late), Err(NoEntry::Expired)));
        // A use is written at most once a minute.
        store.note_session_use(&begun, begun.used_at + 59_999).await.unwrap();
        assert_eq!(store.session_of(&hash).await.unwrap().unwrap().used_at, begun.used_at);
        store.note_session_use(&begun, begun.used_at + 60_000).await.unwrap();
        assert_eq!(store.session_of(&hash).await.unwrap().unwrap().used_at, begun.used_at + 60_000);
    }
}

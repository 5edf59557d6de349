//! Stores the sessions of people by the hash of their secret.

use sqlx::any::AnyRow;

use super::super::sql::{self, Bound, Columns, Transaction};
use super::super::{Store, StoreError};
use super::tokens::{TokenRow, token};

/// How long the time of a session's last use is not written again, in milliseconds.
const USE_WRITTEN_EVERY: i64 = 60_000;

/// A session that begins.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The SHA-256 of its secret, as hexadecimal digits.
    pub hash: String,
    /// The name of the token that was entered.
    pub token: String,
    /// How long a session can last at most, in milliseconds: older ones are forgotten.
    pub longest: i64,
}

/// A session as it is stored; times are milliseconds on the store's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// The SHA-256 of its secret.
    pub hash: String,
    /// When it began.
    pub created_at: i64,
    /// When it was last used, to the minute.
    pub used_at: i64,
    /// The token, as it is now.
    pub token: TokenRow,
}

impl Store {
    /// Begins a session, and forgets some of those that are over.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn begin_session(&self, session: &NewSession) -> Result<(), StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let conn = transaction.conn()?;
        let forget = "DELETE FROM sessions WHERE hash IN (SELECT hash FROM sessions WHERE created_at < $1 \
                      ORDER BY created_at LIMIT 100)";
        sql::execute(&mut *conn, forget, vec![Bound::Int(now.saturating_sub(session.longest))]).await?;
        let sql = "INSERT INTO sessions (hash, token, created_at, used_at) VALUES ($1, $2, $3, $3)";
        let bounds = vec![Bound::Text(session.hash.clone()), Bound::Text(session.token.clone()), Bound::Int(now)];
        sql::execute(conn, sql, bounds).await?;
        transaction.commit().await
    }

    /// Returns the session whose secret has this hash, with its token as it is now.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn session_of(&self, hash: &str) -> Result<Option<SessionRow>, StoreError> {
        let sql = "SELECT tokens.*, sessions.created_at AS begun_at, sessions.used_at FROM sessions \
                   JOIN tokens ON tokens.name = sessions.token WHERE sessions.hash = $1";
        let rows = sql::fetch(&mut *self.reading().await?, sql, vec![Bound::Text(hash.into())]).await?;
        rows.first().map(|row| read(row, hash)).transpose()
    }

    /// Notes that a session is used now, unless that was noted within the last minute.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn note_session_use(&self, session: &SessionRow, now: i64) -> Result<(), StoreError> {
        if now.saturating_sub(session.used_at) < USE_WRITTEN_EVERY {
            return Ok(());
        }
        let sql = "UPDATE sessions SET used_at = $2 WHERE hash = $1 AND used_at <= $3";
        let due = now.saturating_sub(USE_WRITTEN_EVERY);
        let bounds = vec![Bound::Text(session.hash.clone()), Bound::Int(now), Bound::Int(due)];
        sql::execute(&mut *self.writing().await?, sql, bounds).await.map(drop)
    }

    /// Ends a session; nothing happens if there is none.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn end_session(&self, hash: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM sessions WHERE hash = $1";
        sql::execute(&mut *self.writing().await?, sql, vec![Bound::Text(hash.into())]).await.map(drop)
    }
}

fn read(row: &AnyRow, hash: &str) -> Result<SessionRow, StoreError> {
    Ok(SessionRow {
        hash: hash.to_owned(),
        created_at: row.int("begun_at")?,
        used_at: row.int("used_at")?,
        token: token(row)?,
    })
}

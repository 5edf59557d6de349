//! Keeps the answers to requests that carry a key of their own, so that a repeated request is answered and not carried out.

use sqlx::any::AnyRow;

use super::super::sql::{self, Bound, Columns, Transaction};
use super::super::{Store, StoreError};

/// How long an answer is kept, in milliseconds.
const KEPT: i64 = 86_400_000;
/// After this time a request that was not answered counts as cut off, in milliseconds; no request takes as long.
const CUT_OFF: i64 = 300_000;

/// What is known of a request that is to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BeginRequest {
    /// It was not seen before, and begins now.
    Begun,
    /// The same request was answered like this.
    Answered(Answered),
    /// The same request is being carried out.
    UnderWay,
    /// The key was used for another request.
    OtherRequest,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Its HTTP status.
    pub status: u16,
    /// Its body.
    pub body: String,
}

impl Store {
    /// Begins a request of a token under a key, unless one was begun under this key within the last day. Some of the answers
    /// that are older are forgotten.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn begin_request(&self, token: &str, key: &str, hash: &str) -> Result<BeginRequest, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let conn = transaction.conn()?;
        let forget = "DELETE FROM answered_requests WHERE (token, request_key) IN (SELECT token, request_key \
                      FROM answered_requests WHERE begun_at < $1 ORDER BY begun_at LIMIT 100)";
        sql::execute(&mut *conn, forget, vec![Bound::Int(now.saturating_sub(KEPT))]).await?;
        // A row that ended long ago is taken over. Of two requests at once, one waits here for the other.
        let sql = "INSERT INTO answered_requests (token, request_key, request_hash, begun_at) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (token, request_key) DO UPDATE SET request_hash = excluded.request_hash, \
                   begun_at = excluded.begun_at, status = NULL, body = NULL \
                   WHERE answered_requests.begun_at < $5 OR (answered_requests.status IS NULL \
                   AND answered_requests.begun_at < $6)";
        let text = |text: &str| Bound::Text(text.to_owned());
        let (old, cut) = (Bound::Int(now.saturating_sub(KEPT)), Bound::Int(now.saturating_sub(CUT_OFF)));
        let bounds = vec![text(token), text(key), text(hash), Bound::Int(now), old, cut];
        let is_begun = sql::execute(&mut *conn, sql, bounds).await? == 1;
        let begun = if is_begun { BeginRequest::Begun } else { before(conn, token, key, hash).await? };
        transaction.commit().await?;
        Ok(begun)
    }

    /// Keeps the answer to a request that was begun.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn end_request(&self, token: &str, key: &str, answer: &Answered) -> Result<(), StoreError> {
        let sql = "UPDATE answered_requests SET status = $3, body = $4 WHERE token = $1 AND request_key = $2";
        let bounds = vec![
            Bound::Text(token.into()),
            Bound::Text(key.into()),
            Bound::Int(answer.status.into()),
            Bound::Text(answer.body.clone()),
        ];
        sql::execute(&mut *self.writing().await?, sql, bounds).await.map(drop)
    }

    /// Forgets a request that was begun, so that it can be tried again under the same key.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn forget_request(&self, token: &str, key: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM answered_requests WHERE token = $1 AND request_key = $2";
        let bounds = vec![Bound::Text(token.into()), Bound::Text(key.into())];
        sql::execute(&mut *self.writing().await?, sql, bounds).await.map(drop)
    }
}

async fn before(
    conn: &mut sqlx::AnyConnection,
    token: &str,
    key: &str,
    hash: &str,
) -> Result<BeginRequest, StoreError> {
    let sql = "SELECT request_hash, status, body FROM answered_requests WHERE token = $1 AND request_key = $2";
    let rows = sql::fetch(conn, sql, vec![Bound::Text(token.into()), Bound::Text(key.into())]).await?;
    let known = |row: &AnyRow| -> Result<BeginRequest, StoreError> {
        if row.text("request_hash")? != hash {
            return Ok(BeginRequest::OtherRequest);
        }
        Ok(match row.maybe_whole("status")? {
            Some(status) => {
                BeginRequest::Answered(Answered { status, body: row.maybe_text("body")?.unwrap_or_default() })
            }
            None => BeginRequest::UnderWay,
        })
    };
    rows.first().map_or(Ok(BeginRequest::UnderWay), known)
}

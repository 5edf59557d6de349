//! May a request go to this account now? The gate that a 429 closes, for every worker and command.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::sql::{self, Bound, Columns, Dialect, Kind};
use super::{Store, StoreError};

impl Store {
    /// How long an account is to be left alone from now on; `None` when a request may go out.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn gate(&self, account: &str) -> Result<Option<Duration>, StoreError> {
        let (mut conn, now) = self.conn_at().await?;
        let until = gates(&mut conn, HashSet::from([account])).await?.remove(account);
        let wait = until.and_then(|until| u64::try_from(until - now).ok()).filter(|ms| *ms > 0);
        Ok(wait.map(Duration::from_millis))
    }

    /// Has an account left alone for `wait` from now.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn close_gate(&self, account: &str, wait: Duration) -> Result<(), StoreError> {
        let (mut conn, now) = self.conn_at().await?;
        close_gate(&mut conn, now, account, wait).await
    }
}

/// When the gate of each account opens, in milliseconds on the store's clock; accounts never gated are left out.
pub(super) async fn gates(
    conn: &mut AnyConnection,
    accounts: HashSet<&str>,
) -> Result<HashMap<String, i64>, StoreError> {
    let wanted: Vec<Value> = accounts.into_iter().map(|a| json!({"account": a})).collect();
    let sql = format!(
        "SELECT a.account, a.gate_until FROM accounts a JOIN {} ON a.account = r.account \
         WHERE a.gate_until IS NOT NULL",
        Dialect::of(conn).rows(&[("account", Kind::Text)])
    );
    let rows = sql::fetch(conn, sql, vec![Bound::from(wanted.as_slice())]).await?;
    rows.iter().map(|row| Ok((row.text("account")?, row.int("gate_until")?))).collect()
}

/// Closes a gate for `wait` from now; a gate is never opened earlier than it was closed for.
pub(super) async fn close_gate(
    conn: &mut AnyConnection,
    now: i64,
    account: &str,
    wait: Duration,
) -> Result<(), StoreError> {
    let until = now.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
    let sql = "INSERT INTO accounts (account, gate_until, gate_set_at) VALUES ($1, $2, $3) \
               ON CONFLICT (account) DO UPDATE SET gate_set_at = excluded.gate_set_at, gate_until = \
               CASE WHEN accounts.gate_until > excluded.gate_until THEN accounts.gate_until \
               ELSE excluded.gate_until END";
    sql::execute(conn, sql, vec![Bound::Text(account.into()), Bound::Int(until), Bound::Int(now)]).await?;
    Ok(())
}

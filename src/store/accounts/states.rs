//! Reads and stores what is known of accounts, within one transaction.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::super::ledger::KnownIds;
use super::super::sql::{self, Bound, Columns, Dialect, Kind};
use super::super::{StoreError, UnreadableRow};
use super::overrides::order;
use super::{AccountObservation, LaneOverride};
use crate::account::Throttle;

/// What is known of some accounts, as of one moment; the decisions on it are pure.
#[derive(Debug, Default)]
pub(in crate::store) struct AccountStates {
    pub(super) now: i64,
    pub(super) accounts: BTreeSet<String>,
    pub(super) throttles: BTreeMap<String, Throttle>,
    /// Accounts of which the throttle cannot be read: nothing is sent to them, and nothing is stored of them.
    pub(super) unreadable: BTreeMap<String, UnreadableRow>,
    pub(super) changed: BTreeSet<String>,
    /// Requests in flight, by account and tenant.
    pub(super) under_way: HashMap<(String, String), u32>,
    /// The highest id of a case, by account.
    pub(super) highest: HashMap<String, u64>,
    pub(super) orders: Vec<LaneOverride>,
}

impl AccountStates {
    /// What is known now; it can be otherwise at once.
    pub(super) async fn read(conn: &mut AnyConnection, now: i64, accounts: BTreeSet<&str>) -> Result<Self, StoreError> {
        let (throttles, unreadable) = throttles(conn, &rows_of(&accounts), "").await?;
        let accounts = accounts.into_iter().map(str::to_owned).collect();
        let mut known = Self { accounts, throttles, unreadable, ..Self::default() };
        known.count(conn, now).await?;
        Ok(known)
    }

    /// The throttles of accounts alone, as they are now.
    pub(super) async fn throttles_of(conn: &mut AnyConnection, accounts: BTreeSet<&str>) -> Result<Self, StoreError> {
        let (throttles, unreadable) = throttles(conn, &rows_of(&accounts), "").await?;
        Ok(Self { throttles, unreadable, ..Self::default() })
    }

    /// Returns whether observations would change anything: mostly an account works, and goes on doing so.
    pub(in crate::store) async fn is_news(
        conn: &mut AnyConnection,
        now: i64,
        observations: &[&AccountObservation],
    ) -> Result<bool, StoreError> {
        if observations.is_empty() {
            return Ok(false);
        }
        let accounts = observations.iter().map(|observation| observation.account.as_str()).collect();
        let (throttles, unreadable) = throttles(conn, &rows_of(&accounts), "").await?;
        let mut known = Self { throttles, unreadable, ..Self::default() };
        observations.iter().for_each(|observation| known.observe(observation, now));
        Ok(!known.changed.is_empty())
    }

    /// The throttles of accounts, which stay as they are until the transaction ends: replicas that share the store take
    /// turns, so that no two count requests in flight at the same time.
    pub(in crate::store) async fn keep(conn: &mut AnyConnection, accounts: BTreeSet<&str>) -> Result<Self, StoreError> {
        let (dialect, rows) = (Dialect::of(conn), rows_of(&accounts));
        let kept = dialect.keep();
        let (mut kept_throttles, mut unreadable) = throttles(conn, &rows, kept).await?;
        if dialect.is_shared() && kept_throttles.len() + unreadable.len() < accounts.len() {
            let sql = format!(
                "INSERT INTO accounts (account) SELECT r.account FROM {} ORDER BY r.account COLLATE \"C\" \
                 ON CONFLICT (account) DO NOTHING",
                dialect.rows(&[("account", Kind::Text)])
            );
            sql::execute(conn, sql, vec![Bound::from(rows.as_slice())]).await?;
            (kept_throttles, unreadable) = throttles(conn, &rows, kept).await?;
        }
        let accounts = accounts.into_iter().map(str::to_owned).collect();
        Ok(Self { accounts, throttles: kept_throttles, unreadable, ..Self::default() })
    }

    /// Counts requests in flight, and reads what operators have ordered. A tenant that is being removed is paused, too.
    pub(in crate::store) async fn count(&mut self, conn: &mut AnyConnection, now: i64) -> Result<(), StoreError> {
        let sql = format!(
            "SELECT p.account AS kind, p.tenant_id AS name, COUNT(*) AS n, 0 AS paused, NULL AS most, \
             CAST(NULL AS BIGINT) AS highest \
             FROM {rows} JOIN pushes p ON p.account = r.account WHERE p.ended_at IS NULL AND p.lease_until > $2 \
             GROUP BY p.account, p.tenant_id \
             UNION ALL SELECT kind, name, 0, paused, most, NULL FROM lane_orders \
             UNION ALL SELECT 'tenant', tenant_id, 0, 1, NULL, NULL FROM connections WHERE removing_until > $2 \
             UNION ALL SELECT r.account, '', 0, 0, NULL, \
             (SELECT MAX(p.last_id) FROM pushes p WHERE p.account = r.account) FROM {rows}",
            rows = Dialect::of(conn).rows(&[("account", Kind::Text)])
        );
        let accounts = rows_of(&self.accounts.iter().map(String::as_str).collect());
        self.now = now;
        for row in sql::fetch(conn, sql, vec![Bound::from(accounts.as_slice()), Bound::Int(now)]).await? {
            match (row.whole("n")?, row.maybe_whole("highest")?) {
                (0, Some(highest)) => drop(self.highest.insert(row.text("kind")?, highest)),
                (0, None) if row.text("name")?.is_empty() => {}
                // An order that this version does not know is carried out by the one that does.
                (0, None) => self.orders.extend(order(&row).ok()),
                (n, _) => drop(self.under_way.insert((row.text("kind")?, row.text("name")?), n)),
            }
        }
        Ok(())
    }

    pub(super) fn throttle(&self, account: &str) -> Throttle {
        self.throttles.get(account).cloned().unwrap_or_default()
    }

    pub(super) fn readable(&self, account: &str) -> Result<(), StoreError> {
        self.unreadable(account).map_or(Ok(()), |row| Err(StoreError::Unreadable(row.clone())))
    }

    /// The row of an account that cannot be read.
    pub(in crate::store) fn unreadable(&self, account: &str) -> Option<&UnreadableRow> {
        self.unreadable.get(account)
    }

    /// What is known of the ids of an account's cases.
    pub(in crate::store) fn ids(&self, account: &str) -> KnownIds {
        let highest = self.highest.get(account).copied();
        KnownIds { highest, disordered: self.throttles.get(account).is_some_and(|throttle| throttle.ids_disordered) }
    }

    /// Stores what was changed.
    pub(in crate::store) async fn store(&mut self, conn: &mut AnyConnection) -> Result<(), StoreError> {
        let row = |account: &String| json!({"account": account, "pace": json!(self.throttle(account)).to_string()});
        let rows: Vec<Value> = self.changed.iter().map(row).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "INSERT INTO accounts (account, pace) SELECT account, pace FROM {} WHERE true \
             ON CONFLICT (account) DO UPDATE SET pace = excluded.pace",
            Dialect::of(conn).rows(&[("account", Kind::Text), ("pace", Kind::Text)])
        );
        sql::execute(conn, sql, vec![Bound::from(rows.as_slice())]).await?;
        self.changed.clear();
        Ok(())
    }
}

fn rows_of(accounts: &BTreeSet<&str>) -> Vec<Value> {
    accounts.iter().map(|account| json!({"account": account})).collect()
}

/// The throttles of accounts, and those of them that cannot be read.
type ReadThrottles = (BTreeMap<String, Throttle>, BTreeMap<String, UnreadableRow>);

async fn throttles(conn: &mut AnyConnection, rows: &[Value], kept: &str) -> Result<ReadThrottles, StoreError> {
    let sql = format!(
        "SELECT a.account, a.pace FROM accounts a JOIN {} ON a.account = r.account ORDER BY a.account {kept}",
        Dialect::of(conn).rows(&[("account", Kind::Text)])
    );
    let rows = sql::fetch(conn, sql, vec![Bound::from(rows)]).await?;
    let (mut throttles, mut unreadable) = (BTreeMap::new(), BTreeMap::new());
    for row in &rows {
        let account = row.text("account")?;
        match row.json("pace").map_err(|error| error.in_row("accounts", || account.clone())) {
            Ok(throttle) => drop(throttles.insert(account, throttle)),
            Err(StoreError::Unreadable(row)) => drop(unreadable.insert(account, row)),
            Err(error) => return Err(error),
        }
    }
    Ok((throttles, unreadable))
}

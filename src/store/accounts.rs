//! What may be sent to an account now? Its throttle and what people ordered, shared by every worker and command.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::ledger::KnownIds;
use super::sql::{self, Bound, Columns, Dialect, Kind, Transaction};
use super::{Store, StoreError, UnreadableRow};
use crate::account::{Permission, Signal, Throttle};
use crate::batch::TenantId;

/// What a request told of its account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountObservation {
    /// The account.
    pub account: String,
    /// What it told.
    pub signal: Signal,
    /// How many requests at once are configured for it.
    pub ceiling: u32,
}

/// Leave to send one request that creates nothing; times are milliseconds on the store's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// It may be sent.
    Granted,
    /// Not for so long.
    Wait(Pause),
    /// The circuit breaker is open, and the caller alone may find out whether the account is well again.
    Probe,
    /// A person has paused the account or the tenant.
    Paused,
}

/// Why nothing is sent to an account, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// For so long from now on.
    pub wait: Duration,
    /// Whether the circuit breaker is open; else the account has asked for the pause.
    pub broken: bool,
}

/// What a person ordered for a tenant or an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneOverride {
    /// For whom.
    pub lane: LaneSelector,
    /// Whether nothing is sent.
    pub paused: bool,
    /// The most requests at once, by all workers.
    pub most: Option<u32>,
}

/// Whom an order is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LaneSelector {
    /// One tenant.
    Tenant(TenantId),
    /// Every tenant of an account, by its canonical origin.
    Account(String),
}

impl Pause {
    fn until(until: i64, now: i64, broken: bool) -> Self {
        Self { wait: Duration::from_millis(u64::try_from(until - now).unwrap_or(0)), broken }
    }
}

impl LaneSelector {
    fn kind(&self) -> &'static str {
        match self {
            Self::Tenant(_) => "tenant",
            Self::Account(_) => "account",
        }
    }

    /// The tenant's or the account's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Tenant(tenant) => tenant.as_str(),
            Self::Account(account) => account,
        }
    }
}

impl Store {
    /// Asks for leave to send a request that creates nothing to an account, for a tenant, or by order of a person whom
    /// no pause of a tenant stops; a probe has to be over within `lease`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn permit(
        &self,
        account: &str,
        tenant: Option<&TenantId>,
        lease: Duration,
    ) -> Result<Permit, StoreError> {
        let (mut conn, now) = self.reading_at().await?;
        let known = Known::read(&mut conn, now, BTreeSet::from([account])).await?;
        self.unreadable.noted(known.readable(account))?;
        if tenant.is_some_and(|tenant| known.is_paused(account, tenant)) {
            return Ok(Permit::Paused);
        }
        let wait = |until, broken| Permit::Wait(Pause::until(until, now, broken));
        match known.throttle(account).permission(now, 1) {
            Permission::Granted { .. } => Ok(Permit::Granted),
            Permission::Gated { until } => Ok(wait(until, false)),
            Permission::Broken { until } if until > now => Ok(wait(until, true)),
            Permission::Broken { .. } => {
                drop(conn);
                self.take_probe(account, lease).await
            }
        }
    }

    async fn take_probe(&self, account: &str, lease: Duration) -> Result<Permit, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let mut known = Known::keep(transaction.conn()?, BTreeSet::from([account])).await?;
        known.readable(account)?;
        let taken = known.take_probe(account, now, lease);
        known.store(transaction.conn()?).await?;
        transaction.commit().await?;
        Ok(if taken { Permit::Probe } else { Permit::Wait(Pause { wait: lease, broken: true }) })
    }

    /// How an account stands.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn throttle(&self, account: &str) -> Result<Throttle, StoreError> {
        let (mut conn, now) = self.reading_at().await?;
        let known = Known::read(&mut conn, now, BTreeSet::from([account])).await?;
        self.unreadable.noted(known.readable(account))?;
        Ok(known.throttle(account))
    }

    /// Everything that people have ordered.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn lane_overrides(&self) -> Result<Vec<LaneOverride>, StoreError> {
        let rows = lane_overrides(&mut *self.reading().await?).await?;
        self.unreadable.skip(rows.iter().map(order))
    }

    /// Keeps an order in place of the one before; one that asks for nothing is forgotten. What was put on the shelf
    /// because of a pause that is over is due at once.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn set_lane_override(&self, order: &LaneOverride) -> Result<(), StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let conn = transaction.conn()?;
        let lane = || vec![Bound::Text(order.lane.kind().into()), Bound::Text(order.lane.name().into())];
        if !order.paused && order.most.is_none() {
            sql::execute(conn, "DELETE FROM lane_orders WHERE kind = $1 AND name = $2", lane()).await?;
        } else {
            let ordered = [Bound::Int(i64::from(order.paused)), Bound::MaybeInt(order.most.map(i64::from))];
            let sql = "INSERT INTO lane_orders (kind, name, paused, most) VALUES ($1, $2, $3, $4) \
                       ON CONFLICT (kind, name) DO UPDATE SET paused = excluded.paused, most = excluded.most";
            sql::execute(conn, sql, lane().into_iter().chain(ordered).collect()).await?;
        }
        // After the order is changed: whoever shelves something over a pause keeps orders as they are until it is stored.
        if !order.paused {
            let sql = "UPDATE shelf SET due_at = $3 WHERE state = 'parked' AND reason = 'paused' \
                       AND (($1 = 'tenant' AND tenant_id = $2) OR ($1 = 'account' AND account = $2))";
            sql::execute(conn, sql, lane().into_iter().chain([Bound::Int(now)]).collect()).await?;
        }
        transaction.commit().await
    }
}

/// Where replicas share the store: keeps orders as they are until the transaction ends.
pub(super) async fn keep_orders(conn: &mut AnyConnection) -> Result<(), StoreError> {
    let dialect = Dialect::of(conn);
    if dialect.is_shared() {
        let sql = format!("SELECT 1 FROM lane_orders ORDER BY kind, name {}", dialect.keep());
        sql::execute(conn, sql, vec![]).await?;
    }
    Ok(())
}

/// Whether a person has paused a tenant or an account.
pub(super) async fn is_paused(
    conn: &mut AnyConnection,
    tenant: Option<&TenantId>,
    account: Option<&str>,
) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM lane_orders WHERE paused = 1 AND ((kind = 'tenant' AND name = $1) \
               OR (kind = 'account' AND name = $2))";
    let bounds = vec![Bound::MaybeText(tenant.map(|t| t.as_str().into())), Bound::MaybeText(account.map(Into::into))];
    Ok(!sql::fetch(conn, sql, bounds).await?.is_empty())
}

async fn lane_overrides(conn: &mut AnyConnection) -> Result<Vec<AnyRow>, StoreError> {
    sql::fetch(conn, "SELECT * FROM lane_orders ORDER BY kind, name", vec![]).await
}

fn order(row: &AnyRow) -> Result<LaneOverride, StoreError> {
    let part = |name: &str| row.text(name).unwrap_or_else(|_| "?".into());
    lane_order(row).map_err(|error| error.in_row("lane_orders", || format!("{} {}", part("kind"), part("name"))))
}

fn lane_order(row: &AnyRow) -> Result<LaneOverride, StoreError> {
    let lane = match row.text("kind")?.as_str() {
        "tenant" => LaneSelector::Tenant(row.parsed("name")?),
        "account" => LaneSelector::Account(row.text("name")?),
        _ => return Err(StoreError::malformed("kind")),
    };
    let most = row.maybe_int("most")?.map(|most| u32::try_from(most).unwrap_or(u32::MAX));
    Ok(LaneOverride { lane, paused: row.int("paused")? != 0, most })
}

/// What is known of some accounts, as of one moment; the decisions on it are pure.
#[derive(Debug, Default)]
pub(super) struct Known {
    now: i64,
    accounts: BTreeSet<String>,
    throttles: BTreeMap<String, Throttle>,
    /// Accounts of which the throttle cannot be read: nothing is sent to them, and nothing is stored of them.
    unreadable: BTreeMap<String, UnreadableRow>,
    changed: BTreeSet<String>,
    /// Requests under way, by account and tenant.
    under_way: HashMap<(String, String), u32>,
    /// The highest id of a case, by account.
    highest: HashMap<String, u64>,
    orders: Vec<LaneOverride>,
}

impl Known {
    /// What is known now; it can be otherwise at once.
    async fn read(conn: &mut AnyConnection, now: i64, accounts: BTreeSet<&str>) -> Result<Self, StoreError> {
        let (throttles, unreadable) = throttles(conn, &rows_of(&accounts), "").await?;
        let accounts = accounts.into_iter().map(str::to_owned).collect();
        let mut known = Self { accounts, throttles, unreadable, ..Self::default() };
        known.count(conn, now).await?;
        Ok(known)
    }

    /// Whether anything would be stored of what requests told: mostly an account is well, and stays so.
    pub(super) async fn is_news(
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
    /// turns, so that no two count what is under way at the same time.
    pub(super) async fn keep(conn: &mut AnyConnection, accounts: BTreeSet<&str>) -> Result<Self, StoreError> {
        let (dialect, rows) = (Dialect::of(conn), rows_of(&accounts));
        let kept = dialect.keep();
        let (mut kept_paces, mut unreadable) = throttles(conn, &rows, kept).await?;
        if dialect.is_shared() && kept_paces.len() + unreadable.len() < accounts.len() {
            let sql = format!(
                "INSERT INTO accounts (account) SELECT r.account FROM {} ORDER BY r.account COLLATE \"C\" \
                 ON CONFLICT (account) DO NOTHING",
                dialect.rows(&[("account", Kind::Text)])
            );
            sql::execute(conn, sql, vec![Bound::from(rows.as_slice())]).await?;
            (kept_paces, unreadable) = throttles(conn, &rows, kept).await?;
        }
        let accounts = accounts.into_iter().map(str::to_owned).collect();
        Ok(Self { accounts, throttles: kept_paces, unreadable, ..Self::default() })
    }

    /// Counts what is under way, and reads what people have ordered. A tenant that a person may remove is paused, too.
    pub(super) async fn count(&mut self, conn: &mut AnyConnection, now: i64) -> Result<(), StoreError> {
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

    fn throttle(&self, account: &str) -> Throttle {
        self.throttles.get(account).cloned().unwrap_or_default()
    }

    fn readable(&self, account: &str) -> Result<(), StoreError> {
        self.unreadable(account).map_or(Ok(()), |row| Err(StoreError::Unreadable(row.clone())))
    }

    /// The row of an account that cannot be read.
    pub(super) fn unreadable(&self, account: &str) -> Option<&UnreadableRow> {
        self.unreadable.get(account)
    }

    /// What is known of the ids of an account's cases.
    pub(super) fn ids(&self, account: &str) -> KnownIds {
        let highest = self.highest.get(account).copied();
        KnownIds { highest, disordered: self.throttles.get(account).is_some_and(|throttle| throttle.ids_disordered) }
    }

    fn orders_for<'a>(&'a self, account: &'a str, tenant: &'a TenantId) -> impl Iterator<Item = &'a LaneOverride> {
        self.orders.iter().filter(move |order| match &order.lane {
            LaneSelector::Tenant(of) => of == tenant,
            LaneSelector::Account(of) => of == account,
        })
    }

    fn is_paused(&self, account: &str, tenant: &TenantId) -> bool {
        self.orders_for(account, tenant).any(|order| order.paused)
    }

    /// Leave for one more request that creates cases, which counts as under way from then on.
    pub(super) fn ask(&mut self, account: &str, tenant: &TenantId, ceiling: u32, lease: Duration) -> Answer {
        if self.is_paused(account, tenant) {
            return Answer::Paused;
        }
        let limit = match self.throttle(account).permission(self.now, ceiling) {
            Permission::Granted { limit } => limit,
            Permission::Gated { until } => return Answer::Wait(Pause::until(until, self.now, false)),
            Permission::Broken { until } if until > self.now => {
                return Answer::Wait(Pause::until(until, self.now, true));
            }
            Permission::Broken { .. } => {
                let taken = self.take_probe(account, self.now, lease);
                let until = self.throttle(account).breaker_until.unwrap_or(self.now);
                return if taken { Answer::Probe } else { Answer::Wait(Pause::until(until, self.now, true)) };
            }
        };
        let of_tenant = |known: &Self| {
            let key = (account.to_owned(), tenant.as_str().to_owned());
            known.under_way.get(&key).copied().unwrap_or(0)
        };
        let of_account: u32 = self.under_way.iter().filter(|((of, _), _)| of == account).map(|(_, n)| n).sum();
        let full = self.orders_for(account, tenant).any(|order| match &order.lane {
            LaneSelector::Tenant(_) => order.most.is_some_and(|most| of_tenant(self) >= most),
            LaneSelector::Account(_) => order.most.is_some_and(|most| of_account >= most),
        });
        if full || of_account >= limit {
            return Answer::Full { limit };
        }
        *self.under_way.entry((account.to_owned(), tenant.as_str().to_owned())).or_default() += 1;
        Answer::Granted { limit }
    }

    fn take_probe(&mut self, account: &str, now: i64, lease: Duration) -> bool {
        let mut throttle = self.throttle(account);
        let taken = throttle.take_probe(now, lease);
        if taken {
            self.set(account, throttle);
        }
        taken
    }

    /// Takes in what requests told.
    pub(super) fn observe(&mut self, observation: &AccountObservation, now: i64) {
        if self.unreadable.contains_key(&observation.account) {
            return;
        }
        let mut throttle = self.throttle(&observation.account);
        if throttle.observe(observation.signal, now, observation.ceiling) {
            self.set(&observation.account, throttle);
        }
    }

    fn set(&mut self, account: &str, throttle: Throttle) {
        self.throttles.insert(account.to_owned(), throttle);
        self.changed.insert(account.to_owned());
    }

    /// Stores what was changed.
    pub(super) async fn store(&mut self, conn: &mut AnyConnection) -> Result<(), StoreError> {
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

/// The answer to a wish to send a request that creates cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Granted { limit: u32 },
    Full { limit: u32 },
    Wait(Pause),
    Probe,
    Paused,
}

fn rows_of(accounts: &BTreeSet<&str>) -> Vec<Value> {
    accounts.iter().map(|account| json!({"account": account})).collect()
}

/// The throttles of accounts, and those of them that cannot be read.
type Paces = (BTreeMap<String, Throttle>, BTreeMap<String, UnreadableRow>);

async fn throttles(conn: &mut AnyConnection, rows: &[Value], kept: &str) -> Result<Paces, StoreError> {
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

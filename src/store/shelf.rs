//! Which batches are not to be worked on now? Parked until something, or dead until someone replays them.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::sql::{self, Bound, Columns, Dialect, Transaction};
use super::{Store, StoreError, accounts};
use crate::batch::{BatchId, BatchKey, Reason, TenantId};

/// What is put onto the shelf.
#[derive(Clone, Debug)]
pub struct Shelving {
    /// What it is: a batch by tenant, id and fingerprint, or unreadable bytes by their hash.
    pub identity: Identity,
    /// Why it is there.
    pub reason: Reason,
    /// More about the reason.
    pub detail: Option<String>,
    /// What it waits for.
    pub until: Until,
    /// The account it goes to, where known.
    pub account: Option<String>,
    /// The connection version that failed, where one was used.
    pub connection: Option<String>,
    /// How often it was parked while failing.
    pub parks: u32,
    /// Since when it has been failing, in milliseconds on the store's clock.
    pub failing_since: Option<i64>,
    /// When it first arrived, likewise; it comes back in this order.
    pub arrived_at: i64,
    /// When it was published, in milliseconds since 1970, where known.
    pub published_at: Option<i64>,
    /// Its headers, of those that are kept.
    pub headers: BTreeMap<String, String>,
    /// The message's bytes.
    pub body: Vec<u8>,
}

/// What makes two shelvings the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// A batch that could be read.
    Batch(BatchKey, String),
    /// Bytes whose batch must not be touched: unreadable, in conflict; with what is known of whose they are.
    Raw(String, Option<TenantId>, Option<BatchId>),
}

/// What a shelved batch waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// A time from now.
    After(Duration),
    /// A verified connection other than the one that failed, or that one verified again.
    Connection,
    /// A person.
    Person,
}

/// A batch on the shelf.
#[derive(Clone, Debug)]
pub struct Shelved {
    /// Its id on the shelf.
    pub id: ShelfId,
    /// Counts how often it was put or taken.
    pub generation: i64,
    /// Whether it comes back by itself.
    pub state: ShelfState,
    /// Everything that was put.
    pub content: Shelving,
    /// When it is due, in milliseconds on the store's clock.
    pub due_at: i64,
    /// When it was put there, likewise.
    pub shelved_at: i64,
    /// Whether a worker has it in hand.
    pub leased: bool,
}

impl Shelved {
    /// Whose it is, as far as known.
    pub fn tenant(&self) -> Option<&TenantId> {
        match &self.content.identity {
            Identity::Batch(key, _) => Some(&key.tenant),
            Identity::Raw(_, tenant, _) => tenant.as_ref(),
        }
    }
}

/// An id on the shelf: printed as eight hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShelfId(pub i64);

impl std::fmt::Display for ShelfId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl std::str::FromStr for ShelfId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        i64::from_str_radix(text, 16)
            .map(Self)
            .map_err(|_| format!("`{text}` is not an id as `shelf list` prints them"))
    }
}

/// Whether something on the shelf comes back by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShelfState {
    /// It does, when it is due.
    Parked,
    /// Only when someone replays it.
    Dead,
}

impl ShelfState {
    /// The word that the store and people use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parked => "parked",
            Self::Dead => "dead",
        }
    }
}

impl std::str::FromStr for ShelfState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "parked" => Ok(Self::Parked),
            "dead" => Ok(Self::Dead),
            _ => Err(format!("`{text}` is neither parked nor dead")),
        }
    }
}

/// A tenant with parked batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The tenant.
    pub tenant: TenantId,
    /// The account of its present connection.
    pub account: Option<String>,
    /// Whether some of them are due.
    pub is_due: bool,
    /// Whether some of them wait for room, so that newer ones have to queue behind them.
    pub is_skimmed: bool,
}

/// How many are on the shelf for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShelfCount {
    /// Whether they come back by themselves.
    pub state: ShelfState,
    /// Why they are there.
    pub reason: Reason,
    /// How many.
    pub count: i64,
}

/// Which rows of the shelf are meant; a part left empty means all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Those of a tenant.
    pub tenant: Option<TenantId>,
    /// Those there for a reason.
    pub reason: Option<Reason>,
    /// Those in a state.
    pub state: Option<ShelfState>,
    /// Those of a batch, together with its tenant.
    pub batch: Option<BatchId>,
    /// Those put there at or after a time, in milliseconds on the store's clock.
    pub since: Option<i64>,
    /// Those put there before a time, likewise.
    pub until: Option<i64>,
}

/// What a person wants of a row that nobody has in hand and that is as the person saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByHand {
    /// Which row.
    pub id: ShelfId,
    /// Its generation.
    pub generation: i64,
    /// What is wanted.
    pub wish: Wish,
}

/// What can be wanted of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// That it comes back at once, with all its patience.
    Replay,
    /// That it goes.
    Discard,
}

/// What is due at `$1` and in nobody's hand. A tenant without a verified connection has nothing that it mends.
const DUE: &str = "shelf.state = 'parked' AND shelf.reason <> 'suspect' \
    AND (shelf.lease_until IS NULL OR shelf.lease_until <= $1) \
    AND ((shelf.waits_for = 'time' AND shelf.due_at <= $1) OR (shelf.waits_for = 'connection' \
    AND EXISTS (SELECT 1 FROM connections c WHERE c.tenant_id = shelf.tenant_id AND c.verified_version = c.version \
    AND (shelf.connection IS NULL OR c.version <> shelf.connection OR c.verified_at > shelf.shelved_at))))";

/// What is shelved over a pause that is over comes back so soon.
const PAUSE_IS_OVER_MS: i64 = 5_000;

/// What replicas take turns at when they lease a suspect.
const SUSPECTS: i64 = 0x0073_7573_7065_6374;

impl Store {
    /// Tenants with parked batches, those first that have waited longest, at most `most` of them.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn due(&self, most: u32) -> Result<Vec<Due>, StoreError> {
        let (mut conn, now) = self.reading_at().await?;
        // Walks from tenant to tenant by the index, whatever the number of their batches.
        let sql = format!(
            "WITH RECURSIVE parked(tenant) AS (\
             SELECT MIN(tenant_id) FROM shelf WHERE state = 'parked' \
             UNION ALL SELECT (SELECT MIN(s.tenant_id) FROM shelf s WHERE s.state = 'parked' \
             AND s.tenant_id > parked.tenant) FROM parked WHERE parked.tenant IS NOT NULL) \
             SELECT p.tenant, c.origin, \
             CASE WHEN EXISTS (SELECT 1 FROM shelf WHERE shelf.tenant_id = p.tenant AND {DUE}) THEN 1 ELSE 0 END \
             AS is_due, \
             CASE WHEN EXISTS (SELECT 1 FROM shelf WHERE shelf.tenant_id = p.tenant AND state = 'parked' \
             AND reason IN ('no_room', 'throttled', 'paused')) THEN 1 ELSE 0 END AS is_skimmed, \
             (SELECT MIN(arrived_at) FROM shelf WHERE shelf.tenant_id = p.tenant AND state = 'parked') AS since \
             FROM parked p LEFT JOIN connections c ON c.tenant_id = p.tenant WHERE p.tenant IS NOT NULL \
             ORDER BY since, p.tenant LIMIT $2"
        );
        let rows = sql::fetch(&mut conn, sql, vec![Bound::Int(now), Bound::Int(i64::from(most))]).await?;
        let due = |row: &AnyRow| {
            Ok(Due {
                tenant: row.parsed("tenant")?,
                account: row.maybe_text("origin")?,
                is_due: row.int("is_due")? != 0,
                is_skimmed: row.int("is_skimmed")? != 0,
            })
        };
        rows.iter().map(due).collect()
    }

    /// Leases parked batches that are due to `holder`: of each tenant at most as many as asked for, in order of
    /// arrival.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn lease_due(
        &self,
        holder: &str,
        lease: Duration,
        asks: &[(TenantId, u32)],
    ) -> Result<Vec<Shelved>, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let until = now.saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX));
        let conn = transaction.conn()?;
        let sql = format!(
            "WITH due AS MATERIALIZED (SELECT id AS due_id FROM shelf WHERE tenant_id = $4 AND {DUE} \
             ORDER BY arrived_at, id LIMIT $5 {}) \
             UPDATE shelf SET lease_until = $2, holder = $3, generation = generation + 1 \
             FROM due WHERE id = due_id RETURNING *",
            Dialect::of(conn).skip_taken()
        );
        let mut leased: Vec<Shelved> = Vec::new();
        for (tenant, most) in asks {
            let bounds = vec![
                Bound::Int(now),
                Bound::Int(until),
                Bound::Text(holder.into()),
                Bound::Text(tenant.as_str().into()),
                Bound::Int(i64::from(*most)),
            ];
            let rows = sql::fetch(conn, sql.clone(), bounds).await?;
            for row in &rows {
                leased.push(shelved(row, now)?);
            }
        }
        transaction.commit().await?;
        leased.sort_by_key(|s| (s.content.arrived_at, s.id));
        Ok(leased)
    }

    /// Leases one suspect, if no other one is in anybody's hand; its `parks` count how often it was tried alone.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn lease_suspect(&self, holder: &str, lease: Duration) -> Result<Option<Shelved>, StoreError> {
        let waiting = "SELECT 1 FROM shelf WHERE state = 'parked' AND reason = 'suspect' LIMIT 1";
        if sql::fetch(&mut *self.reading().await?, waiting, vec![]).await?.is_empty() {
            return Ok(None);
        }
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let until = now.saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX));
        let sql = "UPDATE shelf SET lease_until = $1, holder = $2, generation = generation + 1, parks = parks + 1 \
                   WHERE id = (SELECT id FROM shelf WHERE state = 'parked' AND reason = 'suspect' \
                   AND NOT EXISTS (SELECT 1 FROM shelf s WHERE s.reason = 'suspect' AND s.lease_until > $3) \
                   ORDER BY arrived_at, id LIMIT 1) RETURNING *";
        let bounds = vec![Bound::Int(until), Bound::Text(holder.into()), Bound::Int(now)];
        sql::take_turns(transaction.conn()?, SUSPECTS).await?;
        let rows = sql::fetch(transaction.conn()?, sql, bounds).await?;
        transaction.commit().await?;
        rows.first().map(|row| shelved(row, now)).transpose()
    }

    /// Takes back every lease of workers before this one, which the lock on the file shows to be gone.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn reclaim_leases(&self) -> Result<u64, StoreError> {
        let mut conn = self.writing().await?;
        let sql = "UPDATE shelf SET lease_until = NULL, holder = NULL WHERE lease_until IS NOT NULL";
        sql::execute(&mut conn, sql, vec![]).await
    }

    /// Gives back what was leased but not started; a suspect was not tried then.
    ///
    /// # Errors
    /// When the store does not answer; the leases then run out.
    pub async fn release(&self, leases: &[(ShelfId, i64)]) -> Result<(), StoreError> {
        let mut conn = self.writing().await?;
        for (id, generation) in leases {
            let sql = "UPDATE shelf SET lease_until = NULL, holder = NULL, \
                       parks = CASE WHEN reason = 'suspect' AND parks > 0 AND lease_until IS NOT NULL THEN parks - 1 \
                       ELSE parks END WHERE id = $1 AND generation = $2";
            sql::execute(&mut conn, sql, vec![Bound::Int(id.0), Bound::Int(*generation)]).await?;
        }
        Ok(())
    }

    /// What is on the shelf, oldest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn shelf(&self, filter: &Filter, most: u32) -> Result<Vec<Shelved>, StoreError> {
        let rows = self.matching("*", filter, most).await?;
        rows.iter().map(|row| shelved(row, self.now())).collect()
    }

    /// The ids of what is on the shelf, oldest first: to take the rows one by one, whose messages may be large.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn shelf_ids(&self, filter: &Filter) -> Result<Vec<ShelfId>, StoreError> {
        let rows = self.matching("id", filter, u32::MAX).await?;
        rows.iter().map(|row| row.int("id").map(ShelfId)).collect()
    }

    async fn matching(&self, columns: &str, filter: &Filter, most: u32) -> Result<Vec<AnyRow>, StoreError> {
        let sql = format!(
            "SELECT {columns} FROM shelf WHERE ($1 IS NULL OR tenant_id = $1) AND ($2 IS NULL OR reason = $2) \
             AND ($3 IS NULL OR state = $3) AND ($4 IS NULL OR batch_id = $4) AND ($5 IS NULL OR shelved_at >= $5) \
             AND ($6 IS NULL OR shelved_at < $6) ORDER BY arrived_at, id LIMIT $7"
        );
        let bounds = vec![
            Bound::MaybeText(filter.tenant.as_ref().map(|t| t.as_str().to_owned())),
            Bound::MaybeText(filter.reason.map(|r| r.code().to_owned())),
            Bound::MaybeText(filter.state.map(|s| s.name().to_owned())),
            Bound::MaybeText(filter.batch.as_ref().map(|b| b.as_str().to_owned())),
            Bound::MaybeInt(filter.since),
            Bound::MaybeInt(filter.until),
            Bound::Int(i64::from(most)),
        ];
        let mut conn = self.reading().await?;
        sql::fetch(&mut conn, sql, bounds).await
    }

    /// One row of the shelf.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn shelved(&self, id: ShelfId) -> Result<Option<Shelved>, StoreError> {
        let mut conn = self.reading().await?;
        let rows = sql::fetch(&mut conn, "SELECT * FROM shelf WHERE id = $1", vec![Bound::Int(id.0)]).await?;
        rows.first().map(|row| shelved(row, self.now())).transpose()
    }

    /// How many are on the shelf, by state and reason.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn shelf_counts(&self) -> Result<Vec<ShelfCount>, StoreError> {
        let sql = "SELECT state, reason, COUNT(*) AS n FROM shelf GROUP BY state, reason ORDER BY state, reason";
        let mut conn = self.reading().await?;
        let rows = sql::fetch(&mut conn, sql, vec![]).await?;
        let count = |row: &AnyRow| {
            Ok(ShelfCount { state: row.parsed("state")?, reason: row.parsed("reason")?, count: row.int("n")? })
        };
        rows.iter().map(count).collect()
    }

    /// The tenants with the most batches that wait on the shelf for room, and how many.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn skimmed(&self, most: u32) -> Result<Vec<(TenantId, u64)>, StoreError> {
        let sql = "SELECT tenant_id, COUNT(*) AS n FROM shelf WHERE state = 'parked' \
                   AND reason IN ('no_room', 'throttled', 'paused') AND tenant_id IS NOT NULL \
                   GROUP BY tenant_id ORDER BY n DESC, tenant_id LIMIT $1";
        let mut conn = self.reading().await?;
        let rows = sql::fetch(&mut conn, sql, vec![Bound::Int(i64::from(most))]).await?;
        rows.iter().map(|row| Ok((row.parsed("tenant_id")?, row.whole("n")?))).collect()
    }

    /// How many batches of a tenant are on the shelf and come back by themselves.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn parked_of(&self, tenant: &TenantId) -> Result<i64, StoreError> {
        let sql = "SELECT COUNT(*) AS n FROM shelf WHERE tenant_id = $1 AND state = 'parked'";
        let mut conn = self.reading().await?;
        let rows = sql::fetch(&mut conn, sql, vec![Bound::Text(tenant.as_str().into())]).await?;
        rows.first().map_or(Ok(0), |row| row.int("n"))
    }
}

/// Puts something onto the shelf; what is there already under the same identity is put anew. But what is dead stays so
/// until a person acts: a copy that came later and only waits must not take its place, and then be found to be known.
pub(super) async fn put(conn: &mut AnyConnection, now: i64, shelving: &Shelving) -> Result<(), StoreError> {
    let (identity, tenant, batch) = match &shelving.identity {
        Identity::Batch(key, fingerprint) => {
            (format!("{key}/{fingerprint}"), Some(key.tenant.clone()), Some(key.batch.clone()))
        }
        Identity::Raw(hash, tenant, batch) => (format!("raw:{hash}"), tenant.clone(), batch.clone()),
    };
    let (state, waits_for, due_at) = match shelving.until {
        Until::After(wait) => {
            (ShelfState::Parked, "time", now.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
        }
        Until::Connection => (ShelfState::Parked, "connection", now),
        Until::Person => (ShelfState::Dead, "person", now),
    };
    // Whoever shelves it over a pause may not have heard yet that the pause is over; after a while it has.
    let stale = shelving.reason == Reason::Paused
        && !accounts::is_paused(conn, tenant.as_ref(), shelving.account.as_deref()).await?;
    let due_at = if stale { due_at.min(now.saturating_add(PAUSE_IS_OVER_MS)) } else { due_at };
    let sql = "INSERT INTO shelf (identity, generation, state, reason, detail, tenant_id, batch_id, account, \
               connection, waits_for, due_at, parks, failing_since, arrived_at, published_at, shelved_at, headers, body) \
               VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) \
               ON CONFLICT (identity) DO UPDATE SET generation = shelf.generation + 1, state = excluded.state, \
               reason = excluded.reason, detail = excluded.detail, account = excluded.account, \
               connection = excluded.connection, waits_for = excluded.waits_for, due_at = excluded.due_at, \
               parks = excluded.parks, failing_since = excluded.failing_since, shelved_at = excluded.shelved_at, \
               lease_until = NULL, holder = NULL, body = excluded.body \
               WHERE shelf.state <> 'dead' OR excluded.state = 'dead'";
    let bounds = vec![
        Bound::Text(identity),
        Bound::Text(state.name().into()),
        Bound::Text(shelving.reason.code().into()),
        Bound::MaybeText(shelving.detail.clone()),
        Bound::MaybeText(tenant.map(|t| t.as_str().to_owned())),
        Bound::MaybeText(batch.map(|b| b.as_str().to_owned())),
        Bound::MaybeText(shelving.account.clone()),
        Bound::MaybeText(shelving.connection.clone()),
        Bound::Text(waits_for.into()),
        Bound::Int(due_at),
        Bound::Int(i64::from(shelving.parks)),
        Bound::MaybeInt(shelving.failing_since),
        Bound::Int(shelving.arrived_at),
        Bound::MaybeInt(shelving.published_at),
        Bound::Int(now),
        Bound::Text(serde_json::to_string(&shelving.headers).unwrap_or_default()),
        Bound::Blob(shelving.body.clone()),
    ];
    sql::execute(conn, sql, bounds).await?;
    Ok(())
}

/// Takes something off the shelf, unless it was put anew meanwhile.
pub(super) async fn remove(conn: &mut AnyConnection, id: i64, generation: i64) -> Result<(), StoreError> {
    let sql = "DELETE FROM shelf WHERE id = $1 AND generation = $2";
    sql::execute(conn, sql, vec![Bound::Int(id), Bound::Int(generation)]).await?;
    Ok(())
}

/// Keeps a row from others until the transaction ends, if it is as a person saw it and in nobody's hand.
pub(super) async fn hold(conn: &mut AnyConnection, now: i64, by_hand: &ByHand) -> Result<bool, StoreError> {
    let sql = "UPDATE shelf SET generation = generation WHERE id = $1 AND generation = $2 \
               AND (lease_until IS NULL OR lease_until <= $3)";
    let bounds = vec![Bound::Int(by_hand.id.0), Bound::Int(by_hand.generation), Bound::Int(now)];
    Ok(sql::execute(conn, sql, bounds).await? == 1)
}

/// Does with a row that is held what a person wants of it. What has stopped workers is tried apart from others again.
pub(super) async fn handle(conn: &mut AnyConnection, now: i64, by_hand: &ByHand) -> Result<(), StoreError> {
    let id = Bound::Int(by_hand.id.0);
    match by_hand.wish {
        Wish::Discard => sql::execute(conn, "DELETE FROM shelf WHERE id = $1", vec![id]).await?,
        Wish::Replay => {
            let sql = "UPDATE shelf SET generation = generation + 1, state = 'parked', waits_for = 'time', \
                       due_at = $2, parks = 0, failing_since = NULL, lease_until = NULL, holder = NULL, \
                       reason = CASE WHEN reason = 'crash_loop' THEN 'suspect' ELSE reason END WHERE id = $1";
            sql::execute(conn, sql, vec![id, Bound::Int(now)]).await?
        }
    };
    Ok(())
}

fn shelved(row: &AnyRow, now: i64) -> Result<Shelved, StoreError> {
    let tenant = row.maybe_text("tenant_id")?.map(|t| TenantId::new(&t)).transpose();
    let tenant = tenant.map_err(|_| StoreError::malformed("tenant_id"))?;
    let batch = row.maybe_text("batch_id")?.map(|b| BatchId::new(&b)).transpose();
    let batch = batch.map_err(|_| StoreError::malformed("batch_id"))?;
    let identity = row.text("identity")?;
    let identity = match (identity.strip_prefix("raw:"), &tenant, &batch) {
        (Some(hash), _, _) => Identity::Raw(hash.to_owned(), tenant, batch),
        (None, Some(tenant), Some(batch)) => {
            let fingerprint = identity.rsplit('/').next().unwrap_or_default().to_owned();
            Identity::Batch(BatchKey::new(tenant.clone(), batch.clone()), fingerprint)
        }
        (None, _, _) => return Err(StoreError::malformed("identity")),
    };
    let waits_for = row.text("waits_for")?;
    let due_at = row.int("due_at")?;
    let until = match waits_for.as_str() {
        "time" => Until::After(Duration::from_millis(u64::try_from(due_at - now).unwrap_or(0))),
        "connection" => Until::Connection,
        "person" => Until::Person,
        _ => return Err(StoreError::malformed("waits_for")),
    };
    Ok(Shelved {
        id: ShelfId(row.int("id")?),
        generation: row.int("generation")?,
        state: row.parsed("state")?,
        content: Shelving {
            identity,
            reason: row.parsed("reason")?,
            detail: row.maybe_text("detail")?,
            until,
            account: row.maybe_text("account")?,
            connection: row.maybe_text("connection")?,
            parks: row.whole("parks")?,
            failing_since: row.maybe_int("failing_since")?,
            arrived_at: row.int("arrived_at")?,
            published_at: row.maybe_int("published_at")?,
            headers: row.json("headers")?,
            body: row.blob("body")?,
        },
        due_at,
        shelved_at: row.int("shelved_at")?,
        leased: row.maybe_int("lease_until")?.is_some_and(|until| until > now),
    })
}

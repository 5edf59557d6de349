//! Which batches are not to be worked on now? Parked until something, or dead until someone replays them.

mod lease;
mod row;

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::any::AnyRow;

use super::sql::{self, Bound, Columns};
use super::{Store, StoreError};
use crate::batch::{BatchId, BatchKey, Reason, TenantId};

pub(super) use self::row::{handle, hold, put, remove};

/// The name under which [`Shelving::headers`] holds the bytes of a content header that could not be read, in hexadecimal
/// digits. No publisher's header is kept under this name.
pub const RAW_HEADERS: &str = "raw_headers_hex";

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
    /// Whether some of them wait for room to be tried for the first time, so that newer ones have to queue behind them.
    pub is_skimmed: bool,
}

/// How many are on the shelf for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShelfCount {
    /// Whether they come back by themselves.
    pub state: ShelfState,
    /// Why they are there; `None` for every reason that this version does not know.
    pub reason: Option<Reason>,
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

impl Store {
    /// What is on the shelf, oldest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn shelf(&self, filter: &Filter, most: u32) -> Result<Vec<Shelved>, StoreError> {
        let rows = self.matching("*", filter, most).await?;
        self.unreadable.skip(rows.iter().map(|row| shelved(row, self.now())))
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
        self.unreadable.noted(rows.first().map(|row| shelved(row, self.now())).transpose())
    }

    /// How many are on the shelf, by state and reason.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn shelf_counts(&self) -> Result<Vec<ShelfCount>, StoreError> {
        let sql = "SELECT state, reason, COUNT(*) AS n FROM shelf GROUP BY state, reason ORDER BY state, reason";
        let mut conn = self.reading().await?;
        let rows = sql::fetch(&mut conn, sql, vec![]).await?;
        let mut counts: Vec<ShelfCount> = Vec::new();
        for row in &rows {
            // What is in a state that this version does not know counts as neither.
            let Ok(state) = row.parsed::<ShelfState>("state") else { continue };
            let (reason, count) = (row.text("reason")?.parse().ok(), row.int("n")?);
            match counts.iter_mut().find(|known| known.state == state && known.reason == reason) {
                Some(known) => known.count += count,
                None => counts.push(ShelfCount { state, reason, count }),
            }
        }
        Ok(counts)
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
        let count = |row: &AnyRow| Ok((row.parsed("tenant_id")?, row.whole("n")?));
        let in_row = |row| count(row).map_err(|error: StoreError| error.in_row("shelf", || key_of_tenant(row)));
        self.unreadable.skip(rows.iter().map(in_row))
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

fn shelved(row: &AnyRow, now: i64) -> Result<Shelved, StoreError> {
    let key = || row.int("id").map_or_else(|_| "?".to_owned(), |id| ShelfId(id).to_string());
    columns(row, now).map_err(|error| error.in_row("shelf", key))
}

/// Something of a tenant that has no key of its own.
fn key_of_tenant(row: &AnyRow) -> String {
    row.text("tenant_id").unwrap_or_else(|_| "?".into())
}

fn columns(row: &AnyRow, now: i64) -> Result<Shelved, StoreError> {
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

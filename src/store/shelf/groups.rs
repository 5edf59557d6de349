//! Groups what is on the shelf by its cause.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::any::AnyRow;

use super::super::sql::{self, Bound, Columns, Dialect, Kind};
use super::super::{Store, StoreError};
use super::{ShelfId, ShelfState};
use crate::batch::cause::CauseId;
use crate::batch::{Reason, TenantId};

/// What of one cause is on the shelf, of one tenant and in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CauseShare {
    /// The cause.
    pub cause: CauseId,
    /// Whether it is retried automatically.
    pub state: ShelfState,
    /// Whose it is, as far as known.
    pub tenant: Option<TenantId>,
    /// How many entries.
    pub count: u64,
    /// How many cases these have, as far as they are counted.
    pub cases: u64,
    /// How many entries an earlier version shelved whose cases are not counted yet.
    pub uncounted: u64,
    /// When the first of them arrived, in milliseconds on the store's clock.
    pub first_at: i64,
    /// When the last of them was shelved, likewise.
    pub last_at: i64,
}

impl CauseShare {
    /// Adds what another part of the shelf has of the same cause, tenant and state.
    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.cases += other.cases;
        self.uncounted += other.uncounted;
        self.first_at = self.first_at.min(other.first_at);
        self.last_at = self.last_at.max(other.last_at);
    }
}

/// Which entries are grouped; a part left empty means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CauseFilter {
    /// Those of a tenant.
    pub tenant: Option<TenantId>,
    /// Those in a state.
    pub state: Option<ShelfState>,
}

/// What stands for all entries of a cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CauseSample {
    /// The cause.
    pub cause: CauseId,
    /// The newest entry.
    pub id: ShelfId,
    /// Why it is on the shelf; `None` for a reason that this version does not know.
    pub reason: Option<Reason>,
    /// More about the reason.
    pub detail: Option<String>,
}

/// A place in the order of the index: a cause and a state.
type Place = (i64, String);

/// How many entries are counted by one statement, and those that have the cause and the state of the last one. A large count is made of
/// many short ones, so that nothing waits for it.
const STEP: i64 = 20_000;

/// For how many causes a sample is read at once.
const SAMPLED: usize = 500;

/// Finds the cause and the state of the entry that is so many behind a place.
pub(in crate::store) const STEP_END: &str = "SELECT cause, state FROM shelf \
    WHERE (cause, state) > ($1, $2) ORDER BY cause, state LIMIT 1 OFFSET $3";

/// Returns the statement that counts the entries between two places, by an index that has all columns in the order of the groups, so that
/// nothing is sorted. The filter is written so that no other index is taken for it.
pub(in crate::store) fn shares_statement(filter: &CauseFilter) -> (String, Vec<Bound>) {
    let mut conditions = String::new();
    let mut bounds = Vec::new();
    let mut add = |column: &str, value: &str| {
        conditions.push_str(&format!(" AND {column} || '' = ${}", 5 + bounds.len()));
        bounds.push(Bound::Text(value.to_owned()));
    };
    if let Some(tenant) = &filter.tenant {
        add("tenant_id", tenant.as_str());
    }
    if let Some(state) = filter.state {
        add("state", state.name());
    }
    let sql = format!(
        "SELECT cause, state, tenant_id, COUNT(*) AS n, CAST(COALESCE(SUM(cases), 0) AS BIGINT) AS cases, \
         COUNT(*) - COUNT(cases) AS uncounted, MIN(arrived_at) AS first_at, MAX(shelved_at) AS last_at FROM shelf \
         WHERE (cause, state) > ($1, $2) AND (cause, state) <= ($3, $4){conditions} \
         GROUP BY cause, state, tenant_id"
    );
    (sql, bounds)
}

/// Returns the statement that reads the newest entry of each cause.
pub(in crate::store) fn samples_statement(dialect: Dialect) -> String {
    format!(
        "SELECT s.id AS id, s.cause AS cause, s.reason AS reason, s.detail AS detail FROM (SELECT (SELECT n.id FROM shelf n \
         WHERE n.cause = r.cause ORDER BY n.arrived_at DESC, n.id DESC LIMIT 1) AS newest FROM {}) AS c \
         CROSS JOIN shelf s WHERE s.id = c.newest",
        dialect.rows(&[("cause", Kind::Int)])
    )
}

/// Reads entries that an earlier version shelved.
pub(in crate::store) const WITHOUT_CAUSE: &str =
    "SELECT id, generation, reason, detail FROM shelf WHERE cause IS NULL LIMIT $1";

impl Store {
    /// Counts what is on the shelf, by cause, state and tenant, in the order of these.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn cause_shares(&self, filter: &CauseFilter) -> Result<Vec<CauseShare>, StoreError> {
        let mut shares: BTreeMap<(CauseId, &str, Option<TenantId>), CauseShare> = BTreeMap::new();
        let mut from = (i64::MIN, String::new());
        loop {
            let to = self.step_end(&from).await?;
            let (end, is_last) = to.map_or_else(|| ((i64::MAX, String::new()), true), |to| (to, false));
            let (sql, filtered) = shares_statement(filter);
            let bounds = [place(&from), place(&end), filtered].into_iter().flatten().collect();
            let add = |row: &AnyRow| -> Result<(), StoreError> {
                if let Some(share) = share(row)? {
                    let key = (share.cause, share.state.name(), share.tenant.clone());
                    shares.entry(key).and_modify(|before| before.add(&share)).or_insert(share);
                }
                Ok(())
            };
            // Each cause may have as many shares as there are tenants.
            sql::fetch_each(&mut *self.reading().await?, sql, bounds, add).await?;
            if is_last {
                return Ok(shares.into_values().collect());
            }
            from = end;
        }
    }

    /// Returns the end of the next step; nothing if the rest of the shelf is not larger than a step.
    async fn step_end(&self, from: &Place) -> Result<Option<Place>, StoreError> {
        let bounds = [place(from), vec![Bound::Int(STEP - 1)]].into_iter().flatten().collect();
        let rows = sql::fetch(&mut *self.reading().await?, STEP_END, bounds).await?;
        rows.first().map(|row| Ok((row.int("cause")?, row.text("state")?))).transpose()
    }

    /// Returns the newest entry of each of these causes that has one.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn cause_samples(&self, causes: &[CauseId]) -> Result<Vec<CauseSample>, StoreError> {
        let sample = |row: &AnyRow| -> Result<Option<CauseSample>, StoreError> {
            let Some(cause) = CauseId::from_number(row.int("cause")?) else { return Ok(None) };
            let reason = row.text("reason")?.parse().ok();
            Ok(Some(CauseSample { cause, id: ShelfId(row.int("id")?), reason, detail: row.maybe_text("detail")? }))
        };
        let mut samples = Vec::with_capacity(causes.len());
        for causes in causes.chunks(SAMPLED) {
            let rows: Vec<Value> = causes.iter().map(|cause| json!({"cause": cause.number()})).collect();
            let mut conn = self.reading().await?;
            let sql = samples_statement(Dialect::of(&conn));
            for row in &sql::fetch(&mut conn, sql, vec![Bound::from(rows.as_slice())]).await? {
                samples.extend(sample(row)?);
            }
        }
        Ok(samples)
    }

    /// Computes the cause of up to `most` entries that an earlier version shelved, and returns how many it read.
    ///
    /// # Errors
    /// When the store does not answer; none or all of them may have their cause then.
    pub(super) async fn fill(&self, most: u32) -> Result<u64, StoreError> {
        let rows = sql::fetch(&mut *self.reading().await?, WITHOUT_CAUSE, vec![Bound::Int(most.into())]).await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let found: Vec<Value> = rows.iter().map(cause_of).collect::<Result<_, _>>()?;
        let (mut conn, _) = self.writing_at().await?;
        let sql = filling_statement(Dialect::of(&conn));
        sql::execute(&mut conn, sql, vec![Bound::from(found.as_slice())]).await?;
        Ok(u64::try_from(found.len()).unwrap_or(u64::MAX))
    }
}

fn place((cause, state): &Place) -> Vec<Bound> {
    vec![Bound::Int(*cause), Bound::Text(state.clone())]
}

/// Reads a share; what is in a state that this version does not know is left to the newer version.
fn share(row: &AnyRow) -> Result<Option<CauseShare>, StoreError> {
    let (Ok(state), Some(cause)) = (row.parsed("state"), CauseId::from_number(row.int("cause")?)) else {
        return Ok(None);
    };
    Ok(Some(CauseShare {
        cause,
        state,
        tenant: row.maybe_text("tenant_id")?.and_then(|tenant| TenantId::new(&tenant).ok()),
        count: row.whole("n")?,
        cases: row.whole("cases")?,
        uncounted: row.whole("uncounted")?,
        first_at: row.int("first_at")?,
        last_at: row.int("last_at")?,
    }))
}

/// The statement that stores the causes of entries which are as they were read.
pub(in crate::store) fn filling_statement(dialect: Dialect) -> String {
    format!(
        "UPDATE shelf SET cause = r.found FROM {} WHERE shelf.id = r.entry AND shelf.generation = r.seen",
        dialect.rows(&[("entry", Kind::Int), ("seen", Kind::Int), ("found", Kind::Int)])
    )
}

/// Entries with a reason that this version does not know have no cause of their own; one stands for all of them.
fn cause_of(row: &AnyRow) -> Result<Value, StoreError> {
    let (reason, detail) = (row.text("reason")?, row.maybe_text("detail")?);
    let cause = CauseId::of(&reason, detail.as_deref());
    Ok(json!({"entry": row.int("id")?, "seen": row.int("generation")?, "found": cause.number()}))
}

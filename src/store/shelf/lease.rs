//! Leases what is due on the shelf: each row goes to one worker, for as long as its lease lasts.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::any::AnyRow;

use super::super::sql::{self, Bound, Columns, Dialect, Transaction};
use super::super::{Store, StoreError};
use super::read::shelved;
use super::{DueTenant, ShelfAges, ShelfCount, ShelfId, ShelfState, ShelfStore, Shelved};
use crate::batch::{Reason, TenantId};

/// What may be leased at `$1`, if it is due: nothing that another version has put there for a reason of its own.
fn free() -> String {
    let known: Vec<String> = Reason::ALL
        .iter()
        .filter(|reason| **reason != Reason::Suspect)
        .map(|reason| format!("'{}'", reason.code()))
        .collect();
    format!(
        "shelf.state = 'parked' AND shelf.reason IN ({}) AND (shelf.lease_until IS NULL OR shelf.lease_until <= $1)",
        known.join(", ")
    )
}

/// What waits for a time that has come.
const ITS_TIME_CAME: &str = "shelf.waits_for = 'time' AND shelf.due_at <= $1";
/// What has waited for long for a tenant to get a connection: the worker has to notify, or give the batch up.
const UNKNOWN_FOR_LONG: &str =
    "shelf.reason = 'unknown_tenant' AND shelf.waits_for = 'connection' AND shelf.due_at <= $1";
/// What waits for the connection `c` and has not failed with its present version: a range of an index each.
const NEWLY_VERIFIED: [&str; 4] = [
    "shelf.connection IS NULL",
    "shelf.connection < c.version",
    "shelf.connection > c.version",
    "shelf.connection = c.version AND shelf.shelved_at < c.verified_at",
];

/// Whether a connection was found at fault with a batch in hand, as [`Shelving::goes_last`](super::Shelving::goes_last).
const GOES_LAST: &str = "CASE WHEN shelf.waits_for = 'connection' AND shelf.parks > 0 THEN 1 ELSE 0 END";

/// The most rows of a tenant among which those that arrived first are leased: those that have been due longest.
const MOST_CONSIDERED: u32 = 1_000;

/// Of how many tenants rows are leased in one transaction: everything else that is to be stored waits for it.
const TENANTS_AT_ONCE: usize = 8;

/// The most suspects that are passed over in one go because they cannot be read.
const MOST_UNREADABLE: usize = 100;

/// What belongs to a tenant that is being removed: it stays as the operator saw it.
const IS_REMOVED: &str = "EXISTS (SELECT 1 FROM connections c WHERE c.tenant_id = shelf.tenant_id \
    AND c.removing_until > $1)";

/// Counts what is on the shelf. Grouped in the order of an index first, so that no row has to be sorted: SQLite would keep
/// a copy of every entry of the index in memory.
pub(in crate::store) const COUNTS: &str = "SELECT state, reason, CAST(SUM(n) AS BIGINT) AS n \
    FROM (SELECT state, tenant_id, reason, COUNT(*) AS n FROM shelf GROUP BY state, tenant_id, reason) AS by_tenant \
    GROUP BY state, reason ORDER BY state, reason";

/// Leases the first suspect that is due at `$3`, behind the one that was due at `$4` with the id `$5`, until `$1` to `$2`,
/// if no suspect is leased.
pub(in crate::store) const LEASE_SUSPECT: &str = "UPDATE shelf SET lease_until = $1, holder = $2, generation = generation + 1, parks = parks + 1 \
    WHERE id = (SELECT id FROM shelf WHERE state = 'parked' AND reason = 'suspect' \
    AND NOT EXISTS (SELECT 1 FROM shelf s WHERE s.reason = 'suspect' AND s.lease_until > $3) \
    AND due_at <= $3 AND due_at >= $4 AND (due_at > $4 OR id > $5) ORDER BY due_at, id LIMIT 1) RETURNING *";

/// What replicas take turns at when they lease a suspect.
const SUSPECTS: i64 = 0x0073_7573_7065_6374;

#[async_trait]
impl ShelfStore for Store {
    async fn due_tenants(&self, most: u32) -> Result<Vec<DueTenant>, StoreError> {
        let (mut conn, now) = self.reading_at().await?;
        let sql = tenants_statement();
        let rows = sql::fetch(&mut conn, sql, vec![Bound::Int(now), Bound::Int(i64::from(most))]).await?;
        let due = |row: &AnyRow| {
            Ok(DueTenant {
                tenant: row.parsed("tenant")?,
                account: row.maybe_text("origin")?,
                is_due: row.int("is_due")? != 0,
                is_shed: row.int("is_shed")? != 0,
            })
        };
        let key = |row: &AnyRow| row.text("tenant").unwrap_or_else(|_| "?".into());
        let in_row = |row| due(row).map_err(|error: StoreError| error.in_row("shelf", || key(row)));
        self.unreadable.skip(rows.iter().map(in_row))
    }

    async fn lease_due(
        &self,
        holder: &str,
        lease: Duration,
        asks: &[(TenantId, u32)],
        most_bytes: usize,
    ) -> Result<Vec<Shelved>, StoreError> {
        let (mut leased, mut left) = (Vec::<Shelved>::new(), most_bytes);
        for some in asks.chunks(TENANTS_AT_ONCE) {
            if left == 0 {
                break;
            }
            match self.lease_of(holder, lease, some, left).await {
                Ok(rows) => {
                    left = rows.iter().fold(left, |left, row| left.saturating_sub(row.content.body.len()));
                    leased.extend(rows);
                }
                // Nobody else could take what is leased already.
                Err(_) if !leased.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        leased.sort_by_key(|s| (s.content.goes_last(), s.content.arrived_at, s.id));
        Ok(leased)
    }

    async fn lease_suspect(&self, holder: &str, lease: Duration) -> Result<Option<Shelved>, StoreError> {
        let (mut conn, now) = self.reading_at().await?;
        let waiting = "SELECT 1 FROM shelf WHERE state = 'parked' AND reason = 'suspect' AND due_at <= $1 LIMIT 1";
        if sql::fetch(&mut conn, waiting, vec![Bound::Int(now)]).await?.is_empty() {
            return Ok(None);
        }
        drop(conn);
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let until = now.saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX));
        sql::take_turns(transaction.conn()?, SUSPECTS).await?;
        let (mut due_at, mut id) = (i64::MIN, i64::MIN);
        for _ in 0..MOST_UNREADABLE {
            let mut bounds = vec![Bound::Int(until), Bound::Text(holder.into()), Bound::Int(now)];
            bounds.extend([Bound::Int(due_at), Bound::Int(id)]);
            let rows = sql::fetch(transaction.conn()?, LEASE_SUSPECT, bounds).await?;
            let Some(row) = rows.first() else { break };
            match self.unreadable.skip([shelved(row, now)])?.pop() {
                Some(suspect) => {
                    transaction.commit().await?;
                    return Ok(Some(suspect));
                }
                // It was not tried, and must not keep the others from being tried.
                None => {
                    (due_at, id) = (row.int("due_at")?, row.int("id")?);
                    let sql = "UPDATE shelf SET lease_until = NULL, holder = NULL, parks = parks - 1 WHERE id = $1";
                    sql::execute(transaction.conn()?, sql, vec![Bound::Int(id)]).await?;
                }
            }
        }
        transaction.commit().await?;
        Ok(None)
    }

    async fn release(&self, leases: &[(ShelfId, i64)]) -> Result<(), StoreError> {
        let mut conn = self.writing().await?;
        for (id, generation) in leases {
            let sql = "UPDATE shelf SET lease_until = NULL, holder = NULL, \
                       parks = CASE WHEN reason = 'suspect' AND parks > 0 AND lease_until IS NOT NULL THEN parks - 1 \
                       ELSE parks END WHERE id = $1 AND generation = $2";
            sql::execute(&mut conn, sql, vec![Bound::Int(id.0), Bound::Int(*generation)]).await?;
        }
        Ok(())
    }

    async fn postpone_row(&self, id: ShelfId, generation: i64, wait: Duration) -> Result<(), StoreError> {
        let (mut conn, now) = self.writing_at().await?;
        let due_at = now.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
        let sql = "UPDATE shelf SET lease_until = NULL, holder = NULL, due_at = $3, \
                   parks = CASE WHEN reason = 'suspect' AND parks > 0 THEN parks - 1 ELSE parks END \
                   WHERE id = $1 AND generation = $2 AND lease_until IS NOT NULL";
        let bounds = vec![Bound::Int(id.0), Bound::Int(generation), Bound::Int(due_at)];
        sql::execute(&mut conn, sql, bounds).await.map(drop)
    }

    async fn shed_counts(&self, most: u32) -> Result<Vec<(TenantId, u64)>, StoreError> {
        let mut conn = self.reading().await?;
        let sql = shed_statement(Dialect::of(&conn));
        let rows = sql::fetch(&mut conn, sql, vec![Bound::Int(i64::from(most))]).await?;
        let count = |row: &AnyRow| Ok((row.parsed("tenant_id")?, row.whole("n")?));
        let in_row = |row| count(row).map_err(|error: StoreError| error.in_row("shelf", || key_of_tenant(row)));
        self.unreadable.skip(rows.iter().map(in_row))
    }

    async fn shelf_counts(&self) -> Result<Vec<ShelfCount>, StoreError> {
        let mut conn = self.reading().await?;
        let rows = sql::fetch(&mut conn, COUNTS, vec![]).await?;
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

    async fn shelf_ages(&self) -> Result<ShelfAges, StoreError> {
        self.ages().await
    }

    async fn connected_since(&self, after: ShelfId, most: u32) -> Result<Vec<Shelved>, StoreError> {
        self.given_up_but_connected(after, most).await
    }

    async fn fill_causes(&self, most: u32) -> Result<u64, StoreError> {
        self.fill(most).await
    }

    async fn count_cases(&self, most: u32) -> Result<bool, StoreError> {
        self.count_some_cases(most).await
    }
}

impl Store {
    /// Leases rows of tenants in one transaction.
    async fn lease_of(
        &self,
        holder: &str,
        lease: Duration,
        asks: &[(TenantId, u32)],
        most_bytes: usize,
    ) -> Result<Vec<Shelved>, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let until = now.saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX));
        let conn = transaction.conn()?;
        let sql = lease_statement(Dialect::of(conn));
        let (mut leased, mut left) = (Vec::<Shelved>::new(), most_bytes);
        for (tenant, most) in asks {
            if left == 0 {
                break;
            }
            let bounds = vec![
                Bound::Int(now),
                Bound::Int(until),
                Bound::Text(holder.into()),
                Bound::Text(tenant.as_str().into()),
                Bound::Int(i64::from(*most)),
                Bound::Int(i64::try_from(left).unwrap_or(i64::MAX)),
            ];
            let rows = sql::fetch(conn, sql.clone(), bounds).await?;
            // One that cannot be read stays leased, so that the next ones have their turn. A row is dropped as soon as it
            // is read, since its body is copied.
            let read = self.unreadable.skip(rows.into_iter().map(|row| shelved(&row, now)))?;
            left = read.iter().fold(left, |left, row| left.saturating_sub(row.content.body.len()));
            leased.extend(read);
        }
        transaction.commit().await?;
        Ok(leased)
    }

    /// Ends every lease of earlier workers, which the lock on the file shows to be gone, and returns how many there were.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn reclaim_leases(&self) -> Result<u64, StoreError> {
        let (mut conn, now) = self.writing_at().await?;
        // The workers that were releasing the waiting events of a routing key are gone, too.
        let sql = "UPDATE unbound_keys SET probe_at = $1 WHERE probe_at > $1";
        sql::execute(&mut conn, sql, vec![Bound::Int(now)]).await?;
        // So are those that carried out replays.
        let sql = "UPDATE replays SET holder = NULL, lease_until = NULL WHERE state = 'running'";
        sql::execute(&mut conn, sql, vec![]).await?;
        // By an index of what is leased.
        let sql = "UPDATE shelf SET lease_until = NULL, holder = NULL WHERE lease_until IS NOT NULL";
        sql::execute(&mut conn, sql, vec![]).await
    }
}

/// The statement that finds up to `$2` tenants with parked rows at `$1`.
pub(in crate::store) fn tenants_statement() -> String {
    // Walks from tenant to tenant by the index, whatever the number of their batches; each way to be due has a range of
    // an index of its own.
    let verified = NEWLY_VERIFIED.map(|range| {
        format!(
            "EXISTS (SELECT 1 FROM shelf WHERE shelf.tenant_id = p.tenant AND shelf.waits_for = 'connection' \
             AND {range} AND {})",
            free()
        )
    });
    format!(
        "WITH RECURSIVE parked(tenant) AS (\
         SELECT MIN(tenant_id) FROM shelf WHERE state = 'parked' \
         UNION ALL SELECT (SELECT MIN(s.tenant_id) FROM shelf s WHERE s.state = 'parked' \
         AND s.tenant_id > parked.tenant) FROM parked WHERE parked.tenant IS NOT NULL) \
         SELECT p.tenant, c.origin, \
         CASE WHEN c.removing_until > $1 THEN 0 \
         WHEN EXISTS (SELECT 1 FROM shelf WHERE shelf.tenant_id = p.tenant AND {free} AND {ITS_TIME_CAME}) \
         OR EXISTS (SELECT 1 FROM shelf WHERE shelf.tenant_id = p.tenant AND {UNKNOWN_FOR_LONG} AND {free}) \
         THEN 1 WHEN c.verified_version = c.version AND ({verified}) THEN 1 ELSE 0 END AS is_due, \
         CASE WHEN EXISTS (SELECT 1 FROM shelf WHERE shelf.tenant_id = p.tenant AND state = 'parked' \
         AND reason IN ('no_room', 'throttled', 'paused') AND failing_since IS NULL) THEN 1 ELSE 0 END AS is_shed, \
         (SELECT MIN(arrived_at) FROM shelf WHERE shelf.tenant_id = p.tenant AND state = 'parked') AS since \
         FROM parked p LEFT JOIN connections c ON c.tenant_id = p.tenant WHERE p.tenant IS NOT NULL \
         ORDER BY since, p.tenant LIMIT $2",
        free = free(),
        verified = verified.join(" OR ")
    )
}

/// The statement that counts what waits for room. SQLite would not choose the index that has nothing else in it.
pub(in crate::store) fn shed_statement(dialect: Dialect) -> String {
    let index = if dialect.is_shared() { "" } else { "INDEXED BY shelf_skimmed" };
    format!(
        "SELECT tenant_id, COUNT(*) AS n FROM shelf {index} WHERE state = 'parked' \
         AND reason IN ('no_room', 'throttled', 'paused') AND tenant_id IS NOT NULL \
         GROUP BY tenant_id ORDER BY n DESC, tenant_id LIMIT $1"
    )
}

/// The statement that leases up to `$5` rows of tenant `$4` at `$1` until `$2` to `$3`, and none after those whose bodies
/// have `$6` bytes. However much a tenant has on the shelf, only rows that are due are read, and bodies only of those that
/// are leased; the cross join has SQLite look each row up by its id, and not read everything that is parked.
pub(in crate::store) fn lease_statement(dialect: Dialect) -> String {
    let free = free();
    let verified = NEWLY_VERIFIED.map(|range| {
        format!(
            " UNION SELECT id FROM (SELECT shelf.id AS id FROM connections c JOIN shelf ON shelf.tenant_id = c.tenant_id \
             WHERE c.tenant_id = $4 AND c.verified_version = c.version AND shelf.waits_for = 'connection' AND {range} \
             AND {free} ORDER BY shelf.connection, shelf.shelved_at LIMIT {MOST_CONSIDERED}) AS verified"
        )
    });
    format!(
        "WITH considered AS MATERIALIZED (SELECT id AS considered_id FROM (SELECT id FROM shelf WHERE tenant_id = $4 AND {free} \
         AND {ITS_TIME_CAME} ORDER BY due_at LIMIT {MOST_CONSIDERED}) AS timed{verified} \
         UNION SELECT id FROM (SELECT id FROM shelf WHERE tenant_id = $4 AND {UNKNOWN_FOR_LONG} AND {free} \
         ORDER BY due_at LIMIT {MOST_CONSIDERED}) AS unknown), \
         due AS MATERIALIZED (SELECT id AS due_id, {GOES_LAST} AS due_last, arrived_at AS due_since, LENGTH(body) AS bytes \
         FROM considered CROSS JOIN shelf WHERE id = considered_id AND {free} \
         AND NOT {IS_REMOVED} ORDER BY {GOES_LAST}, arrived_at, id LIMIT $5 {skip_taken}), \
         fitting AS (SELECT due_id, SUM(bytes) OVER (ORDER BY due_last, due_since, due_id) - bytes AS before FROM due) \
         UPDATE shelf SET lease_until = $2, holder = $3, generation = generation + 1 \
         FROM fitting WHERE id = due_id AND before < $6 RETURNING *",
        verified = verified.concat(),
        skip_taken = dialect.skip_taken()
    )
}

/// Something of a tenant that has no key of its own.
fn key_of_tenant(row: &AnyRow) -> String {
    row.text("tenant_id").unwrap_or_else(|_| "?".into())
}

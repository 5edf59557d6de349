//! Removes a tenant: pauses its work while an operator decides, and deletes its connection once no work is left.
//!
//! Invariant: a change that shelves a batch or leaves it open keeps the tenant's connection in place until it is stored, so
//! that a removal sees it or comes before it. What is shelved after a removal waits as a batch of an unknown tenant.

use std::time::Duration;

use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::audit::{self, AuditEntry};
use super::connections::{ConnectionRow, connection};
use super::shelf::ShelfId;
use super::sql::{self, Bound, Columns, Dialect, Transaction};
use super::unfinished::Unfinished;
use super::{Store, StoreError, batch_details, discarded};
use crate::batch::TenantId;

/// The most unfinished batches that are named.
const MOST_NAMED: u32 = 100;

/// The work that a tenant has left when its removal begins.
#[derive(Clone, Debug)]
pub struct Removal {
    /// Its connection.
    pub connection: ConnectionRow,
    /// Its entries on the shelf, each with its generation, by id.
    pub shelved: Vec<(ShelfId, i64)>,
    /// How many of these are parked; the others are dead.
    pub parked: usize,
    /// Batches that cannot be discarded now, at most a hundred, by name.
    pub unfinished: Vec<(String, Unfinished)>,
}

/// The result of removing a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalOutcome {
    /// Its connection is gone.
    Done,
    /// Its connection is another one, or gone already; nothing was removed.
    ChangedMeanwhile,
    /// Something of it is on the shelf or unfinished; nothing was removed.
    HasWork,
}

impl Removal {
    /// Whether nothing has changed between two counts, but for what is unfinished.
    pub fn is_as_before(&self, before: &Self) -> bool {
        self.connection.version == before.connection.version && self.shelved == before.shelved
    }
}

impl Store {
    /// Pauses a tenant's work for at most `hold`, and counts what there is of it; `None` if it has no connection.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn begin_removal(&self, tenant: &TenantId, hold: Duration) -> Result<Option<Removal>, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let conn = transaction.conn()?;
        let Some(connection) = to_remove(conn, tenant).await? else {
            transaction.roll_back().await?;
            return Ok(None);
        };
        let until = now.saturating_add(i64::try_from(hold.as_millis()).unwrap_or(i64::MAX));
        let sql = "UPDATE connections SET removing_until = $2 WHERE tenant_id = $1";
        sql::execute(conn, sql, vec![name(tenant), Bound::Int(until)]).await?;
        let removal = counted(conn, connection, now).await?;
        transaction.commit().await?;
        Ok(Some(removal))
    }

    /// Counts what a removal of a tenant would find, without a pause; `None` if it has no connection.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn removal_of(&self, tenant: &TenantId) -> Result<Option<Removal>, StoreError> {
        let (mut conn, now) = self.reading_at().await?;
        let rows = sql::fetch(&mut conn, "SELECT * FROM connections WHERE tenant_id = $1", vec![name(tenant)]).await?;
        let Some(connection) = rows.first().map(connection).transpose()? else { return Ok(None) };
        counted(&mut conn, connection, now).await.map(Some)
    }

    /// Lets a tenant's work go on whose removal was given up. What was put on the shelf meanwhile is due at once.
    ///
    /// # Errors
    /// When the store does not answer; the pause then ends automatically after its time.
    pub async fn end_removal(&self, tenant: &TenantId) -> Result<(), StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let conn = transaction.conn()?;
        // Waits for changes that are shelving something because of this pause.
        to_remove(conn, tenant).await?;
        let sql = "UPDATE connections SET removing_until = NULL WHERE tenant_id = $1";
        sql::execute(conn, sql, vec![name(tenant)]).await?;
        let sql = "UPDATE shelf SET due_at = $2 WHERE tenant_id = $1 AND state = 'parked' AND reason = 'paused' \
                   AND due_at > $2";
        sql::execute(conn, sql, vec![name(tenant), Bound::Int(now)]).await?;
        transaction.commit().await
    }

    /// Removes a tenant's connection if it still has this version, and nothing of the tenant is left to do. The entries of the
    /// audit are stored with that; those that the tenant has stay.
    ///
    /// # Errors
    /// When the store does not answer; then it was removed or not.
    pub async fn remove_tenant(
        &self,
        tenant: &TenantId,
        version: &str,
        audit: &[AuditEntry],
    ) -> Result<RemovalOutcome, StoreError> {
        let removed = self.remove_with(tenant, version, Rest::Goes, audit).await?;
        if removed == RemovalOutcome::Done {
            batch_details::remove_of_tenant(&self.writers, tenant).await?;
        }
        Ok(removed)
    }

    /// Removes a tenant's connection as [`Self::remove_tenant`] does, and leaves everything else in place: its entries on the
    /// shelf wait as those of an unknown tenant.
    ///
    /// # Errors
    /// When the store does not answer; then it was removed or not.
    pub async fn withdraw_connection(
        &self,
        tenant: &TenantId,
        version: &str,
        audit: &[AuditEntry],
    ) -> Result<RemovalOutcome, StoreError> {
        self.remove_with(tenant, version, Rest::Stays, audit).await
    }

    async fn remove_with(
        &self,
        tenant: &TenantId,
        version: &str,
        rest: Rest,
        audit: &[AuditEntry],
    ) -> Result<RemovalOutcome, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let conn = transaction.conn()?;
        let removed = if to_remove(conn, tenant).await?.is_none_or(|row| row.version != version) {
            RemovalOutcome::ChangedMeanwhile
        } else if rest == Rest::Goes && has_shelved(conn, tenant).await?
            || !unfinished(conn, tenant, now).await?.is_empty()
        {
            RemovalOutcome::HasWork
        } else {
            if rest == Rest::Goes {
                discarded::purge(conn, tenant).await?;
            }
            sql::execute(conn, "DELETE FROM connections WHERE tenant_id = $1", vec![name(tenant)]).await?;
            audit::put(conn, now, audit.iter()).await?;
            RemovalOutcome::Done
        };
        transaction.commit().await?;
        Ok(removed)
    }
}

/// What becomes of what a tenant has beside its connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// It is removed, and must not be on the shelf any more.
    Goes,
    /// It stays as it is.
    Stays,
}

/// Returns until when the work of a tenant is paused because it may be removed, in milliseconds on the store's clock.
pub(super) async fn paused_until(
    conn: &mut AnyConnection,
    now: i64,
    tenant: Option<&TenantId>,
) -> Result<Option<i64>, StoreError> {
    let Some(tenant) = tenant else { return Ok(None) };
    let sql = "SELECT removing_until FROM connections WHERE tenant_id = $1 AND removing_until > $2";
    let rows = sql::fetch(conn, sql, vec![name(tenant), Bound::Int(now)]).await?;
    rows.first().map_or(Ok(None), |row| row.maybe_int("removing_until"))
}

/// A tenant's connection, once nobody needs it to be there for what is being stored.
async fn to_remove(conn: &mut AnyConnection, tenant: &TenantId) -> Result<Option<ConnectionRow>, StoreError> {
    let sql = format!("SELECT * FROM connections WHERE tenant_id = $1 {}", Dialect::of(conn).remove());
    let rows = sql::fetch(conn, sql, vec![name(tenant)]).await?;
    rows.first().map(connection).transpose()
}

/// Counts the work that a tenant has left.
async fn counted(conn: &mut AnyConnection, connection: ConnectionRow, now: i64) -> Result<Removal, StoreError> {
    let tenant = connection.tenant.clone();
    let sql = "SELECT id, generation, state FROM shelf WHERE tenant_id = $1 ORDER BY id";
    let rows = sql::fetch(conn, sql, vec![name(&tenant)]).await?;
    let mut removal = Removal { connection, shelved: Vec::new(), parked: 0, unfinished: Vec::new() };
    for row in &rows {
        removal.shelved.push((ShelfId(row.int("id")?), row.int("generation")?));
        removal.parked += usize::from(row.text("state")? == "parked");
    }
    removal.unfinished = unfinished(conn, &tenant, now).await?;
    Ok(removal)
}

async fn has_shelved(conn: &mut AnyConnection, tenant: &TenantId) -> Result<bool, StoreError> {
    let rows = sql::fetch(conn, "SELECT 1 FROM shelf WHERE tenant_id = $1 LIMIT 1", vec![name(tenant)]).await?;
    Ok(!rows.is_empty())
}

/// The batches of a tenant that a worker has in hand, or whose outcome is open and that cannot simply be given up.
async fn unfinished(
    conn: &mut AnyConnection,
    tenant: &TenantId,
    now: i64,
) -> Result<Vec<(String, Unfinished)>, StoreError> {
    let bounds = || vec![name(tenant), Bound::Int(now), Bound::Int(i64::from(MOST_NAMED))];
    let sql = "SELECT id, batch_id FROM shelf WHERE tenant_id = $1 AND lease_until > $2 ORDER BY id LIMIT $3";
    let mut unfinished = Vec::new();
    for row in sql::fetch(conn, sql, bounds()).await? {
        let batch = row.maybe_text("batch_id")?.map(|batch| format!("{tenant}/{batch}"));
        let id = ShelfId(row.int("id")?);
        unfinished.push((batch.unwrap_or_else(|| id.to_string()), Unfinished::InHand));
    }
    // Few batches are open, while the tenant may have very many: those of the tenant are found among the open ones.
    let sql = "SELECT b.batch_id, CASE WHEN b.open_push IS NOT NULL AND b.lease_until > $2 THEN b.lease_until END \
               AS pushed_until, CASE WHEN b.open_push IS NOT NULL OR b.doubt_since IS NOT NULL THEN 1 ELSE 0 END \
               AS is_unclear FROM batches b WHERE b.settled_at IS NULL AND b.tenant_id || '' = $1 AND b.state = 'open' AND b.epoch > 0 \
               AND (b.open_push IS NOT NULL OR b.doubt_since IS NOT NULL OR NOT EXISTS (SELECT 1 FROM shelf s \
               WHERE s.tenant_id = b.tenant_id AND s.batch_id = b.batch_id)) ORDER BY b.batch_id LIMIT $3";
    let why = |row: &AnyRow| {
        Ok::<_, StoreError>(match (row.maybe_int("pushed_until")?, row.int("is_unclear")? == 1) {
            (Some(until), _) => {
                Unfinished::Pushing { wait: Duration::from_millis(u64::try_from(until - now).unwrap_or(0)) }
            }
            (None, true) => Unfinished::Unclear,
            (None, false) => Unfinished::Open,
        })
    };
    for row in sql::fetch(conn, sql, bounds()).await? {
        let batch = format!("{tenant}/{}", row.text("batch_id")?);
        if !unfinished.iter().any(|(named, _)| *named == batch) {
            unfinished.push((batch, why(&row)?));
        }
    }
    Ok(unfinished)
}

fn name(tenant: &TenantId) -> Bound {
    Bound::Text(tenant.as_str().into())
}

//! Moves rows between the shelf and the table of discarded entries, and reads and removes them there.

use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::super::audit::AuditEntry;
use super::super::shelf::{ShelfId, shelved};
use super::super::sql::{self, Bound, Columns, Conditions, Dialect};
use super::super::{Store, StoreError, StoreHealth};
use super::{Discarded, DiscardedFilter};
use crate::batch::TenantId;

/// The columns that both tables have, apart from the counters.
const COLUMNS: &str = "id, identity, state, reason, detail, tenant_id, batch_id, account, connection, waits_for, due_at, \
    parks, failing_since, arrived_at, published_at, shelved_at, headers, body, cause, cases";

/// Every column but the message.
const WITHOUT_MESSAGE: &str = "id, identity, generation, state, reason, detail, tenant_id, batch_id, account, connection, \
    waits_for, due_at, parks, failing_since, arrived_at, published_at, shelved_at, NULL AS lease_until, '{}' AS headers, \
    person_epoch, NULL AS replay, cases, discarded_at, discarded_by, discarded_because, ";

/// Keeps a row that is about to leave the shelf, with who takes it off and why.
pub(in crate::store) async fn keep(
    conn: &mut AnyConnection,
    now: i64,
    id: ShelfId,
    audit: &AuditEntry,
) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT INTO discarded ({COLUMNS}, generation, person_epoch, discarded_at, discarded_by, discarded_because) \
         SELECT {COLUMNS}, generation, person_epoch, $2, $3, $4 FROM shelf WHERE id = $1"
    );
    let bounds = vec![
        Bound::Int(id.0),
        Bound::Int(now),
        Bound::Text(audit.actor.name().to_owned()),
        Bound::MaybeText(audit.reason.clone()),
    ];
    sql::execute(conn, sql, bounds).await.map(drop)
}

/// Keeps others from changing a discarded entry until the transaction ends; returns whether it can be put back: it is there,
/// and its message is not on the shelf again.
pub(in crate::store) async fn hold(conn: &mut AnyConnection, id: ShelfId) -> Result<bool, StoreError> {
    let sql = "UPDATE discarded SET generation = generation WHERE id = $1 \
               AND NOT EXISTS (SELECT 1 FROM shelf s WHERE s.identity = discarded.identity)";
    Ok(sql::execute(conn, sql, vec![Bound::Int(id.0)]).await? == 1)
}

/// Makes the entry `$1` due at `$2` if it waits for the end of a pause and neither its tenant nor its account is paused now: the
/// pause was ended while the entry was not on the shelf.
const END_OF_PAUSE: &str = "UPDATE shelf SET due_at = $2 WHERE id = $1 AND state = 'parked' \
    AND reason = 'paused' AND due_at > $2 AND NOT EXISTS (SELECT 1 FROM lane_orders WHERE paused = 1 \
    AND ((kind = 'tenant' AND name = shelf.tenant_id) OR (kind = 'account' AND name = shelf.account)))";

/// Puts a discarded entry back onto the shelf under its id. It is as it was, but for its counters, and for a pause that has
/// ended.
pub(in crate::store) async fn put_back(conn: &mut AnyConnection, now: i64, id: ShelfId) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT INTO shelf ({COLUMNS}, generation, person_epoch) \
         SELECT {COLUMNS}, generation + 1, person_epoch + 1 FROM discarded WHERE id = $1"
    );
    sql::execute(conn, sql, vec![Bound::Int(id.0)]).await?;
    sql::execute(conn, END_OF_PAUSE, vec![Bound::Int(id.0), Bound::Int(now)]).await?;
    sql::execute(conn, "DELETE FROM discarded WHERE id = $1", vec![Bound::Int(id.0)]).await.map(drop)
}

/// Removes up to `most` entries that were discarded before a time, and returns how many.
pub(in crate::store) async fn remove_old(conn: &mut AnyConnection, before: i64, most: u32) -> Result<u64, StoreError> {
    let sql = removal_statement(Dialect::of(conn));
    sql::execute(conn, sql, vec![Bound::Int(before), Bound::Int(most.into())]).await
}

/// The statement of [`remove_old`].
pub(in crate::store) fn removal_statement(dialect: Dialect) -> String {
    format!(
        "DELETE FROM discarded WHERE id IN (SELECT id FROM discarded WHERE discarded_at < $1 ORDER BY discarded_at, id \
         LIMIT $2 {})",
        dialect.skip_taken()
    )
}

/// Removes what a tenant has among the discarded entries.
pub(in crate::store) async fn purge(conn: &mut AnyConnection, tenant: &TenantId) -> Result<(), StoreError> {
    let sql = "DELETE FROM discarded WHERE tenant_id = $1";
    sql::execute(conn, sql, vec![Bound::Text(tenant.as_str().to_owned())]).await.map(drop)
}

impl Store {
    /// Returns a discarded entry with its message; `None` if there is none with this id.
    ///
    /// # Errors
    /// When the store does not answer, or this version cannot read the entry.
    pub async fn discarded_entry(&self, id: ShelfId) -> Result<Option<Discarded>, StoreError> {
        let sql = "SELECT *, NULL AS lease_until, NULL AS replay FROM discarded WHERE id = $1";
        let rows = sql::fetch(&mut *self.reading().await?, sql, vec![Bound::Int(id.0)]).await?;
        self.unreadable.noted(rows.first().map(|row| read(row, self.now())).transpose())
    }

    /// Returns whether the message of a discarded entry is on the shelf again.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn discarded_is_shelved(&self, id: ShelfId) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM discarded d JOIN shelf s ON s.identity = d.identity WHERE d.id = $1";
        Ok(!sql::fetch(&mut *self.reading().await?, sql, vec![Bound::Int(id.0)]).await?.is_empty())
    }

    /// Returns up to `most` discarded entries without their messages, those that were discarded last first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn discarded(&self, filter: &DiscardedFilter, most: u32) -> Result<Vec<Discarded>, StoreError> {
        let dialect = Dialect::of(&*self.reading().await?);
        let (sql, bounds) = page_statement(dialect, filter, most);
        let rows = sql::fetch(&mut *self.reading().await?, sql, bounds).await?;
        self.unreadable.skip(rows.iter().map(|row| read(row, self.now())))
    }
}

/// The statement that reads a page.
pub(in crate::store) fn page_statement(dialect: Dialect, filter: &DiscardedFilter, most: u32) -> (String, Vec<Bound>) {
    let tenant = filter.tenant.as_ref().map(|tenant| Bound::Text(tenant.as_str().to_owned()));
    let mut conditions = Conditions::default().maybe("tenant_id =", tenant);
    if let Some((at, id)) = filter.behind {
        let (at, id) = (conditions.parameter(Bound::Int(at)), conditions.parameter(Bound::Int(id.0)));
        conditions = conditions.fixed(&format!("(discarded_at, id) < ({at}, {id})"));
    }
    let limit = conditions.parameter(Bound::Int(most.into()));
    let body = if dialect.is_shared() { "''::bytea" } else { "x''" };
    let sql = format!(
        "SELECT {WITHOUT_MESSAGE}{body} AS body FROM discarded {} ORDER BY discarded_at DESC, id DESC LIMIT {limit}",
        conditions.clause()
    );
    (sql, conditions.into_parameters())
}

fn read(row: &AnyRow, now: i64) -> Result<Discarded, StoreError> {
    Ok(Discarded {
        entry: shelved(row, now)?,
        at: row.int("discarded_at")?,
        by: row.text("discarded_by")?,
        because: row.maybe_text("discarded_because")?,
    })
}

//! Stores what people have changed, and reads it, newest first.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::super::sql::{self, Bound, Columns, Conditions, Dialect, Kind};
use super::super::{Store, StoreError};
use super::entry::{AuditAction, AuditEntry, stored_state};
use crate::batch::{BatchId, TenantId};

/// The place of an entry in the order in which the entries were stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditId(pub i64);

impl fmt::Display for AuditId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for AuditId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("`{text}` is not the number of an entry of the audit"))
    }
}

/// Which entries are read; empty conditions hold for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// Of this batch of the tenant.
    pub batch: Option<BatchId>,
    /// By the actor of this name.
    pub actor: Option<String>,
    /// This action.
    pub action: Option<AuditAction>,
    /// This subject, as [`AuditSubject::name`](super::AuditSubject) writes it.
    pub subject: Option<String>,
    /// At or after this time, in milliseconds on the store's clock.
    pub since: Option<i64>,
    /// Before this time, likewise.
    pub until: Option<i64>,
    /// Behind this entry, which the page before ended with, and its time.
    pub behind: Option<(i64, AuditId)>,
}

/// An entry of the audit. Words that a newer version wrote are kept as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number.
    pub id: AuditId,
    /// When, in milliseconds on the store's clock.
    pub at: i64,
    /// Who.
    pub actor: String,
    /// With which role.
    pub role: String,
    /// Through which face.
    pub face: String,
    /// What was done.
    pub action: String,
    /// Whose it is, if it is a tenant's.
    pub tenant: Option<String>,
    /// The batch, if it is one.
    pub batch: Option<String>,
    /// To what.
    pub subject: String,
    /// Why.
    pub reason: Option<String>,
    /// How it was before, as JSON.
    pub before: Option<String>,
    /// How it was after, as JSON.
    pub after: Option<String>,
    /// The trace of the batch, as 32 hexadecimal digits, if its message named one.
    pub trace_id: Option<String>,
}

const COLUMNS: [(&str, Kind); 12] = [
    ("actor", Kind::Text),
    ("role", Kind::Text),
    ("face", Kind::Text),
    ("action", Kind::Text),
    ("tenant_id", Kind::Text),
    ("batch_id", Kind::Text),
    ("subject", Kind::Text),
    ("reason", Kind::Text),
    ("state_before", Kind::Text),
    ("state_after", Kind::Text),
    ("place", Kind::Int),
    ("trace_id", Kind::Text),
];

/// Stores entries in the transaction of `conn`, in their order.
pub(in crate::store) async fn put(
    conn: &mut AnyConnection,
    now: i64,
    entries: impl Iterator<Item = &AuditEntry>,
) -> Result<(), StoreError> {
    let row = |(place, entry): (usize, &AuditEntry)| {
        json!({
            "actor": entry.actor.name(), "role": entry.actor.role.name(), "face": entry.actor.face.name(),
            "action": entry.action.name(), "tenant_id": entry.subject.tenant.as_ref().map(TenantId::as_str),
            "batch_id": entry.subject.batch.as_ref().map(BatchId::as_str), "subject": entry.subject.name,
            "reason": entry.reason, "state_before": entry.before.as_ref().map(stored_state),
            "state_after": entry.after.as_ref().map(stored_state), "place": place,
            "trace_id": entry.subject.trace.map(|trace| trace.to_string()),
        })
    };
    let rows: Vec<Value> = entries.enumerate().map(row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "INSERT INTO audit (at, actor, role, face, action, tenant_id, batch_id, subject, reason, state_before, \
         state_after, trace_id) SELECT $2, actor, role, face, action, tenant_id, batch_id, subject, reason, state_before, \
         state_after, trace_id FROM {} ORDER BY place",
        Dialect::of(conn).rows(&COLUMNS)
    );
    sql::execute(conn, sql, vec![Bound::from(rows.as_slice()), Bound::Int(now)]).await.map(drop)
}

impl Store {
    /// Returns when an entry was stored, in milliseconds on the store's clock; nothing if it is not there.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn audit_time(&self, id: AuditId) -> Result<Option<i64>, StoreError> {
        let sql = "SELECT at FROM audit WHERE id = $1";
        let rows = sql::fetch(&mut *self.reading().await?, sql, vec![Bound::Int(id.0)]).await?;
        rows.first().map(|row| row.int("at")).transpose()
    }

    /// Removes up to `most` entries that are older than they are kept, and returns how many.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(in crate::store) async fn forget_old_audit(&self, keep: Duration, most: u32) -> Result<u64, StoreError> {
        let (mut conn, now) = self.writing_at().await?;
        let before = now.saturating_sub(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
        let sql = forgetting_statement(Dialect::of(&conn));
        sql::execute(&mut conn, sql, vec![Bound::Int(before), Bound::Int(most.into())]).await
    }

    /// Returns up to `most` entries of the audit that a filter names, the newest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn audit(&self, filter: &AuditFilter, most: u32) -> Result<Vec<AuditRow>, StoreError> {
        let (sql, bounds) = page_statement(filter, most);
        let rows = sql::fetch(&mut *self.reading().await?, sql, bounds).await?;
        rows.iter().map(read).collect()
    }
}

/// The statement that removes some of the oldest entries.
pub(in crate::store) fn forgetting_statement(dialect: Dialect) -> String {
    format!(
        "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < $1 ORDER BY at, id LIMIT $2 {})",
        dialect.skip_taken()
    )
}

/// The statement that reads a page.
pub(in crate::store) fn page_statement(filter: &AuditFilter, most: u32) -> (String, Vec<Bound>) {
    let text = |text: &str| Bound::Text(text.to_owned());
    let mut conditions = Conditions::default()
        .maybe("batch_id =", filter.batch.as_ref().map(|batch| text(batch.as_str())))
        .maybe("subject =", filter.subject.as_deref().map(text))
        .maybe("at >=", filter.since.map(Bound::Int))
        .maybe("at <", filter.until.map(Bound::Int));
    // An index begins with the first of these that a filter has, and answers the others.
    let mut is_chosen = filter.subject.is_some() && filter.batch.is_none();
    let tenant = filter.tenant.as_ref().map(|tenant| conditions.parameter(text(tenant.as_str())));
    let actor = filter.actor.as_deref().map(|actor| conditions.parameter(text(actor)));
    // Written out: a server makes one plan for whatever parameters follow, and knows only of a word how many rows have it.
    let action = filter.action.map(|action| format!("'{}'", action.name()));
    for (column, value) in [("tenant_id", tenant), ("actor", actor), ("action", action)] {
        let Some(value) = value else { continue };
        let comparison = if is_chosen { format!("BETWEEN {value} AND {value}") } else { format!("= {value}") };
        conditions = conditions.fixed(&format!("{column} {comparison}"));
        is_chosen = true;
    }
    if let Some((at, id)) = filter.behind {
        let (at, id) = (conditions.parameter(Bound::Int(at)), conditions.parameter(Bound::Int(id.0)));
        conditions = conditions.fixed(&format!("(at, id) < ({at}, {id})"));
    }
    let limit = conditions.parameter(Bound::Int(most.into()));
    let sql = format!("SELECT * FROM audit {} ORDER BY at DESC, id DESC LIMIT {limit}", conditions.clause());
    (sql, conditions.into_parameters())
}

fn read(row: &AnyRow) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        id: AuditId(row.int("id")?),
        at: row.int("at")?,
        actor: row.text("actor")?,
        role: row.text("role")?,
        face: row.text("face")?,
        action: row.text("action")?,
        tenant: row.maybe_text("tenant_id")?,
        batch: row.maybe_text("batch_id")?,
        subject: row.text("subject")?,
        reason: row.maybe_text("reason")?,
        before: row.maybe_text("state_before")?,
        after: row.maybe_text("state_after")?,
        trace_id: row.maybe_text("trace_id")?,
    })
}

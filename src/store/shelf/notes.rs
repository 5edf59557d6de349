//! Keeps what people note about a group: one note for each cause, whatever is on the shelf.

use serde_json::{Value, json};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::super::audit::{self, AuditEntry};
use super::super::sql::{self, Bound, Columns, Dialect, Kind, Transaction};
use super::super::{Store, StoreError};
use crate::batch::cause::CauseId;

/// For how many causes notes are read at once.
const AT_ONCE: usize = 500;

/// What a person noted about a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CauseNote {
    /// The cause.
    pub cause: CauseId,
    /// The note.
    pub text: String,
    /// Who wrote it.
    pub actor: String,
    /// When, in milliseconds on the store's clock.
    pub at: i64,
}

/// Returns the statement that reads the notes on causes.
pub(in crate::store) fn notes_statement(dialect: Dialect) -> String {
    format!(
        "SELECT n.cause AS cause, n.note AS note, n.actor AS actor, n.at AS at FROM {} \
         CROSS JOIN cause_notes n WHERE n.cause = r.cause",
        dialect.rows(&[("cause", Kind::Int)])
    )
}

impl Store {
    /// Returns the notes on these causes.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn cause_notes(&self, causes: &[CauseId]) -> Result<Vec<CauseNote>, StoreError> {
        let mut notes = Vec::new();
        for causes in causes.chunks(AT_ONCE) {
            let mut conn = self.reading().await?;
            let rows: Vec<Value> = causes.iter().map(|cause| json!({"cause": cause.number()})).collect();
            let sql = notes_statement(Dialect::of(&conn));
            for row in &sql::fetch(&mut conn, sql, vec![Bound::from(rows.as_slice())]).await? {
                notes.extend(note(row)?);
            }
        }
        Ok(notes)
    }

    /// Stores a note in place of the one before, or removes it, together with the entry of the audit that `entry` makes of the
    /// one before. Returns the one before.
    ///
    /// # Errors
    /// When the store does not answer; the note may be stored or not.
    pub async fn set_cause_note(
        &self,
        cause: CauseId,
        note: Option<(&str, &str)>,
        entry: impl FnOnce(Option<&CauseNote>) -> AuditEntry + Send,
    ) -> Result<Option<CauseNote>, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let conn = transaction.conn()?;
        let before = kept(conn, cause).await?;
        let key = || vec![Bound::Int(cause.number())];
        match note {
            Some((text, actor)) => {
                let sql = "INSERT INTO cause_notes (cause, note, actor, at) VALUES ($1, $2, $3, $4) ON CONFLICT (cause) \
                           DO UPDATE SET note = excluded.note, actor = excluded.actor, at = excluded.at";
                let values = [Bound::Text(text.into()), Bound::Text(actor.into()), Bound::Int(now)];
                sql::execute(conn, sql, key().into_iter().chain(values).collect()).await?;
            }
            None if before.is_none() => {
                transaction.roll_back().await?;
                return Ok(None);
            }
            None => drop(sql::execute(conn, "DELETE FROM cause_notes WHERE cause = $1", key()).await?),
        }
        audit::put(conn, now, std::iter::once(&entry(before.as_ref()))).await?;
        transaction.commit().await?;
        Ok(before)
    }
}

/// Returns the note on a cause, and keeps others from changing it until the transaction ends.
async fn kept(conn: &mut AnyConnection, cause: CauseId) -> Result<Option<CauseNote>, StoreError> {
    let sql = format!("SELECT * FROM cause_notes WHERE cause = $1 {}", Dialect::of(conn).keep());
    let rows = sql::fetch(conn, sql, vec![Bound::Int(cause.number())]).await?;
    rows.first().map_or(Ok(None), note)
}

fn note(row: &AnyRow) -> Result<Option<CauseNote>, StoreError> {
    let Some(cause) = CauseId::from_number(row.int("cause")?) else { return Ok(None) };
    Ok(Some(CauseNote { cause, text: row.text("note")?, actor: row.text("actor")?, at: row.int("at")? }))
}

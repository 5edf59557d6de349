//! Counts the cases of what is on the shelf, also of what an earlier version shelved.

use serde_json::{Value, json};

use super::super::sql::{self, Bound, Columns, Dialect, Kind};
use super::super::{Store, StoreError};
use crate::batch::message::case_count::cases_of;

/// The most bytes of messages that are read at once to count their cases.
const MOST_BYTES: i64 = 4_000_000;

/// Reads the sizes of messages whose cases are not counted.
pub(in crate::store) const UNCOUNTED: &str =
    "SELECT id, generation, length(body) AS bytes FROM shelf WHERE cases IS NULL ORDER BY id LIMIT $1";

/// Returns the statement that reads messages by their ids.
pub(in crate::store) fn bodies_statement(dialect: Dialect) -> String {
    format!(
        "SELECT s.id AS id, s.generation AS generation, s.body AS body FROM {} CROSS JOIN shelf s WHERE s.id = r.entry",
        dialect.rows(&[("entry", Kind::Int)])
    )
}

/// Returns the statement that stores the counts of messages which are as they were read.
pub(in crate::store) fn counting_statement(dialect: Dialect) -> String {
    format!(
        "UPDATE shelf SET cases = r.found FROM {} WHERE shelf.id = r.entry AND shelf.generation = r.seen",
        dialect.rows(&[("entry", Kind::Int), ("seen", Kind::Int), ("found", Kind::Int)])
    )
}

impl Store {
    /// Counts the cases of up to `most` entries that an earlier version shelved, and returns whether there may be more.
    ///
    /// # Errors
    /// When the store does not answer; none or all of them may be counted then.
    pub(super) async fn count_some_cases(&self, most: u32) -> Result<bool, StoreError> {
        let mut reading = self.reading().await?;
        let dialect = Dialect::of(&reading);
        let listed = sql::fetch(&mut reading, UNCOUNTED, vec![Bound::Int(most.into())]).await?;
        let (mut entries, mut bytes): (Vec<Value>, i64) = (Vec::new(), 0);
        for row in &listed {
            bytes = bytes.saturating_add(row.int("bytes")?);
            if bytes > MOST_BYTES && !entries.is_empty() {
                break;
            }
            entries.push(json!({"entry": row.int("id")?}));
        }
        if entries.is_empty() {
            return Ok(false);
        }
        let rows = sql::fetch(&mut reading, bodies_statement(dialect), vec![Bound::from(entries.as_slice())]).await?;
        drop(reading);
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let count = cases_of(&row.blob("body")?);
            found.push(json!({"entry": row.int("id")?, "seen": row.int("generation")?, "found": count}));
        }
        let (mut conn, _) = self.writing_at().await?;
        sql::execute(&mut conn, counting_statement(dialect), vec![Bound::from(found.as_slice())]).await?;
        Ok(entries.len() < listed.len() || listed.len() >= usize::try_from(most).unwrap_or(usize::MAX))
    }
}

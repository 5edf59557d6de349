//! Counts the cases of what is on the shelf, also of what an earlier version shelved.

use serde::Deserialize;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde_json::{Value, json};

use super::super::sql::{self, Bound, Columns, Dialect, Kind};
use super::super::{Store, StoreError};

/// The most bytes of messages that are read at once to count their cases.
const MOST_BYTES: i64 = 4_000_000;

/// Returns how many cases a message has; 0 if it is no batch that can be read.
pub(super) fn cases_of(body: &[u8]) -> i64 {
    /// A batch of which only the cases are counted, and nothing is kept.
    #[derive(Deserialize)]
    struct Counted {
        cases: Count,
    }
    serde_json::from_slice::<Counted>(body).map_or(0, |batch| batch.cases.0)
}

struct Count(i64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements;
        impl<'de> Visitor<'de> for Elements {
            type Value = Count;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of cases")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Count, A::Error> {
                let mut count = 0;
                while list.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Count(count))
            }
        }
        deserializer.deserialize_seq(Elements)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_counted_whatever_they_are_and_what_is_no_batch_has_none() {
        for (body, expected) in [
            (r#"{"batch_id":"b","cases":[{"name":"a"},7,[],{"name":"b","cases":[1,2]}]}"#, 4),
            (r#"{"cases":[]}"#, 0),
            (r#"{"cases":"many"}"#, 0),
            (r#"{"name":"a"}"#, 0),
            ("[1,2]", 0),
            ("{", 0),
            ("", 0),
        ] {
            assert_eq!(cases_of(body.as_bytes()), expected, "{body}");
        }
    }
}

//! Reads the rows of any table in pages, and writes them into another store.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Map, Value};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::super::StoreError;
use super::super::sql::{self, Bound, Columns, Dialect, bytes_in_row};
use super::tables::{ColumnKind, Table};

/// The most rows of a page.
pub(super) const MOST_ROWS: usize = 200;
/// With how many bytes a page ends, unless its first row alone has more.
pub(super) const MOST_BYTES: i64 = 4_000_000;

/// A row as it travels: its values in the order of the columns. Bytes are texts, as [`text_of`] writes them.
pub(in crate::store) type Row = Vec<Value>;

/// Some rows of a table in the order of its key.
pub(super) struct Page {
    pub(super) rows: Vec<Row>,
    /// The key behind which the next page begins; nothing if there is none.
    pub(super) next: Option<Row>,
}

/// Reads the rows of a table that follow a key, as far as they are no more and no larger than a page.
pub(super) async fn page(conn: &mut AnyConnection, table: &Table, after: Option<&Row>) -> Result<Page, StoreError> {
    let keys = table.key.join(", ");
    let (condition, bounds) = match after {
        Some(after) => (format!("WHERE ({keys}) > ({})", placeholders(1, after.len())), key_bounds(table, after)?),
        None => (String::new(), Vec::new()),
    };
    let sql = format!(
        "SELECT {keys}, {} AS bytes_of_row FROM {} {condition} ORDER BY {keys} LIMIT {MOST_ROWS}",
        size(table, ""),
        table.name
    );
    let sized = sql::fetch(conn, sql, bounds).await?;
    let Some(end) = last_that_fits(&sized)? else { return Ok(Page { rows: Vec::new(), next: None }) };
    let end = key_of(table, end)?;
    let (lower, mut bounds) = match after {
        Some(after) => (format!("({keys}) > ({}) AND", placeholders(1, after.len())), key_bounds(table, after)?),
        None => (String::new(), Vec::new()),
    };
    let upper = placeholders(bounds.len() + 1, end.len());
    bounds.extend(key_bounds(table, &end)?);
    let sql =
        format!("SELECT {} FROM {} WHERE {lower} ({keys}) <= ({upper}) ORDER BY {keys}", table.listed(""), table.name);
    let rows = sql::fetch(conn, sql, bounds).await?;
    Ok(Page { rows: rows.iter().map(|row| decoded(table, row)).collect::<Result<_, _>>()?, next: Some(end) })
}

/// Returns the last row of a page whose rows have sizes in `bytes_of_row`; nothing if there are none.
pub(super) fn last_that_fits(sized: &[AnyRow]) -> Result<Option<&AnyRow>, StoreError> {
    let (mut total, mut last) = (0_i64, None);
    for row in sized {
        total = total.saturating_add(row.int("bytes_of_row")?);
        if last.is_some() && total > MOST_BYTES {
            break;
        }
        last = Some(row);
    }
    Ok(last)
}

/// Returns the expression for the size of a row of a table.
pub(super) fn size(table: &Table, before: &str) -> String {
    let of = |column: &str| format!("COALESCE(octet_length({before}{column}), 0)");
    let long = table.columns.iter().filter(|column| column.kind != ColumnKind::Int);
    let sizes: Vec<String> = long.map(|column| of(&column.name)).chain(["1".to_owned()]).collect();
    format!("CAST({} AS BIGINT)", sizes.join(" + "))
}

/// Reads a row of a table that has its columns.
pub(super) fn decoded(table: &Table, row: &AnyRow) -> Result<Row, StoreError> {
    table.columns.iter().map(|column| value(row, &column.name, column.kind)).collect()
}

fn key_of(table: &Table, row: &AnyRow) -> Result<Row, StoreError> {
    table.key.iter().map(|name| value(row, name, kind(table, name)?)).collect()
}

fn kind(table: &Table, column: &str) -> Result<ColumnKind, StoreError> {
    table.kind(column).ok_or_else(|| StoreError::malformed(&format!("{}.{column}", table.name)))
}

fn value(row: &AnyRow, name: &str, kind: ColumnKind) -> Result<Value, StoreError> {
    Ok(match kind {
        ColumnKind::Text => row.maybe_text(name)?.map_or(Value::Null, Value::String),
        ColumnKind::Int => row.maybe_int(name)?.map_or(Value::Null, Value::from),
        ColumnKind::Bytes => {
            let bytes: Option<Vec<u8>> = row.try_get(name).map_err(|_| StoreError::malformed(name))?;
            bytes.map_or(Value::Null, |bytes| Value::String(text_of(&bytes)))
        }
    })
}

/// Writes bytes as a text: `=` and the text that they are, which compresses well, or `~` and Base64.
fn text_of(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => format!("={text}"),
        Err(_) => format!("~{}", STANDARD_NO_PAD.encode(bytes)),
    }
}

/// Reads bytes as [`text_of`] wrote them.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    match text.split_at_checked(1)? {
        ("=", text) => Some(text.as_bytes().to_vec()),
        ("~", text) => STANDARD_NO_PAD.decode(text).ok(),
        _ => None,
    }
}

/// Returns a row's values of some columns.
pub(super) fn picked(table: &Table, row: &Row, columns: &[&str]) -> Option<Vec<Value>> {
    columns.iter().map(|column| row.get(table.place(column)?).cloned()).collect()
}

fn placeholders(first: usize, count: usize) -> String {
    (first..first + count).map(|at| format!("${at}")).collect::<Vec<_>>().join(", ")
}

fn key_bounds(table: &Table, key: &Row) -> Result<Vec<Bound>, StoreError> {
    table.key.iter().zip(key).map(|(name, value)| bound(kind(table, name)?, value, name)).collect()
}

fn bound(kind: ColumnKind, value: &Value, column: &str) -> Result<Bound, StoreError> {
    let malformed = || StoreError::malformed(column);
    Ok(match kind {
        ColumnKind::Text => Bound::Text(value.as_str().ok_or_else(malformed)?.to_owned()),
        ColumnKind::Int => Bound::Int(value.as_i64().ok_or_else(malformed)?),
        ColumnKind::Bytes => {
            let bytes = value.as_str().and_then(bytes_of).ok_or_else(malformed)?;
            Bound::Blob(Arc::new(bytes))
        }
    })
}

/// Returns whether a row has the columns of its table, each with a value of its kind.
pub(super) fn fits(table: &Table, row: &Row) -> bool {
    let is_of = |(value, kind): (&Value, ColumnKind)| match kind {
        ColumnKind::Text => value.is_null() || value.is_string(),
        ColumnKind::Int => value.is_null() || value.is_i64(),
        ColumnKind::Bytes => value.is_null() || value.as_str().and_then(bytes_of).is_some(),
    };
    row.len() == table.columns.len() && row.iter().zip(table.columns.iter().map(|column| column.kind)).all(is_of)
}

/// Writes rows into a table that has none with their keys, in one transaction.
pub(in crate::store) async fn insert(
    conn: &mut AnyConnection,
    table: &Table,
    rows: Vec<Row>,
) -> Result<(), StoreError> {
    let dialect = Dialect::of(conn);
    let columns: Vec<_> = table.columns.iter().map(|column| (column.name.as_str(), column.kind.in_row_set())).collect();
    let how = match dialect {
        Dialect::Sqlite => "",
        Dialect::Postgres => "OVERRIDING SYSTEM VALUE",
    };
    let (names, set) = (table.listed(""), dialect.rows(&columns));
    let sql = format!("INSERT INTO {} ({names}) {how} SELECT {names} FROM {set}", table.name);
    let rows: Vec<Value> = rows.into_iter().map(|row| named(table, row)).collect::<Result<_, _>>()?;
    sql::execute(conn, sql, vec![Bound::from(rows.as_slice())]).await.map(drop)
}

fn named(table: &Table, row: Row) -> Result<Value, StoreError> {
    let mut named = Map::new();
    for (column, value) in table.columns.iter().zip(row) {
        let value = match (column.kind, value) {
            (ColumnKind::Bytes, Value::String(text)) => {
                let bytes = bytes_of(&text).ok_or_else(|| StoreError::malformed(&column.name))?;
                Value::String(bytes_in_row(&bytes))
            }
            (ColumnKind::Text | ColumnKind::Int | ColumnKind::Bytes, value) => value,
        };
        named.insert(column.name.clone(), value);
    }
    Ok(Value::Object(named))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_they_were_written() {
        for bytes in [&b""[..], b"{\"a\":1}", b"\xff\x00", b"\0", "=~\u{e4}".as_bytes()] {
            assert_eq!(bytes_of(&text_of(bytes)).as_deref(), Some(bytes));
        }
        assert_eq!(bytes_of(""), None);
        assert_eq!(bytes_of("?x"), None);
        assert_eq!(bytes_of("~?"), None);
    }
}

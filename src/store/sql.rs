//! How does one statement serve many rows, and both databases?

use serde_json::Value;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::{Any, AnyConnection, AssertSqlSafe, Row};

use super::StoreError;

/// What a column of a row set holds.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Int,
}

/// A statement's row set: JSON rows bound as parameter `$1`, named `r`, with these columns.
///
/// One parameter carries any number of rows, so a group of pushes costs as many statements as one.
pub(super) fn rows(columns: &[(&str, Kind)]) -> String {
    let column = |(name, kind): &(&str, Kind)| match kind {
        Kind::Text => format!("value->>'{name}' AS {name}"),
        Kind::Int => format!("CAST(value->>'{name}' AS BIGINT) AS {name}"),
    };
    let columns: Vec<String> = columns.iter().map(column).collect();
    format!("(SELECT {} FROM json_each($1)) AS r", columns.join(", "))
}

/// A value for one parameter.
pub(super) enum Bound {
    Text(String),
    Int(i64),
    MaybeInt(Option<i64>),
    MaybeText(Option<String>),
    Blob(Vec<u8>),
}

impl From<&[Value]> for Bound {
    fn from(rows: &[Value]) -> Self {
        Self::Text(serde_json::to_string(rows).unwrap_or_default())
    }
}

fn query(sql: String, parameters: Vec<Bound>) -> sqlx::query::Query<'static, Any, AnyArguments> {
    let query = sqlx::query(AssertSqlSafe(sql));
    parameters.into_iter().fold(query, |query, parameter| match parameter {
        Bound::Text(text) => query.bind(text),
        Bound::Int(number) => query.bind(number),
        Bound::MaybeInt(number) => query.bind(number),
        Bound::MaybeText(text) => query.bind(text),
        Bound::Blob(bytes) => query.bind(bytes),
    })
}

/// Runs a statement and tells how many rows it changed.
pub(super) async fn execute(
    conn: &mut AnyConnection,
    sql: impl Into<String>,
    parameters: Vec<Bound>,
) -> Result<u64, StoreError> {
    Ok(query(sql.into(), parameters).execute(conn).await?.rows_affected())
}

/// Runs a statement and gives the rows it returns.
pub(super) async fn fetch(
    conn: &mut AnyConnection,
    sql: impl Into<String>,
    parameters: Vec<Bound>,
) -> Result<Vec<AnyRow>, StoreError> {
    Ok(query(sql.into(), parameters).fetch_all(conn).await?)
}

/// Columns by name, in the forms that the store keeps.
pub(super) trait Columns {
    fn text(&self, name: &str) -> Result<String, StoreError>;
    fn maybe_text(&self, name: &str) -> Result<Option<String>, StoreError>;
    fn int(&self, name: &str) -> Result<i64, StoreError>;
    fn maybe_int(&self, name: &str) -> Result<Option<i64>, StoreError>;
    fn blob(&self, name: &str) -> Result<Vec<u8>, StoreError>;

    fn whole<T: TryFrom<i64>>(&self, name: &str) -> Result<T, StoreError> {
        T::try_from(self.int(name)?).map_err(|_| StoreError::malformed(name))
    }

    fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, StoreError> {
        serde_json::from_str(&self.text(name)?).map_err(|_| StoreError::malformed(name))
    }

    fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<T, StoreError> {
        self.text(name)?.parse().map_err(|_| StoreError::malformed(name))
    }
}

impl Columns for AnyRow {
    fn text(&self, name: &str) -> Result<String, StoreError> {
        Ok(self.try_get(name)?)
    }

    fn maybe_text(&self, name: &str) -> Result<Option<String>, StoreError> {
        Ok(self.try_get(name)?)
    }

    fn int(&self, name: &str) -> Result<i64, StoreError> {
        Ok(self.try_get(name)?)
    }

    fn maybe_int(&self, name: &str) -> Result<Option<i64>, StoreError> {
        Ok(self.try_get(name)?)
    }

    fn blob(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        Ok(self.try_get(name)?)
    }
}

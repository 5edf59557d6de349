//! Reads columns by name, in the forms that the store keeps.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::super::StoreError;

/// Columns by name, in the forms that the store keeps.
pub(in crate::store) trait Columns {
    fn text(&self, name: &str) -> Result<String, StoreError>;
    fn maybe_text(&self, name: &str) -> Result<Option<String>, StoreError>;
    fn int(&self, name: &str) -> Result<i64, StoreError>;
    fn maybe_int(&self, name: &str) -> Result<Option<i64>, StoreError>;
    fn blob(&self, name: &str) -> Result<Vec<u8>, StoreError>;

    fn whole<T: TryFrom<i64>>(&self, name: &str) -> Result<T, StoreError> {
        T::try_from(self.int(name)?).map_err(|_| StoreError::malformed(name))
    }

    fn maybe_whole<T: TryFrom<i64>>(&self, name: &str) -> Result<Option<T>, StoreError> {
        self.maybe_int(name)?.map(|value| T::try_from(value).map_err(|_| StoreError::malformed(name))).transpose()
    }

    fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, StoreError> {
        serde_json::from_str(&self.text(name)?).map_err(|_| StoreError::malformed(name))
    }

    fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<T, StoreError> {
        self.text(name)?.parse().map_err(|_| StoreError::malformed(name))
    }
}

/// A value of a column; one of another kind than this version stores cannot be read.
fn column<'r, T: sqlx::Decode<'r, sqlx::Any> + sqlx::Type<sqlx::Any>>(
    row: &'r AnyRow,
    name: &str,
) -> Result<T, StoreError> {
    row.try_get(name).map_err(|_| StoreError::malformed(name))
}

impl Columns for AnyRow {
    fn text(&self, name: &str) -> Result<String, StoreError> {
        column(self, name)
    }

    fn maybe_text(&self, name: &str) -> Result<Option<String>, StoreError> {
        column(self, name)
    }

    fn int(&self, name: &str) -> Result<i64, StoreError> {
        column(self, name)
    }

    fn maybe_int(&self, name: &str) -> Result<Option<i64>, StoreError> {
        column(self, name)
    }

    fn blob(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        column(self, name)
    }
}

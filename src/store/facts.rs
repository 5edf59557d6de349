//! Keeps single values by name, such as the fingerprint of the master key.

use super::sql::{self, Bound, Columns};
use super::{Store, StoreError};

impl Store {
    /// Returns the value kept under a name.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn fact(&self, name: &str) -> Result<Option<String>, StoreError> {
        let mut conn = self.reading().await?;
        let sql = "SELECT value FROM facts WHERE name = $1";
        let rows = sql::fetch(&mut conn, sql, vec![Bound::Text(name.into())]).await?;
        rows.first().map(|row| row.text("value")).transpose()
    }

    /// Keeps a value under a name, unless one is kept there already.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn keep_fact(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let mut conn = self.writing().await?;
        let sql = "INSERT INTO facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
        sql::execute(&mut conn, sql, vec![Bound::Text(name.into()), Bound::Text(value.into())]).await?;
        Ok(())
    }
}

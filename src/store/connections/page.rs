//! Reads connections page by page.

use super::super::sql::{self, Bound, Columns};
use super::super::{Store, StoreError};
use super::ConnectionRow;
use super::rows::connection;

impl Store {
    /// Returns up to `most` connections by tenant, after the tenant of this name, and the name after which further ones may
    /// follow.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn connections_page(
        &self,
        after: &str,
        most: u32,
    ) -> Result<(Vec<ConnectionRow>, Option<String>), StoreError> {
        let sql = "SELECT * FROM connections WHERE tenant_id > $1 ORDER BY tenant_id LIMIT $2";
        let bounds = vec![Bound::Text(after.into()), Bound::Int(most.into())];
        let rows = sql::fetch(&mut *self.reading().await?, sql, bounds).await?;
        let is_full = rows.len() >= usize::try_from(most).unwrap_or(usize::MAX);
        let next = rows.last().filter(|_| is_full).map(|row| row.text("tenant_id")).transpose()?;
        Ok((self.unreadable.skip(rows.iter().map(connection))?, next))
    }
}

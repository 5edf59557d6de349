//! Reads batches page by page, those that arrived last first.

use sqlx::any::AnyRow;

use super::super::sql::{self, Bound, Columns, Conditions};
use super::super::{Store, StoreError};
use super::StoredBatch;
use super::read::stored;
use crate::batch::{BatchKey, TenantId};

/// The place of a batch in the list: when it was first seen, in milliseconds on the store's clock, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchPlace {
    /// When it was first seen.
    pub at: i64,
    /// Which batch it is.
    pub key: BatchKey,
}

impl Store {
    /// Returns up to `most` batches behind a place, only those of a tenant if one is given, and the place behind which
    /// further ones may follow.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn batches_page(
        &self,
        tenant: Option<&TenantId>,
        behind: Option<&BatchPlace>,
        most: u32,
    ) -> Result<(Vec<StoredBatch>, Option<BatchPlace>), StoreError> {
        let (sql, parameters) = page_statement(tenant, behind, most);
        let rows = sql::fetch(&mut *self.reading().await?, sql, parameters).await?;
        let is_full = rows.len() >= usize::try_from(most).unwrap_or(usize::MAX);
        let next = rows.last().filter(|_| is_full).map(place).transpose()?;
        Ok((self.unreadable.skip(rows.iter().map(stored))?, next))
    }
}

fn place(row: &AnyRow) -> Result<BatchPlace, StoreError> {
    let malformed = |_| StoreError::malformed("batch_id");
    let key = format!("{}/{}", row.text("tenant_id")?, row.text("batch_id")?).parse().map_err(malformed)?;
    Ok(BatchPlace { at: row.int("first_seen_at")?, key })
}

/// Returns the statement that reads up to `most` batches behind a place. It first finds by an index since when they arrived.
pub(in crate::store) fn page_statement(
    tenant: Option<&TenantId>,
    behind: Option<&BatchPlace>,
    most: u32,
) -> (String, Vec<Bound>) {
    let text = |text: &str| Bound::Text(text.to_owned());
    let mut among =
        Conditions::default().fixed("epoch > 0").maybe("tenant_id =", tenant.map(|tenant| text(tenant.as_str())));
    if let Some(BatchPlace { at, key }) = behind {
        let at = among.parameter(Bound::Int(*at));
        let (of, batch) = (among.parameter(text(key.tenant.as_str())), among.parameter(text(key.batch.as_str())));
        let beyond = format!("(first_seen_at < {at} OR (tenant_id, batch_id) > ({of}, {batch}))");
        among = among.fixed(&format!("first_seen_at <= {at}")).fixed(&beyond);
    }
    let (clause, limit) = (among.clause(), among.parameter(Bound::Int(most.into())));
    let latest = format!("SELECT first_seen_at AS at FROM batches {clause} ORDER BY first_seen_at DESC LIMIT {limit}");
    let since = format!("first_seen_at >= (SELECT MIN(at) FROM ({latest}) AS latest)");
    let order = format!("ORDER BY first_seen_at DESC, tenant_id, batch_id LIMIT {limit}");
    (format!("SELECT * FROM batches {clause} AND {since} {order}"), among.into_parameters())
}

//! The values in which batches are made searchable and found.

use std::time::Duration;

use sqlx::any::AnyRow;

use super::super::StoreError;
use super::super::sql::Columns;
use crate::batch::search::{Needle, Reach, SearchDocument};
use crate::batch::{BatchId, TenantId};

/// What a step has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FillStep {
    /// How many events and entries of the shelf it read.
    pub read: u64,
    /// Whether it left any.
    pub is_more: bool,
}

/// What a row of the search stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SearchName {
    /// The tenant, as far as known.
    pub tenant: Option<TenantId>,
    /// The id of the batch, as far as known.
    pub batch: Option<BatchId>,
    /// The entry of the shelf, if it is not known to be the batch itself; otherwise 0.
    pub shelf_id: i64,
}

/// A row that may match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its place: newer ones have higher numbers.
    pub seq: i64,
    /// What it stands for.
    pub name: SearchName,
    /// Its values.
    pub document: SearchDocument,
}

/// What is searched.
#[derive(Clone, Debug)]
pub struct SearchQuery {
    /// The text.
    pub needle: Needle,
    /// Whose batches; those of all tenants without one.
    pub tenant: Option<TenantId>,
    /// Which parts of values this database finds.
    pub reach: Reach,
}

/// Rows that may match.
#[derive(Clone, Debug, Default)]
pub struct CandidatePage {
    /// The rows, newest first.
    pub rows: Vec<Candidate>,
    /// Before which number the search goes on; `None` if nothing is left.
    pub before: Option<i64>,
}

impl Candidate {
    /// Reads a row.
    pub(super) fn of_row(row: &AnyRow) -> Result<Self, StoreError> {
        let document = SearchDocument::of_lines(&row.text("lines")?, &row.text("letters")?);
        Ok(Self { seq: row.int("seq")?, name: SearchName::of_row(row)?, document })
    }
}

impl SearchName {
    /// Returns the texts of tenant and batch as they are stored: empty where they are not known.
    pub(super) fn texts(&self) -> (&str, &str) {
        let tenant = self.tenant.as_ref().map_or("", TenantId::as_str);
        (tenant, self.batch.as_ref().map_or("", BatchId::as_str))
    }

    /// Reads the name of a row.
    pub(super) fn of_row(row: &AnyRow) -> Result<Self, StoreError> {
        let (tenant, batch) = (row.text("tenant_id")?, row.text("batch_id")?);
        Ok(Self {
            tenant: TenantId::new(&tenant).ok(),
            batch: BatchId::new(&batch).ok(),
            shelf_id: row.int("shelf_id")?,
        })
    }
}

/// Returns a duration in milliseconds.
pub(super) fn milliseconds(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

//! Remembers which cases were written into Testmo, for longer than the ledger keeps its details.

mod days;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::sql::{self, Bound, Columns, Dialect, Kind, Transaction, bytes_in_row};
use super::{Store, StoreError};
use crate::batch::written::{BatchMark, CaseIdentity, SourceId, WrittenCase, WrittenFields};
use crate::batch::{BatchId, BatchKey, TenantId};

pub use self::days::day;
pub(super) use self::source::latest;
pub use self::source::{SourceClaim, SourceOutcome};

/// A case that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// What was written.
    pub case: WrittenCase,
    /// The batch that wrote it, if the ledger still has a row of it.
    pub batch: Option<BatchId>,
}

/// What is asked and forgotten of written cases. They are remembered by [`Commit::written`](super::ledger::Commit).
#[async_trait]
pub trait WrittenStore: Send + Sync {
    /// Returns what is remembered of a tenant's cases, in the order of their identities.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn written(&self, tenant: &TenantId, cases: &[CaseIdentity]) -> Result<Vec<Remembered>, StoreError>;

    /// Returns up to `most` of a tenant's cases of a source that are remembered, in the order of their identities, after one of
    /// them.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn written_of_source(
        &self,
        tenant: &TenantId,
        source: SourceId,
        after: Option<CaseIdentity>,
        most: u32,
    ) -> Result<Vec<Remembered>, StoreError>;

    /// Gives sources to a batch, unless another batch has one of them or has written a later generation of it.
    ///
    /// The batch has them until its record is finished; as that raises the epoch, a worker that still works on it then is fenced.
    ///
    /// # Errors
    /// When the store does not answer; the sources may be given then.
    async fn claim_sources(&self, claim: &SourceClaim) -> Result<SourceOutcome, StoreError>;

    /// Forgets up to `most` cases that were last written on a day before the one that is `remember` ago, and returns how
    /// many.
    ///
    /// # Errors
    /// When the store does not answer; nothing may be forgotten then, or all of it.
    async fn forget_written(&self, remember: Duration, most: u32) -> Result<u64, StoreError>;
}

#[async_trait]
impl WrittenStore for Store {
    async fn written(&self, tenant: &TenantId, cases: &[CaseIdentity]) -> Result<Vec<Remembered>, StoreError> {
        if cases.is_empty() {
            return Ok(Vec::new());
        }
        let mut conn = self.reading().await?;
        let wanted: Vec<Value> = cases.iter().map(|case| json!({"identity": bytes_in_row(case.bytes())})).collect();
        let sql = format!(
            "SELECT w.identity, w.testmo_id, w.folder_id, w.batch, w.renderer, w.fields FROM {} \
             JOIN written_cases w ON w.identity = r.identity",
            Dialect::of(&conn).rows(&[("identity", Kind::Bytes)])
        );
        let rows = sql::fetch(&mut conn, sql, vec![Bound::from(wanted.as_slice())]).await?;
        let mut written = self.unreadable.skip(rows.iter().map(read))?;
        written.sort_by_key(|case| case.identity);
        written.dedup_by_key(|case| case.identity);
        let batches = batches_of(&mut conn, tenant, &written).await?;
        Ok(written.into_iter().map(|case| Remembered { batch: batch_of(&batches, case.batch), case }).collect())
    }

    async fn written_of_source(
        &self,
        tenant: &TenantId,
        source: SourceId,
        after: Option<CaseIdentity>,
        most: u32,
    ) -> Result<Vec<Remembered>, StoreError> {
        let mut conn = self.reading().await?;
        let after = after.map_or_else(|| source.bytes().to_vec(), |after| after.bytes().to_vec());
        let sql = "SELECT identity, testmo_id, folder_id, batch, renderer, fields FROM written_cases \
                   WHERE identity > $1 AND identity < $2 ORDER BY identity LIMIT $3";
        let bounds = vec![Bound::Blob(after.into()), Bound::Blob(source.end().into()), Bound::Int(i64::from(most))];
        let rows = sql::fetch(&mut conn, sql, bounds).await?;
        let written = self.unreadable.skip(rows.iter().map(read))?;
        let batches = batches_of(&mut conn, tenant, &written).await?;
        Ok(written.into_iter().map(|case| Remembered { batch: batch_of(&batches, case.batch), case }).collect())
    }

    async fn claim_sources(&self, claim: &SourceClaim) -> Result<SourceOutcome, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let outcome = source::claim(transaction.conn()?, now, claim).await?;
        match outcome {
            SourceOutcome::Granted { .. } => transaction.commit().await?,
            SourceOutcome::Busy(_) | SourceOutcome::Superseded(_) => transaction.roll_back().await?,
        }
        Ok(outcome)
    }

    async fn forget_written(&self, remember: Duration, most: u32) -> Result<u64, StoreError> {
        let (mut conn, now) = self.writing_at().await?;
        let first_kept = day(now.saturating_sub(i64::try_from(remember.as_millis()).unwrap_or(i64::MAX)));
        let sql = format!(
            "DELETE FROM written_cases WHERE identity IN (SELECT identity FROM written_cases WHERE written_on < $1 \
             ORDER BY written_on LIMIT $2 {})",
            Dialect::of(&conn).skip_taken()
        );
        let forgotten = sql::execute(&mut conn, sql, vec![Bound::Int(first_kept), Bound::Int(i64::from(most))]).await?;
        Ok(forgotten.max(source::forget(&mut conn, first_kept, most).await?))
    }
}

/// Remembers cases. Of several with one identity the last one counts.
pub(super) async fn remember<'a>(
    conn: &mut AnyConnection,
    now: i64,
    cases: impl Iterator<Item = &'a WrittenCase>,
) -> Result<(), StoreError> {
    // In one order, so that replicas which store the same ones wait for each other in it.
    let cases: BTreeMap<CaseIdentity, &WrittenCase> = cases.map(|case| (case.identity, case)).collect();
    if cases.is_empty() {
        return Ok(());
    }
    let row = |case: &&WrittenCase| {
        json!({"identity": bytes_in_row(case.identity.bytes()), "testmo_id": case.testmo_id, "folder_id": case.folder,
               "batch": case.batch.value(), "renderer": case.fields.renderer(), "fields": bytes_in_row(case.fields.bytes())})
    };
    let rows: Vec<Value> = cases.values().map(row).collect();
    let columns = [
        ("identity", Kind::Bytes),
        ("testmo_id", Kind::Int),
        ("folder_id", Kind::Int),
        ("batch", Kind::Int),
        ("renderer", Kind::Int),
        ("fields", Kind::Bytes),
    ];
    let sql = format!(
        "INSERT INTO written_cases (identity, testmo_id, folder_id, batch, written_on, renderer, fields) \
         SELECT identity, testmo_id, folder_id, batch, $2, renderer, fields FROM {} WHERE true \
         ON CONFLICT (identity) DO UPDATE SET testmo_id = excluded.testmo_id, folder_id = excluded.folder_id, \
         batch = excluded.batch, written_on = excluded.written_on, renderer = excluded.renderer, \
         fields = excluded.fields",
        Dialect::of(conn).rows(&columns)
    );
    sql::execute(conn, sql, vec![Bound::from(rows.as_slice()), Bound::Int(day(now))]).await?;
    Ok(())
}

/// Forgets cases, each if it is remembered of this id in Testmo: a later batch may have created it again.
pub(super) async fn forget(conn: &mut AnyConnection, cases: &[(CaseIdentity, u64)]) -> Result<(), StoreError> {
    if cases.is_empty() {
        return Ok(());
    }
    let row = |(identity, id): &(CaseIdentity, u64)| json!({"identity": bytes_in_row(identity.bytes()), "of_id": id});
    let rows: Vec<Value> = cases.iter().map(row).collect();
    let sql = format!(
        "DELETE FROM written_cases WHERE identity IN (SELECT w.identity FROM {} JOIN written_cases w \
         ON w.identity = r.identity WHERE w.testmo_id = r.of_id)",
        Dialect::of(conn).rows(&[("identity", Kind::Bytes), ("of_id", Kind::Int)])
    );
    sql::execute(conn, sql, vec![Bound::from(rows.as_slice())]).await.map(drop)
}

fn read(row: &AnyRow) -> Result<WrittenCase, StoreError> {
    let columns = || {
        let identity = CaseIdentity::from_bytes(&row.blob("identity")?);
        let fields = WrittenFields::from_bytes(row.blob("fields")?, row.whole("renderer")?);
        Ok(WrittenCase {
            identity: identity.ok_or_else(|| StoreError::malformed("identity"))?,
            testmo_id: row.whole("testmo_id")?,
            folder: row.whole("folder_id")?,
            batch: BatchMark::from_value(row.int("batch")?),
            fields: fields.ok_or_else(|| StoreError::malformed("fields"))?,
        })
    };
    let name = || row.blob("identity").map_or_else(|_| "?".into(), |bytes| crate::batch::hex(&bytes));
    columns().map_err(|error: StoreError| error.in_row("written_cases", name))
}

/// Returns the tenant's batches that were first claimed when a batch of these cases was, with that time.
async fn batches_of(
    conn: &mut AnyConnection,
    tenant: &TenantId,
    cases: &[WrittenCase],
) -> Result<Vec<(i64, BatchKey)>, StoreError> {
    let times: BTreeSet<i64> = cases.iter().map(|case| case.batch.first_seen_at()).collect();
    if times.is_empty() {
        return Ok(Vec::new());
    }
    let times: Vec<Value> = times.into_iter().map(|at| json!({"at": at})).collect();
    let sql = format!(
        "SELECT b.first_seen_at, b.batch_id FROM {} JOIN batches b ON b.first_seen_at = r.at WHERE b.tenant_id = $2",
        Dialect::of(conn).rows(&[("at", Kind::Int)])
    );
    let bounds = vec![Bound::from(times.as_slice()), Bound::Text(tenant.as_str().to_owned())];
    let rows = sql::fetch(conn, sql, bounds).await?;
    let key = |row: &AnyRow| {
        let batch = BatchId::new(&row.text("batch_id")?).map_err(|_| StoreError::malformed("batch_id"))?;
        Ok((row.int("first_seen_at")?, BatchKey::new(tenant.clone(), batch)))
    };
    rows.iter().map(key).collect()
}

/// Returns the batch with a mark; none if several could be it.
fn batch_of(batches: &[(i64, BatchKey)], mark: BatchMark) -> Option<BatchId> {
    let mut fitting = batches.iter().filter(|(at, key)| *at == mark.first_seen_at() && mark.fits(key));
    let (_, key) = fitting.next()?;
    fitting.next().is_none().then(|| key.batch.clone())
}

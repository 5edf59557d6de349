//! Stores the record of every batch, and claims cases for pushes.
//!
//! Invariant: a record is changed only where its stored epoch is the one that the change started from.

mod claim;
mod claim_rows;
mod commit;
mod happened;
mod list;
mod lock;
mod model;
mod push_end;
mod read;
mod recent;
mod replayed;
mod row;
mod success;

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::sql::{self, Bound, Columns, Dialect};
use super::{Store, StoreError};
use crate::batch::{BatchId, BatchKey, TenantId};

pub(super) use self::claim::claim;
pub(super) use self::commit::commit;
pub use self::happened::happened;
pub use self::list::{BatchFilter, BatchPlace};
#[cfg(test)]
pub(super) use self::list::{list_statement, totals_statement};
pub(super) use self::lock::lock;
pub use self::model::{
    Claim, ClaimOutcome, Commit, CommitOutcome, KnownIds, PushEnded, PushFound, PushMembers, RecordUpdate, StoredBatch,
    WindowStep,
};
pub(super) use self::read::stored;
use self::read::{load, only};
pub use self::recent::DeliveredSince;
#[cfg(test)]
pub(super) use self::recent::recent_statement;

/// What a worker asks and changes about batches.
#[async_trait]
pub trait LedgerStore: Send + Sync {
    /// Claims cases for a push and takes the permit to send it, in one transaction.
    ///
    /// # Errors
    /// When the store does not answer; the claim may be stored or not.
    async fn claim(&self, claim: Claim) -> Result<ClaimOutcome, StoreError>;

    /// Stores a change whole, or, where the record's epoch has moved, nothing of it.
    ///
    /// # Errors
    /// When the store does not answer; the change may be stored or not.
    async fn commit(&self, change: Arc<Commit>) -> Result<CommitOutcome, StoreError>;

    /// Returns what is stored of a batch, and the time on the store's clock when it was read, in milliseconds since 1970.
    ///
    /// # Errors
    /// When the store does not answer, or this version cannot read the batch.
    async fn batch_at(&self, key: &BatchKey) -> Result<(Option<StoredBatch>, i64), StoreError>;

    /// Returns those of `ids` that the ledger holds for cases of an account.
    ///
    /// # Errors
    /// When the store does not answer, or this version cannot read a batch that may hold one of them.
    async fn held_ids(&self, account: &str, ids: &[u64]) -> Result<HashSet<u64>, StoreError>;

    /// Returns those of `ids` that only pushes of an account can have given that ended before a time on the store's clock, in
    /// milliseconds since 1970.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn ids_given_before(&self, account: &str, ids: &[u64], before: i64) -> Result<HashSet<u64>, StoreError>;

    /// Returns whether a push is known to have created cases, and the batches whose open push it still is.
    ///
    /// # Errors
    /// When the store does not answer, or this version cannot read one of its batches.
    async fn push_members(&self, push: &str) -> Result<PushMembers, StoreError>;

    /// Returns the last push of a batch to an account, leaving out the push `but`.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn last_push(&self, batch: &BatchKey, account: &str, but: Option<&str>)
    -> Result<Option<String>, StoreError>;

    /// Takes up to `most` batches that finished at least `after` ago and whose cases may have been created twice, for the
    /// late-duplicate check.
    ///
    /// Each is given to one caller for `lease`. It is due again after that, unless
    /// [`late_checked`](crate::batch::ledger::BatchRecord::late_checked) was stored.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn take_late_checks(
        &self,
        after: Duration,
        lease: Duration,
        most: u32,
    ) -> Result<Vec<StoredBatch>, StoreError>;
}

#[async_trait]
impl LedgerStore for Store {
    async fn claim(&self, claim: Claim) -> Result<ClaimOutcome, StoreError> {
        self.group.claim(claim).await
    }

    async fn commit(&self, change: Arc<Commit>) -> Result<CommitOutcome, StoreError> {
        self.group.commit(change).await
    }

    async fn batch_at(&self, key: &BatchKey) -> Result<(Option<StoredBatch>, i64), StoreError> {
        let (mut conn, now) = self.reading_at().await?;
        let loaded = load(&mut conn, HashSet::from([key])).await?;
        Ok((self.unreadable.noted(only(loaded, key))?, now))
    }

    async fn held_ids(&self, account: &str, ids: &[u64]) -> Result<HashSet<u64>, StoreError> {
        let (Some(low), Some(high)) = (ids.iter().min(), ids.iter().max()) else { return Ok(HashSet::new()) };
        let mut conn = self.reading().await?;
        let bounds = vec![Bound::Text(account.into()), Bound::Int(signed(*low)), Bound::Int(signed(*high))];
        let rows = sql::fetch(&mut conn, HOLDERS, bounds).await?;
        let mut held = HashSet::new();
        for row in &rows {
            held.extend(self.unreadable.noted(stored(row))?.record.arrived_at(account).map(|(_, id)| id));
        }
        Ok(ids.iter().copied().filter(|id| held.contains(id)).collect())
    }

    async fn ids_given_before(&self, account: &str, ids: &[u64], before: i64) -> Result<HashSet<u64>, StoreError> {
        let (Some(low), Some(high)) = (ids.iter().min(), ids.iter().max()) else { return Ok(HashSet::new()) };
        let bounds = vec![Bound::Text(account.into()), Bound::Int(signed(*low)), Bound::Int(signed(*high))];
        let mut given = Vec::new();
        for row in sql::fetch(&mut *self.reading().await?, AROUND, bounds).await? {
            let is_earlier = row.maybe_int("ended_at")?.is_some_and(|ended_at| ended_at < before);
            given.push((row.whole("first_id")?..=row.whole("last_id")?, is_earlier));
        }
        Ok(given_before(ids, &given))
    }

    async fn push_members(&self, push: &str) -> Result<PushMembers, StoreError> {
        let mut conn = self.reading().await?;
        let sql = "SELECT b.*, p.first_id FROM push_parts pp JOIN pushes p ON p.push_id = pp.push_id \
                   JOIN batches b ON b.tenant_id = pp.tenant_id AND b.batch_id = pp.batch_id WHERE pp.push_id = $1";
        let rows = sql::fetch(&mut conn, sql, vec![Bound::Text(push.into())]).await?;
        let mut members = PushMembers::default();
        for row in &rows {
            members.committed |= row.maybe_int("first_id")?.is_some();
            let record = self.unreadable.noted(stored(row))?.record;
            if record.open_push.as_ref().is_some_and(|open| open.id == push) {
                members.waiting.push(record);
            }
        }
        Ok(members)
    }

    async fn last_push(
        &self,
        batch: &BatchKey,
        account: &str,
        but: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        let mut conn = self.reading().await?;
        let sql = "SELECT p.push_id FROM push_parts pp JOIN pushes p ON p.push_id = pp.push_id \
                   WHERE pp.tenant_id = $1 AND pp.batch_id = $2 AND p.account = $3 AND p.push_id <> $4 \
                   ORDER BY p.claimed_at DESC, p.push_id LIMIT 1";
        let texts = [batch.tenant.as_str(), batch.batch.as_str(), account, but.unwrap_or_default()];
        let rows = sql::fetch(&mut conn, sql, texts.map(|text| Bound::Text(text.into())).into()).await?;
        rows.first().map(|row| row.text("push_id")).transpose()
    }

    async fn take_late_checks(
        &self,
        after: Duration,
        lease: Duration,
        most: u32,
    ) -> Result<Vec<StoredBatch>, StoreError> {
        let (mut conn, now) = self.writing_at().await?;
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let sql = format!(
            "WITH due AS MATERIALIZED (SELECT tenant_id AS due_tenant, batch_id AS due_batch FROM batches \
             WHERE late_since IS NOT NULL AND state IN ('delivered', 'partial') AND settled_at <= $1 \
             AND COALESCE(look_after, 0) <= $2 ORDER BY settled_at LIMIT $4 {}) \
             UPDATE batches SET look_after = $3 FROM due WHERE tenant_id = due_tenant AND batch_id = due_batch \
             RETURNING *",
            Dialect::of(&conn).skip_taken()
        );
        let bounds = vec![
            Bound::Int(now.saturating_sub(ms(after))),
            Bound::Int(now),
            Bound::Int(now.saturating_add(ms(lease))),
            Bound::Int(i64::from(most)),
        ];
        self.unreadable.skip(sql::fetch(&mut conn, sql, bounds).await?.iter().map(stored))
    }
}

impl Store {
    /// Returns what is stored of a batch.
    ///
    /// # Errors
    /// When the store does not answer, or this version cannot read the batch.
    pub async fn batch(&self, key: &BatchKey) -> Result<Option<StoredBatch>, StoreError> {
        let mut conn = self.reading().await?;
        self.unreadable.noted(only(load(&mut conn, HashSet::from([key])).await?, key))
    }

    /// Returns what is stored of batches. One that this version cannot read has `None`; one that is not stored is missing.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn batches_of(
        &self,
        keys: HashSet<&BatchKey>,
    ) -> Result<HashMap<BatchKey, Option<StoredBatch>>, StoreError> {
        let loaded = load(&mut *self.reading().await?, keys).await?;
        let unreadable = loaded.unreadable.into_keys().map(|key| (key, None));
        Ok(loaded.stored.into_iter().map(|(key, stored)| (key, Some(stored))).chain(unreadable).collect())
    }

    /// Returns up to `most` batches of a tenant whose ids come after `after`, in the order of their ids.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn batches_after(
        &self,
        tenant: &TenantId,
        after: Option<&BatchId>,
        most: u32,
    ) -> Result<Vec<StoredBatch>, StoreError> {
        let sql =
            "SELECT * FROM batches WHERE tenant_id = $1 AND batch_id > $2 AND epoch > 0 ORDER BY batch_id LIMIT $3";
        let after = after.map_or_else(String::new, |after| after.as_str().to_owned());
        let bounds = vec![Bound::Text(tenant.as_str().to_owned()), Bound::Text(after), Bound::Int(i64::from(most))];
        let rows = sql::fetch(&mut *self.reading().await?, sql, bounds).await?;
        self.unreadable.skip(rows.iter().map(stored))
    }
}

/// Reads the batches whose pushes in the account `$1` gave ids between `$2` and `$3`, or around them. A push has up to a hundred
/// cases, and other requests get ids in between; those whose ids are further apart have an index of their own.
pub(super) const HOLDERS: &str = "SELECT b.* FROM batches b JOIN (SELECT DISTINCT pp.tenant_id, pp.batch_id FROM (\
    SELECT push_id FROM pushes WHERE account = $1 AND last_id >= $2 AND last_id <= $3 + 500 AND first_id <= $3 \
    UNION ALL SELECT push_id FROM pushes WHERE account = $1 AND last_id - first_id > 500 AND last_id >= $2 AND first_id <= $3) near \
    JOIN push_parts pp ON pp.push_id = near.push_id) holders \
    ON b.tenant_id = holders.tenant_id AND b.batch_id = holders.batch_id";

/// Reads the ids that pushes in the account `$1` gave, and when they ended: of those that gave ids between `$2` and `$3`, or
/// around them.
pub(super) const AROUND: &str = "SELECT first_id, last_id, ended_at FROM pushes \
    WHERE account = $1 AND last_id >= $2 AND last_id <= $3 + 500 AND first_id <= $3 \
    UNION ALL SELECT first_id, last_id, ended_at FROM pushes \
    WHERE account = $1 AND last_id - first_id > 500 AND last_id >= $2 AND first_id <= $3";

/// Returns those of some ids that lie within spans of ids, all of which are earlier.
pub fn given_before(ids: &[u64], spans: &[(RangeInclusive<u64>, bool)]) -> HashSet<u64> {
    let around = |id: u64| spans.iter().filter(move |(span, _)| span.contains(&id)).map(|(_, is_earlier)| *is_earlier);
    ids.iter().copied().filter(|id| around(*id).next().is_some() && around(*id).all(|is_earlier| is_earlier)).collect()
}

fn signed(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

//! What is known of every batch: the words in which it is asked for and changed, and how it is read.
//!
//! Invariant: a record is changed only where its stored epoch is the one that the change started from.

mod change;
mod claim;
mod lock;
mod row;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::accounts::{AccountObservation, Pause};
use super::outbox::OutboxEvent;
use super::shelf::{ByHand, Shelving};
use super::sql::{self, Bound, Columns, Dialect, Kind};
use super::{Store, StoreError, UnreadableRow};
use crate::batch::event::Event;
use crate::batch::ledger::BatchRecord;
use crate::batch::{BatchId, BatchKey, TenantId};

pub(super) use self::change::change;
pub(super) use self::claim::claim;
pub(super) use self::lock::lock;

/// A record as it is to be stored, and the epoch that has to be stored before.
#[derive(Clone, Debug)]
pub struct RecordUpdate {
    /// The record as it is to be.
    pub record: BatchRecord,
    /// The epoch it started from; 0 for a batch that is not stored yet.
    pub from_epoch: u64,
}

/// The wish to send one request.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Id of the push.
    pub push: String,
    /// Whose connection it uses.
    pub tenant: TenantId,
    /// The version of that connection, which has to be the current, verified one.
    pub connection: String,
    /// The account it sends to.
    pub account: String,
    /// How many requests at once are configured for that.
    pub ceiling: u32,
    /// Who sends.
    pub holder: String,
    /// How long the claim holds.
    pub lease: Duration,
    /// The records of its batches, with the cases claimed.
    pub batches: Vec<RecordUpdate>,
}

/// The answer to a [`Claim`]; times are milliseconds on the store's clock.
#[derive(Clone, Debug)]
pub enum ClaimOutcome {
    /// Granted, with the permit for one request, but for what is named.
    Granted {
        /// When.
        at: i64,
        /// How many requests at once the account bears.
        limit: u32,
        /// What ids of cases the ledger knows of the account.
        ids: KnownIds,
        /// Batches that are not as the claim believes, and are not part of it.
        stale: Vec<Stored>,
        /// Batches that another claim of the same moment got, and are not part of it.
        contested: Vec<BatchKey>,
        /// Batches whose records cannot be read, and are not part of it.
        unreadable: Vec<(BatchKey, UnreadableRow)>,
    },
    /// The account bears no more requests at once.
    Full {
        /// How many it bears.
        limit: u32,
    },
    /// The account takes nothing yet: its gate is closed, or its circuit breaker is open.
    Wait(Pause),
    /// The circuit breaker is open, and the claimant alone may find out whether the account is well again.
    Probe,
    /// A person has paused the account or the tenant.
    Paused,
    /// The connection is not the current, verified one.
    ConnectionChanged,
    /// What is known of the account, or of every batch, cannot be read.
    Unreadable(UnreadableRow),
    /// None of the batches is as the claim believes.
    Stale {
        /// How they are.
        stored: Vec<Stored>,
        /// When this was answered.
        now: i64,
    },
}

/// What is known of the ids of an account's cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownIds {
    /// The highest that came of an accepted answer or was found in Testmo.
    pub highest: Option<u64>,
    /// Whether ids were seen not to ascend as cases are created.
    pub disordered: bool,
}

impl KnownIds {
    /// The id that the next request's cases are above, if ids tell that.
    pub fn floor(self) -> Option<u64> {
        self.highest.filter(|_| !self.disordered)
    }
}

/// A record as it is stored.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The record.
    pub record: BatchRecord,
    /// When its open push was claimed.
    pub claimed_at: Option<i64>,
    /// Until when its open push belongs to its holder.
    pub lease_until: Option<i64>,
}

/// What is known of a push as a whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PushMembers {
    /// Whether one of its cases is known to be created: then all of them were.
    pub committed: bool,
    /// Records of the batches whose open push it still is.
    pub waiting: Vec<BatchRecord>,
}

/// How a push ended, for its history.
#[derive(Clone, Debug)]
pub struct PushEnded {
    /// Id of the push.
    pub push: String,
    /// The class of the answer.
    pub answer: &'static str,
    /// The lowest and highest id that came of it.
    pub ids: Option<(u64, u64)>,
}

/// One atomic change: all of it is stored, or, where the record's epoch is another, none of it.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The batch as it is to be.
    pub batch: Option<RecordUpdate>,
    /// A push that ended.
    pub ended: Option<PushEnded>,
    /// What goes onto the shelf.
    pub shelve: Option<Shelving>,
    /// What comes off the shelf: id and generation.
    pub unshelve: Option<(i64, i64)>,
    /// What a person wants of something on the shelf; without it, nothing of the change is stored.
    pub by_hand: Option<ByHand>,
    /// Events to be announced.
    pub events: Vec<Event>,
    /// For how long its events are for the caller alone to announce; without it they are due at once.
    pub turn: Option<Duration>,
    /// What a request told of its account; that is so whatever becomes of the rest of the change.
    pub observation: Option<AccountObservation>,
    /// A tenant for whom something arrived.
    pub success: Option<TenantId>,
    /// For how much longer the batch's open push belongs to its holder, once that knows more than when it claimed it.
    pub lease: Option<Duration>,
}

/// The answer to a [`Change`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// All of it is stored; with those of its events that were not stored before.
    Done(Vec<OutboxEvent>),
    /// None of it: somebody else has changed the batch, or what a person had seen on the shelf.
    Fenced,
}

impl CommitOutcome {
    /// Whether all of it is stored.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

impl Store {
    /// Claims cases and takes the permit to send them, in one transaction.
    ///
    /// # Errors
    /// When the store does not answer; nothing is claimed then.
    pub async fn claim(&self, claim: Claim) -> Result<ClaimOutcome, StoreError> {
        self.group.claim(claim).await
    }

    /// Stores a change whole or not at all.
    ///
    /// # Errors
    /// When the store does not answer; nothing is changed then.
    pub async fn change(&self, change: impl Into<Arc<Change>>) -> Result<CommitOutcome, StoreError> {
        self.group.change(change.into()).await
    }

    /// What is stored of a batch.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn batch(&self, key: &BatchKey) -> Result<Option<Stored>, StoreError> {
        let mut conn = self.reading().await?;
        self.unreadable.noted(only(load(&mut conn, HashSet::from([key])).await?, key))
    }

    /// What is stored of a batch, and the time on the store's clock when it was read.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn batch_at(&self, key: &BatchKey) -> Result<(Option<Stored>, i64), StoreError> {
        let (mut conn, now) = self.reading_at().await?;
        let loaded = load(&mut conn, HashSet::from([key])).await?;
        Ok((self.unreadable.noted(only(loaded, key))?, now))
    }

    /// The latest batches by arrival, newest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn latest_batches(&self, tenant: Option<&TenantId>, most: u32) -> Result<Vec<Stored>, StoreError> {
        let mut conn = self.reading().await?;
        let sql = "SELECT * FROM batches WHERE epoch > 0 AND ($1 IS NULL OR tenant_id = $1) \
                   ORDER BY first_seen_at DESC, tenant_id, batch_id LIMIT $2";
        let tenant = Bound::MaybeText(tenant.map(|t| t.as_str().to_owned()));
        let rows = sql::fetch(&mut conn, sql, vec![tenant, Bound::Int(i64::from(most))]).await?;
        self.unreadable.skip(rows.iter().map(stored))
    }

    /// Whether a push is known to have created cases, and of which batches it is still the open one.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn push_members(&self, push: &str) -> Result<PushMembers, StoreError> {
        let mut conn = self.reading().await?;
        let sql = "SELECT b.*, p.first_id FROM push_parts pp JOIN pushes p ON p.push_id = pp.push_id \
                   JOIN batches b ON b.tenant_id = pp.tenant_id AND b.batch_id = pp.batch_id WHERE pp.push_id = $1";
        let rows = sql::fetch(&mut conn, sql, vec![Bound::Text(push.into())]).await?;
        let mut company = PushMembers::default();
        for row in &rows {
            company.committed |= row.maybe_int("first_id")?.is_some();
            let record = self.unreadable.noted(stored(row))?.record;
            if record.open_push.as_ref().is_some_and(|open| open.id == push) {
                company.waiting.push(record);
            }
        }
        Ok(company)
    }

    /// The last push of a batch to an account that is not `but`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn last_push(
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

    /// Which of `ids` the ledger holds for cases of an account.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn held_ids(&self, account: &str, ids: &[u64]) -> Result<HashSet<u64>, StoreError> {
        let (Some(low), Some(high)) = (ids.iter().min(), ids.iter().max()) else { return Ok(HashSet::new()) };
        let mut conn = self.reading().await?;
        let sql = "SELECT DISTINCT b.* FROM pushes p \
                   JOIN push_parts pp ON pp.push_id = p.push_id \
                   JOIN batches b ON b.tenant_id = pp.tenant_id AND b.batch_id = pp.batch_id \
                   WHERE p.account = $1 AND p.last_id >= $2 AND p.first_id <= $3";
        let bounds = vec![Bound::Text(account.into()), Bound::Int(signed(*low)), Bound::Int(signed(*high))];
        let rows = sql::fetch(&mut conn, sql, bounds).await?;
        let mut held = HashSet::new();
        for row in &rows {
            held.extend(self.unreadable.noted(stored(row))?.record.arrived_at(account).map(|(_, id)| id));
        }
        Ok(ids.iter().copied().filter(|id| held.contains(id)).collect())
    }
}

fn signed(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

/// What is stored of batches, and which of them cannot be read.
#[derive(Debug, Default)]
struct Loaded {
    stored: HashMap<BatchKey, Stored>,
    unreadable: HashMap<BatchKey, UnreadableRow>,
}

fn only(mut loaded: Loaded, key: &BatchKey) -> Result<Option<Stored>, StoreError> {
    match loaded.unreadable.remove(key) {
        Some(row) => Err(StoreError::Unreadable(row)),
        None => Ok(loaded.stored.remove(key)),
    }
}

async fn load(conn: &mut AnyConnection, keys: HashSet<&BatchKey>) -> Result<Loaded, StoreError> {
    let rows: Vec<Value> =
        keys.into_iter().map(|k| json!({"tenant": k.tenant.as_str(), "batch": k.batch.as_str()})).collect();
    let sql = format!(
        "SELECT b.* FROM {} JOIN batches b ON b.tenant_id = r.tenant AND b.batch_id = r.batch WHERE b.epoch > 0",
        Dialect::of(conn).rows(&[("tenant", Kind::Text), ("batch", Kind::Text)])
    );
    let rows = sql::fetch(conn, sql, vec![Bound::from(rows.as_slice())]).await?;
    let mut loaded = Loaded::default();
    for row in &rows {
        match stored(row) {
            Ok(stored) => drop(loaded.stored.insert(stored.record.key.clone(), stored)),
            Err(StoreError::Unreadable(unreadable)) => drop(loaded.unreadable.insert(key_of(row)?, unreadable)),
            Err(error) => return Err(error),
        }
    }
    Ok(loaded)
}

fn key_of(row: &AnyRow) -> Result<BatchKey, StoreError> {
    let tenant = TenantId::new(&row.text("tenant_id")?).map_err(|_| StoreError::malformed("tenant_id"))?;
    let batch = BatchId::new(&row.text("batch_id")?).map_err(|_| StoreError::malformed("batch_id"))?;
    Ok(BatchKey::new(tenant, batch))
}

pub(super) fn stored(row: &AnyRow) -> Result<Stored, StoreError> {
    let part = |name: &str| row.text(name).unwrap_or_else(|_| "?".into());
    let key = || format!("{}/{}", part("tenant_id"), part("batch_id"));
    columns(row).map_err(|error| error.in_row("batches", key))
}

fn columns(row: &AnyRow) -> Result<Stored, StoreError> {
    let open_push = row.maybe_text("open_push")?;
    let open_push = open_push
        .map(|text| serde_json::from_str(&text).map_err(|_| StoreError::malformed("open_push")))
        .transpose()?;
    let record = BatchRecord {
        key: key_of(row)?,
        fingerprint: row.text("fingerprint")?,
        state: row.parsed("state")?,
        revision: row.whole("revision")?,
        epoch: row.whole("epoch")?,
        targets: row.json("targets")?,
        cases: row.json("cases")?,
        open_push,
        doubt_since: row.maybe_int("doubt_since")?,
        late_since: row.maybe_int("late_since")?,
        floor: row.maybe_whole("floor")?,
        first_seen_at: row.int("first_seen_at")?,
        settled_at: row.maybe_int("settled_at")?,
    };
    Ok(Stored { record, claimed_at: row.maybe_int("claimed_at")?, lease_until: row.maybe_int("lease_until")? })
}

//! Lets one batch at a time write the cases of a source, and remembers which generation wrote them last.

use std::collections::BTreeSet;

use sqlx::AnyConnection;

use super::super::StoreError;
use super::super::sql::{self, Bound, Columns, Dialect};
use super::days::day;
use crate::batch::ledger::BatchState;
use crate::batch::written::SourceId;
use crate::batch::{BatchId, BatchKey, Reason, TenantId};

/// A batch that is to write the cases of sources: of its own one, and of the one of a batch that it replaces. Its record is
/// stored.
#[derive(Clone, Debug)]
pub struct SourceClaim {
    /// The sources.
    pub sources: BTreeSet<SourceId>,
    /// The batch.
    pub batch: BatchKey,
    /// When its cases were generated, in milliseconds since 1970; `None` for a batch that is taken back: it gets the source
    /// also if a later generation was written.
    pub generated_at: Option<i64>,
}

/// The answer to a [`SourceClaim`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceOutcome {
    /// The batch has the sources until it is finished.
    Granted {
        /// When the cases of the latest generation of any of them that was written before were generated, if there is one.
        latest_at: Option<i64>,
    },
    /// Another batch has one of them, and is not finished, or a person has yet to decide on cases of it that may be in Testmo.
    Busy(BatchKey),
    /// This batch has written a later generation of one of them.
    Superseded(BatchKey),
}

/// What is stored of a source.
struct Row {
    owner: BatchKey,
    generated_at: i64,
    latest: Option<(i64, BatchKey)>,
}

/// Gives sources to a batch, unless another batch has one of them or has written a later generation of it: then the
/// transaction has to be rolled back. They are taken in order, so that two batches never wait for each other.
pub(super) async fn claim(
    conn: &mut AnyConnection,
    now: i64,
    claim: &SourceClaim,
) -> Result<SourceOutcome, StoreError> {
    let mut latest = None;
    for source in &claim.sources {
        match claim_one(conn, now, source, claim).await? {
            SourceOutcome::Granted { latest_at } => latest = latest.max(latest_at),
            refused @ (SourceOutcome::Busy(_) | SourceOutcome::Superseded(_)) => return Ok(refused),
        }
    }
    Ok(SourceOutcome::Granted { latest_at: latest })
}

async fn claim_one(
    conn: &mut AnyConnection,
    now: i64,
    source: &SourceId,
    claim: &SourceClaim,
) -> Result<SourceOutcome, StoreError> {
    let BatchKey { tenant, batch } = &claim.batch;
    let id = || Bound::Blob(source.bytes().to_vec().into());
    let owner = || [Bound::Text(tenant.as_str().to_owned()), Bound::Text(batch.as_str().to_owned())];
    let sql = "INSERT INTO sources (source, tenant_id, batch_id, generated_at, claimed_on) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (source) DO NOTHING";
    let [of_tenant, of_batch] = owner();
    let first = claim.generated_at.unwrap_or(i64::MIN);
    let bounds = vec![id(), of_tenant, of_batch, Bound::Int(first), Bound::Int(day(now))];
    if sql::execute(conn, sql, bounds).await? > 0 {
        return Ok(SourceOutcome::Granted { latest_at: None });
    }
    let sql = format!("SELECT * FROM sources WHERE source = $1 {}", Dialect::of(conn).keep());
    let rows = sql::fetch(conn, sql, vec![id()]).await?;
    let Some(row) = rows.first() else { return Ok(SourceOutcome::Busy(claim.batch.clone())) };
    let mut stored = Row::read(row)?;
    if stored.owner != claim.batch {
        // A statement of its own, so that it sees what was committed before the row could be locked.
        let [of_tenant, of_batch] =
            [stored.owner.tenant.as_str(), stored.owner.batch.as_str()].map(|name| Bound::Text(name.to_owned()));
        let sql = "SELECT state, lease_until FROM batches WHERE tenant_id = $1 AND batch_id = $2";
        let states = sql::fetch(conn, sql, vec![of_tenant, of_batch]).await?;
        let state = states.first().map(|row| row.text("state")).transpose()?;
        let lease = states.first().map(|row| row.maybe_int("lease_until")).transpose()?.flatten();
        let is = |wanted: BatchState| state.as_deref() == Some(wanted.name());
        // What the batch did may just be taken back.
        let is_under_way = is(BatchState::Open) || is(BatchState::Undone) && lease.is_some_and(|until| until > now);
        if is_under_way || left_unclear(conn, &stored.owner).await? {
            return Ok(SourceOutcome::Busy(stored.owner));
        }
        if state.is_some_and(|state| has_written(&state)) {
            stored.note_owner();
        }
    }
    let generated_at = match claim.generated_at {
        Some(at) => at,
        None if stored.owner == claim.batch => stored.generated_at,
        None => stored.latest.as_ref().filter(|(_, by)| *by == claim.batch).map_or(i64::MIN, |(at, _)| *at),
    };
    let is_later = |(at, by): &&(i64, BatchKey)| *at > generated_at && *by != claim.batch;
    if let Some((_, later)) = stored.latest.as_ref().filter(is_later).filter(|_| claim.generated_at.is_some()) {
        return Ok(SourceOutcome::Superseded(later.clone()));
    }
    let (latest_at, latest_batch) =
        stored.latest.as_ref().map(|(at, batch)| (*at, batch.batch.as_str().to_owned())).unzip();
    let sql = "UPDATE sources SET tenant_id = $2, batch_id = $3, generated_at = $4, claimed_on = $5, latest_at = $6, \
               latest_batch = $7 WHERE source = $1";
    let [of_tenant, of_batch] = owner();
    let bounds = vec![
        id(),
        of_tenant,
        of_batch,
        Bound::Int(generated_at),
        Bound::Int(day(now)),
        Bound::MaybeInt(latest_at),
        Bound::MaybeText(latest_batch),
    ];
    sql::execute(conn, sql, bounds).await?;
    Ok(SourceOutcome::Granted { latest_at })
}

/// Returns whether a person has yet to decide on cases of a batch that may be in Testmo: they are not remembered, so that
/// another batch of the source would create them again.
async fn left_unclear(conn: &mut AnyConnection, batch: &BatchKey) -> Result<bool, StoreError> {
    let reasons = Reason::UNCLEAR.map(|reason| format!("'{}'", reason.code())).join(", ");
    let sql = format!("SELECT id FROM shelf WHERE tenant_id = $1 AND batch_id = $2 AND reason IN ({reasons}) LIMIT 1");
    let bounds = [batch.tenant.as_str(), batch.batch.as_str()].map(|name| Bound::Text(name.to_owned()));
    Ok(!sql::fetch(conn, sql, Vec::from(bounds)).await?.is_empty())
}

/// Returns which batch has written the latest generation of a source, and when its cases were generated.
pub(in crate::store) async fn latest(
    conn: &mut AnyConnection,
    source: SourceId,
) -> Result<Option<(i64, BatchKey)>, StoreError> {
    let sql = "SELECT s.*, b.state FROM sources s LEFT JOIN batches b ON b.tenant_id = s.tenant_id \
               AND b.batch_id = s.batch_id WHERE s.source = $1";
    let rows = sql::fetch(conn, sql, vec![Bound::Blob(source.bytes().to_vec().into())]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let mut stored = Row::read(row)?;
    if row.maybe_text("state")?.is_some_and(|state| has_written(&state)) {
        stored.note_owner();
    }
    Ok(stored.latest)
}

/// Returns whether a batch in this state has written its generation.
fn has_written(state: &str) -> bool {
    [BatchState::Delivered, BatchState::Partial].map(BatchState::name).contains(&state)
}

/// Forgets up to `most` sources that were last claimed before a day, by batches that are finished.
pub(super) async fn forget(conn: &mut AnyConnection, first_kept: i64, most: u32) -> Result<u64, StoreError> {
    let sql = format!(
        "DELETE FROM sources WHERE source IN (SELECT source FROM sources WHERE claimed_on < $1 AND NOT EXISTS \
         (SELECT 1 FROM batches b WHERE b.tenant_id = sources.tenant_id AND b.batch_id = sources.batch_id \
         AND b.state = 'open') ORDER BY claimed_on LIMIT $2 {})",
        Dialect::of(conn).skip_taken()
    );
    sql::execute(conn, sql, vec![Bound::Int(first_kept), Bound::Int(i64::from(most))]).await
}

impl Row {
    fn read(row: &sqlx::any::AnyRow) -> Result<Self, StoreError> {
        let tenant = TenantId::new(&row.text("tenant_id")?).map_err(|_| StoreError::malformed("tenant_id"))?;
        let key = |column: &str, name: String| {
            let batch = BatchId::new(&name).map_err(|_| StoreError::malformed(column))?;
            Ok::<_, StoreError>(BatchKey::new(tenant.clone(), batch))
        };
        let latest = match (row.maybe_int("latest_at")?, row.maybe_text("latest_batch")?) {
            (Some(at), Some(batch)) => Some((at, key("latest_batch", batch)?)),
            (None, _) | (_, None) => None,
        };
        Ok(Self { owner: key("batch_id", row.text("batch_id")?)?, generated_at: row.int("generated_at")?, latest })
    }

    /// Notes that the owner has written its generation.
    fn note_owner(&mut self) {
        if self.latest.as_ref().is_none_or(|(at, _)| *at <= self.generated_at) {
            self.latest = Some((self.generated_at, self.owner.clone()));
        }
    }
}

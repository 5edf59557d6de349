//! Leases running replays: each is carried out by one worker at a time.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::super::sql::{self, Bound, Columns, Dialect, Kind, Transaction};
use super::super::{Store, StoreError};
use super::{PartProgress, ReplayId, RunningReplay};
use crate::batch::TenantId;
use crate::batch::cause::CauseId;
use crate::batch::replay::Window;

/// Leases up to `$4` running replays to `$1` until `$2`, at `$3`.
pub(in crate::store) fn lease_statement(dialect: Dialect) -> String {
    format!(
        "UPDATE replays SET holder = $1, lease_until = $2 WHERE id IN (SELECT id FROM replays WHERE state = 'running' \
         AND (holder = $1 OR lease_until IS NULL OR lease_until <= $3) ORDER BY id LIMIT $4 {}) \
         RETURNING id, epoch, owner, per_minute",
        dialect.skip_taken()
    )
}

/// Reads up to `$3` running replays that `$1` may lease at `$2`.
pub(in crate::store) const RUNNING: &str = "SELECT id, epoch, owner, per_minute, holder, lease_until FROM replays \
    WHERE state = 'running' AND (holder = $1 OR lease_until IS NULL OR lease_until <= $2) ORDER BY id LIMIT $3";

/// Reads the parts of replays that are not finished.
pub(in crate::store) fn parts_statement(dialect: Dialect) -> String {
    format!(
        "SELECT p.* FROM {} JOIN replay_parts p ON p.replay = r.id \
         WHERE p.batches > p.counted + p.passed ORDER BY p.replay, p.part",
        dialect.rows(&[("id", Kind::Int)])
    )
}

impl Store {
    pub(super) async fn lease_running(
        &self,
        holder: &str,
        lease: Duration,
        most: u32,
        known: &[(ReplayId, i64)],
    ) -> Result<Vec<RunningReplay>, StoreError> {
        let (mut running, known) = match self.held(holder, lease, most).await? {
            Some(held) => (held, known),
            // Somebody else may have held one of them in between.
            None => (self.lease_again(holder, lease, most).await?, &[][..]),
        };
        let is_known = |replay: &RunningReplay| known.contains(&(replay.id, replay.epoch));
        let unknown: Vec<ReplayId> =
            running.iter().filter(|replay| !is_known(replay)).map(|replay| replay.id).collect();
        if unknown.is_empty() {
            return Ok(running);
        }
        let mut parts = parts_of(&mut *self.reading().await?, &unknown).await?;
        for replay in running.iter_mut().filter(|replay| unknown.contains(&replay.id)) {
            replay.parts = Some(parts.remove(&replay.id).unwrap_or_default());
        }
        Ok(running)
    }

    /// Returns the running replays if there is none, or if nothing has to be written because `holder` has all of them for most
    /// of a lease: a replay is gone on with after each outcome.
    async fn held(&self, holder: &str, lease: Duration, most: u32) -> Result<Option<Vec<RunningReplay>>, StoreError> {
        let (mut conn, now) = self.reading_at().await?;
        let long = now.saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX) / 3 * 2);
        let bounds = vec![Bound::Text(holder.into()), Bound::Int(now), Bound::Int(i64::from(most))];
        let rows = sql::fetch(&mut conn, RUNNING, bounds).await?;
        let is_held = |row: &AnyRow| -> Result<bool, StoreError> {
            let until = row.maybe_int("lease_until")?;
            Ok(row.maybe_text("holder")?.as_deref() == Some(holder) && until.is_some_and(|until| until > long))
        };
        for row in &rows {
            if !is_held(row)? {
                return Ok(None);
            }
        }
        rows.iter().map(running).collect::<Result<_, _>>().map(Some)
    }

    async fn lease_again(&self, holder: &str, lease: Duration, most: u32) -> Result<Vec<RunningReplay>, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let until = now.saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX));
        let conn = transaction.conn()?;
        let bounds = vec![Bound::Text(holder.into()), Bound::Int(until), Bound::Int(now), Bound::Int(i64::from(most))];
        let rows = sql::fetch(conn, lease_statement(Dialect::of(conn)), bounds).await?;
        let mut running: Vec<RunningReplay> = rows.iter().map(running).collect::<Result<_, _>>()?;
        transaction.commit().await?;
        running.sort_by_key(|replay| replay.id);
        Ok(running)
    }
}

fn running(row: &AnyRow) -> Result<RunningReplay, StoreError> {
    Ok(RunningReplay {
        id: ReplayId(row.int("id")?),
        epoch: row.int("epoch")?,
        owner: row.text("owner")?,
        per_minute: row.maybe_whole("per_minute")?,
        parts: None,
    })
}

async fn parts_of(
    conn: &mut AnyConnection,
    replays: &[ReplayId],
) -> Result<HashMap<ReplayId, Vec<PartProgress>>, StoreError> {
    let mut parts: HashMap<ReplayId, Vec<PartProgress>> = HashMap::new();
    let ids: Vec<Value> = replays.iter().map(|id| json!({"id": id.0})).collect();
    let rows = sql::fetch(conn, parts_statement(Dialect::of(conn)), vec![Bound::from(ids.as_slice())]).await?;
    for row in &rows {
        parts.entry(ReplayId(row.int("replay")?)).or_default().push(part(row)?);
    }
    Ok(parts)
}

/// Reads a part of a replay. While nothing is known of it, its canary is sized by what it has left.
pub(super) fn part(row: &AnyRow) -> Result<PartProgress, StoreError> {
    let mut part = PartProgress {
        part: row.whole("part")?,
        cause: row.maybe_int("cause")?.and_then(CauseId::from_number),
        account: row.maybe_text("account")?,
        tenant: row.maybe_text("tenant_id")?.and_then(|tenant| TenantId::new(&tenant).ok()),
        batches: row.whole("batches")?,
        started: row.whole("started")?,
        counted: row.whole("counted")?,
        passed: row.whole("passed")?,
        window: row.json("known")?,
        why: row.maybe_text("why")?,
    };
    if part.window == Window::default() {
        part.window = Window::new(part.left());
    }
    Ok(part)
}

//! What became of cases? Changes, many in one transaction, each stored whole or not at all.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::super::sql::{self, Bound, Columns, Dialect, Kind};
use super::super::{StoreError, connections, outbox, shelf};
use super::row::{BATCH_COLUMNS, BatchRow};
use super::{Change, CommitOutcome, PushEnded, RecordUpdate, key_of};
use crate::batch::{BatchKey, TenantId};

/// Stores every change whose record is where it started from.
pub(in crate::store) async fn change(
    conn: &mut AnyConnection,
    now: i64,
    changes: &[Arc<Change>],
) -> Result<Vec<CommitOutcome>, StoreError> {
    let mut done = Vec::with_capacity(changes.len());
    for change in changes {
        done.push(match &change.by_hand {
            Some(by_hand) => shelf::hold(conn, now, by_hand).await?,
            None => true,
        });
    }
    let possible = changes.iter().enumerate().filter(|(at, _)| done[*at]);
    let batches: Vec<_> = possible.filter_map(|(at, c)| Some((at, c.batch.as_ref()?, c.lease))).collect();
    let moved = store_batches(conn, now, &batches).await?;
    for (at, ..) in batches {
        done[at] = moved.contains(&at);
    }
    let stored: Vec<&Change> = changes.iter().zip(&done).filter(|(_, done)| **done).map(|(c, _)| &**c).collect();
    store_ends(conn, now, stored.iter().filter_map(|c| c.ended.as_ref()).collect()).await?;
    // Before anything leaves the shelf, as it counts what had waited for a connection.
    note_successes(conn, now, stored.iter().filter_map(|c| c.success.as_ref()).collect()).await?;
    for (id, generation) in stored.iter().filter_map(|c| c.unshelve).collect::<BTreeSet<_>>() {
        shelf::remove(conn, id, generation).await?;
    }
    for by_hand in stored.iter().filter_map(|c| c.by_hand.as_ref()) {
        shelf::handle(conn, now, by_hand).await?;
    }
    for shelving in stored.iter().filter_map(|c| c.shelve.as_ref()) {
        shelf::put(conn, now, shelving).await?;
    }
    let events = stored.iter().flat_map(|change| change.events.iter().map(|event| (event, change.turn))).collect();
    let mut put = outbox::put(conn, now, events).await?;
    let mut answer = |(change, done): (&Arc<Change>, bool)| {
        if done { CommitOutcome::Done(put.take_for(change)) } else { CommitOutcome::Fenced }
    };
    Ok(changes.iter().zip(done).map(&mut answer).collect())
}

/// Stores records, each with its name, and gives the names of those whose stored epoch was the expected one.
async fn store_batches(
    conn: &mut AnyConnection,
    now: i64,
    changes: &[(usize, &RecordUpdate, Option<Duration>)],
) -> Result<HashSet<usize>, StoreError> {
    // Two changes of one batch in one group cannot both start from the stored epoch: the first one wins.
    let mut names: HashMap<&BatchKey, usize> = HashMap::new();
    for (name, revised, _) in changes {
        names.entry(&revised.record.key).or_insert(*name);
    }
    let is_first = |(name, revised, _): &&(usize, &RecordUpdate, _)| names.get(&revised.record.key) == Some(name);
    let until = |lease: Duration| now.saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX));
    let revised = changes.iter().filter(is_first).map(|(_, revised, lease)| (*revised, lease.map(until)));
    let (new, known): (Vec<_>, Vec<_>) = revised.partition(|(revised, _)| revised.from_epoch == 0);
    let mut moved = Vec::new();
    if !known.is_empty() {
        let sql = format!(
            "UPDATE batches SET state = r.state, revision = r.revision, epoch = r.epoch, targets = r.targets, \
             cases = r.cases, open_push = r.open_push, doubt_since = r.doubt_since, late_since = r.late_since, \
             floor = r.floor, settled_at = r.settled_at, lease_until = COALESCE(r.lease_until, batches.lease_until) \
             FROM {} WHERE batches.tenant_id = r.tenant_id AND batches.batch_id = r.batch_id \
             AND batches.epoch = r.from_epoch RETURNING batches.tenant_id, batches.batch_id",
            Dialect::of(conn).rows(&BATCH_COLUMNS)
        );
        let mut rows: Vec<BatchRow<'_>> =
            known.into_iter().map(|(revised, lease)| BatchRow::of(revised, lease)).collect();
        rows.sort_unstable_by_key(BatchRow::order);
        let rows = sql::fetch(conn, sql, vec![Bound::from(rows.as_slice())]).await?;
        moved.extend(rows);
    }
    if !new.is_empty() {
        let sql = format!(
            "INSERT INTO batches (tenant_id, batch_id, fingerprint, state, revision, epoch, targets, cases, \
             open_push, doubt_since, first_seen_at, settled_at) \
             SELECT tenant_id, batch_id, fingerprint, state, revision, epoch, targets, cases, open_push, \
             doubt_since, $2, settled_at FROM {} WHERE true \
             ON CONFLICT (tenant_id, batch_id) DO UPDATE SET fingerprint = excluded.fingerprint, \
             state = excluded.state, revision = excluded.revision, epoch = excluded.epoch, \
             targets = excluded.targets, cases = excluded.cases, open_push = excluded.open_push, \
             doubt_since = excluded.doubt_since, first_seen_at = excluded.first_seen_at, \
             settled_at = excluded.settled_at WHERE batches.epoch = 0 RETURNING tenant_id, batch_id",
            Dialect::of(conn).rows(&BATCH_COLUMNS)
        );
        let mut rows: Vec<BatchRow<'_>> = new.into_iter().map(|(revised, _)| BatchRow::of(revised, None)).collect();
        rows.sort_unstable_by_key(BatchRow::order);
        let rows = sql::fetch(conn, sql, vec![Bound::from(rows.as_slice()), Bound::Int(now)]).await?;
        moved.extend(rows);
    }
    let keys: Vec<BatchKey> = moved.iter().map(key_of).collect::<Result<_, _>>()?;
    Ok(keys.iter().filter_map(|key| names.get(key).copied()).collect())
}

async fn store_ends(conn: &mut AnyConnection, now: i64, ends: Vec<&PushEnded>) -> Result<(), StoreError> {
    let row = |end: &PushEnded| {
        json!({"push_id": end.push, "answer": end.answer,
               "first_id": end.ids.map(|ids| ids.0), "last_id": end.ids.map(|ids| ids.1)})
    };
    // Each batch of a push tells of its end.
    let mut of_pushes: BTreeMap<&str, PushEnded> = BTreeMap::new();
    for end in ends {
        let ids = of_pushes.get(end.push.as_str()).and_then(|before| before.ids);
        of_pushes.insert(&end.push, PushEnded { ids: around(ids, end.ids), ..end.clone() });
    }
    let rows: Vec<Value> = of_pushes.values().map(row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let columns = [("push_id", Kind::Text), ("answer", Kind::Text), ("first_id", Kind::Int), ("last_id", Kind::Int)];
    let sql = format!(
        "UPDATE pushes SET answer = CASE WHEN r.answer = 'adopted' THEN COALESCE(pushes.answer || ', ', '') || r.answer \
         ELSE r.answer END, ended_at = $2, \
         first_id = CASE WHEN r.first_id < COALESCE(pushes.first_id, r.first_id + 1) THEN r.first_id \
         ELSE pushes.first_id END, \
         last_id = CASE WHEN r.last_id > COALESCE(pushes.last_id, r.last_id - 1) THEN r.last_id \
         ELSE pushes.last_id END FROM {} WHERE pushes.push_id = r.push_id",
        Dialect::of(conn).rows(&columns)
    );
    sql::execute(conn, sql, vec![Bound::from(rows.as_slice()), Bound::Int(now)]).await?;
    Ok(())
}

/// The first and last of the ids of two spans: a look finds a push's rows batch by batch, in any order.
fn around(a: Option<(u64, u64)>, b: Option<(u64, u64)>) -> Option<(u64, u64)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (ids, None) | (None, ids) => ids,
    }
}

/// A success is noted at most so often, so that replicas do not wait for each other over it.
const SUCCESS_GRAIN_MS: i64 = 1_000;

async fn note_successes(conn: &mut AnyConnection, now: i64, tenants: HashSet<&TenantId>) -> Result<(), StoreError> {
    if tenants.is_empty() {
        return Ok(());
    }
    let rows: Vec<Value> = tenants.into_iter().map(|t| json!({"tenant": t.as_str()})).collect();
    let dialect = Dialect::of(conn);
    let sql = format!(
        "UPDATE connections SET last_success_at = $2 FROM (SELECT c.tenant_id AS due FROM connections c \
         JOIN {} ON c.tenant_id = r.tenant WHERE c.last_success_at IS NULL OR c.last_success_at <= $3 \
         OR c.rechecks > 0 {}) AS d WHERE tenant_id = due RETURNING tenant_id, rechecks",
        dialect.rows(&[("tenant", Kind::Text)]),
        dialect.skip_taken()
    );
    let bounds = vec![Bound::from(rows.as_slice()), Bound::Int(now), Bound::Int(now - SUCCESS_GRAIN_MS)];
    let noted = sql::fetch(conn, sql, bounds).await?;
    let on_trial = noted.iter().filter(|row| row.int("rechecks").is_ok_and(|fails| fails > 0));
    let on_trial: Vec<TenantId> = on_trial.map(|row| row.parsed("tenant_id")).collect::<Result<_, _>>()?;
    connections::proven(conn, now, &on_trial).await
}

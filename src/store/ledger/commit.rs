//! Stores changes of batches, many in one transaction, each whole or not at all.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sqlx::AnyConnection;

use super::super::audit::AuditAction;
use super::super::shelf::{self, Action, Hold, ShelfId, ShelfIdentity};
use super::super::sql::{self, Bound, Dialect};
use super::super::{StoreError, audit, discarded, former, history, outbox, undos, windows, written};
use super::happened::happened;
use super::push_end::{store_ends, store_found};
use super::read::{key_of, open_of};
use super::replayed::Replayed;
use super::row::{BATCH_COLUMNS, BatchRow};
use super::success::note_successes;
use super::{Commit, CommitOutcome, RecordUpdate};
use crate::batch::BatchKey;
use crate::batch::ledger::BatchState;

/// Stores every change whose record is where it started from.
pub(in crate::store) async fn commit(
    conn: &mut AnyConnection,
    now: i64,
    changes: &[Arc<Commit>],
) -> Result<Vec<CommitOutcome>, StoreError> {
    let (mut done, mut in_replay) = (Vec::with_capacity(changes.len()), Vec::with_capacity(changes.len()));
    let mut taken = HashSet::new();
    for change in changes {
        let (is_held, replay) = match hold(conn, now, change, &mut taken).await? {
            Hold::Held(replay) => (true, replay),
            Hold::Changed => (false, None),
        };
        done.push(is_held);
        in_replay.push(replay);
    }
    let guarded: Vec<_> =
        changes.iter().enumerate().filter_map(|(at, c)| Some((at, c.unless_open.as_ref()?))).collect();
    let open = open_of(conn, guarded.iter().map(|(_, key)| *key).collect()).await?;
    for (at, _) in guarded.into_iter().filter(|(_, key)| open.contains(*key)) {
        done[at] = false;
    }
    let possible = changes.iter().enumerate().filter(|(at, _)| done[*at]);
    let batches: Vec<_> = possible.filter_map(|(at, c)| Some((at, c.batch.as_ref()?, c.lease))).collect();
    let moved = store_batches(conn, now, &batches).await?;
    for (at, ..) in batches {
        done[at] = moved.contains(&at);
    }
    let stored: Vec<&Commit> = changes.iter().zip(&done).filter(|(_, done)| **done).map(|(c, _)| &**c).collect();
    // Before what is finished leaves the shelf.
    for change in &stored {
        keep_discarded(conn, now, change).await?;
    }
    store_found(conn, now, stored.iter().filter_map(|c| c.found.as_ref()).collect()).await?;
    store_ends(conn, now, stored.iter().filter_map(|c| c.ended.as_ref()).collect()).await?;
    for change in &stored {
        if let (Some(update), Some(body)) = (&change.batch, &change.former) {
            former::keep(conn, &update.record, body).await?;
        }
    }
    for change in &stored {
        if let (Some(update), Some(step)) = (&change.batch, &change.undo) {
            undos::store(conn, now, &update.record.key, step).await?;
        }
        if let Some(step) = &change.window {
            windows::store(conn, now, step).await?;
        }
        written::forget(conn, &change.forgotten).await?;
    }
    written::remember(conn, now, stored.iter().flat_map(|change| &change.written)).await?;
    // Before anything leaves the shelf, as it counts what had waited for a connection.
    note_successes(conn, now, stored.iter().filter_map(|c| c.success.as_ref()).collect()).await?;
    let mut replayed = Replayed::default();
    // In the order of the ids, so that replicas which remove the same rows wait for each other in it.
    let leaving: BTreeMap<_, &Commit> = stored.iter().rev().filter_map(|c| Some((c.unshelve?, *c))).collect();
    for ((id, generation), change) in leaving {
        if let Some((entry, replay, before)) = shelf::remove(conn, id, generation).await? {
            replayed.left(change, (entry, replay), before);
        }
    }
    let finished: Vec<(ShelfIdentity, &Commit)> =
        stored.iter().filter_map(|c| Some((finished_identity(c)?, *c))).collect();
    let identities: Vec<ShelfIdentity> = finished.iter().map(|(identity, _)| identity.clone()).collect();
    for (identity, entry, replay) in shelf::remove_parked(conn, &identities).await? {
        if let Some((_, change)) = finished.iter().find(|(of, _)| of.to_string() == identity) {
            replayed.left(change, (entry, replay), None);
        }
    }
    for ((change, _), replay) in changes.iter().zip(&done).zip(in_replay).filter(|((_, done), _)| **done) {
        let Some(operator_action) = &change.operator_action else { continue };
        shelf::handle(conn, now, operator_action).await?;
        if let Some(replay) = replay {
            replayed.acted(change, operator_action.id, replay, operator_action.action);
        }
    }
    let mut entries = Vec::new();
    for change in &stored {
        if let Some(edited) = &change.edit {
            shelf::put_edited(conn, edited).await?;
        }
        if let Some(id) = change.restore {
            discarded::put_back(conn, now, id).await?;
        }
        let put = match &change.shelve {
            Some(shelving) => shelf::put(conn, now, shelving).await?,
            None => None,
        };
        if let Some(entry) = put.and_then(|put| put.replay) {
            replayed.put(change, entry);
        }
        entries.extend(happened(change, put.map(|put| put.due_at), now));
    }
    replayed.store(conn, now).await?;
    // After the rows of batches and of the shelf, which keep another replica from adding to the same histories.
    history::remember(conn, entries).await?;
    audit::put(conn, now, stored.iter().flat_map(|change| &change.audit)).await?;
    let events =
        stored.iter().flat_map(|change| change.events.iter().map(|event| (event, change.owner_grace))).collect();
    let mut put = outbox::put(conn, now, events).await?;
    let mut answer = |(change, done): (&Arc<Commit>, bool)| {
        if done { CommitOutcome::Done(put.take_for(change)) } else { CommitOutcome::Fenced }
    };
    Ok(changes.iter().zip(done).map(&mut answer).collect())
}

/// Keeps others from changing the entry that a person changes, if it is as the person saw it. Of two changes of one entry in
/// a group the first one wins.
async fn hold(
    conn: &mut AnyConnection,
    now: i64,
    change: &Commit,
    taken: &mut HashSet<ShelfId>,
) -> Result<Hold, StoreError> {
    let held = |is_held| if is_held { Hold::Held(None) } else { Hold::Changed };
    let action = change.operator_action.as_ref().map(|action| action.id);
    let entry = action.or(change.edit.as_ref().map(|edited| edited.id)).or(change.restore);
    if entry.is_some_and(|entry| !taken.insert(entry)) {
        return Ok(Hold::Changed);
    }
    match (&change.operator_action, &change.edit, change.restore) {
        (Some(action), ..) => shelf::hold(conn, now, action).await,
        (None, Some(edited), _) => shelf::hold_edited(conn, now, edited).await.map(held),
        (None, None, Some(id)) => discarded::hold(conn, id).await.map(held),
        (None, None, None) => Ok(held(true)),
    }
}

/// Keeps the entry that a person discards, so that it can be put back.
async fn keep_discarded(conn: &mut AnyConnection, now: i64, change: &Commit) -> Result<(), StoreError> {
    let Some(action) =
        change.operator_action.as_ref().filter(|action| action.action == Action::Discard && !change.forget)
    else {
        return Ok(());
    };
    match change.audit.iter().find(|entry| entry.action == AuditAction::DiscardEntry) {
        Some(entry) => discarded::keep(conn, now, action.id, entry).await,
        None => Ok(()),
    }
}

/// Returns what a batch has on the shelf, if a change finishes the batch: copies of it have nothing to wait for. What the
/// change itself shelves stays.
fn finished_identity(change: &Commit) -> Option<ShelfIdentity> {
    let record = &change.batch.as_ref().filter(|update| update.record.state != BatchState::Open)?.record;
    let identity = ShelfIdentity::Batch(record.key.clone(), record.fingerprint.clone());
    let is_shelved = change.shelve.as_ref().is_some_and(|shelving| shelving.identity == identity);
    (!is_shelved).then_some(identity)
}

/// Stores records, each with its name, and gives the names of those whose stored epoch was the expected one.
async fn store_batches(
    conn: &mut AnyConnection,
    now: i64,
    changes: &[(usize, &RecordUpdate, Option<Duration>)],
) -> Result<HashSet<usize>, StoreError> {
    // Two changes of one batch in one group cannot both start from the stored epoch: the first one wins.
    let mut names: HashMap<&BatchKey, usize> = HashMap::new();
    for (name, update, _) in changes {
        names.entry(&update.record.key).or_insert(*name);
    }
    let is_first = |(name, update, _): &&(usize, &RecordUpdate, _)| names.get(&update.record.key) == Some(name);
    let until = |lease: Duration| now.saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX));
    let update = changes.iter().filter(is_first).map(|(_, update, lease)| (*update, lease.map(until)));
    let (new, known): (Vec<_>, Vec<_>) = update.partition(|(update, _)| update.from_epoch == 0);
    let mut moved = Vec::new();
    if !known.is_empty() {
        let sql = format!(
            "UPDATE batches SET fingerprint = r.fingerprint, edited_from = r.edited_from, state = r.state, revision = r.revision, epoch = r.epoch, \
             source = r.source, replaced = r.replaced, targets = r.targets, \
             cases = r.cases, dropped = r.dropped, open_push = r.open_push, doubt_since = r.doubt_since, late_since = r.late_since, \
             floor = r.floor, settled_at = r.settled_at, restores = r.restores, lease_until = COALESCE(r.lease_until, batches.lease_until) \
             FROM {} WHERE batches.tenant_id = r.tenant_id AND batches.batch_id = r.batch_id \
             AND batches.epoch = r.from_epoch RETURNING batches.tenant_id, batches.batch_id",
            Dialect::of(conn).rows(&BATCH_COLUMNS)
        );
        let mut rows: Vec<BatchRow<'_>> =
            known.into_iter().map(|(update, lease)| BatchRow::of(update, lease)).collect();
        rows.sort_unstable_by_key(BatchRow::order);
        let rows = sql::fetch(conn, sql, vec![Bound::from(rows.as_slice())]).await?;
        moved.extend(rows);
    }
    if !new.is_empty() {
        let sql = format!(
            "INSERT INTO batches (tenant_id, batch_id, fingerprint, edited_from, state, revision, epoch, source, replaced, targets, cases, \
             open_push, doubt_since, first_seen_at, settled_at, published_at, arrived_at, restores, trace) \
             SELECT tenant_id, batch_id, fingerprint, edited_from, state, revision, epoch, source, replaced, targets, cases, open_push, \
             doubt_since, $2, settled_at, published_at, arrived_at, restores, trace FROM {} WHERE true \
             ON CONFLICT (tenant_id, batch_id) DO UPDATE SET fingerprint = excluded.fingerprint, \
             edited_from = excluded.edited_from, \
             state = excluded.state, revision = excluded.revision, epoch = excluded.epoch, \
             source = excluded.source, replaced = excluded.replaced, targets = excluded.targets, cases = excluded.cases, open_push = excluded.open_push, \
             doubt_since = excluded.doubt_since, first_seen_at = excluded.first_seen_at, \
             settled_at = excluded.settled_at, published_at = excluded.published_at, \
             arrived_at = excluded.arrived_at, restores = excluded.restores, trace = excluded.trace \
             WHERE batches.epoch = 0 RETURNING tenant_id, batch_id",
            Dialect::of(conn).rows(&BATCH_COLUMNS)
        );
        let mut rows: Vec<BatchRow<'_>> = new.into_iter().map(|(update, _)| BatchRow::of(update, None)).collect();
        rows.sort_unstable_by_key(BatchRow::order);
        let rows = sql::fetch(conn, sql, vec![Bound::from(rows.as_slice()), Bound::Int(now)]).await?;
        moved.extend(rows);
    }
    let keys: Vec<BatchKey> = moved.iter().map(key_of).collect::<Result<_, _>>()?;
    Ok(keys.iter().filter_map(|key| names.get(key).copied()).collect())
}

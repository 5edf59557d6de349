//! Starts one entry of a replay, if it is as it was planned.

use crate::batch::replay::ItemOutcome;
use crate::replay::{NotReplayable, restart, subject};
use crate::store::accounts::{LaneOverride, LaneSelector};
use crate::store::actor::{Actor, Face, Role};
use crate::store::audit::{AuditAction, AuditEntry, AuditSubject};
use crate::store::replays::{ItemStart, RunningReplay, WaitingItem};
use crate::store::{StoreError, UnreadableRow};
use crate::worker::context::WorkerContext;

/// What came of starting an entry.
pub(super) enum Started {
    /// It is due now.
    Yes,
    /// It is not started by this replay, with the reason.
    Never(ItemOutcome, Option<String>),
    /// A worker has it in hand, or it is just being changed; it is tried again.
    NotNow,
    /// Something has changed since it was read: the entry, its batch, or the replay.
    Fenced,
}

/// Starts an entry of a part of a replay.
pub(super) async fn start(
    context: &WorkerContext,
    running: &RunningReplay,
    part: u32,
    item: &WaitingItem,
    overrides: &[LaneOverride],
) -> Result<Started, StoreError> {
    let row = match context.store.entry(item.entry).await {
        Ok(Some(row)) => row,
        Ok(None) => return Ok(changed("it is no longer on the shelf")),
        Err(StoreError::Unreadable(row)) => return Ok(skipped(unreadable(&row))),
        Err(error) => return Err(error),
    };
    if row.content.identity.to_string() != item.identity || row.person_epoch != item.person_epoch {
        return Ok(changed("a person changed it after the plan"));
    }
    if let Some(other) = row.replay {
        return Ok(changed(&format!("replay {other} has it under way")));
    }
    if row.leased {
        return Ok(Started::NotNow);
    }
    let subject = match subject(&row, context.config.amqp.max_message_bytes) {
        Ok(subject) => subject,
        Err(why) => return Ok(skipped(why.to_string())),
    };
    let tenant = &subject.key.tenant;
    let connection = match context.store.connection(tenant).await {
        Ok(connection) => connection,
        Err(StoreError::Unreadable(row)) => return Ok(skipped(unreadable(&row))),
        Err(error) => return Err(error),
    };
    let Some(connection) = connection.filter(|row| row.is_verified()) else {
        return Ok(skipped(format!("the connection of {tenant} does not work yet")));
    };
    let is_meant = |lane: &LaneSelector| matches!(lane, LaneSelector::Tenant(of) if of == tenant);
    if overrides.iter().any(|order| order.paused && is_meant(&order.lane)) {
        return Ok(skipped(format!("the lane of {tenant} is paused")));
    }
    let stored = match context.store.batch_at(&subject.key).await {
        Ok((stored, _)) => stored,
        Err(StoreError::Unreadable(row)) => return Ok(skipped(unreadable(&row))),
        Err(error) => return Err(error),
    };
    let mut change = match restart(&row, &subject, stored, Some(&connection.origin)) {
        Ok(change) => change,
        Err(NotReplayable::Delivered) => return Ok(Started::Never(ItemOutcome::AlreadyInTestmo, None)),
        Err(NotReplayable::Unfinished(_)) => return Ok(Started::NotNow),
        Err(why) => return Ok(skipped(why.to_string())),
    };
    if let Some(action) = &mut change.operator_action {
        let (place, person_epoch) = (item.place, item.person_epoch);
        let (replay, epoch, holder) = (running.id, running.epoch, context.holder.clone());
        action.item = Some(ItemStart { replay, epoch, holder, place, part, person_epoch });
    }
    let owner = Actor::new(&running.owner, Role::Operator, Face::Worker);
    let entry = AuditSubject::entry(row.id, Some(&subject.key), None).traced(row.content.trace().as_ref());
    let why = format!("replay {}", running.id);
    change.audit.push(AuditEntry::new(&owner, AuditAction::ReplayEntry, entry).because(Some(&why)));
    let started = context.store.commit(change.into()).await?.is_done();
    Ok(if started { Started::Yes } else { Started::Fenced })
}

fn changed(how: &str) -> Started {
    Started::Never(ItemOutcome::Changed, Some(how.to_owned()))
}

fn skipped(why: String) -> Started {
    Started::Never(ItemOutcome::Skipped, Some(why))
}

fn unreadable(row: &UnreadableRow) -> String {
    format!("this version cannot read row {} of the table {}", row.key, row.table)
}

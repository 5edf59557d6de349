//! Brings a batch in hand up to date with a record of the ledger that another worker or a person has changed.

use std::time::Duration;

use jiff::Timestamp;

use super::state::Delivery;
use crate::batch::Reason;
use crate::batch::ledger::{BatchState, Standing};
use crate::store::StoreError;
use crate::store::ledger::StoredBatch;
use crate::worker::admission::reject::{Rejection, reject};
use crate::worker::model::{ActiveBatch, NextStep};
use crate::worker::outcome::duplicate::drop_copy;

/// Takes over the stored record of a batch: it is finished, was edited, stands for other work, or
/// is further on.
pub(super) async fn refresh_from_ledger(
    delivery: &Delivery,
    batch: &mut ActiveBatch,
    stored: StoredBatch,
    now: i64,
) -> Result<NextStep, StoreError> {
    let StoredBatch { record, claimed_at, lease_until } = stored;
    let standing = record.standing(&batch.key.fingerprint);
    if standing == Standing::Other {
        let key = batch.key.batch.clone();
        let subject = Some((key.tenant.clone(), Some(key)));
        let detail = match Timestamp::from_millisecond(record.first_seen_at) {
            Ok(at) => format!("the first batch with this batch_id arrived at {at:.0}"),
            Err(_) => "the first batch with this batch_id arrived before".into(),
        };
        let rejection = Rejection { reason: Reason::BatchConflict, subject, faults: vec![], detail };
        reject(&delivery.context, &batch.message, rejection).await?;
        return Ok(NextStep::Finished);
    }
    if record.state != BatchState::Open || standing == Standing::Earlier {
        return drop_copy(&delivery.context, &record, &batch.message).await.map(|()| NextStep::Finished);
    }
    let leased = lease_until.map_or(0, |until| until - now);
    if (record.open_push.is_some() || record.is_writing()) && leased > 0 {
        return Ok(NextStep::Pause(Duration::from_millis(u64::try_from(leased).unwrap_or(0))));
    }
    batch.stored_epoch = record.epoch;
    batch.claimed_at = claimed_at.unwrap_or(now);
    batch.unclear = record.open_push.as_ref().map(|push| delivery.memory.unclear.get(&push.id)).unwrap_or_default();
    batch.record = record;
    batch.join_trace(&delivery.context.spans);
    batch.generation.restart();
    batch.written_until = now + leased.max(0);
    batch.record.continue_after(&delivery.context.restored);
    // The folders are fixed once a push of the batch was claimed.
    batch.folders.take_over(&batch.record, &batch.connection);
    // What another worker has noted already is not noted again: two workers that have the batch would fence each other without
    // end, each with a change that says nothing new.
    if batch.record.open_push.is_some() && !batch.record.is_noted_unclear(batch.claimed_at) {
        batch.record.unclear(batch.claimed_at);
    }
    Ok(NextStep::NextTurn)
}

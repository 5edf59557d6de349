//! Holds a batch's share of a create request, from the claim until its end is recorded.

use std::collections::HashSet;

use tokio::time::Instant;

use super::job::Part;
use crate::batch::BatchKey;
use crate::batch::ledger::{OpenPush, Target};
use crate::store::ledger::{KnownIds, RecordUpdate};
use crate::tenants::Connection;
use crate::worker::model::{NextStep, UnclearPush};
use crate::worker::store_retry::STORE_PAUSE;

/// A batch's share of a request.
pub(super) struct Share<'a> {
    pub(super) part: &'a mut Part,
    /// Positions of its cases that are sent.
    pub(super) positions: Vec<usize>,
    /// The target of each place of the batch.
    targets: Vec<Target>,
    /// The push as the batch's record has it once the claim is granted.
    open: OpenPush,
}

/// A request whose claim was granted.
pub(super) struct Request<'a> {
    pub(super) push: String,
    pub(super) connection: &'a Connection,
    /// When its claim was requested.
    pub(super) asked: Instant,
    pub(super) last_try: bool,
    /// What was known of the account's ids when it was granted.
    pub(super) ids: KnownIds,
}

impl Share<'_> {
    /// Returns the record with these cases claimed, to be stored where it has not changed.
    pub(super) fn claimed(&self) -> RecordUpdate {
        let batch = &self.part.batch;
        let mut record = batch.record.clone();
        record.claim_in(&self.places(), self.open.clone(), &self.targets);
        RecordUpdate { record, from_epoch: batch.stored_epoch }
    }

    /// Returns the target of a case by its position in the batch.
    pub(super) fn target_of(&self, position: usize) -> &Target {
        &self.targets[self.part.batch.folders.places().of_case(position)]
    }

    /// Returns the positions of its cases that are sent, each with its place.
    fn places(&self) -> Vec<(usize, usize)> {
        let places = self.part.batch.folders.places();
        self.positions.iter().map(|position| (*position, places.of_case(*position))).collect()
    }
}

/// Returns the part of a batch that goes into the request, which has the batches `keys` so far. Two messages in
/// conflict over the id of one batch never go together, as the ledger has a single record for both: the second one
/// waits until it can see that of the first.
pub(super) fn share_of<'a>(part: &'a mut Part, push: &str, keys: &mut HashSet<BatchKey>) -> Option<Share<'a>> {
    let batch = &part.batch;
    if !keys.insert(batch.key.batch.clone()) {
        part.next = Some(NextStep::Pause(STORE_PAUSE));
        return None;
    }
    let most = batch.record.apart().unwrap_or(usize::MAX);
    let positions: Vec<usize> = batch.record.waiting().take(part.count.min(most)).collect();
    let connection = &batch.connection;
    let (Some(targets), false) = (batch.folders.targets(connection), positions.is_empty()) else {
        part.next = Some(NextStep::NextTurn);
        return None;
    };
    let open = OpenPush {
        id: push.to_owned(),
        connection: connection.version.clone(),
        batch_tag: batch.batch_tag(),
        committed: false,
    };
    Some(Share { part, positions, targets, open })
}

/// Takes over a claim that was granted at `at`, when these ids were known.
pub(super) fn take_over(share: Share<'_>, at: i64, ids: KnownIds) -> Share<'_> {
    let places = share.places();
    let batch = &mut share.part.batch;
    if batch.stored_epoch == 0 {
        batch.record.first_seen_at = at;
    }
    let earlier = batch.unclear.claimed_at.filter(|_| batch.record.unclear_cases().next().is_some());
    batch.unclear = UnclearPush { claimed_at: earlier.or_else(|| Some(Instant::now())), ended_at: None };
    let floor = batch.record.next_floor(batch.account(), ids.floor());
    batch.record.claim_in(&places, share.open.clone(), &share.targets);
    batch.record.floor = floor;
    batch.stored_epoch = batch.record.epoch;
    batch.claimed_at = at;
    share
}

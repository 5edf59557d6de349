//! What may a person do with what is on the shelf? Replay it or discard it: shelf and ledger in one change.

use std::time::Duration;

use super::ledger::{Commit, RecordUpdate, StoredBatch};
use super::shelf::{Action, OperatorAction, ShelfIdentity, Shelved};
use super::{ConnectionStore, Store, StoreError, StoreHealth};
use crate::batch::event::{self, Telling};
use crate::batch::ledger::{BatchRecord, BatchState};
use crate::batch::message::decode::decode;
use crate::batch::{Batch, Reason, fingerprint};

/// A replay that may be stored by [`LedgerStore::commit`](super::LedgerStore::commit).
#[derive(Clone, Debug)]
pub struct Replay {
    /// What is to be stored.
    pub change: Commit,
    /// Whether the tenant has no verified connection, so that the batch waits for one.
    pub waits: bool,
}

/// Why something on the shelf cannot be replayed or discarded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReplayable {
    /// A worker has it.
    #[error("a worker has it in hand: wait until it is delivered or back on the shelf")]
    InHand,
    /// A request with its cases may be under way.
    #[error("a request with its cases may be under way: try again in {} s", wait.as_secs() + 1)]
    Pushing {
        /// For so long.
        wait: Duration,
    },
    /// The message is not a batch.
    #[error("it is not a batch: {0}")]
    NotABatch(String),
    /// The message is larger than the worker takes.
    #[error("it has {bytes} bytes, and the worker takes {most}: publish the cases in several smaller batches")]
    TooLarge {
        /// So large it is.
        bytes: usize,
        /// So large it may be.
        most: usize,
    },
    /// The ledger knows another batch of the same id.
    #[error("another batch of this id was received before: publish the cases under a batch_id of their own")]
    Conflict,
    /// Nothing of it is left to do.
    #[error("all its cases are in Testmo already: it can be discarded")]
    Delivered,
    /// It is not known what its last request has created.
    #[error(
        "the outcome of its last request is unknown: wait until it is delivered, or give it up with \
         `testmo-courier shelf discard`"
    )]
    Unclear,
    /// It is neither finished nor on the shelf.
    #[error("it is being delivered: wait until it is delivered or on the shelf")]
    Open,
    /// It is not as the person saw it.
    #[error("it was changed meanwhile")]
    Changed,
    /// A person gave the batch up.
    #[error("the batch was {} before: publish the cases under another batch_id", .0.name())]
    GivenUp(BatchState),
}

impl Store {
    /// What replaying a row would store; nothing is stored yet.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn replaying(
        &self,
        row: &Shelved,
        most_bytes: usize,
    ) -> Result<Result<Replay, NotReplayable>, StoreError> {
        let batch = match readable(row, most_bytes) {
            Ok(batch) => batch,
            Err(hindrance) => return Ok(Err(hindrance)),
        };
        let connection = self.connection(&batch.key.tenant).await?;
        let stored = self.batch(&batch.key).await?;
        let account = connection.as_ref().map(|row| row.origin.as_str());
        let waits = connection.as_ref().is_none_or(|row| !row.is_verified());
        Ok(replay(row, &batch, stored, account).map(|change| Replay { change, waits }))
    }

    /// What discarding a row would store; nothing is stored yet.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn discarding(&self, row: &Shelved) -> Result<Result<Commit, NotReplayable>, StoreError> {
        let batch = own_batch(row);
        let stored = match &batch {
            Some(batch) => self.batch(&batch.key).await?,
            None => None,
        };
        Ok(discard(row, batch.as_ref(), stored, self.now()))
    }

    /// What discarding a row would store that was counted with this generation, when its tenant is removed with all that
    /// it has on the shelf; nothing is stored yet. A batch that may have been created needs a decision of its own.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn purging(&self, row: &Shelved, generation: i64) -> Result<Result<Commit, NotReplayable>, StoreError> {
        if row.generation != generation {
            return Ok(Err(NotReplayable::Changed));
        }
        let batch = own_batch(row);
        let stored = match &batch {
            Some(batch) => self.batch(&batch.key).await?,
            None => None,
        };
        Ok(match &stored {
            Some(StoredBatch { record, .. }) if is_unclear(record) => Err(NotReplayable::Unclear),
            Some(_) | None => discard(row, batch.as_ref(), stored, self.now()),
        })
    }
}

/// The batch that a row holds.
fn readable(row: &Shelved, most_bytes: usize) -> Result<Batch, NotReplayable> {
    let bytes = row.content.body.len();
    if bytes > most_bytes {
        return Err(NotReplayable::TooLarge { bytes, most: most_bytes });
    }
    decode(&row.content.body).map_err(|broken| {
        let faults = broken.faults();
        let first = faults.first().map(ToString::to_string).unwrap_or_default();
        let more = if faults.len() > 1 { format!(" (and {} more)", faults.len() - 1) } else { String::new() };
        NotReplayable::NotABatch(first + &more)
    })
}

/// The batch that goes with a row: a copy in conflict, or one that was sent astray, speaks for no other row.
fn own_batch(row: &Shelved) -> Option<Batch> {
    let is_own = match (&row.content.identity, row.content.reason) {
        (ShelfIdentity::Batch(..), _) | (_, Reason::Suspect | Reason::CrashLoop) => true,
        (ShelfIdentity::Raw(..), _) => false,
    };
    decode(&row.content.body).ok().filter(|_| is_own)
}

fn untouched(row: &Shelved, action: Action) -> Result<Commit, NotReplayable> {
    if row.leased {
        return Err(NotReplayable::InHand);
    }
    Ok(Commit {
        operator_action: Some(OperatorAction { id: row.id, generation: row.generation, action }),
        ..Commit::default()
    })
}

fn replay(
    row: &Shelved,
    batch: &Batch,
    stored: Option<StoredBatch>,
    account: Option<&str>,
) -> Result<Commit, NotReplayable> {
    let change = untouched(row, Action::Replay)?;
    let Some(StoredBatch { mut record, .. }) = stored else { return Ok(change) };
    if record.fingerprint != fingerprint(batch) {
        return Err(NotReplayable::Conflict);
    }
    match record.state {
        BatchState::Open => Ok(change),
        BatchState::Delivered => Err(NotReplayable::Delivered),
        state @ (BatchState::Discarded | BatchState::Undone) => Err(NotReplayable::GivenUp(state)),
        // Which of its cases arrived is not known any more.
        state @ (BatchState::Partial | BatchState::Failed) if record.cases.is_empty() => {
            Err(NotReplayable::GivenUp(state))
        }
        BatchState::Partial | BatchState::Failed => {
            let from_epoch = record.epoch;
            record.reopen(account);
            Ok(Commit { batch: Some(RecordUpdate { record, from_epoch }), ..change })
        }
    }
}

fn discard(
    row: &Shelved,
    batch: Option<&Batch>,
    stored: Option<StoredBatch>,
    now: i64,
) -> Result<Commit, NotReplayable> {
    let change = untouched(row, Action::Discard)?;
    let Some(batch) = batch else { return Ok(change) };
    let (mut record, from_epoch) = match stored {
        Some(stored) if stored.record.fingerprint != fingerprint(batch) => return Ok(change),
        Some(stored) => {
            if let Some(wait) = under_way(&stored, now) {
                return Err(NotReplayable::Pushing { wait });
            }
            let epoch = stored.record.epoch;
            (stored.record, epoch)
        }
        // Nothing was sent yet; it is noted all the same, so that the batch is known when it is published again.
        None => (BatchRecord::fresh(batch.key.clone(), fingerprint(batch), batch.case_keys()), 0),
    };
    if !record.discard(now) {
        return Ok(change);
    }
    let telling = Telling { source: &batch.source, now, reason: None, detail: None };
    let events = event::of_settlement(&record, &telling).into_iter().collect();
    Ok(Commit { batch: Some(RecordUpdate { record, from_epoch }), events, ..change })
}

/// Whether an open batch may have cases in Testmo that nobody knows of.
fn is_unclear(record: &BatchRecord) -> bool {
    record.state == BatchState::Open && (record.open_push.is_some() || record.doubt_since.is_some())
}

/// For how long a request with cases of an open batch may still be under way.
fn under_way(stored: &StoredBatch, now: i64) -> Option<Duration> {
    let left = stored.lease_until.filter(|_| stored.record.open_push.is_some())? - now;
    u64::try_from(left).ok().filter(|left| *left > 0).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::super::shelf::{ShelfId, ShelfState, ShelvedUntil, Shelving};
    use super::*;
    use crate::batch::ledger::{OpenPush, Target};

    const MOST: usize = 10_000;

    fn message() -> Vec<u8> {
        let value = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
                           "generated_at": "2026-11-23T09:30:00Z", "cases": [{"name": "a"}, {"name": "b"}]});
        value.to_string().into_bytes()
    }

    fn batch() -> Batch {
        decode(&message()).unwrap()
    }

    fn row(identity: ShelfIdentity, reason: Reason, body: Vec<u8>) -> Shelved {
        let content = Shelving {
            identity,
            reason,
            detail: None,
            until: ShelvedUntil::Person,
            account: None,
            connection: None,
            parks: 0,
            failing_since: None,
            arrived_at: 1,
            published_at: None,
            headers: BTreeMap::new(),
            body,
        };
        Shelved {
            id: ShelfId(1),
            generation: 4,
            state: ShelfState::Dead,
            content,
            due_at: 1,
            shelved_at: 1,
            leased: false,
        }
    }

    fn own() -> Shelved {
        row(ShelfIdentity::Batch(batch().key, fingerprint(&batch())), Reason::RetriesExhausted, message())
    }

    fn raw(reason: Reason) -> Shelved {
        row(ShelfIdentity::Raw("h".into(), None, None), reason, message())
    }

    fn record(state: BatchState) -> BatchRecord {
        let fresh = BatchRecord::fresh(batch().key, fingerprint(&batch()), batch().case_keys());
        BatchRecord { state, epoch: 6, ..fresh }
    }

    fn stored(record: BatchRecord) -> StoredBatch {
        StoredBatch { record, claimed_at: None, lease_until: None }
    }

    fn pushing(lease_until: i64) -> StoredBatch {
        let mut record = record(BatchState::Open);
        let push = OpenPush { id: "p".into(), connection: "v".into(), batch_tag: None, committed: false };
        record.claim(&[0, 1], push, &Target { account: "https://a".into(), project: 1, folder: 1 });
        StoredBatch { lease_until: Some(lease_until), ..stored(record) }
    }

    #[test]
    fn only_what_can_succeed_is_replayed() {
        use BatchState::{Delivered, Discarded, Failed, Open, Partial};
        let other = BatchRecord { fingerprint: "1:other".into(), ..record(Failed) };
        let pruned = BatchRecord { cases: vec![], ..record(Partial) };
        let table = [
            (own(), None, Ok(None)),
            (raw(Reason::Undeliverable), None, Ok(None)),
            (own(), Some(record(Open)), Ok(None)),
            (own(), Some(record(Failed)), Ok(Some((7, 2)))),
            (own(), Some(record(Partial)), Ok(Some((7, 2)))),
            (own(), Some(record(Delivered)), Err(NotReplayable::Delivered)),
            (own(), Some(record(Discarded)), Err(NotReplayable::GivenUp(Discarded))),
            (raw(Reason::Undeliverable), Some(pruned), Err(NotReplayable::GivenUp(Partial))),
            (raw(Reason::BatchConflict), Some(other), Err(NotReplayable::Conflict)),
            (Shelved { leased: true, ..own() }, None, Err(NotReplayable::InHand)),
        ];
        for (row, record, expected) in table {
            let told = format!("{} {record:?}", row.content.reason);
            let change = replay(&row, &batch(), record.map(stored), None);
            let outcome = change.map(|change| {
                assert_eq!(
                    change.operator_action,
                    Some(OperatorAction { id: ShelfId(1), generation: 4, action: Action::Replay })
                );
                change.batch.map(|b| (b.record.epoch, b.record.revision))
            });
            assert_eq!(outcome, expected, "{told}");
        }
    }

    #[test]
    fn what_is_not_a_batch_says_why() {
        let broken = row(ShelfIdentity::Raw("h".into(), None, None), Reason::NotJson, b"{".to_vec());
        let error = readable(&broken, MOST).unwrap_err().to_string();
        assert!(error.starts_with("it is not a batch") && error.contains("line 1"), "{error}");
        assert_eq!(readable(&own(), 10).unwrap_err(), NotReplayable::TooLarge { bytes: message().len(), most: 10 });
    }

    #[test]
    fn an_open_or_unknown_batch_is_known_as_discarded_and_a_settled_or_other_one_stays() {
        use BatchState::{Failed, Open};
        let other = BatchRecord { fingerprint: "1:other".into(), ..record(Open) };
        let table = [
            (own(), None, true),
            (own(), Some(stored(record(Open))), true),
            (own(), Some(pushing(1_000)), true),
            (own(), Some(stored(record(Failed))), false),
            (raw(Reason::CrashLoop), Some(stored(record(Open))), true),
            (raw(Reason::Undeliverable), Some(stored(record(Open))), false),
            (raw(Reason::BatchConflict), Some(stored(other)), false),
        ];
        for (row, stored, gives_up) in table {
            let change = discard(&row, own_batch(&row).as_ref(), stored, 1_000).unwrap();
            assert_eq!(change.events.len(), usize::from(gives_up), "{}", row.content.reason);
            let state = change.batch.map(|b| b.record.state);
            assert_eq!(state, gives_up.then_some(BatchState::Discarded), "{}", row.content.reason);
            assert!(change.events.iter().all(|event| event.body.contains(r#""outcome":"discarded""#)));
        }
    }

    #[test]
    fn nothing_is_discarded_while_it_may_be_on_its_way() {
        let pushing = |until| discard(&own(), Some(&batch()), Some(pushing(until)), 1_000);
        assert_eq!(
            pushing(3_500).unwrap_err().to_string(),
            "a request with its cases may be under way: try again in 3 s"
        );
        assert!(pushing(1_000).is_ok());
        let in_hand = Shelved { leased: true, ..own() };
        assert_eq!(discard(&in_hand, None, None, 1_000).unwrap_err(), NotReplayable::InHand);
    }
}

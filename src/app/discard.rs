//! Decides whether an entry of the shelf can be discarded, and plans the discarding of several.

use std::collections::HashMap;
use std::time::Duration;

use super::plan::{Decision, NotReplayable, Plan, operator_change};
use crate::batch::event::{self, CaseInput, EventInput};
use crate::batch::ledger::{BatchRecord, BatchState};
use crate::batch::message::Places;
use crate::batch::restored::Restored;
use crate::batch::{Batch, Reason, fingerprint};
use crate::replay::batch_of;
use crate::store::ledger::{Commit, RecordUpdate, StoredBatch};
use crate::store::shelf::{Action, ShelfId, ShelfIdentity, ShelfState, Shelved};
use crate::store::unfinished::Unfinished;
use crate::store::{Store, StoreError, StoreHealth};

/// The largest compressed message that is read to find its batch, in bytes when decompressed.
const MOST_READ: usize = 64_000_000;

/// Plans the discarding of entries, which can be restored for some time.
///
/// # Errors
/// When the store does not answer.
pub async fn plan(store: &Store, ids: &[ShelfId]) -> Result<Plan, StoreError> {
    let restored = store.restored().await?;
    Plan::of(store, ids, async |row: &Shelved| Ok(decide(store, row, &restored).await?.map(at_once))).await
}

/// Plans the discarding of entries whose messages are not kept, so that their space is free at once.
///
/// # Errors
/// When the store does not answer.
pub async fn plan_without_undo(store: &Store, ids: &[ShelfId]) -> Result<Plan, StoreError> {
    let restored = store.restored().await?;
    Plan::of(store, ids, async |row: &Shelved| Ok(decide(store, row, &restored).await?.map(forgetting))).await
}

/// Plans the discarding of what a tenant that is removed has on the shelf, each entry with the generation that it was
/// counted with.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn plan_purge(store: &Store, entries: &[(ShelfId, i64)]) -> Result<Plan, StoreError> {
    let ids: Vec<ShelfId> = entries.iter().map(|(id, _)| *id).collect();
    let generations: HashMap<ShelfId, i64> = entries.iter().copied().collect();
    let restored = store.restored().await?;
    let decide = async |row: &Shelved| {
        let Some(generation) = generations.get(&row.id) else { return Ok(Err(NotReplayable::Changed)) };
        Ok(decide_purge(store, row, *generation, &restored).await?.map(forgetting))
    };
    Plan::of(store, &ids, decide).await
}

fn at_once(change: Commit) -> Decision {
    Decision { change, waits: false }
}

fn forgetting(change: Commit) -> Decision {
    at_once(Commit { forget: true, ..change })
}

/// Decides what discarding an entry stores; nothing is stored yet.
async fn decide(
    store: &Store,
    row: &Shelved,
    restored: &Restored,
) -> Result<Result<Commit, NotReplayable>, StoreError> {
    let batch = own_batch(row);
    let stored = stored_of(store, batch.as_ref()).await?;
    Ok(discard(row, batch.as_ref(), stored, restored, store.now()))
}

/// Decides what discarding an entry stores that was counted with this generation, when its tenant is removed; nothing
/// is stored yet. A batch that may have been created needs a decision of its own.
async fn decide_purge(
    store: &Store,
    row: &Shelved,
    generation: i64,
    restored: &Restored,
) -> Result<Result<Commit, NotReplayable>, StoreError> {
    if row.generation != generation {
        return Ok(Err(NotReplayable::Changed));
    }
    let batch = own_batch(row);
    let stored = stored_of(store, batch.as_ref()).await?;
    Ok(match &stored {
        Some(StoredBatch { record, .. }) if is_unclear(record) => Err(Unfinished::Unclear.into()),
        Some(_) | None => discard(row, batch.as_ref(), stored, restored, store.now()),
    })
}

async fn stored_of(store: &Store, batch: Option<&Batch>) -> Result<Option<StoredBatch>, StoreError> {
    match batch {
        Some(batch) => store.batch(&batch.key).await,
        None => Ok(None),
    }
}

/// Returns the batch whose record goes with an entry; a copy in conflict or of unknown origin has none. A message that was
/// replayed is the batch's own from then on, as a worker may have sent cases of it.
pub fn own_batch(row: &Shelved) -> Option<Batch> {
    let is_own = match (&row.content.identity, row.content.reason) {
        (ShelfIdentity::Batch(..), _) | (_, Reason::Suspect | Reason::CrashLoop) => true,
        (ShelfIdentity::Raw(..), _) => row.state == ShelfState::Parked,
    };
    if is_own { batch_of(row, MOST_READ).ok() } else { None }
}

/// Returns what discarding an entry with its batch stores at `now`; nothing is stored yet.
///
/// # Errors
/// When the entry is in hand, or a request with cases of it may be under way.
pub fn discard(
    row: &Shelved,
    batch: Option<&Batch>,
    stored: Option<StoredBatch>,
    restored: &Restored,
    now: i64,
) -> Result<Commit, NotReplayable> {
    let change = operator_change(row, Action::Discard)?;
    let Some(batch) = batch else { return Ok(change) };
    let (mut record, from_epoch) = match stored {
        Some(stored) if stored.record.fingerprint != fingerprint(batch) => return Ok(change),
        Some(stored) => {
            if let Some(wait) = under_way(&stored, now) {
                return Err(Unfinished::Pushing { wait }.into());
            }
            let epoch = stored.record.epoch;
            (stored.record, epoch)
        }
        // Nothing was sent yet. The record is stored so that the batch is not pushed when it is published again.
        None => {
            let (published_at, arrived_at) = (row.content.published_at, Some(row.content.arrived_at));
            let fresh = BatchRecord::of_batch(batch, fingerprint(batch));
            (BatchRecord { published_at, arrived_at, trace: row.content.trace(), ..fresh }, 0)
        }
    };
    record.continue_after(restored);
    if !record.discard(now) {
        return Ok(change);
    }
    let places = Places::of(batch);
    let cases = CaseInput::of(batch, &places);
    let input = EventInput { source: &batch.source, cases: &cases, now, reason: None, detail: None, replay: None };
    let events = event::of_settlement(&record, &input).into_iter().collect();
    Ok(Commit { batch: Some(RecordUpdate { record, from_epoch }), events, ..change })
}

/// Returns whether an open batch may have cases in Testmo that are not recorded.
fn is_unclear(record: &BatchRecord) -> bool {
    record.state == BatchState::Open && (record.open_push.is_some() || record.unclear_since.is_some())
}

/// Returns how long a request with cases of an open batch may still be under way.
pub(super) fn under_way(stored: &StoredBatch, now: i64) -> Option<Duration> {
    let left = stored.lease_until.filter(|_| stored.record.open_push.is_some())? - now;
    u64::try_from(left).ok().filter(|left| *left > 0).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{acme, batch, own, raw, record, stored, with_acme};
    use super::*;
    use crate::batch::ledger::{OpenPush, Target};
    use crate::batch::message::encoding::CONTENT_ENCODING;
    use crate::store::LedgerStore;

    const NEVER: Restored = Restored { times: 0, latest_at: 0, until: 0, noted_at: 0 };

    fn pushing(lease_until: i64) -> StoredBatch {
        let mut record = record(BatchState::Open);
        let push = OpenPush { id: "p".into(), connection: "v".into(), batch_tag: None, committed: false };
        record.claim(&[0, 1], push, &Target { account: "https://a".into(), project: 1, folder: 1 });
        StoredBatch { lease_until: Some(lease_until), ..stored(record) }
    }

    fn replayed(row: Shelved) -> Shelved {
        Shelved { state: ShelfState::Parked, ..row }
    }

    fn compressed(mut row: Shelved) -> Shelved {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut encoder, &row.content.body).unwrap();
        row.content.body = encoder.finish().unwrap().into();
        row.content.headers.insert(CONTENT_ENCODING.into(), "gzip".into());
        row
    }

    #[test]
    fn an_open_or_unknown_batch_is_recorded_as_discarded_and_a_finished_one_stays_as_it_is() {
        use BatchState::{Failed, Open};
        let other = BatchRecord { fingerprint: "1:other".into(), ..record(Open) };
        let table = [
            (own(), None, true),
            (own(), Some(stored(record(Open))), true),
            (own(), Some(pushing(1_000)), true),
            (own(), Some(stored(record(Failed))), false),
            (raw(Reason::CrashLoop), Some(stored(record(Open))), true),
            (raw(Reason::Undeliverable), Some(stored(record(Open))), false),
            (replayed(raw(Reason::Undeliverable)), None, true),
            (replayed(raw(Reason::Undeliverable)), Some(stored(record(Open))), true),
            (replayed(raw(Reason::Undeliverable)), Some(pushing(1_000)), true),
            (replayed(raw(Reason::Undeliverable)), Some(stored(record(Failed))), false),
            (replayed(raw(Reason::UnreadableHeaders)), Some(stored(record(Open))), true),
            (replayed(compressed(raw(Reason::TooLarge))), Some(stored(record(Open))), true),
            (compressed(raw(Reason::CrashLoop)), Some(stored(record(Open))), true),
            (replayed(raw(Reason::BatchConflict)), Some(stored(other.clone())), false),
            (raw(Reason::BatchConflict), Some(stored(other)), false),
        ];
        for (row, stored, gives_up) in table {
            let change = discard(&row, own_batch(&row).as_ref(), stored, &NEVER, 1_000).unwrap();
            assert_eq!(change.events.len(), usize::from(gives_up), "{}", row.content.reason);
            let state = change.batch.map(|b| b.record.state);
            assert_eq!(state, gives_up.then_some(BatchState::Discarded), "{}", row.content.reason);
            assert!(change.events.iter().all(|event| event.body.contains(r#""outcome":"discarded""#)));
        }
    }

    #[test]
    fn a_batch_is_not_discarded_while_a_request_may_be_under_way() {
        let pushing = |until| discard(&own(), Some(&batch()), Some(pushing(until)), &NEVER, 1_000);
        assert_eq!(
            pushing(3_500).unwrap_err().to_string(),
            "a request with cases of the batch may be in flight: try again in 3 s"
        );
        assert!(pushing(1_000).is_ok());
        let in_hand = Shelved { leased: true, ..own() };
        assert_eq!(discard(&in_hand, None, None, &NEVER, 1_000).unwrap_err(), NotReplayable::from(Unfinished::InHand));
    }

    #[tokio::test]
    async fn a_purge_discards_what_was_counted_and_nothing_of_unknown_outcome() {
        let (store, _dir) = with_acme().await;
        let shelve = Some(own().content);
        store.commit(Commit { shelve, ..Commit::default() }.into()).await.unwrap();
        let counted = store.begin_removal(&acme(), Duration::from_secs(600)).await.unwrap().unwrap();
        let [(id, generation)] = counted.shelved[..] else { panic!() };
        let row = store.shelved(id).await.unwrap().unwrap();
        let decide = async |generation| decide_purge(&store, &row, generation, &NEVER).await.unwrap();
        assert_eq!(decide(generation - 1).await.unwrap_err(), NotReplayable::Changed);
        let change = decide(generation).await.unwrap();
        let state = change.batch.as_ref().map(|batch| batch.record.state);
        assert_eq!((state, change.events.len()), (Some(BatchState::Discarded), 1));
        let record = BatchRecord { epoch: 1, unclear_since: Some(7), ..record(BatchState::Open) };
        let batch = Some(RecordUpdate { record, from_epoch: 0 });
        assert!(store.commit(Commit { batch, ..Commit::default() }.into()).await.unwrap().is_done());
        assert!(!store.commit(change.into()).await.unwrap().is_done(), "its record has moved");
        assert_eq!(decide(generation).await.unwrap_err(), Unfinished::Unclear.into());
    }
}

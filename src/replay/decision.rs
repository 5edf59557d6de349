//! Decides whether an entry of the shelf can be replayed, and what that stores.

use super::NotReplayable;
use crate::batch::ledger::BatchState;
use crate::batch::message::decode::decode;
use crate::batch::message::encoding::{CONTENT_ENCODING, Encoded, Encoding};
use crate::batch::{Batch, BatchKey, fingerprint};
use crate::store::ledger::{Commit, RecordUpdate, StoredBatch};
use crate::store::shelf::{Action, OperatorAction, ShelfIdentity, Shelved};
use crate::store::unfinished::Unfinished;

/// The batch that an entry holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Which batch.
    pub key: BatchKey,
    /// The fingerprint of its message.
    pub fingerprint: String,
}

/// Returns the batch that an entry holds; a worker takes messages of at most `most_bytes`. Only a message whose batch was
/// not known when it was shelved is read.
///
/// # Errors
/// When the message is too large, or not a batch.
pub fn subject(row: &Shelved, most_bytes: usize) -> Result<Subject, NotReplayable> {
    let bytes = row.content.body.len();
    if bytes > most_bytes {
        return Err(NotReplayable::TooLarge { bytes, most: most_bytes });
    }
    if let ShelfIdentity::Batch(key, fingerprint) = &row.content.identity {
        return Ok(Subject { key: key.clone(), fingerprint: fingerprint.clone() });
    }
    let batch = batch_of(row, most_bytes)?;
    Ok(Subject { fingerprint: fingerprint(&batch), key: batch.key })
}

/// Reads the batch of an entry, of which at most `most_bytes` are decompressed.
///
/// # Errors
/// When the message cannot be decompressed, or is not a batch.
pub fn batch_of(row: &Shelved, most_bytes: usize) -> Result<Batch, NotReplayable> {
    let encoding = Encoding::of(row.content.headers.get(CONTENT_ENCODING).map(String::as_str));
    let decompressed = match encoding.decode(&row.content.body, most_bytes) {
        Ok(decompressed) => decompressed,
        Err(Encoded::TooLarge(most)) => return Err(NotReplayable::TooLargeDecompressed { most }),
        Err(Encoded::Broken(fault)) => return Err(NotReplayable::NotABatch(fault.to_string())),
    };
    decode(decompressed.as_ref().unwrap_or(&row.content.body)).map_err(|broken| {
        let faults = broken.faults();
        let first = faults.first().map(ToString::to_string).unwrap_or_default();
        let more = if faults.len() > 1 { format!(" (and {} more)", faults.len() - 1) } else { String::new() };
        NotReplayable::NotABatch(first + &more)
    })
}

/// Returns what replaying an entry stores, whose batch would be sent to `account`; nothing is stored yet.
///
/// # Errors
/// When it cannot be replayed, or a worker has it in hand.
pub fn restart(
    row: &Shelved,
    subject: &Subject,
    stored: Option<StoredBatch>,
    account: Option<&str>,
) -> Result<Commit, NotReplayable> {
    if row.leased {
        return Err(Unfinished::InHand.into());
    }
    let batch = Some(subject.key.clone());
    let action = OperatorAction { id: row.id, generation: row.generation, action: Action::Replay, batch, item: None };
    let change = Commit { operator_action: Some(action), ..Commit::default() };
    let Some(StoredBatch { mut record, .. }) = stored else { return Ok(change) };
    if record.fingerprint != subject.fingerprint {
        return Err(NotReplayable::Conflict);
    }
    match record.state {
        BatchState::Open => Ok(change),
        BatchState::Delivered => Err(NotReplayable::Delivered),
        state @ (BatchState::Discarded | BatchState::Undone) => Err(NotReplayable::GivenUp(state)),
        // The record no longer holds which of its cases arrived.
        state @ (BatchState::Partial | BatchState::Failed) if record.cases.is_empty() => {
            Err(NotReplayable::GivenUp(state))
        }
        BatchState::Partial | BatchState::Failed => {
            let from_epoch = record.epoch;
            if !record.reopen(account) {
                return Err(NotReplayable::Faulty);
            }
            Ok(Commit { batch: Some(RecordUpdate { record, from_epoch }), ..change })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::fixture::{batch, message, own, raw, record, row, stored};
    use crate::batch::Reason;
    use crate::batch::ledger::BatchRecord;
    use crate::store::shelf::{OperatorAction, ShelfId, ShelfIdentity};
    use crate::store::unfinished::Unfinished;

    #[test]
    fn an_entry_is_replayed_only_if_that_can_succeed() {
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
            (Shelved { leased: true, ..own() }, None, Err(NotReplayable::from(Unfinished::InHand))),
        ];
        for (row, record, expected) in table {
            let said = format!("{} {record:?}", row.content.reason);
            let change = restart(&row, &subject(&row, 10_000).unwrap(), record.map(stored), None);
            let outcome = change.map(|change| {
                assert_eq!(
                    change.operator_action,
                    Some(OperatorAction {
                        id: ShelfId(1),
                        generation: 4,
                        action: Action::Replay,
                        batch: Some(batch().key),
                        item: None,
                    })
                );
                change.batch.map(|b| (b.record.epoch, b.record.revision))
            });
            assert_eq!(outcome, expected, "{said}");
        }
    }

    #[test]
    fn a_message_that_is_not_a_batch_cannot_be_replayed_and_says_why() {
        let broken = row(ShelfIdentity::Raw("h".into(), None, None), Reason::NotJson, b"{".to_vec());
        let error = batch_of(&broken, 10_000).unwrap_err().to_string();
        assert!(error.starts_with("the message is not a batch") && error.contains("line 1"), "{error}");
        assert_eq!(subject(&own(), 10).unwrap_err(), NotReplayable::TooLarge { bytes: message().len(), most: 10 });
        let mut other = raw(Reason::NotJson);
        other.content.headers.insert(CONTENT_ENCODING.into(), "br".into());
        let error = batch_of(&other, 10_000).unwrap_err().to_string();
        assert!(error.contains("`br`, which is not supported"), "{error}");
    }

    #[test]
    fn a_compressed_message_is_read_up_to_the_limit() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut encoder, &[message(), vec![b' '; 1_000]].concat()).unwrap();
        let mut compressed =
            row(ShelfIdentity::Raw("h".into(), None, None), Reason::TooLarge, encoder.finish().unwrap());
        compressed.content.headers.insert(CONTENT_ENCODING.into(), "gzip".into());
        assert_eq!(batch_of(&compressed, 1_000).unwrap_err(), NotReplayable::TooLargeDecompressed { most: 1_000 });
        assert_eq!(batch_of(&compressed, 10_000).unwrap(), batch());
    }
}

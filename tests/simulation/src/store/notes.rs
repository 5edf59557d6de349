//! Words for calls in a run's diary.

use testmo_courier::store::ledger::{Claim, ClaimOutcome, Commit, StoredBatch};

/// Returns the batches of a claim, each with the epoch it expects.
pub(super) fn keys_of(claim: &Claim) -> String {
    let keys: Vec<String> = claim.batches.iter().map(|b| format!("{}@{}", b.record.key, b.from_epoch)).collect();
    keys.join(", ")
}

/// Returns what a claim led to.
pub(super) fn outcome_of(claimed: &ClaimOutcome) -> String {
    match claimed {
        ClaimOutcome::Stale { stored, .. } => format!("stale, stored are {:?}", epochs_of(stored)),
        ClaimOutcome::Granted { at, limit, stale, contested, .. } if stale.is_empty() && contested.is_empty() => {
            format!("granted at {at}, of {limit}")
        }
        ClaimOutcome::Granted { at, limit, stale, contested, .. } => {
            format!("granted at {at}, of {limit}, but not {contested:?}, and stored are {:?}", epochs_of(stale))
        }
        ClaimOutcome::Full { .. }
        | ClaimOutcome::Wait(_)
        | ClaimOutcome::Probe
        | ClaimOutcome::Paused
        | ClaimOutcome::ConnectionChanged
        | ClaimOutcome::Unreadable(_) => {
            format!("{claimed:?}")
        }
    }
}

fn epochs_of(stored: &[StoredBatch]) -> Vec<String> {
    stored.iter().map(|stored| format!("{}@{}", stored.record.key, stored.record.epoch)).collect()
}

/// Returns everything that a commit changes.
pub(super) fn parts_of(change: &Commit) -> String {
    let mut parts = Vec::new();
    if let Some(revised) = &change.batch {
        let record = &revised.record;
        parts.push(format!("{}@{}->{} {}", record.key, revised.from_epoch, record.epoch, record.state.name()));
    }
    if let Some(ended) = &change.ended {
        parts.push(format!("push ended {} {:?}", ended.answer, ended.ids));
    }
    if let Some(shelving) = &change.shelve {
        parts.push(format!("shelve {:?} as {} until {:?}", shelving.identity, shelving.reason, shelving.until));
    }
    if let Some(key) = &change.unless_open {
        parts.push(format!("unless {key} is open"));
    }
    if let Some((id, generation)) = change.unshelve {
        parts.push(format!("unshelve {id}.{generation}"));
    }
    if let Some(observation) = &change.observation {
        parts.push(format!("{} observed {:?}", observation.account, observation.signal));
    }
    if !change.events.is_empty() {
        let kinds: Vec<&str> = change.events.iter().map(|event| event.kind).collect();
        parts.push(format!("events {kinds:?}"));
    }
    parts.join(", ")
}

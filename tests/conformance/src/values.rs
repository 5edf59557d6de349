//! Builds the values that cases store.

use std::time::Duration;

use testmo_courier::batch::event::{DELIVERED, Event};
use testmo_courier::batch::ledger::{BatchRecord, OpenPush, Target};
use testmo_courier::batch::{Reason, TenantId};
use testmo_courier::store::connections::{ConnectionRow, SealedKey, Verification};
use testmo_courier::store::ledger::{Claim, ClaimOutcome, RecordUpdate};
use testmo_courier::store::shelf::{ShelfIdentity, ShelvedUntil, Shelving};

/// The time on the store's clock when a case begins, in milliseconds.
pub const START: i64 = 1_000_000;
/// An hour.
pub const HOUR: Duration = Duration::from_secs(3_600);
/// A day.
pub const DAY: Duration = Duration::from_secs(86_400);
/// How long events belong to the worker that has taken them.
pub const TAKEN: Duration = Duration::from_secs(120);

/// Returns the tenant of all values that name no other.
pub fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

/// Returns where the tenant's cases are created.
pub fn target() -> Target {
    Target { account: "https://acme.testmo.net".into(), project: 1, folder: 2 }
}

/// Returns a connection of the tenant with a version.
pub fn connection(version: &str, verified: bool) -> ConnectionRow {
    ConnectionRow {
        tenant: tenant(),
        version: version.into(),
        origin: target().account,
        key: SealedKey { nonce: vec![1], ciphertext: vec![2], bound_to: "x".into(), key_id: String::new() },
        expires_on: Some("2027-01-01".into()),
        project: 1,
        folder: 2,
        mapping: Default::default(),
        resolved: Some(Default::default()),
        verified_version: verified.then(|| version.into()),
        verified_at: verified.then_some(1),
        checked_at: None,
        finding: Some(fails(Reason::KeyRefused)),
        seen: Default::default(),
        fields: Default::default(),
        last_success_at: None,
        refusal: None,
        successor: None,
        probe: None,
        source: None,
        epoch: 0,
    }
}

/// Returns the result of a verification that found nothing wrong.
pub fn works() -> Verification {
    Verification::Works { user: "u".into(), project: "p".into(), folder: "f".into(), not_there: vec![] }
}

/// Returns the result of a verification that failed for a reason.
pub fn fails(reason: Reason) -> Verification {
    Verification::Fails { reason, detail: "d".into() }
}

/// Returns the record of a batch of the tenant that has just arrived, with two cases.
pub fn fresh(batch: &str) -> BatchRecord {
    BatchRecord::fresh(format!("acme/{batch}").parse().unwrap(), "1:f".into(), ["a".to_owned(), "b".to_owned()])
}

/// Returns a claim of every waiting case of a record, for a push with an id.
pub fn claim_of(push: &str, record: &BatchRecord) -> Claim {
    let from_epoch = record.epoch;
    let mut record = record.clone();
    let open =
        OpenPush { id: push.into(), connection: "v1".into(), batch_tag: Some("sqai-x".into()), committed: false };
    let waiting: Vec<usize> = record.waiting().collect();
    record.claim(&waiting, open, &target());
    Claim {
        push: push.into(),
        tenant: tenant(),
        connection: "v1".into(),
        account: target().account,
        ceiling: 1_000,
        holder: "w1".into(),
        lease: Duration::from_secs(10),
        batches: vec![RecordUpdate { record, from_epoch }],
    }
}

/// Returns whether a claim was granted.
pub fn granted(claimed: &ClaimOutcome) -> bool {
    matches!(claimed, ClaimOutcome::Granted { .. })
}

/// Returns an event with an id about the batch `b` of the tenant.
pub fn event(id: &str) -> Event {
    Event { id: id.into(), kind: DELIVERED, routing_key: "k".into(), subject: "acme/b".into(), body: "{}".into() }
}

/// Returns an entry of the shelf: a batch of the tenant whose key was refused.
pub fn shelving(batch: &str, until: ShelvedUntil) -> Shelving {
    Shelving {
        identity: ShelfIdentity::Batch(format!("acme/{batch}").parse().unwrap(), "1:f".into()),
        reason: Reason::KeyRefused,
        detail: None,
        until,
        account: None,
        connection: Some("v1".into()),
        parks: 1,
        failing_since: None,
        arrived_at: 5,
        published_at: None,
        headers: [("a".to_owned(), "b".to_owned())].into(),
        body: vec![0, 255].into(),
    }
}

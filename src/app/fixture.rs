//! Values that several tests of use cases need.

use std::collections::BTreeMap;

use serde_json::json;

use crate::batch::ledger::{BatchRecord, BatchState};
use crate::batch::message::decode::decode;
use crate::batch::{Batch, Reason, TenantId, fingerprint};
use crate::clock::Clock;
use crate::config::{self, Sources};
use crate::store::actor::{Actor, Face, Role};
use crate::store::connections::{ConnectionRow, SealedKey};
use crate::store::ledger::StoredBatch;
use crate::store::shelf::{ShelfId, ShelfIdentity, ShelfState, Shelved, ShelvedUntil, Shelving};
use crate::store::{ConnectionStore, Store};

pub(crate) fn message() -> Vec<u8> {
    let value = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
                       "generated_at": "2026-11-23T09:30:00Z", "cases": [{"name": "a"}, {"name": "b"}]});
    value.to_string().into_bytes()
}

pub(crate) fn batch() -> Batch {
    decode(&message()).unwrap()
}

pub(crate) fn row(identity: ShelfIdentity, reason: Reason, body: Vec<u8>) -> Shelved {
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
        body: body.into(),
    };
    Shelved {
        id: ShelfId(1),
        generation: 4,
        state: ShelfState::Dead,
        content,
        due_at: 1,
        shelved_at: 1,
        leased: false,
        person_epoch: 0,
        replay: None,
        cases: Some(2),
    }
}

pub(crate) fn own() -> Shelved {
    row(ShelfIdentity::Batch(batch().key, fingerprint(&batch())), Reason::RetriesExhausted, message())
}

pub(crate) fn raw(reason: Reason) -> Shelved {
    row(ShelfIdentity::Raw("h".into(), None, None), reason, message())
}

pub(crate) fn record(state: BatchState) -> BatchRecord {
    let fresh = BatchRecord::fresh(batch().key, fingerprint(&batch()), batch().case_keys());
    BatchRecord { state, epoch: 6, ..fresh }
}

pub(crate) fn stored(record: BatchRecord) -> StoredBatch {
    StoredBatch { record, claimed_at: None, lease_until: None }
}

/// Returns a store in a file with one tenant that has a verified connection.
pub(crate) async fn with_acme() -> (Store, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("courier.db").display());
    let environment = [("DATABASE_URL".to_owned(), url)].into();
    let config = config::load(&Sources { files: vec![], environment }).unwrap();
    let store = Store::open(&config.store, true, Clock::system()).await.unwrap();
    assert!(store.set_connection(&connection()).await.unwrap().is_done());
    (store, dir)
}

/// Returns a verified connection of the tenant that is not stored yet.
pub(crate) fn connection() -> ConnectionRow {
    ConnectionRow {
        tenant: acme(),
        version: "v1".into(),
        origin: "https://acme.testmo.net".into(),
        key: SealedKey { nonce: vec![1], ciphertext: vec![2], bound_to: "x".into(), key_id: String::new() },
        expires_on: None,
        project: 1,
        folder: 2,
        mapping: Default::default(),
        resolved: Some(Default::default()),
        verified_version: Some("v1".into()),
        verified_at: Some(1),
        checked_at: None,
        finding: None,
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

/// Returns a person who may do everything.
pub(crate) fn anna() -> Actor {
    Actor::new("anna", Role::Admin, Face::CommandLine)
}

pub(crate) fn acme() -> TenantId {
    "acme".parse().unwrap()
}

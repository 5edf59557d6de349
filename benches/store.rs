//! Measures how many create requests per second the store can record: claims and ends of 64 requests at once, whose
//! cases are remembered.
//!
//! `cargo bench --bench store` measures an SQLite file; with `DATABASE_URL` set, the store at this URL, which must be
//! empty.

use std::io::Write;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use testmo_courier::batch::TenantId;
use testmo_courier::batch::event::{DELIVERED, Event};
use testmo_courier::batch::ledger::{BatchRecord, BatchState, CaseRecord, OpenPush, Target};
use testmo_courier::batch::written::{BatchMark, CaseIdentity, WrittenCase, WrittenFields};
use testmo_courier::clock::Clock;
use testmo_courier::config::{Sources, load};
use testmo_courier::store::connections::{ConnectionRow, SealedKey};
use testmo_courier::store::ledger::{Claim, ClaimOutcome, Commit, PushEnded, RecordUpdate};
use testmo_courier::store::{ConnectionStore, LedgerStore, Store, StoreHealth, WrittenStore};

/// Create requests in flight at once.
const PUSHES: usize = 64;
/// Cases of each request.
const CASES: usize = 50;
/// The length of the measurement.
const SPAN: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut sources = Sources::of_process(vec![]);
    let file = format!("sqlite:{}", folder.path().join("bench.db").display());
    sources.environment.entry("DATABASE_URL".into()).or_insert(file);
    let config = load(&sources).expect("a configuration");
    let store = Store::open(&config.store, true, Clock::system()).await.expect("a store");
    store.set_connection(&connection()).await.expect("a connection");
    let began = Instant::now();
    let pairs: usize = join_all((0..PUSHES).map(|lane| push_on(&store, lane, began))).await.into_iter().sum();
    let each = began.elapsed().as_micros() / u128::try_from(pairs.max(1)).unwrap_or(1);
    let told = format!("{pairs} pairs of claim and settlement, one every {each} us\n");
    std::io::stdout().write_all(told.as_bytes()).expect("an output");
    store.close().await;
}

async fn push_on(store: &Store, lane: usize, began: Instant) -> usize {
    let mut pairs = 0;
    while began.elapsed() < SPAN {
        push(store, &format!("b-{lane}-{pairs}")).await;
        pairs += 1;
    }
    pairs
}

async fn push(store: &Store, batch: &str) {
    let tenant: TenantId = "acme".parse().expect("a tenant");
    let key = format!("acme/{batch}").parse().expect("a batch");
    let mut record = BatchRecord::fresh(key, "1:f".into(), (0..CASES).map(|n| format!("TC-{n}")));
    let target = Target { account: "https://acme.testmo.net".into(), project: 1, folder: 2 };
    let push = format!("push-{batch}");
    let open =
        OpenPush { id: push.clone(), connection: "v1".into(), batch_tag: Some("sqai-x".into()), committed: false };
    let all: Vec<usize> = (0..CASES).collect();
    record.claim(&all, open, &target);
    let written = written(&record, &target, batch);
    let identities: Vec<CaseIdentity> = written.iter().map(|case| case.identity).collect();
    let known = store.written(&tenant, &identities).await.expect("an answer");
    assert!(known.is_empty(), "{known:?}");
    let claim = Claim {
        push: push.clone(),
        tenant,
        connection: "v1".into(),
        account: "https://acme.testmo.net".into(),
        ceiling: 1_000,
        holder: "bench".into(),
        lease: Duration::from_secs(10),
        batches: vec![RecordUpdate { record: record.clone(), from_epoch: 0 }],
    };
    let claimed = store.claim(claim).await.expect("an answer");
    assert!(matches!(claimed, ClaimOutcome::Granted { .. }), "{claimed:?}");
    let from_epoch = record.epoch;
    let ids: Vec<(usize, u64)> = (0..CASES).map(|n| (n, n as u64 + 1)).collect();
    record.created(&ids);
    record.state = BatchState::Delivered;
    record.settled_at = Some(store.now());
    let event = Event {
        id: format!("event-{batch}"),
        kind: DELIVERED,
        routing_key: "acme.delivered".into(),
        subject: format!("acme/{batch}"),
        body: "x".repeat(100 * CASES),
    };
    let change = Commit {
        batch: Some(RecordUpdate { record, from_epoch }),
        ended: Some(PushEnded { push, answer: "2xx".into(), detail: None, ids: Some((1, CASES as u64)) }),
        events: vec![event],
        success: Some("acme".parse().expect("a tenant")),
        written,
        ..Commit::default()
    };
    assert!(store.commit(change.into()).await.expect("an answer").is_done());
}

/// Returns what is remembered of the cases of a batch, each with eight fields.
fn written(record: &BatchRecord, target: &Target, source: &str) -> Vec<WrittenCase> {
    let entry = r#"{"name": "n", "custom_steps": [], "custom_description": "d", "custom_preconditions": "p",
        "custom_priority": 1, "tags": ["t"], "template_id": 1}"#;
    let fields = WrittenFields::of_entry(entry, target.folder);
    let case = |case: &CaseRecord| WrittenCase {
        identity: CaseIdentity::of(target, &record.key.tenant, Some(source), Some(&case.key)).expect("an identity"),
        testmo_id: 1_000_000,
        folder: target.folder,
        batch: BatchMark::of(&record.key, 1_800_000_000_000),
        fields: fields.clone(),
    };
    record.cases.iter().map(case).collect()
}

fn connection() -> ConnectionRow {
    ConnectionRow {
        tenant: "acme".parse().expect("a tenant"),
        version: "v1".into(),
        origin: "https://acme.testmo.net".into(),
        key: SealedKey { nonce: vec![1], ciphertext: vec![2], bound_to: "x".into(), key_id: String::new() },
        expires_on: None,
        project: 1,
        folder: 2,
        resolved: None,
        mapping: Default::default(),
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

//! Names everything in a large store, the same in every run.

use serde_json::{Value, json};
use testmo_courier::batch::BatchKey;

use crate::worker::{FOLDER, PROJECT};

/// How many tenants the batches belong to.
pub(in crate::rows) const TENANTS: u64 = 300;
/// Cases of each batch.
pub(in crate::rows) const CASES: u64 = 5;

/// Words of names, the first ones most often.
const WORDS: &str = include_str!("../../../../words.txt");

/// Returns numbers that look random and are the same every time.
pub(in crate::rows) fn draw(seed: u64) -> u64 {
    let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Returns the name of a case.
pub(in crate::rows) fn name(batch: u64, case: u64) -> String {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let most = words.len() as u64;
    let word = |at: u64| {
        let seed = draw(batch * 1_000 + case * 10 + at + 1);
        // Of two draws the lower one, so that some words are frequent.
        words[usize::try_from((seed % most).min((seed >> 32) % most)).unwrap_or_default()]
    };
    format!("Verify {}", (0..7).map(word).collect::<Vec<_>>().join(" "))
}

/// Returns the name of a tenant by its number.
pub(in crate::rows) fn tenant_number(number: u64) -> String {
    format!("tenant-{number:03}")
}

/// Returns the tenant of a batch.
pub(in crate::rows) fn tenant(batch: u64) -> String {
    tenant_number(draw(batch) % TENANTS)
}

/// Returns the id of a batch.
pub(in crate::rows) fn batch_id(batch: u64) -> String {
    format!("{:08x}-{:04x}-4000-8000-{batch:012x}", draw(batch) >> 32, draw(batch + 7) & 0xffff)
}

/// Returns the key of a batch.
pub(in crate::rows) fn key(batch: u64) -> anyhow::Result<BatchKey> {
    let key = format!("{}/{}", tenant(batch), batch_id(batch));
    key.parse().map_err(|error| anyhow::anyhow!("{key}: {error}"))
}

/// Returns the `external_id` of a case.
pub(in crate::rows) fn external_id(batch: u64, case: u64) -> String {
    format!("TC-{batch}-{case}")
}

/// Returns the key of the source of a batch, which three batches have in common.
pub(in crate::rows) fn source_key(batch: u64) -> String {
    format!("SHOP-{}", batch / 3)
}

/// Returns the id in Testmo of a case.
pub(in crate::rows) fn testmo_id(batch: u64, case: u64) -> u64 {
    1_000_000 + batch * CASES + case
}

/// Returns the link to a case in Testmo.
pub(in crate::rows) fn link(origin: &str, batch: u64, case: u64) -> String {
    format!("{origin}/repositories/{PROJECT}?group_id={FOLDER}&case_id={}", testmo_id(batch, case))
}

/// Returns the message of a batch of a tenant, about 2 kB.
pub(in crate::rows) fn message(tenant: &str, batch: u64) -> Value {
    let step = |what: &str| json!({"action": what, "expected": "The page shows what was entered and its sum"});
    let case = |case: u64| {
        json!({
            "external_id": external_id(batch, case), "name": name(batch, case), "priority": "high",
            "steps": [step("Open the basket with two articles"), step("Choose the card & confirm"), step("Enter the code")],
            "tags": ["checkout", "payment"],
        })
    };
    json!({
        "schema_version": 1, "tenant_id": tenant, "batch_id": batch_id(batch),
        "generated_at": "2026-11-23T09:30:00Z",
        "source": {"key": source_key(batch), "title": "Pay with a saved card"},
        "cases": (0..CASES).map(case).collect::<Vec<_>>(),
    })
}

//! Can any bytes make the core stumble? From a message to what would be sent to Testmo.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;

// The core names nothing else of the package, so it is built alone: in seconds, not minutes.
#[allow(dead_code, unused_imports)]
#[path = "../../src/batch/mod.rs"]
mod batch;

use batch::decode::{MAX_FAULTS, decode};
use batch::mapping::Mapping;
use batch::render::render;

fuzz_target!(|bytes: &[u8]| match decode(bytes) {
    Ok(batch) => check_batch(bytes, &batch),
    Err(broken) => {
        assert!(!broken.faults().is_empty() && broken.faults().len() <= MAX_FAULTS + 1);
        for fault in broken.faults() {
            let told = fault.to_string();
            assert!(told.len() < 4_000 && !told.contains(char::is_control), "{fault:?}");
        }
    }
});

fn check_batch(bytes: &[u8], batch: &batch::Batch) {
    let keys = batch.case_keys();
    assert_eq!(keys.iter().collect::<std::collections::HashSet<_>>().len(), keys.len());
    let cases = render(batch, &Mapping::default());
    assert_eq!(cases.len(), batch.cases.len());
    for case in &cases {
        let entry: Value = serde_json::from_str(&case.entry).expect("an entry is JSON");
        assert_eq!(entry["name"], case.name.as_str());
    }
    let body: Value = serde_json::from_str(&batch::push_body(1, &cases)).expect("a body is JSON");
    assert_eq!(body["cases"].as_array().map(Vec::len), Some(cases.len()));

    let value: Value = serde_json::from_slice(bytes).expect("a batch is JSON");
    let again = decode(&serde_json::to_vec(&value).expect("JSON")).expect("the same document is a batch");
    assert_eq!(again, *batch);
    assert_eq!(batch::fingerprint(&again), batch::fingerprint(batch));
}

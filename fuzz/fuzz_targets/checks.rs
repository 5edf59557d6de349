//! Checks properties that hold for any bytes; the tests of the package run these checks too, so they build with every
//! change.

use serde_json::Value;

use super::batch::message::decode::{MAX_FAULTS, decode};
use super::batch::render::kinds::FieldKinds;
use super::batch::render::mapping::Mapping;
use super::batch::render::render;
use super::batch::{Batch, fingerprint, push_body};

/// Decodes `bytes`; panics if the result violates a property.
pub(crate) fn check(bytes: &[u8]) {
    match decode(bytes) {
        Ok(batch) => check_batch(bytes, &batch),
        Err(broken) => {
            assert!(!broken.faults().is_empty() && broken.faults().len() <= MAX_FAULTS + 1);
            for fault in broken.faults() {
                let told = fault.to_string();
                assert!(told.len() < 4_000 && !told.contains(char::is_control), "{fault:?}");
            }
        }
    }
}

fn check_batch(bytes: &[u8], batch: &Batch) {
    let keys = batch.case_keys();
    assert_eq!(keys.iter().collect::<std::collections::HashSet<_>>().len(), keys.len());
    let cases = render(batch, &Mapping::default(), &FieldKinds::default());
    assert_eq!(cases.len(), batch.cases.len());
    for case in &cases {
        let entry: Value = serde_json::from_str(&case.entry).expect("an entry is JSON");
        assert_eq!(entry["name"], case.name.as_str());
    }
    let body = push_body(cases.iter().map(|case| (1, case)));
    let body: Value = serde_json::from_str(&body).expect("a body is JSON");
    assert_eq!(body["cases"].as_array().map(Vec::len), Some(cases.len()));

    if batch.cases.iter().any(|case| case.faulty.is_some()) {
        // A key that is repeated is a fault, and lost when the document is written again.
        return;
    }
    let value: Value =
        serde_json::from_slice(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)).expect("a batch is JSON");
    let again = decode(&serde_json::to_vec(&value).expect("JSON")).expect("the same document is a batch");
    assert_eq!(again, *batch);
    assert_eq!(fingerprint(&again), fingerprint(batch));
}

//! Computes the hashes that identify a batch's work, its tag in Testmo, and a message that could not be read.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::batch::message::{Batch, Case, OnRepeat, RequestedFolder};
use crate::batch::{BatchId, BatchKey, hex, write_json};

/// The version of the algorithm: raised whenever the same batch would hash differently.
const VERSION: &str = "1";
/// The prefix of a batch tag; [`MARK_DIGITS`] hexadecimal digits follow.
const MARK: &str = "sqai-";
const MARK_DIGITS: usize = 12;

/// Returns the hash over the canonical cases, the requested folder, and what is done with cases that were written before,
/// prefixed with the version of the algorithm.
pub fn fingerprint(batch: &Batch) -> String {
    #[derive(Serialize)]
    struct Work<'a> {
        folder: &'a RequestedFolder,
        cases: &'a [Case],
        // Absent in a message that says nothing, so that fingerprints which were stored stay comparable.
        #[serde(skip_serializing_if = "Option::is_none")]
        on_repeat: Option<OnRepeat>,
        #[serde(skip_serializing_if = "Option::is_none")]
        replaces: Option<&'a str>,
    }
    let mut hash = Sha256::new();
    let replaces = batch.replaces.as_ref().map(BatchId::as_str);
    let work = Work { folder: &batch.folder, cases: &batch.cases, on_repeat: batch.on_repeat, replaces };
    write_json(&mut hash, &work);
    format!("{VERSION}:{}", &hex(&hash.finalize())[..32])
}

/// Returns the hash of a message that could not be read: its identity on the shelf.
pub fn raw_hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))[..32].to_owned()
}

/// Returns the hash of a case that is refused for its faults.
pub(super) fn content_hash(case: &serde_json::Value) -> String {
    let mut hash = Sha256::new();
    write_json(&mut hash, case);
    hex(&hash.finalize())[..32].to_owned()
}

/// Returns the tag that every case of a batch carries in Testmo: 17 characters of `[a-z0-9-]`.
pub fn batch_tag(key: &BatchKey) -> String {
    let mut hash = Sha256::new();
    hash.update(key.tenant.as_str());
    hash.update([0]);
    hash.update(key.batch.as_str());
    format!("{MARK}{}", &hex(&hash.finalize())[..MARK_DIGITS])
}

/// Returns whether a tag could be a batch tag: texts that were copied from Testmo may contain one.
pub fn is_batch_tag(tag: &str) -> bool {
    tag.strip_prefix(MARK).is_some_and(|rest| {
        rest.len() == MARK_DIGITS && rest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::batch::message::decode::decode;

    fn batch(edit: impl FnOnce(&mut Value)) -> Batch {
        let mut value = json!({"schema_version": 1, "batch_id": "b", "tenant_id": "t",
            "generated_at": "2026-11-23T09:30:00Z",
            "cases": [{"name": "a", "fields": {"custom_b": {"y": 1, "x": 2}, "custom_a": 1}}]});
        edit(&mut value);
        decode(value.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn only_the_work_counts() {
        let print = fingerprint(&batch(|_| ()));
        let same: [fn(&mut Value); 4] = [
            |v| v["generated_at"] = json!("2027-01-01T00:00:00Z"),
            |v| v["source"] = json!({"key": "K"}),
            |v| v["cases"][0]["name"] = json!(" a "),
            |v| v["cases"][0]["fields"] = json!({"custom_a": 1, "custom_b": {"x": 2, "y": 1}}),
        ];
        for edit in same {
            assert_eq!(fingerprint(&batch(edit)), print);
        }
        let other: [fn(&mut Value); 10] = [
            |v| v["cases"][0]["folder_path"] = json!(["A"]),
            |v| v["cases"][0]["folder_path"] = json!([]),
            |v| v["cases"][0]["name"] = json!("b"),
            |v| v["cases"][0]["external_id"] = json!("x"),
            |v| v["folder_id"] = json!(3),
            |v| v["cases"][0]["tags"] = json!(["x"]),
            |v| v["format"] = json!("markdown"),
            |v| v["on_repeat"] = json!("create"),
            |v| v["replaces"] = json!("b-0"),
            |v| v["cases"][0]["format"] = json!("plain"),
        ];
        for edit in other {
            assert_ne!(fingerprint(&batch(edit)), print);
        }
    }

    #[test]
    fn stored_fingerprints_stay_comparable() {
        assert_eq!(fingerprint(&batch(|_| ())), "1:c0e893fc73008e75548bc1f549ae9be9");
    }

    #[test]
    fn a_mark_is_a_tag_that_testmo_takes_as_it_is() {
        let tag = batch_tag(&"acme/b-1".parse().unwrap());
        assert_eq!(tag.len(), 17);
        assert!(is_batch_tag(&tag) && !is_batch_tag("sqai-smoke") && !is_batch_tag("sqai-0123456789aX"));
        assert!(tag.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
        assert_ne!(tag, super::batch_tag(&"acme/b-2".parse().unwrap()));
    }
}

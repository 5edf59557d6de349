//! Decodes hostile messages, and checks that the reports about them are bounded.

use std::time::{Duration, Instant};

use serde_json::json;
use testmo_courier::batch::message::decode::{MAX_FAULTS, decode};
use testmo_courier::batch::message::lint::lint;

use super::{bytes, is_handled, minimal};
use testmo_hostile::messages;

#[test]
fn hostile_messages_are_handled_in_bounded_time_and_words() {
    for (name, message) in messages() {
        let began = Instant::now();
        is_handled(name, &message);
        // Enough to read 8 MB twice, without optimization and on a busy machine; any quadratic algorithm takes hours.
        assert!(began.elapsed() < Duration::from_secs(60), "{name} took {:?}", began.elapsed());
    }
}

#[test]
fn faults_beyond_the_limit_are_counted() {
    let mut message = minimal();
    message["cases"] = json!(vec![json!({"name": ""}); 1_000]);
    let broken = decode(&bytes(&message)).expect_err("faults");
    assert_eq!(broken.faults().len(), MAX_FAULTS + 1);
    assert_eq!(broken.faults()[MAX_FAULTS].what, "has 900 more faults");
}

#[test]
fn every_fault_is_named_though_other_cases_are_broken() {
    let mut message = minimal();
    message["cases"] = json!([{"name": "a", "external_id": "x"}, {"nam": 1}, {"name": "b", "external_id": " x"},
        {"name": "c", "external_id": "#5"}, {"name": "d"}]);
    let findings = lint(&bytes(&message));
    let pointers: Vec<_> = findings.faults.iter().map(|found| found.fault.pointer.as_str()).collect();
    assert_eq!(pointers, ["/cases/1/nam", "/cases/1/name", "/cases/2/external_id", "/cases/3/external_id"]);
}

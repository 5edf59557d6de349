//! Checks that a faulty case is refused alone: the others of its batch arrive, and the event names what is wrong.

use serde_json::{Value, json};
use testmo_courier::batch::Reason;

use super::follow::read;
use crate::support::batches::batch;
use crate::support::process::{command, run_reading};
use crate::support::stage::Stage;

/// Returns the cases of an event that were refused for their faults.
fn invalid(event: &Value) -> Vec<&Value> {
    let cases = event["data"]["cases"].as_array().expect("cases");
    cases.iter().filter(|case| case["reason"] == Reason::CaseInvalid.code()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_a_thousand_cases_with_37_faulty_ones_delivers_963_and_names_the_37() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    let mut faulty = batch("acme", "b-1", 1_000);
    let at: Vec<usize> = (0..37).map(|n| n * 27 + 3).collect();
    for (n, index) in at.iter().enumerate() {
        let case = &mut faulty["cases"][*index];
        match n % 5 {
            0 => case["title"] = json!("x"),
            1 => case["name"] = json!(7),
            2 => *case = json!("a text"),
            3 => case["steps"][0] = json!({"expected": "no action"}),
            _ => case["external_id"] = json!("TC-1"),
        }
    }
    stage.publish(&faulty).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!((&event["data"]["outcome"], &event["data"]["reason"]), (&json!("partial"), &json!("case_invalid")));
    let named = invalid(&event);
    let positions: Vec<usize> =
        named.iter().map(|case| usize::try_from(case["position"].as_u64().unwrap()).unwrap() - 1).collect();
    assert_eq!(positions, at);
    for (case, index) in named.iter().zip(&at) {
        let said = &case["said"][0];
        assert!(said["field"].as_str().unwrap().starts_with(&format!("/cases/{index}")), "{case}");
        assert!(said["message"].as_str().unwrap().contains(": "), "{case}");
        assert!(case["label"].is_string() && case["remedy"].is_string(), "{case}");
    }
    let there = stage.account("acme").case_names();
    let wanted: Vec<String> =
        (0..1_000).filter(|index| !at.contains(index)).map(|index| format!("b-1 case {}", index + 1)).collect();
    assert_eq!(there.len(), 963);
    assert_eq!(there, wanted);

    // A copy changes nothing, and neither does a replay: nothing is left to be tried.
    stage.publish(&faulty).await;
    let shown = read(&stage, "acme/b-1", Reason::CaseInvalid).await;
    assert_eq!(shown.run(&stage, " replay ", &[]).0, Some(1));
    assert_eq!(stage.account("acme").case_names().len(), 963);
    let mut show = command(&stage);
    show.args(["batches", "show", "acme/b-1"]);
    let (_, details) = run_reading(show, "");
    assert!(details.contains("case_invalid") && details.contains("/cases/3/title"), "{details}");
    shown.discard(&stage).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_faulty_case_is_corrected_and_published_in_a_new_batch() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    let mut faulty = batch("acme", "b-1", 3);
    faulty["cases"][1]["name"] = json!(7);
    stage.publish(&faulty).await;
    let event = stage.event_of("acme/b-1").await;
    let shown = read(&stage, "acme/b-1", Reason::CaseInvalid).await;
    let [case] = &invalid(&event)[..] else { panic!("{event}") };
    let pointer = case["said"][0]["field"].as_str().expect("a place");
    assert!(shown.text.contains(pointer), "{}", shown.text);

    // The case is corrected where the event says, and published in a batch of its own.
    *faulty.pointer_mut(pointer).expect("the place") = json!("b-1 case 2");
    let mut corrected = faulty.clone();
    corrected["batch_id"] = json!("b-2");
    corrected["cases"] = json!([faulty["cases"][1]]);
    stage.publish(&corrected).await;
    stage.delivered("acme/b-2").await;
    assert_eq!(stage.account("acme").case_names(), ["b-1 case 1", "b-1 case 3", "b-1 case 2"]);

    // The same batch id with other content is a conflict, as for every batch.
    stage.publish(&faulty).await;
    read(&stage, "acme/b-1", Reason::BatchConflict).await.discard(&stage).await;
    shown.discard(&stage).await;
    stage.end().await;
}

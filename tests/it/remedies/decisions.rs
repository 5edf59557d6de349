//! Follows the remedies of what a person decides: refused cases, batches that were given up, and unknown outcomes.

use serde_json::{Value, json};
use testmo_courier::batch::Reason;
use testmo_sim::Method;
use testmo_sim::faults::{Fault, PathKind, Rule};

use super::follow::read;
use crate::support::batches::{batch, key_of, names, on_create};
use crate::support::broker::Broker;
use crate::support::process::{command, run_reading};
use crate::support::stage::Stage;

/// Waits for the event that reports the outcome of a batch, and returns the outcomes of its cases.
async fn outcomes(stage: &mut Stage, subject: &str) -> Vec<String> {
    loop {
        let event = stage.event_of(subject).await;
        if let (Some(_), Value::Array(cases)) = (event["data"].get("outcome"), &event["data"]["cases"]) {
            return cases.iter().map(|case| case["outcome"].as_str().expect("an outcome").to_owned()).collect();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn cases_are_corrected_and_published_in_a_new_batch() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").change_settings(|settings| settings.body_limit_bytes = 3_000);
    stage.start_worker();
    let wrong = |id: &str, cases: &[usize]| {
        let mut batch = batch("acme", id, 2);
        for at in cases {
            batch["cases"][at]["fields"] = json!({"custom_unknown": 1});
        }
        batch
    };
    let mut long = batch("acme", "long", 2);
    long["cases"][1]["description"] = json!("long ".repeat(1_000));
    for (batch, reason) in [
        (wrong("one", &[1]), Reason::CaseRefused),
        (wrong("all", &[0, 1]), Reason::AllRefused),
        (long, Reason::CaseTooLarge),
    ] {
        let id = batch["batch_id"].as_str().expect("an id").to_owned();
        stage.publish(&batch).await;
        let event = stage.event_of(&format!("acme/{id}")).await;
        let shown = read(&stage, &format!("acme/{id}"), reason).await;
        // The case that the event names is corrected at the fields that it names.
        let (mut corrected, mut cases) = (batch.clone(), Vec::new());
        for (at, case) in event["data"]["cases"].as_array().expect("cases").iter().enumerate() {
            if case["outcome"] != "refused" {
                continue;
            }
            let mut fixed = batch["cases"][at].clone();
            for said in case["said"].as_array().into_iter().flatten() {
                let field = said["field"].as_str().unwrap_or_default();
                if let Some(fields) = fixed["fields"].as_object_mut() {
                    assert!(fields.remove(field).is_some(), "{field} is not a field of the case: {event}");
                }
            }
            fixed.as_object_mut().expect("a case").remove("description");
            cases.push(fixed);
        }
        assert_eq!(cases.len(), if reason == Reason::AllRefused { 2 } else { 1 }, "{event}");
        corrected["batch_id"] = json!(format!("{id}-2"));
        corrected["cases"] = cases.into();
        stage.publish(&corrected).await;
        stage.delivered(&format!("acme/{id}-2")).await;
        shown.discard(&stage).await;
    }
    let mut there = stage.account("acme").case_names();
    there.sort();
    assert_eq!(there, [names("all", 2), names("long", 2), names("one", 2)].concat(), "each case once");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_batch_that_was_given_up_is_replayed() {
    let settings = [
        // Few enough requests that the circuit breaker stays closed.
        ("COURIER_RETRY__MAX_ATTEMPTS", "1"),
        ("COURIER_RETRY__SHELF_BACKOFF_MIN", "50ms"),
        ("COURIER_RETRY__GIVE_UP_AFTER", "1s"),
        ("COURIER_RETRY__GIVE_UP_MIN_RETRIES", "2"),
    ];
    let mut stage = Stage::on(Broker::shared(), &["odd", "failing"], &settings).await;
    stage.account("odd").set_faults([on_create(Fault::status(400))]);
    stage.account("failing").set_faults([on_create(Fault::status(503))]);
    stage.start_worker();
    for (tenant, reason) in [("odd", Reason::Rejected), ("failing", Reason::RetriesExhausted)] {
        let subject = format!("{tenant}/b-1");
        stage.publish(&batch(tenant, "b-1", 1)).await;
        let shown = read(&stage, &subject, reason).await;
        stage.account(tenant).clear_faults();
        shown.follow(&stage, " replay ", &[]);
        while outcomes(&mut stage, &subject).await != ["created"] {}
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn missing_cases_are_created_or_given_up() {
    let settings = [("COURIER_TESTMO__RECONCILE_DELAY_ANSWERED", "1s")];
    let mut stage = Stage::on(Broker::shared(), &["replayed", "discarded"], &settings).await;
    for tenant in ["replayed", "discarded"] {
        stage.account(tenant).set_faults([on_create(Fault::status_after_commit(503)).times(1)]);
    }
    stage.start_worker();
    for tenant in ["replayed", "discarded"] {
        let (account, subject) = (stage.account(tenant), format!("{tenant}/b-1"));
        stage.publish(&batch(tenant, "b-1", 2)).await;
        account.until(|station| station.account.cases.iter().len() == 2).await;
        // A person deletes a case before the worker has reconciled.
        assert!(account.delete_case(account.cases()[1].id));
        assert_eq!(outcomes(&mut stage, &subject).await, ["adopted", "unclear"]);
        let shown = read(&stage, &subject, Reason::UnclearInTestmo).await;
        if tenant == "replayed" {
            shown.follow(&stage, " replay ", &[]);
            assert_eq!(outcomes(&mut stage, &subject).await, ["adopted", "created"]);
        } else {
            shown.discard(&stage).await;
        }
        assert_eq!(account.case_names().len(), if tenant == "replayed" { 2 } else { 1 });
    }
    stage.shelf_until(<[_]>::is_empty).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn what_was_sent_to_a_former_account_is_created_in_the_present_one() {
    let settings = [("COURIER_RETRY__MAX_ATTEMPTS", "1"), ("COURIER_RETRY__SHELF_BACKOFF_MIN", "100ms")];
    let mut stage = Stage::on(Broker::shared(), &["acme", "new"], &settings).await;
    let former = stage.account("acme");
    former.set_faults([
        on_create(Fault::status_after_commit(503)).times(1),
        Rule::always(Fault::status(503)).on(Method::Get, PathKind::Cases),
    ]);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 2)).await;
    former.until(|station| station.account.cases.iter().len() == 2).await;
    let mut set = command(&stage);
    let origin = stage.testmo.origin("new");
    set.args(["tenants", "set", "acme", "--base-url", &origin, "--project", "1", "--folder", "1", "--api-key-stdin"]);
    let (code, said) = run_reading(set, &key_of("new"));
    assert_eq!(code, Some(0), "{said}");
    let shown = read(&stage, "acme/b-1", Reason::UnclearElsewhere).await;
    assert!(stage.account("new").cases().is_empty(), "a person decides first");
    shown.follow(&stage, " replay ", &[]);
    while outcomes(&mut stage, "acme/b-1").await != ["created", "created"] {}
    assert_eq!(stage.account("new").case_names(), names("b-1", 2));
    stage.end().await;
}

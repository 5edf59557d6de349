//! Makes Testmo refuse fields, and checks that the one who supplied them is told.

use serde_json::{Value, json};
use testmo_courier::batch::Reason;
use testmo_courier::batch::render::mapping::Mapping;
use testmo_courier::store::ConnectionStore;
use testmo_courier::store::shelf::{ShelfState, Shelved, ShelvedUntil};
use testmo_sim::Method;
use testmo_sim::faults::{CommitTime, Fault};

use crate::support::batches::{batch, names, on_create, tenant_id};
use crate::support::broker::Broker;
use crate::support::process::command;
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::until;

async fn is_green(stage: &Stage) -> bool {
    let stored = stage.store.connection(&tenant_id("acme")).await.expect("a store");
    stored.expect("a connection").is_verified()
}

fn is_of(row: &Shelved, batch: &str) -> bool {
    let body: Value = serde_json::from_slice(&row.content.body).expect("JSON");
    body["batch_id"] == batch
}

async fn connect(stage: &Stage, mapping: Value) {
    let mapping: Mapping = serde_json::from_value(mapping).expect("a mapping by ids");
    stage.connect_with("acme", &stage.testmo.origin("acme"), mapping).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_column_is_the_cases_fault_however_many_share_it() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    let mut mistyped = batch("acme", "b-1", 3);
    for case in mistyped["cases"].as_array_mut().unwrap() {
        case["fields"] = json!({"custom_rsik": 1, "custom_ohter": 2});
    }
    stage.publish(&mistyped).await;
    stage.publish(&batch("acme", "b-2", 2)).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["type"], "com.sqai-suite.testmo.batch.failed.v1");
    assert_eq!(event["data"]["reason"], "all_refused");
    let detail = event["data"]["detail"].as_str().unwrap();
    for part in
        ["case TC-1 (number 1 of the batch)", "case TC-3 (number 3 of the batch)", "custom_rsik", "custom_ohter"]
    {
        assert!(detail.contains(part), "{part}: {detail}");
    }
    stage.delivered("acme/b-2").await;
    assert!(is_green(&stage).await);
    assert_eq!(stage.shelf().await[0].state, ShelfState::Dead);
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_that_lacks_what_others_of_its_batch_have_is_refused_and_they_arrive() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").change_settings(|settings| settings.required_fields = vec!["custom_priority".into()]);
    // More cases than fit into one request: what was sent with the case decides nothing.
    let mut lacking = batch("acme", "b-1", 130);
    for case in lacking["cases"].as_array_mut().unwrap().iter_mut().take(129) {
        case["fields"] = json!({"custom_priority": 2});
    }
    stage.start_worker();
    stage.publish(&lacking).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["data"]["outcome"], "partial");
    assert_eq!(event["data"]["cases"][129]["said"][0]["field"], "custom_priority");
    let detail = event["data"]["detail"].as_str().unwrap();
    assert!(detail.contains("case TC-130 (number 130 of the batch): custom_priority"), "{detail}");
    assert_eq!(stage.account("acme").case_names().len(), 129);
    assert!(is_green(&stage).await);
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_the_mapping_is_the_connections_fault_even_for_one_case() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    connect(&stage, json!({"fixed": {"custom_wrong": 1}, "state_id": 999})).await;
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 1)).await;
    let failed = stage.event_of("acme").await;
    assert_eq!(failed["type"], "com.sqai-suite.testmo.connection.failed.v1");
    assert_eq!(failed["data"]["reason"], "connection_rejected");
    let detail = failed["data"]["detail"].as_str().unwrap();
    for part in ["case TC-1 (number 1 of the batch)", "custom_wrong", "state_id"] {
        assert!(detail.contains(part), "all fields at once: {detail}");
    }
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Parked, Reason::ConnectionRejected));
    assert!(!is_green(&stage).await);
    connect(&stage, json!({})).await;
    stage.delivered("acme/b-1").await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_share_a_request_each_learn_what_is_wrong_with_their_own_cases() {
    let settings = [("COURIER_REQUESTS__ACCOUNT_CONCURRENCY_PER_WORKER", "1")];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    // While the first request is under way, the others gather for the next one.
    stage.account("acme").set_faults([on_create(Fault::Slow { ms: 700, commit: CommitTime::BeforeDelay }).times(1)]);
    stage.start_worker();
    stage.publish(&batch("acme", "first", 1)).await;
    let creates = |stage: &Stage| stage.account("acme").requests().iter().filter(|r| r.method == Method::Post).count();
    until(async || creates(&stage) == 1).await;
    stage.publish(&batch("acme", "good", 5)).await;
    let mut bad = batch("acme", "bad", 4);
    bad["cases"][1]["fields"] = json!({"custom_unknown": 1});
    bad["cases"][1].as_object_mut().unwrap().remove("external_id");
    stage.publish(&bad).await;
    stage.delivered("acme/good").await;
    let event = stage.event_of("acme/bad").await;
    let said = &event["data"]["cases"][1]["said"];
    assert_eq!(said[0]["field"], "custom_unknown");
    assert!(!said[0]["message"].as_str().unwrap().contains("cases."), "{said}");
    let detail = event["data"]["detail"].as_str().unwrap();
    assert!(detail.starts_with("case #2: custom_unknown: "), "{detail}");
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_turns_the_connection_red_goes_last_and_blocks_no_other() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    connect(&stage, json!({"gherkin_template_id": 99})).await;
    stage.start_worker();
    let mut bad = batch("acme", "bad", 1);
    bad["cases"][0].as_object_mut().unwrap().remove("steps");
    bad["cases"][0]["gherkin"] = json!("Feature: x");
    stage.publish(&bad).await;
    stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert!(!is_green(&stage).await);
    for n in 0..3 {
        stage.publish(&batch("acme", &format!("b-{n}"), 2)).await;
    }
    stage.shelf_until(|shelf| shelf.len() == 4).await;
    let goes_on = async |stage: &Stage, is_over: &dyn Fn(&[Shelved]) -> bool| {
        until(async || {
            let shelf = stage.shelf().await;
            if is_over(&shelf) {
                return true;
            }
            if !is_green(stage).await && shelf.iter().all(|row| !row.leased) {
                let verified = command(stage).args(["tenants", "verify", "acme"]).output().unwrap();
                assert_eq!(verified.status.code(), Some(0), "{verified:?}");
            }
            false
        })
        .await;
    };
    goes_on(&stage, &|shelf| shelf.len() == 1 && is_of(&shelf[0], "bad")).await;
    // Once others have arrived, it is tried again at a time of its own, and the tenant goes on.
    goes_on(&stage, &|shelf| matches!(shelf, [row] if matches!(row.content.until, ShelvedUntil::After(_)))).await;
    for n in 3..5 {
        stage.publish(&batch("acme", &format!("b-{n}"), 2)).await;
        until(async || stage.account("acme").case_names().len() == 2 * (n + 1)).await;
    }
    assert!(is_green(&stage).await);
    let shelf = stage.shelf().await;
    assert_eq!((shelf.len(), shelf[0].content.reason), (1, Reason::ConnectionRejected));
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_names_no_case_is_the_batchs_own_once_others_have_arrived() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let refuse = Fault::status(422);
    stage.account("acme").set_faults([on_create(refuse).with_body("bad case")]);
    stage.start_worker();
    stage.publish(&batch("acme", "bad", 3)).await;
    stage.shelf_until(|shelf| shelf.len() == 1).await;
    stage.publish(&batch("acme", "good", 2)).await;
    stage.shelf_until(|shelf| shelf.len() == 2).await;
    let over = async |stage: &Stage| stage.shelf().await.iter().any(|row| row.state == ShelfState::Dead);
    until(async || {
        let shelf = stage.shelf().await;
        if !is_green(&stage).await && shelf.iter().all(|row| !row.leased) {
            let verified = command(&stage).args(["tenants", "verify", "acme"]).output().unwrap();
            assert_eq!(verified.status.code(), Some(0), "{verified:?}");
        }
        let waits = shelf.iter().any(|row| matches!(row.content.until, ShelvedUntil::After(_)));
        over(&stage).await || waits
    })
    .await;
    until(async || stage.account("acme").case_names() == names("good", 2)).await;
    assert!(is_green(&stage).await);
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

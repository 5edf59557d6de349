//! Makes Testmo refuse cases, and requests whose cases are not at fault.

use serde_json::json;
use testmo_courier::batch::Reason;
use testmo_courier::store::shelf::ShelfState;
use testmo_sim::Method;
use testmo_sim::faults::Fault;

use crate::support::batches::{batch, key_of, names, on_create};
use crate::support::process::Process;
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::until;

#[tokio::test(flavor = "multi_thread")]
async fn a_case_that_testmo_refuses_is_dead_and_the_others_arrive() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    let mut partly = batch("acme", "b-1", 4);
    partly["cases"][2]["fields"] = json!({"custom_unknown": 1});
    stage.publish(&partly).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["type"], "com.sqai-suite.testmo.batch.partially_delivered.v1");
    assert_eq!(event["data"]["cases"][2]["outcome"], "refused");
    assert_eq!(event["data"]["cases"][2]["said"][0]["field"], "custom_unknown");
    assert_eq!(stage.account("acme").case_names(), ["b-1 case 1", "b-1 case 2", "b-1 case 4"]);
    let shelf = stage.shelf().await;
    assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Dead, Reason::CaseRefused));
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_too_large_is_halved_and_a_case_that_is_too_large_alone_is_refused() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").change_settings(|settings| settings.body_limit_bytes = 3_000);
    stage.start_worker();
    let mut large = batch("acme", "b-1", 30);
    large["cases"][10]["description"] = json!("long ".repeat(1_000));
    stage.publish(&large).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["data"]["outcome"], "partial");
    assert_eq!(event["data"]["cases"][10]["reason"], "case_too_large");
    let mut wanted = names("b-1", 30);
    wanted.remove(10);
    assert_eq!(stage.account("acme").case_names(), wanted);
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_that_are_each_too_large_are_each_refused() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").change_settings(|settings| settings.body_limit_bytes = 2_000);
    stage.start_worker();
    let mut large = batch("acme", "b-1", 20);
    for at in 0..19 {
        large["cases"][at]["description"] = json!("long ".repeat(1_000));
    }
    stage.publish(&large).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["data"]["outcome"], "partial");
    for at in 0..19 {
        assert_eq!(event["data"]["cases"][at]["reason"], "case_too_large", "{at}");
    }
    assert_eq!(stage.account("acme").case_names(), ["b-1 case 20"]);
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_names_no_case_is_halved_until_the_others_arrive() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").set_faults([on_create(Fault::status(422)).times(4)]);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 8)).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["data"]["outcome"], "partial");
    assert_eq!(event["data"]["cases"][0]["reason"], "case_refused");
    assert_eq!(stage.account("acme").case_names(), names("b-1", 8)[1..]);
    let requests = stage.account("acme").requests();
    let sent: Vec<usize> = requests.iter().map(|r| r.case_names.len()).filter(|sent| *sent > 0).collect();
    assert_eq!(sent, [8, 4, 2, 1, 2, 4, 1]);
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_everything_is_refused_the_connection_is_to_blame_and_no_case_is_given_up() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").set_faults([on_create(Fault::status(422))]);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 100)).await;
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Parked, Reason::ConnectionRejected));
    let creates = stage.account("acme").requests().iter().filter(|r| r.method == Method::Post).count();
    assert_eq!(creates, 13, "twice the logarithm of 100");
    stage.account("acme").clear_faults();
    assert!(stage.connect("acme", "acme", &key_of("acme")).await);
    stage.delivered("acme/b-1").await;
    assert_eq!(stage.account("acme").case_names(), names("b-1", 100));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_refusal_of_every_case_is_the_connections() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").change_settings(|settings| settings.tag_max_chars = 3);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 3)).await;
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Parked, Reason::ConnectionRejected));
    assert!(shelf[0].content.detail.as_deref().unwrap().contains("tags"), "{shelf:?}");
    let deferred = stage.event_of("acme/b-1").await;
    assert_eq!(deferred["type"], "com.sqai-suite.testmo.batch.deferred.v1");
    assert_eq!(deferred["data"]["reason"], "connection_rejected");
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_refusal_in_testmos_words_is_dead_with_its_status() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").set_faults([on_create(Fault::status(400)).times(1)]);
    let process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", 2)).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["type"], "com.sqai-suite.testmo.batch.failed.v1");
    assert_eq!(event["data"]["cases"][1]["reason"], "rejected");
    assert!(event["data"]["cases"][1]["said"][0]["message"].as_str().unwrap().contains("400"), "{event}");
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Dead, Reason::Rejected));
    // The alert on dead letters and the dashboard's errors by cause use this series.
    until(async || process.metric("testmo_courier_shelf_batches{reason=\"rejected\",state=\"dead\"}") == Some(1.0))
        .await;
    assert_eq!(process.metric("testmo_courier_create_requests_total{result=\"4xx\"}"), Some(1.0));
    process.stop().await;
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_refused_for_its_own_reason_fails_the_batch() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    let mut bad = batch("acme", "b-1", 2);
    bad["cases"][0]["fields"] = json!({"custom_one": 1});
    bad["cases"][1]["fields"] = json!({"custom_two": 1});
    stage.publish(&bad).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["type"], "com.sqai-suite.testmo.batch.failed.v1");
    assert_eq!(event["data"]["reason"], "all_refused");
    assert_eq!(stage.shelf().await[0].state, ShelfState::Dead);
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

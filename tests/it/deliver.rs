//! Checks that a batch on the queue becomes cases in Testmo and an event, once.

use testmo_courier::batch::Reason;

use crate::support::batches::{batch, names};
use crate::support::stage::{LeftOver, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_becomes_cases_in_order_and_an_event_with_their_links() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 250)).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["type"], "com.sqai-suite.testmo.batch.delivered.v1");
    let cases = event["data"]["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 250);
    assert_eq!(stage.account("acme").case_names(), names("b-1", 250));
    let there = stage.account("acme").cases();
    assert_eq!(cases[7]["external_id"], "TC-8");
    assert_eq!(cases[7]["testmo_id"], there[7].id);
    let link = format!("{}/repositories/1?group_id=1&case_id={}", stage.testmo.origin("acme"), there[7].id);
    assert_eq!(cases[7]["link"], link);
    assert!(there.iter().all(|case| case.folder_id == 1 && case.tags.len() == 1));
    assert!(stage.shelf().await.is_empty());
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_batch_again_is_not_pushed_but_its_event_is_sent_again() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 3)).await;
    let first = stage.event_of("acme/b-1").await;
    stage.publish(&batch("acme", "b-1", 3)).await;
    assert_eq!(stage.event_of("acme/b-1").await, first);
    assert_eq!(stage.account("acme").case_names(), names("b-1", 3));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_batch_under_the_same_id_is_refused_and_the_first_one_untouched() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 3)).await;
    stage.event_of("acme/b-1").await;
    stage.publish(&batch("acme", "b-1", 4)).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["data"]["reason"], "batch_conflict");
    assert_eq!(stage.account("acme").case_names(), names("b-1", 3));
    let shelved = stage.shelf().await.remove(0).content;
    assert_eq!(shelved.reason, Reason::BatchConflict);
    let detail = shelved.detail.unwrap();
    let when =
        detail.strip_prefix("the first batch with this batch_id arrived at ").unwrap_or_else(|| panic!("{detail}"));
    assert_eq!(when.parse::<jiff::Timestamp>().unwrap().to_string(), when);
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

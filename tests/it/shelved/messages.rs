//! Sends messages that can never be delivered.

use serde_json::json;
use testmo_courier::store::shelf::ShelfState;

use crate::support::batches::batch;
use crate::support::broker::Broker;
use crate::support::stage::{LeftOver, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_message_is_dead_with_its_place_and_blocks_no_other_batch() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    stage.publish_bytes(r#"{"schema_version": 1, "#).await;
    let mut faulty = batch("acme", "b-2", 2);
    faulty["generated_at"] = json!(7);
    stage.publish(&faulty).await;
    stage.publish(&batch("acme", "b-3", 2)).await;
    assert_eq!(stage.event_of("").await["data"]["reason"], "not_json");
    let event = stage.event_of("acme/b-2").await;
    assert_eq!(event["data"]["reason"], "invalid_message");
    assert_eq!(event["data"]["faults"][0]["pointer"], "/generated_at");
    assert_eq!(stage.event_of("acme/b-3").await["data"]["outcome"], "delivered");
    let shelf = stage.shelf().await;
    assert_eq!(shelf.len(), 2);
    assert!(shelf.iter().all(|row| row.state == ShelfState::Dead));
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_with_a_wrong_routing_key_is_shelved() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    let body = batch("acme", "b-1", 1).to_string();
    stage.publish_to("nonsense", body.clone().into_bytes()).await.unwrap();
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["data"]["reason"], "undeliverable");
    // Its publisher sees no shelf.
    assert_eq!(
        event["data"]["detail"],
        "no queue matches the routing key: published to exchange `testmo.cases` as `nonsense`; batches go to \
         `testmo.cases`, with a routing key that matches `batch.#`"
    );
    let shelf = stage.shelf().await;
    assert_eq!(*shelf[0].content.body, body.as_bytes());
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_of_a_message_without_faults_says_what_is_wrong_with_it() {
    let mut stage = Stage::on(Broker::shared(), &["acme"], &[("COURIER_AMQP__MAX_MESSAGE_BYTES", "2000")]).await;
    stage.start_worker();
    stage.publish_bytes("x".repeat(2_001)).await;
    let event = stage.event_of("").await;
    assert_eq!(event["data"]["reason"], "too_large");
    assert_eq!(event["data"]["detail"], "the message has 2001 bytes; at most 2000 are allowed");
    stage.publish(&batch("acme", "b-1", 1)).await;
    stage.delivered("acme/b-1").await;
    stage.publish(&batch("acme", "b-1", 2)).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["data"]["reason"], "batch_conflict");
    let detail = event["data"]["detail"].as_str().unwrap_or_default();
    assert!(detail.starts_with("the first batch with this batch_id arrived at "), "{event}");
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

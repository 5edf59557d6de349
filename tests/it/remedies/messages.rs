//! Follows the remedies of messages that cannot be taken as they are.

use serde_json::{Value, json};
use testmo_courier::batch::Reason;
use testmo_hostile::{entry, text};

use super::follow::read;
use crate::support::batches::{batch, names};
use crate::support::broker::Broker;
use crate::support::process::Process;
use crate::support::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_message_with_a_fault_is_corrected_and_published_again() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();

    // The message that is saved is the one that was published; the fault has a line and a column.
    stage.publish_bytes("{\"schema_version\": 1,\n oops").await;
    let broken = read(&stage, "", Reason::NotJson).await;
    assert!(broken.text.contains("line 2"), "{}", broken.text);
    broken.follow(&stage, "shelf show", &[]);
    assert_eq!(std::fs::read_to_string(stage.path("message.json")).unwrap(), "{\"schema_version\": 1,\n oops");
    stage.publish(&batch("acme", "b-1", 1)).await;
    stage.delivered("acme/b-1").await;
    broken.discard(&stage).await;

    // The batch is corrected where the event says, and published again with its id.
    let mut faulty = batch("acme", "b-2", 2);
    faulty["generated_at"] = json!("yesterday");
    stage.publish(&faulty).await;
    let event = stage.event_of("acme/b-2").await;
    let pointer = event["data"]["faults"][0]["pointer"].as_str().expect("a place");
    let shown = read(&stage, "acme/b-2", Reason::InvalidMessage).await;
    assert!(shown.text.contains(pointer) && event["data"]["remedy"] == Reason::InvalidMessage.remedy(), "{event}");
    *faulty.pointer_mut(pointer).expect("the place") = json!("2026-11-23T09:30:00Z");
    stage.publish(&faulty).await;
    stage.delivered("acme/b-2").await;
    shown.discard(&stage).await;

    // The new content has an id of its own; the first batch stays as it was.
    stage.publish(&batch("acme", "b-2", 3)).await;
    let conflict = read(&stage, "acme/b-2", Reason::BatchConflict).await;
    stage.publish(&batch("acme", "b-3", 3)).await;
    stage.delivered("acme/b-3").await;
    conflict.discard(&stage).await;
    stage.settled("acme/b-2").await;
    let wanted = [names("b-1", 1), names("b-2", 2), names("b-3", 3)].concat();
    assert_eq!(stage.account("acme").case_names(), wanted);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_message_that_is_too_large_is_divided_or_let_through() {
    let mut stage = Stage::on(Broker::shared(), &["acme"], &[("COURIER_AMQP__MAX_MESSAGE_BYTES", "2000")]).await;
    stage.start_worker();
    stage.publish(&batch("acme", "divided", 20)).await;
    let shown = read(&stage, "", Reason::TooLarge).await;
    assert!(shown.text.contains("at most 2000 are allowed"), "{}", shown.text);
    for n in 0..4 {
        stage.publish(&batch("acme", &format!("part-{n}"), 5)).await;
        stage.delivered(&format!("acme/part-{n}")).await;
    }
    shown.discard(&stage).await;

    // The operator raises the setting that the command names.
    stage.publish(&batch("acme", "whole", 20)).await;
    let shown = read(&stage, "", Reason::TooLarge).await;
    assert_eq!(shown.run(&stage, " replay ", &[]).0, Some(1), "it is still too large");
    assert!(shown.text.contains("amqp.max_message_bytes"), "{}", shown.text);
    stage.stop_worker().await;
    stage.config.amqp.max_message_bytes = 20_000;
    stage.environment.insert("COURIER_AMQP__MAX_MESSAGE_BYTES".into(), "20000".into());
    stage.start_worker();
    shown.follow(&stage, " replay ", &[]);
    stage.delivered("acme/whole").await;
    assert_eq!(stage.account("acme").case_names().len(), 40);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_message_that_could_not_be_taken_is_replayed() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    stage.publish_to("bach", batch("acme", "astray", 1).to_string().into_bytes()).await.expect("a broker");
    let astray = read(&stage, "acme/astray", Reason::Undeliverable).await;
    let trace = entry(b"x-exception-stacktrace", &text(&[b'x'; 16_500]));
    let body = batch("acme", "traced", 1).to_string().into_bytes();
    stage.raw_publisher().with_headers("testmo.cases", &trace, &body).expect("a stored message");
    let traced = read(&stage, "acme/traced", Reason::UnreadableHeaders).await;
    assert!(traced.text.contains("at most 16,376 can be read"), "{}", traced.text);
    astray.follow(&stage, " replay ", &[]);
    traced.follow(&stage, " replay ", &[]);
    for batch in ["acme/astray", "acme/traced"] {
        while stage.event_of(batch).await["data"]["outcome"] != "delivered" {}
    }
    assert_eq!(stage.account("acme").case_names().len(), 2);
    stage.shelf_until(<[_]>::is_empty).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_message_that_panics_is_replayed_once_the_defect_is_gone() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    // A defect that shows once: the batch is tried alone, and arrives.
    stage.environment.insert("COURIER_PANIC_AT".into(), "unit:arrive:1:acme/once".into());
    let process = Process::start(&stage).await;
    stage.publish(&batch("acme", "once", 1)).await;
    stage.delivered("acme/once").await;
    assert_eq!(Reason::Suspect.remedy(), "Nothing to do: the batch is retried automatically.");
    process.stop().await;

    // One that shows each time, until the worker is another version.
    stage.environment.insert("COURIER_PANIC_AT".into(), "unit:arrive:1000000:acme/always".into());
    let process = Process::start(&stage).await;
    stage.publish(&batch("acme", "always", 1)).await;
    // Its batch was not read before the panic.
    let shown = read(&stage, "", Reason::CrashLoop).await;
    assert!(process.output().contains("panic, which is a defect in the worker"), "the log says what happened");
    process.stop().await;
    stage.environment.remove("COURIER_PANIC_AT");
    shown.follow(&stage, " replay ", &[]);
    let process = Process::start(&stage).await;
    let delivered: Value = loop {
        let event = stage.event_of("acme/always").await;
        if event["data"]["outcome"] == "delivered" {
            break event;
        }
    };
    assert_eq!(delivered["data"]["cases"][0]["outcome"], "created");
    process.stop().await;
    stage.end().await;
}

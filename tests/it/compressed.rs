//! Checks messages that are compressed with gzip: they are batches like plain ones, and broken ones hold nothing up.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use testmo_courier::batch::Reason;
use testmo_courier::store::shelf::Shelved;
use testmo_hostile::short;

use crate::support::batches::{batch, names};
use crate::support::broker::Broker;
use crate::support::process::{Process, command, run_reading};
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::until;

/// The flag of the property `content_encoding` in a content header.
const CONTENT_ENCODING: u16 = 1 << 14;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn publish(stage: &Stage, encoding: &str, body: &[u8]) {
    let properties = short(encoding.as_bytes());
    stage.raw_publisher().publish("testmo.cases", b"batch", CONTENT_ENCODING, &properties, body).expect("a broker");
}

fn replay(stage: &Stage, row: &Shelved) -> (Option<i32>, String) {
    let mut replay = command(stage);
    replay.args(["replay", &row.id.to_string(), "--yes"]);
    run_reading(replay, "")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_the_same_compressed_and_plain_and_across_a_restart() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let of = |id| batch("acme", id, 2).to_string().into_bytes();
    // Without a connection for a while, so that it waits on the shelf when the worker stops.
    let waiting = batch("later", "b-2", 2).to_string().into_bytes();
    let process = Process::start(&stage).await;
    publish(&stage, "gzip", &gzip(&of("b-1")));
    let event = stage.delivered("acme/b-1").await;
    // One after the other: copies that arrive before their outcome is published again share one event.
    for (encoding, body) in [("", of("b-1")), ("utf-8", of("b-1")), ("gzip:UTF-8", gzip(&of("b-1")))] {
        publish(&stage, encoding, &body);
        assert_eq!(stage.event_of("acme/b-1").await, event, "a copy has the same outcome");
    }
    publish(&stage, "gzip", &gzip(&waiting));
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!(*shelf[0].content.body, waiting, "the shelf holds the plain text");
    assert!(!shelf[0].content.headers.contains_key("content_encoding"), "{shelf:?}");
    process.stop().await;
    stage.connect("later", "acme", "testmo_api_secret_of_acme").await;
    let process = Process::start(&stage).await;
    while stage.event_of("later/b-2").await["data"]["outcome"] != "delivered" {}
    process.stop().await;
    assert_eq!(stage.account("acme").case_names(), [names("b-1", 2), names("b-2", 2)].concat());
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_broken_body_is_kept_with_its_sentence_and_no_batch_waits_for_it() {
    let mut stage = Stage::on(Broker::shared(), &["acme"], &[("COURIER_AMQP__MAX_MESSAGE_BYTES", "20000")]).await;
    let large = [batch("acme", "large", 1).to_string().into_bytes(), vec![b' '; 30_000]].concat();
    let whole = gzip(&batch("acme", "b-1", 1).to_string().into_bytes());
    // The same bytes twice would be one message.
    let other = |n: usize| gzip(&batch("acme", &format!("other-{n}"), 1).to_string().into_bytes());
    let broken: [(&str, Vec<u8>, &str); 6] = [
        ("gzip", b"{}".to_vec(), "but is not compressed with gzip"),
        ("gzip", whole[..whole.len() - 20].to_vec(), "ends before the compressed data is complete"),
        ("br", other(1), "content_encoding `br`, which is not supported"),
        ("zstd", other(2), "content_encoding `zstd`, which is not supported"),
        ("", other(3), "publish it with the property content_encoding set to gzip"),
        ("gzip", gzip(&large), "more than 20000 bytes when decompressed"),
    ];
    stage.start_worker();
    for (encoding, body, _) in &broken {
        publish(&stage, encoding, body);
    }
    // A message that is JSON, but not a batch, is one message, compressed or not.
    stage.publish_bytes(b"[]".to_vec()).await;
    publish(&stage, "gzip", &gzip(b"[]"));
    publish(&stage, "gzip", &whole);
    stage.delivered("acme/b-1").await;
    until(async || Broker::shared().depth(&stage.vhost, "testmo.cases") == 0).await;
    let shelf = stage.shelf_until(|shelf| shelf.len() == broken.len() + 1).await;
    for (encoding, body, said) in &broken {
        let detail = |row: &&Shelved| row.content.detail.as_deref().is_some_and(|detail| detail.contains(said));
        let row = shelf.iter().find(detail).unwrap_or_else(|| panic!("{said}: {shelf:?}"));
        assert_eq!(*row.content.body, *body, "{said}");
        let kept = row.content.headers.get("content_encoding").map(String::as_str);
        assert_eq!(kept.unwrap_or_default(), *encoding, "{said}");
        let is_large = said.starts_with("more than");
        assert_eq!(row.content.reason, if is_large { Reason::TooLarge } else { Reason::NotJson }, "{said}");
        let (code, text) = replay(&stage, row);
        assert_eq!(code, Some(1), "{text}");
    }
    // The operator raises the limit.
    let row = shelf.iter().find(|row| row.content.reason == Reason::TooLarge).expect("the large one").clone();
    stage.stop_worker().await;
    stage.config.amqp.max_message_bytes = 40_000;
    stage.environment.insert("COURIER_AMQP__MAX_MESSAGE_BYTES".into(), "40000".into());
    stage.start_worker();
    let (code, text) = replay(&stage, &row);
    assert_eq!(code, Some(0), "{text}");
    stage.delivered("acme/large").await;
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_becomes_huge_takes_the_memory_of_a_plain_message() {
    const LIMIT: u64 = 8_000_000;
    let stage = Stage::on(Broker::shared(), &["acme"], &[("COURIER_WORKER__MAX_QUEUED_BYTES", "4000000")]).await;
    let process = Process::start(&stage).await;
    let idle = process.peak_memory();
    for n in 0..4 {
        let mut body = vec![b' '; 60_000_000];
        body[0] = b'0' + n;
        publish(&stage, "gzip", &gzip(&body));
    }
    let shelf = stage.shelf_until(|shelf| shelf.len() == 4).await;
    assert!(shelf.iter().all(|row| row.content.reason == Reason::TooLarge), "{shelf:?}");
    let taken = process.peak_memory() - idle;
    assert!(taken < 6 * LIMIT, "{taken} bytes");
    process.stop().await;
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_batch_of_the_largest_size_is_delivered() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    let mut large = batch("acme", "b-1", 8);
    for case in large["cases"].as_array_mut().expect("cases") {
        case["description"] = json!("a ".repeat(300_000));
    }
    let body = large.to_string().into_bytes();
    publish(&stage, "gzip", &gzip(&body));
    stage.delivered("acme/b-1").await;
    assert_eq!(stage.account("acme").case_names(), names("b-1", 8));
    stage.end().await;
}

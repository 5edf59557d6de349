//! Checks the spans that a collector gets: one for each batch and one for each request, with the right parents and links; and that
//! a collector that does not answer holds nothing up.

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::Value;
use testmo_sim::faults::{CommitTime, Fault};

use crate::support::batches::{batch, on_create};
use crate::support::broker::Broker;
use crate::support::collector::{Collector, text};
use crate::support::process::Process;
use crate::support::stage::Stage;

const SPAN: &str = "00f067aa0ba902b7";

/// Returns the context that a publisher names for the trace of a batch.
fn traceparent(trace: u8) -> String {
    format!("00-{}-{SPAN}-01", format!("{trace:02x}").repeat(16))
}

async fn publish(stage: &Stage, id: &str, trace: u8) {
    stage.publish_with_headers(&batch("acme", id, 2), &[("traceparent", &traceparent(trace))]).await;
}

async fn stage_with(collector: &Collector) -> Stage {
    let settings = [
        ("COURIER_TRACES__ENDPOINT", collector.endpoint()),
        // One request at a time, which may take long.
        ("COURIER_REQUESTS__ACCOUNT_CONCURRENCY", "1"),
        ("COURIER_TESTMO__REQUEST_TIMEOUT", "60s"),
        ("COURIER_TESTMO__RECONCILE_DELAY_UNANSWERED", "60s"),
    ];
    Stage::on(Broker::shared(), &["acme"], &settings).await
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the span of a batch.
fn of_batch<'a>(spans: &'a [Span], id: &str) -> Option<&'a Span> {
    spans.iter().find(|span| span.name == "batch" && text(span, "testmo_courier.batch_id") == Some(id))
}

/// Returns the span of the request that the stand-in received with a context.
fn of_request<'a>(spans: &'a [Span], traceparent: &str) -> Option<&'a Span> {
    let sent = |span: &Span| format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id)) == traceparent;
    spans.iter().find(|span| span.kind == SpanKind::Client as i32 && sent(span))
}

/// Returns the contexts of the create requests that Testmo received.
fn creates(stage: &Stage) -> Vec<String> {
    let requests = stage.account("acme").requests();
    let creates = requests.into_iter().filter(|request| !request.created.is_empty());
    creates.map(|request| request.traceparent.expect("a context")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_a_span_of_the_batch_and_of_each_request() {
    let collector = Collector::start().await;
    let mut stage = stage_with(&collector).await;
    let process = Process::start(&stage).await;
    publish(&stage, "b-1", 1).await;
    let (headers, event) = stage.next_event_with_headers().await;
    assert_eq!(event["data"]["outcome"], "delivered", "{event}");
    let create = creates(&stage).remove(0);
    let spans = collector.until(|all| of_batch(all, "b-1").is_some() && of_request(all, &create).is_some()).await;
    let (batch, request) = (of_batch(&spans, "b-1").expect("a span"), of_request(&spans, &create).expect("a span"));
    assert_eq!((hex(&batch.trace_id), hex(&batch.parent_span_id)), ("01".repeat(16), SPAN.to_owned()));
    assert_eq!((&request.parent_span_id, &request.trace_id), (&batch.span_id, &batch.trace_id));
    assert!(request.links.is_empty() && request.name == "POST /projects/{id}/cases", "{request:?}");
    assert!(batch.start_time_unix_nano <= request.start_time_unix_nano, "{batch:?} {request:?}");
    assert_eq!(text(batch, "testmo_courier.outcome"), Some("delivered"));
    let own = format!("00-{}-{}-01", hex(&batch.trace_id), hex(&batch.span_id));
    assert_eq!((&event["traceparent"], headers.get("traceparent")), (&Value::from(own.clone()), Some(&own)));
    assert!(process.metric(r#"testmo_courier_spans_total{result="exported"}"#).is_some_and(|count| count >= 2.0));
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_cases_of_several_batches_is_linked_to_each() {
    let collector = Collector::start().await;
    let mut stage = stage_with(&collector).await;
    // While this request is under way, the other batches wait for their turn.
    stage.account("acme").set_faults([on_create(Fault::Held { commit: CommitTime::AfterDelay }).times(1)]);
    let process = Process::start(&stage).await;
    publish(&stage, "b-0", 9).await;
    stage.account("acme").until(|station| station.log.iter().any(|request| !request.case_names.is_empty())).await;
    publish(&stage, "b-1", 1).await;
    publish(&stage, "b-2", 2).await;
    crate::support::waiting::until(async || process.metric("testmo_courier_batches_in_flight") == Some(3.0)).await;
    stage.account("acme").clear_faults();
    for id in ["b-0", "b-1", "b-2"] {
        stage.delivered(&format!("acme/{id}")).await;
    }
    let shared = creates(&stage).pop().expect("a request");
    let is_there = |all: &[Span]| of_batch(all, "b-1").is_some() && of_batch(all, "b-2").is_some();
    let spans = collector.until(|all| is_there(all) && of_request(all, &shared).is_some()).await;
    let request = of_request(&spans, &shared).expect("a span");
    let (one, other) = (of_batch(&spans, "b-1").expect("a span"), of_batch(&spans, "b-2").expect("a span"));
    let (parent, linked) = if request.trace_id == one.trace_id { (one, other) } else { (other, one) };
    assert_eq!((&request.trace_id, &request.parent_span_id), (&parent.trace_id, &parent.span_id));
    let links: Vec<_> = request.links.iter().map(|link| (&link.trace_id, &link.span_id)).collect();
    assert_eq!(links, [(&linked.trace_id, &linked.span_id)]);
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_begins_for_a_batch_that_has_none_and_one_that_is_not_sampled_is_left_alone() {
    let collector = Collector::start().await;
    let mut stage = stage_with(&collector).await;
    let process = Process::start(&stage).await;
    let unsampled = format!("00-{}-{SPAN}-00", "05".repeat(16));
    stage.publish_with_headers(&batch("acme", "b-2", 1), &[("traceparent", &unsampled)]).await;
    let event = stage.delivered("acme/b-2").await;
    assert_eq!(event["traceparent"], unsampled.as_str());
    stage.publish(&batch("acme", "b-1", 1)).await;
    let event = stage.delivered("acme/b-1").await;
    let spans = collector.until(|all| of_batch(all, "b-1").is_some()).await;
    let batch = of_batch(&spans, "b-1").expect("a span");
    assert!(batch.parent_span_id.is_empty(), "{batch:?}");
    assert_eq!(event["traceparent"], format!("00-{}-{}-01", hex(&batch.trace_id), hex(&batch.span_id)));
    // The spans of one worker are sent in their order.
    assert!(spans.iter().all(|span| span.trace_id == batch.trace_id), "{spans:?}");
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_does_not_answer_holds_up_neither_a_batch_nor_the_end() {
    let collector = Collector::stalled().await;
    let mut stage = stage_with(&collector).await;
    stage.environment.insert("COURIER_WORKER__DRAIN_TIMEOUT".into(), "1h".into());
    let process = Process::start(&stage).await;
    for n in 1..=5 {
        publish(&stage, &format!("b-{n}"), n).await;
        stage.delivered(&format!("acme/b-{n}")).await;
    }
    collector.until(|all| !all.is_empty()).await;
    // It would wait for an hour, or for the collector, if that were part of the work.
    process.stop().await;
    stage.end().await;
}

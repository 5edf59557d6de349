//! Checks that the trace that a publisher names is in the log, in the requests to Testmo, in the events and in the audit, also
//! after a worker has ended, and that nothing is invented where there is none.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;

use serde_json::{Value, json};
use testmo_courier::app::AppContext;
use testmo_courier::app::actor::{Actor, Face, Role};
use testmo_courier::app::audit::{AuditFilter, list};
use testmo_courier::app::discard;
use testmo_sim::faults::Fault;
use testmo_sim::world::RequestRecord;

use crate::support::batches::{batch, on_create};
use crate::support::broker::Broker;
use crate::support::process::Process;
use crate::support::stage::Stage;

/// SIGABRT, which ends a worker that crashes on order.
const ABORTED: i32 = 6;
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";
const STATE: &str = "rojo=00f067aa0ba902b7";

fn traceparent() -> String {
    format!("00-{TRACE}-{SPAN}-01")
}

async fn publish(stage: &Stage, id: &str, cases: usize) {
    let (traceparent, headers) = (traceparent(), ["traceparent", "tracestate"]);
    stage.publish_with_headers(&batch("acme", id, cases), &[(headers[0], &traceparent), (headers[1], STATE)]).await;
}

/// Returns the lines of a log that name a batch or an event, with the trace of each.
fn traced(output: &str) -> Vec<(String, Option<String>)> {
    let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let about = lines.filter(|line| line.get("batch").is_some() || line.get("event").is_some());
    let text = |value: &Value| value.as_str().map(str::to_owned);
    about.map(|line| (line["message"].to_string(), text(&line["trace_id"]))).collect()
}

/// Returns the requests for the batch: those that carry a span.
fn spans(requests: &[RequestRecord]) -> Vec<String> {
    let of = |record: &RequestRecord| record.traceparent.clone();
    requests.iter().filter_map(of).collect()
}

/// Checks that each request has a span of its own in the trace.
fn each_has_a_span_of_its_own(spans: &[String]) {
    let ids: BTreeSet<&str> = spans.iter().map(|span| span.split('-').nth(2).expect("a span")).collect();
    assert_eq!(ids.len(), spans.len(), "{spans:?}");
    assert!(!ids.contains(SPAN), "that is the span of the publisher");
    for span in spans {
        assert!(span.starts_with(&format!("00-{TRACE}-")) && span.ends_with("-01"), "{span}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_carries_its_trace_into_the_log_the_requests_and_the_event() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let process = Process::start(&stage).await;
    publish(&stage, "b-1", 2).await;
    let (headers, event) = stage.next_event_with_headers().await;
    assert_eq!(event["data"]["outcome"], "delivered", "{event}");
    assert_eq!((&event["traceparent"], &event["tracestate"]), (&traceparent().into(), &STATE.into()));
    assert_eq!(
        (headers.get("traceparent"), headers.get("tracestate")),
        (Some(&traceparent()), Some(&STATE.to_owned()))
    );
    let requests = stage.account("acme").requests();
    let create = requests.iter().find(|request| !request.created.is_empty()).expect("a create request");
    assert!(create.traceparent.is_some());
    each_has_a_span_of_its_own(&spans(&requests));
    let lines = traced(&process.output());
    assert!(lines.iter().any(|(message, _)| message.contains("batch delivered")), "{lines:?}");
    assert!(lines.iter().all(|(_, trace)| trace.as_deref() == Some(TRACE)), "{lines:?}");
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_without_a_trace_or_with_a_broken_one_gets_none() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", 1)).await;
    let zero = format!("00-{}-{SPAN}-01", "0".repeat(32));
    stage.publish_with_headers(&batch("acme", "b-2", 1), &[("traceparent", &zero), ("tracestate", STATE)]).await;
    for _ in 0..2 {
        let (headers, event) = stage.next_event_with_headers().await;
        assert_eq!(event["data"]["outcome"], "delivered", "{event}");
        assert!(event.get("traceparent").is_none() && event.get("tracestate").is_none(), "{event}");
        assert!(headers.is_empty(), "{headers:?}");
    }
    assert_eq!(spans(&stage.account("acme").requests()), [""; 0]);
    let lines = traced(&process.output());
    assert!(lines.len() >= 2 && lines.iter().all(|(_, trace)| trace.is_none()), "{lines:?}");
    process.stop().await;
    stage.end().await;
}

/// Ends a worker at a point, and has another one go on.
async fn outlives(point: &str, faults: Vec<Fault>) {
    let settings = [("COURIER_RETRY__MAX_ATTEMPTS", "1"), ("COURIER_RETRY__SHELF_BACKOFF_MIN", "100ms")];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    stage.account("acme").set_faults(faults.into_iter().map(|fault| on_create(fault).times(1)));
    stage.environment.insert("COURIER_CRASH_AT".into(), format!("{point}:1"));
    let mut process = Process::start(&stage).await;
    publish(&stage, "b-1", 3).await;
    assert_eq!(process.exit().await.signal(), Some(ABORTED), "{}", process.output());
    assert_eq!(stage.record("acme/b-1").await.trace.expect("a trace").stored(), format!("{} {STATE}", traceparent()));
    stage.environment.remove("COURIER_CRASH_AT");
    let process = Process::start(&stage).await;
    let (headers, event) = stage.next_event_with_headers().await;
    assert_eq!(event["data"]["outcome"], "delivered", "{event}");
    assert_eq!((headers.get("traceparent"), &event["traceparent"]), (Some(&traceparent()), &traceparent().into()));
    each_has_a_span_of_its_own(&spans(&stage.account("acme").requests()));
    let lines = traced(&process.output());
    assert!(lines.iter().all(|(_, trace)| trace.as_deref() == Some(TRACE)), "{lines:?}");
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_outlives_a_worker() {
    outlives("after_settle", vec![]).await;
    outlives("after_claim", vec![]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_comes_back_from_the_shelf_in_its_trace() {
    outlives("after_park", vec![Fault::status(503)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_does_with_a_message_is_in_its_trace() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let process = Process::start(&stage).await;
    let broken = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme"});
    stage.publish_with_headers(&broken, &[("traceparent", &traceparent())]).await;
    let (headers, event) = stage.next_event_with_headers().await;
    assert_eq!((&event["data"]["outcome"], headers.get("traceparent")), (&"invalid".into(), Some(&traceparent())));
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    let lines = traced(&process.output());
    assert!(lines.iter().all(|(_, trace)| trace.as_deref() == Some(TRACE)) && !lines.is_empty(), "{lines:?}");
    let context = AppContext::open(stage.config.clone()).await.expect("a store and its key");
    let anna = Actor::new("anna", Role::Operator, Face::Api);
    let plan = discard::plan(&context.store, &[shelf[0].id]).await.expect("a store");
    plan.carry_out(&context.store, &anna, Some("twice")).await.expect("a store");
    let page = list(&context.store, &AuditFilter::default(), None, 0).await.expect("a store");
    let traces: Vec<_> = page.entries.iter().map(|item| item.row.trace_id.as_deref()).collect();
    assert_eq!(traces, [Some(TRACE)]);
    process.stop().await;
    stage.end().await;
}

//! Checks that a person sees what happened to a batch.

use serde_json::{Value, json};
use testmo_sim::Method;
use testmo_sim::faults::{Fault, PathKind, RetryAfter, Rule};

use crate::support::batches::{batch, on_create};
use crate::support::postgres::Postgres;
use crate::support::process::{command, run_reading};
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::until;

fn show(stage: &Stage, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = command(stage);
    command.args(["batches", "show"]).args(arguments);
    run_reading(command, "")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_shown_with_its_cases_requests_outcome_and_events() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").set_faults([on_create(Fault::status_after_commit(503)).times(1)]);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 2)).await;
    let event = stage.event_of("acme/b-1").await;
    stage.stop_worker().await;
    let (code, said) = show(&stage, &["acme/b-1"]);
    assert_eq!(code, Some(0), "{said}");
    let link = event["data"]["cases"][1]["link"].as_str().unwrap();
    for part in ["delivered", "TC-2  adopted", link, "503, adopted", "2 adopted", event["id"].as_str().unwrap()] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    let (code, said) = show(&stage, &["acme/b-1", "--json"]);
    let shown: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(code, Some(0));
    assert_eq!(shown["cases"][0]["testmo_id"], event["data"]["cases"][0]["testmo_id"]);
    assert_eq!((&shown["outcomes"][0]["revision"], &shown["outcomes"][0]["event"]), (&1.into(), &event["id"]));
    assert!(shown["events"][0]["published_at"].is_string(), "{said}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_waits_on_the_shelf_is_shown_and_an_unknown_one_is_a_finding() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    stage.publish(&batch("nobody", "b-1", 2)).await;
    stage.event_of("nobody/b-1").await;
    let (code, said) = show(&stage, &["nobody/b-1"]);
    assert_eq!(code, Some(0), "{said}");
    for part in ["no case was sent yet", "parked as unknown_tenant until its connection works", "batch.deferred.v1"] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    let mut shelf_show = command(&stage);
    shelf_show.args(["shelf", "show", "nobody/b-1"]);
    let (_, said) = run_reading(shelf_show, "");
    assert!(said.contains("testmo-courier batches show nobody/b-1  # shows everything"), "{said}");
    let (code, said) = show(&stage, &["acme/none"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no batch acme/none is known") && said.contains("batches list"), "{said}");
    assert_eq!(show(&stage, &["acme"]).0, Some(2));
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

/// Reads the timeline of a batch, as programs do: the entries, and the kind of each.
fn timeline(stage: &Stage, batch: &str) -> (Vec<Value>, Vec<String>) {
    let (code, said) = show(stage, &[batch, "--json"]);
    assert_eq!(code, Some(0), "{said}");
    let shown: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&shown["timeline"]["dropped_entries"], &shown["timeline"]["under_way"]), (&json!(0), &json!([])));
    let entries = shown["timeline"]["entries"].as_array().expect("entries").clone();
    // People read each text, too; long ones are broken.
    let (_, text) = show(stage, &[batch]);
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for entry in entries.iter().filter(|entry| !entry["text"].as_str().expect("a text").contains("(in ")) {
        let said = words(entry["text"].as_str().expect("a text"));
        let first = said.split(" until ").next().expect("a part");
        assert!(words(&text).contains(first), "{first:?} is not in\n{text}");
    }
    let timeline = text.split_once("\ntimeline\n").expect("a timeline").1;
    assert!(timeline.lines().all(|line| line.chars().count() <= 100), "{text}");
    let kinds = entries.iter().map(|entry| entry["kind"].as_str().expect("a text").to_owned()).collect();
    (entries, kinds)
}

/// Waits until the broker's confirmation of each event is stored.
async fn confirmed(stage: &Stage, batch: &str) {
    let key = batch.parse().expect("a batch");
    until(async || {
        stage.store.history(&key).await.expect("the store").events.iter().all(|event| event.sent_at.is_some())
    })
    .await;
}

async fn a_batch_is_throttled_lost_found_and_delivered(mut stage: Stage) {
    let second = || Fault::throttled(Some(RetryAfter::Seconds(1)));
    stage.account("acme").set_faults([
        on_create(second()).times(1),
        on_create(Fault::status_after_commit(503)).times(1),
        Rule::always(second()).on(Method::Get, PathKind::Cases).times(1),
    ]);
    stage.start_worker();
    stage.publish_at(&batch("acme", "b-1", 2), 1_790_000_000).await;
    assert_eq!(stage.event_of("acme/b-1").await["data"]["outcome"], "delivered");
    confirmed(&stage, "acme/b-1").await;
    let (entries, kinds) = timeline(&stage, "acme/b-1");
    let expected = [
        "published",
        "taken",
        "request",
        "request",
        "retry",
        "retry",
        "reconciliation",
        "outcome",
        "event_stored",
        "event_confirmed",
    ];
    assert_eq!(kinds, expected, "{entries:#?}");
    let said = |at: usize, member: &str| entries[at][member].as_str().unwrap_or_default().to_owned();
    assert_eq!(said(0, "at"), "2026-09-21T14:13:20Z");
    assert!(said(2, "detail").contains("429 Too Many Requests and asked for a pause of 1 s"), "{entries:#?}");
    assert!(said(3, "text").contains("answer 503, adopted; ids ") && said(3, "detail").contains("503"), "{entries:#?}");
    assert_eq!((said(4, "reason"), said(5, "reason")), ("server_error".into(), "throttled".into()));
    assert_eq!(said(6, "text"), "reconciled 2 cases of unknown outcome: 2 found in Testmo");
    assert_eq!(said(7, "text"), "outcome 1: delivered; 2 adopted");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_of_a_batch_has_each_request_wait_and_reconciliation() {
    a_batch_is_throttled_lost_found_and_delivered(Stage::with_tenants(&["acme"]).await).await;
    let postgres = Stage::on_postgres(Postgres::shared(), &["acme"], &[]).await;
    a_batch_is_throttled_lost_found_and_delivered(postgres).await;
}

async fn a_batch_is_refused_in_part_and_replayed(mut stage: Stage) {
    stage.account("acme").change_settings(|settings| settings.name_max_chars = 20);
    stage.start_worker();
    let mut long = batch("acme", "b-1", 3);
    long["cases"][1]["name"] = json!("A name of more than twenty characters");
    stage.publish(&long).await;
    assert_eq!(stage.event_of("acme/b-1").await["data"]["outcome"], "partial");
    stage.account("acme").change_settings(|settings| settings.name_max_chars = 100);
    let mut replay = command(&stage);
    replay.args(["replay", "acme/b-1", "--yes"]);
    let (code, said) = run_reading(replay, "");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(stage.event_of("acme/b-1").await["data"]["outcome"], "delivered");
    confirmed(&stage, "acme/b-1").await;
    let (entries, mut kinds) = timeline(&stage, "acme/b-1");
    // Confirmations come when the broker sends them.
    kinds.retain(|kind| kind != "event_confirmed");
    let expected = [
        "taken",
        "request",
        "request",
        "outcome",
        "dead",
        "event_stored",
        "action",
        "request",
        "outcome",
        "event_stored",
    ];
    assert_eq!(kinds, expected, "{entries:#?}");
    let of_kind = |kind: &str| entries.iter().filter(|entry| entry["kind"] == kind).cloned().collect::<Vec<_>>();
    let (requests, dead) = (of_kind("request"), of_kind("dead"));
    assert!(requests[0]["text"].as_str().expect("a text").contains("answer 422 after "), "{requests:#?}");
    assert!(requests[0]["detail"].as_str().expect("a text").contains("name"), "{requests:#?}");
    assert!(requests[1..].iter().all(|request| request["detail"].is_null()), "{requests:#?}");
    assert_eq!((&dead[0]["reason"], dead.len()), (&json!("case_refused"), 1));
    let action = &of_kind("action")[0];
    assert!(action["text"].as_str().expect("a text").contains("(worker): shelf.replay shelf "), "{action:#?}");
    let outcomes: Vec<_> = of_kind("outcome").iter().map(|outcome| outcome["text"].clone()).collect();
    assert_eq!(outcomes, ["outcome 1: partial; 2 created, 1 refused", "outcome 2: delivered; 3 created"]);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_of_a_batch_goes_on_when_a_person_replays_it() {
    a_batch_is_refused_in_part_and_replayed(Stage::with_tenants(&["acme"]).await).await;
    a_batch_is_refused_in_part_and_replayed(Stage::on_postgres(Postgres::shared(), &["acme"], &[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_simply_delivered_leaves_no_history() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 2)).await;
    stage.delivered("acme/b-1").await;
    let history = stage.store.history(&"acme/b-1".parse().unwrap()).await.unwrap();
    assert_eq!((history.entries, history.pushes[0].detail.clone()), (vec![], None));
    stage.end().await;
}

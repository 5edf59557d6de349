//! Checks that no case is lost, created twice or given up after a status that does not show the outcome of a create
//! request, and that the worker finds the cause: the connection, or one case.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testmo_courier::batch::Reason;
use testmo_courier::store::ConnectionStore;
use testmo_courier::store::shelf::{ShelfState, ShelvedUntil};
use testmo_sim::Method;
use testmo_sim::faults::{Fault, Rule};

use crate::support::batches::{batch, key_of, names, on_create};
use crate::support::broker::Broker;
use crate::support::process::{Process, command};
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::{patient, until};

/// Short times, because a cause is found only after several settle times.
const SOON: [(&str, &str); 3] = [
    ("COURIER_TESTMO__REQUEST_TIMEOUT", "1s"),
    ("COURIER_TESTMO__RECONCILE_DELAY_UNANSWERED", "1s"),
    ("COURIER_RETRY__SHELF_BACKOFF_MIN", "100ms"),
];

/// A text that a firewall in front of Testmo refuses.
const REFUSED: &str = "<script>alert(1)</script>";

async fn stage() -> Stage {
    Stage::on(Broker::shared(), &["acme"], &SOON).await
}

fn html_after_commit(status: u16) -> Fault {
    Fault::Status { status, after_commit: true, retry_after: None, html: true, delay_ms: 0 }
}

/// Returns a batch in which some cases, counted from 1, have a text that a firewall refuses.
fn batch_with(id: &str, count: usize, refused: &[usize]) -> Value {
    let mut batch = batch("acme", id, count);
    for at in refused {
        batch["cases"][at - 1]["steps"][0]["action"] = json!(REFUSED);
    }
    batch
}

/// Returns the next event that reports the outcome of a batch, skipping events that it waits.
async fn end_of(stage: &mut Stage, subject: &str) -> Value {
    loop {
        let event = stage.event_of(subject).await;
        if event["data"].get("outcome").is_some() {
            return event;
        }
    }
}

/// Returns the outcome of each case.
fn outcomes(event: &Value) -> Vec<&str> {
    event["data"]["cases"].as_array().into_iter().flatten().filter_map(|case| case["outcome"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_leaves_the_outcome_unknown_creates_nothing_twice_and_gives_up_no_case() {
    for (fault, outcome) in [
        (Fault::status_after_commit(408), "adopted"),
        (html_after_commit(408), "adopted"),
        (html_after_commit(403), "adopted"),
        (html_after_commit(404), "adopted"),
        (Fault::status_after_commit(409), "adopted"),
        (html_after_commit(422), "adopted"),
        (Fault::status(408), "created"),
        (Fault::page(403), "created"),
        (Fault::page(400), "created"),
    ] {
        let mut stage = stage().await;
        stage.account("acme").set_faults([on_create(fault.clone()).times(1)]);
        stage.start_worker();
        stage.publish(&batch("acme", "b-1", 3)).await;
        let event = stage.event_of("acme/b-1").await;
        assert_eq!((&event["data"]["outcome"], outcomes(&event)), (&json!("delivered"), vec![outcome; 3]), "{fault:?}");
        assert_eq!(stage.account("acme").case_names(), names("b-1", 3));
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_processed_is_sent_again_at_once() {
    for status in [421, 425] {
        let mut stage = stage().await;
        stage.account("acme").set_faults([on_create(Fault::page(status)).times(2)]);
        stage.start_worker();
        stage.publish(&batch("acme", "b-1", 3)).await;
        let event = stage.event_of("acme/b-1").await;
        assert_eq!(outcomes(&event), ["created"; 3]);
        let requests = stage.account("acme").requests();
        let lists = requests.iter().filter(|request| request.method == Method::Get && request.path.contains("/cases"));
        assert_eq!(lists.count(), 0, "nothing was to be looked for");
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_a_pause_and_a_request_that_is_too_large_are_understood_from_a_page() {
    let mut stage = stage().await;
    let pause = Fault::Status { status: 429, after_commit: false, retry_after: None, html: true, delay_ms: 0 };
    stage.account("acme").set_faults([on_create(Fault::page(413)).times(1), on_create(Fault::page(401)).times(1)]);
    let process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", 4)).await;
    assert_eq!(outcomes(&end_of(&mut stage, "acme/b-1").await), ["created"; 4]);
    assert_eq!(stage.account("acme").case_names(), names("b-1", 4));
    stage.account("acme").set_faults([on_create(pause).times(1)]);
    stage.publish(&batch("acme", "b-2", 1)).await;
    until(async || process.metric("testmo_courier_rate_limited_responses_total") == Some(1.0)).await;
    stage.shelf_until(|shelf| shelf.len() == 1).await;
    process.stop().await;
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn a_case_that_a_firewall_refuses_is_left_to_a_person_and_its_neighbours_are_delivered() {
    let mut stage = stage().await;
    stage.account("acme").set_faults([Rule::always(Fault::page(403)).with_body("<script>")]);
    // Rich text is escaped before it is sent.
    stage.account("acme").add_fault(Rule::always(Fault::page(403)).with_body("&lt;script&gt;"));
    stage.start_worker();
    stage.publish(&batch_with("b-1", 3, &[2])).await;
    stage.publish(&batch("acme", "b-2", 2)).await;
    assert_eq!(outcomes(&end_of(&mut stage, "acme/b-2").await), ["created"; 2]);
    let event = end_of(&mut stage, "acme/b-1").await;
    assert_eq!(event["data"]["outcome"], "partial", "{event}");
    assert_eq!(outcomes(&event), ["created", "unclear", "created"]);
    let left = &event["data"]["cases"][1];
    assert_eq!((&left["reason"], &event["data"]["reason"]), (&json!("rejected_unclear"), &json!("rejected_unclear")));
    assert_eq!(left["said"][0]["message"], "Testmo answered 403");
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Dead, Reason::RejectedUnclear));
    assert_eq!(shelf[0].content.detail.as_deref(), Some("case TC-2: Testmo answered 403"));
    let there: BTreeSet<String> = stage.account("acme").case_names().into_iter().collect();
    let others = ["b-1 case 1", "b-1 case 3", "b-2 case 1", "b-2 case 2"].map(str::to_owned);
    assert_eq!((there, stage.account("acme").cases().len()), (others.into(), 4));

    // Once the firewall lets the case through, a person's replay creates this case and no other.
    stage.account("acme").clear_faults();
    let mut replay = command(&stage);
    replay.args(["replay", "acme/b-1", "--yes"]);
    let replayed = patient(tokio::task::spawn_blocking(move || replay.output())).await.unwrap().unwrap();
    assert!(replayed.status.success(), "{replayed:?}");
    assert_eq!(outcomes(&end_of(&mut stage, "acme/b-1").await), ["created"; 3]);
    assert_eq!(stage.account("acme").cases().len(), 5);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_is_answered_to_everything_parks_the_tenant_until_it_is_answered_no_more() {
    for fault in [Fault::page(403), Fault::status(408)] {
        let mut stage = stage().await;
        stage.account("acme").set_faults([Rule::always(fault.clone())]);
        stage.start_worker();
        stage.publish(&batch("acme", "b-1", 2)).await;
        let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
        assert_eq!((shelf[0].state, shelf[0].content.until), (ShelfState::Parked, ShelvedUntil::Connection));
        assert_eq!(shelf[0].content.reason, Reason::UnexpectedStatus);
        let Fault::Status { status, .. } = fault else { unreachable!() };
        assert_eq!(shelf[0].content.detail.as_deref(), Some(format!("Testmo answered {status}").as_str()));
        assert_eq!(stage.event_of("acme").await["data"]["reason"], "unexpected_status");
        // The connection is re-verified automatically.
        let row = stage.store.connection(&"acme".parse().unwrap()).await.unwrap().unwrap();
        assert!(!row.is_verified());
        stage.account("acme").clear_faults();
        assert!(stage.connect("acme", "acme", &key_of("acme")).await);
        stage.delivered("acme/b-1").await;
        assert_eq!(stage.account("acme").case_names(), names("b-1", 2));
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_a_second_batch_gets_is_the_connections_although_reads_succeed() {
    let mut stage = stage().await;
    stage.account("acme").set_faults([on_create(Fault::page(403))]);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 2)).await;
    stage.account("acme").requests_matching(|request| request.status == Some(403), 1).await;
    stage.publish(&batch("acme", "b-2", 2)).await;
    let shelf = stage.shelf_until(|shelf| shelf.len() == 2).await;
    for row in shelf {
        assert_eq!((row.state, row.content.reason), (ShelfState::Parked, Reason::UnexpectedStatus));
    }
    stage.account("acme").clear_faults();
    assert!(stage.connect("acme", "acme", &key_of("acme")).await);
    for (id, cases) in [("b-1", 2), ("b-2", 2)] {
        assert_eq!(outcomes(&stage.delivered(&format!("acme/{id}")).await), vec!["created"; cases]);
    }
    assert_eq!(stage.account("acme").cases().len(), 4);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_case_of_a_batch_goes_through_none_is_left_to_a_person() {
    let mut stage = stage().await;
    stage.account("acme").set_faults([on_create(Fault::status(408))]);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 2)).await;
    let shelf = stage.shelf_until(|shelf| shelf.iter().any(|row| row.content.until == ShelvedUntil::Connection)).await;
    assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Parked, Reason::UnexpectedStatus));
    let sent: Vec<usize> = stage
        .account("acme")
        .requests()
        .iter()
        .filter(|request| request.method == Method::Post)
        .map(|request| request.case_names.len())
        .collect();
    assert_eq!(sent, [2, 2, 2, 1, 1, 1, 1]);
    stage.account("acme").clear_faults();
    assert!(stage.connect("acme", "acme", &key_of("acme")).await);
    stage.delivered("acme/b-1").await;
    assert_eq!(stage.account("acme").case_names(), names("b-1", 2));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unpaid_subscription_parks_the_tenant_and_cases_possibly_created_are_reconciled() {
    for after_commit in [false, true] {
        let mut stage = stage().await;
        let fault = Fault::Status { status: 402, after_commit, retry_after: None, html: true, delay_ms: 0 };
        stage.account("acme").set_faults([on_create(fault)]);
        stage.start_worker();
        stage.publish(&batch("acme", "b-1", 2)).await;
        let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
        assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Parked, Reason::UnexpectedStatus));
        assert_eq!(shelf[0].content.detail.as_deref(), Some("Testmo answered 402"));
        stage.account("acme").clear_faults();
        assert!(stage.connect("acme", "acme", &key_of("acme")).await);
        let event = stage.delivered("acme/b-1").await;
        assert_eq!(outcomes(&event), [if after_commit { "adopted" } else { "created" }; 2]);
        assert_eq!(stage.account("acme").case_names(), names("b-1", 2));
        stage.end().await;
    }
}

//! Checks that a replay delivers the missing cases and no case twice, and that dead batches stay dead.

use serde_json::{Value, json};
use testmo_courier::batch::Reason;
use testmo_courier::batch::ledger::BatchState;
use testmo_courier::store::shelf::{ShelfState, Shelved};
use testmo_sim::Method;
use testmo_sim::faults::{Fault, PathKind, Rule};
use testmo_sim::world::RequestRecord;

use crate::support::batches::{batch, key_of, names};
use crate::support::broker::Broker;
use crate::support::process::command;
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::patient;

/// Runs a command without a terminal; returns its exit code and whole output.
pub(crate) async fn courier(stage: &Stage, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = command(stage);
    command.args(arguments);
    let output = patient(tokio::task::spawn_blocking(move || command.output())).await;
    let output = output.expect("a thread").expect("the program");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).expect("text"))
}

#[track_caller]
pub(crate) fn says((code, said): (Option<i32>, String), expected: i32, parts: &[&str]) {
    assert_eq!(code, Some(expected), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
}

fn on_create(fault: Fault) -> Rule {
    Rule::always(fault).on(Method::Post, PathKind::Cases)
}

/// Returns the outcome of an event: its name, its revision, and the outcome of each case.
fn told(event: &Value) -> (&str, u64, Vec<&str>) {
    let data = &event["data"];
    let cases = data["cases"].as_array().into_iter().flatten().filter_map(|case| case["outcome"].as_str());
    (data["outcome"].as_str().unwrap_or("none"), data["revision"].as_u64().unwrap_or(0), cases.collect())
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

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_was_given_up_is_replayed_and_delivered() {
    let settings = [
        // Few enough requests that the circuit breaker stays closed.
        ("COURIER_RETRY__MAX_ATTEMPTS", "1"),
        ("COURIER_RETRY__SHELF_BACKOFF_MIN", "50ms"),
        ("COURIER_RETRY__GIVE_UP_AFTER", "1s"),
        ("COURIER_RETRY__GIVE_UP_MIN_RETRIES", "2"),
    ];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    stage.account("acme").set_faults([on_create(Fault::status(503))]);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 2)).await;
    assert_eq!(stage.event_of("acme/b-1").await["data"]["reason"], "retries_exhausted");
    stage.account("acme").clear_faults();
    let dead = courier(&stage, &["dead-letters", "--since", "1h"]).await;
    says(dead, 0, &["dead", "retries_exhausted", "acme/b-1"]);
    says(
        courier(&stage, &["replay", "--state", "dead"]).await,
        2,
        &["1 batch of 1 selected, 2 cases", "1 batch: outcome unknown", "--yes"],
    );
    says(
        courier(&stage, &["replay", "--state", "dead", "--yes"]).await,
        0,
        &["1 batch: outcome unknown", "Replay 2 is started"],
    );
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(told(&event), ("delivered", 2, vec!["created", "created"]));
    assert_eq!(event["data"]["replay"], 2, "{event}");
    says(courier(&stage, &["replays", "watch", "2"]).await, 0, &["replay 2 is done: 1 delivered"]);
    says(courier(&stage, &["replays", "list"]).await, 0, &["cancelled", "done", "--state dead"]);
    assert_eq!(stage.account("acme").case_names(), names("b-1", 2));
    stage.shelf_until(|shelf| shelf.is_empty()).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_that_was_refused_is_accepted_later_and_the_others_are_not_created_again() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").change_settings(|settings| settings.name_max_chars = 20);
    stage.start_worker();
    let mut long = batch("acme", "b-1", 3);
    long["cases"][1]["name"] = json!("A name of more than twenty characters");
    stage.publish(&long).await;
    assert_eq!(told(&stage.event_of("acme/b-1").await), ("partial", 1, vec!["created", "refused", "created"]));
    says(courier(&stage, &["replay", "acme/b-1", "--yes"]).await, 0, &["1 batch: refused again"]);
    // Nothing was fixed, so the same case is refused again.
    assert_eq!(told(&stage.event_of("acme/b-1").await), ("partial", 2, vec!["created", "refused", "created"]));
    stage.account("acme").change_settings(|settings| settings.name_max_chars = 100);
    let id = stage.shelf_until(|shelf| shelf.iter().any(|row| row.state == ShelfState::Dead)).await[0].id.to_string();
    let (code, said) = courier(&stage, &["replay", &id, "--yes", "--json"]).await;
    let said: Value = serde_json::from_str(&said).expect("JSON");
    let (tried, cases) = (&said["plan"]["tried"], &said["plan"]["cases"]);
    assert_eq!((code, &said["selection"], tried, cases), (Some(0), &json!(id), &json!(1), &json!(1)));
    assert_eq!(told(&stage.event_of("acme/b-1").await), ("delivered", 3, vec!["created"; 3]));
    let there = stage.account("acme").case_names();
    assert_eq!(there, ["b-1 case 1", "b-1 case 3", "A name of more than twenty characters"]);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_shown_with_what_to_do_and_replayed_as_a_whole() {
    let mut stage = Stage::with_tenants(&["acme", "birch"]).await;
    for tenant in ["acme", "birch"] {
        stage.account(tenant).change_settings(|settings| settings.name_max_chars = 20);
    }
    stage.start_worker();
    for (tenant, batch_id, at) in [("acme", "b-1", 0), ("acme", "b-2", 1), ("birch", "b-3", 2)] {
        let mut long = batch(tenant, batch_id, 3);
        long["cases"][at]["name"] = json!(format!("{batch_id} has a name of more than twenty characters"));
        stage.publish(&long).await;
        stage.event_of(&format!("{tenant}/{batch_id}")).await;
    }
    stage.publish_bytes("{").await;
    stage.event_of("").await;
    let (code, said) = courier(&stage, &["shelf", "groups"]).await;
    let (first, other) = said.split_once("\n\n").expect("two groups");
    says(
        (code, first.to_owned()),
        0,
        &["3 entries with 9 cases: 3 for a person; 2 tenants: acme 2, birch 1", "case_refused  field name"],
    );
    assert!(
        other.contains("not_json") && other.contains("1 entry with 0 cases: 1 for a person; tenant not known 1"),
        "{other}"
    );
    let group = first.split_whitespace().next().expect("the id of the group").to_owned();
    says(courier(&stage, &["shelf", "list", "--group", &group]).await, 0, &["acme/b-1", "acme/b-2", "birch/b-3"]);
    let of_acme = courier(&stage, &["shelf", "groups", "--tenant", "acme", "--reason", "case_refused"]).await;
    says(of_acme, 0, &["2 entries with 6 cases: 2 for a person; acme 2", &format!("shelf discard --group {group}")]);
    says(courier(&stage, &["shelf", "groups", "--state", "parked"]).await, 0, &["No matching entry"]);
    says(courier(&stage, &["shelf", "groups", "--limit", "1", "--json"]).await, 0, &["case_refused"]);
    says(courier(&stage, &["shelf", "note", &group, "known", "--as", "anna"]).await, 0, &["Noted"]);
    says(courier(&stage, &["shelf", "groups"]).await, 0, &["note by anna", "known"]);
    says(courier(&stage, &["shelf", "show", "acme/b-1"]).await, 0, &[&group, "known (by anna"]);
    says(courier(&stage, &["shelf", "note", &group, "--remove"]).await, 0, &["Removed the note of anna: known"]);
    for tenant in ["acme", "birch"] {
        stage.account(tenant).change_settings(|settings| settings.name_max_chars = 100);
    }
    // What was changed in Testmo cannot be seen from here.
    let (code, said) = courier(&stage, &["replay", "--group", &group, "--yes"]).await;
    says((code, said), 1, &["3 batches: refused again", "add --unchanged"]);
    says(
        courier(&stage, &["replay", "--group", &group, "--unchanged", "--yes"]).await,
        0,
        &["3 batches of 3 selected"],
    );
    for subject in ["acme/b-1", "acme/b-2", "birch/b-3"] {
        assert_eq!(told(&stage.event_of(subject).await).0, "delivered");
    }
    let (_, said) = courier(&stage, &["shelf", "groups", "--json"]).await;
    let left: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((left.as_array().map(Vec::len), &left[0]["reason"]), (Some(1), &json!("not_json")));
    says(courier(&stage, &["replay", "--group", "00000001", "--yes"]).await, 2, &["shelf groups"]);
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_succeed_is_left_alone_with_its_cause() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 1)).await;
    stage.event_of("acme/b-1").await;
    stage.publish(&batch("acme", "b-1", 2)).await;
    assert_eq!(stage.event_of("acme/b-1").await["data"]["reason"], "batch_conflict");
    stage.publish_bytes("{").await;
    stage.event_of("").await;
    let parts = ["2 batches: impossible", "another batch with this batch_id", "not valid JSON"];
    says(courier(&stage, &["replay", "--state", "dead", "--yes"]).await, 1, &parts);
    let reasons: Vec<Reason> = stage.shelf().await.iter().map(|row| row.content.reason).collect();
    assert_eq!(reasons, [Reason::BatchConflict, Reason::NotJson]);
    assert_eq!(stage.account("acme").case_names(), names("b-1", 1));
    says(courier(&stage, &["replay", "00000abc", "--yes"]).await, 1, &["no entry 00000abc"]);
    says(courier(&stage, &["replay", "--yes"]).await, 2, &["nothing was selected"]);
    says(courier(&stage, &["replay", "acme/b-1", "--state", "dead"]).await, 2, &["ids and filters"]);
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_sent_astray_is_replayed_as_the_batch_it_is() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    stage.publish_to("bach", batch("acme", "b-1", 2).to_string().into_bytes()).await.unwrap();
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Dead, Reason::Undeliverable));
    stage.event_of("acme/b-1").await;
    says(
        courier(&stage, &["replay", "--reason", "undeliverable", "--yes"]).await,
        0,
        &["1 batch: ready", "is started"],
    );
    assert_eq!(told(&stage.event_of("acme/b-1").await), ("delivered", 1, vec!["created"; 2]));
    stage.shelf_until(|shelf| shelf.is_empty()).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_that_was_lost_is_reconciled_before_it_is_created_again() {
    let settings = [("COURIER_TESTMO__RECONCILE_DELAY_ANSWERED", "1s")];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    let acme = stage.account("acme");
    acme.set_faults([on_create(Fault::status_after_commit(503)).times(1)]);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 3)).await;
    acme.until(|station| station.account.cases.iter().len() == 3).await;
    // A person deletes a case before the worker has reconciled.
    assert!(acme.delete_case(acme.cases()[1].id));
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(told(&event), ("partial", 1, vec!["adopted", "unclear", "adopted"]));
    let before = acme.requests().len();
    says(courier(&stage, &["replay", "acme/b-1", "--yes"]).await, 0, &["1 batch: outcome unknown"]);
    assert_eq!(told(&stage.event_of("acme/b-1").await), ("delivered", 2, vec!["adopted", "created", "adopted"]));
    assert_eq!(acme.case_names(), ["b-1 case 1", "b-1 case 3", "b-1 case 2"]);
    let later: Vec<RequestRecord> = acme.requests().into_iter().skip(before).collect();
    let methods: Vec<Method> = later.iter().map(|request| request.method).collect();
    assert_eq!(methods, [Method::Get, Method::Post], "{later:?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_was_discarded_is_not_pushed_when_it_comes_again() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").revoke(1);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 2)).await;
    stage.publish(&batch("nobody", "b-2", 1)).await;
    stage.shelf_until(|shelf| shelf.len() == 2).await;
    says(courier(&stage, &["shelf", "discard", "acme/b-1"]).await, 2, &["key_refused", "acme/b-1", "--yes"]);
    let both = courier(&stage, &["shelf", "discard", "acme/b-1", "nobody/b-2", "--yes"]).await;
    says(both, 2, &["a discard needs a reason", "--because"]);
    let why = ["--because", "withdrawn"];
    let both = courier(&stage, &[&["shelf", "discard", "acme/b-1", "nobody/b-2", "--yes"], &why[..]].concat()).await;
    says(both, 0, &["Discarded 2 entries"]);
    let event = end_of(&mut stage, "acme/b-1").await;
    assert_eq!(event["type"], "com.sqai-suite.testmo.batch.failed.v1");
    assert_eq!(told(&event), ("discarded", 2, vec!["not_sent"; 2]));
    assert_eq!(told(&end_of(&mut stage, "nobody/b-2").await).0, "discarded");
    assert!(stage.shelf().await.is_empty());

    stage.account("acme").give_key(1, &key_of("acme"));
    assert!(stage.connect("acme", "acme", &key_of("acme")).await);
    stage.publish(&batch("acme", "b-1", 2)).await;
    let again = end_of(&mut stage, "acme/b-1").await;
    assert_eq!((&again["id"], &again["data"]), (&event["id"], &event["data"]));
    assert!(stage.account("acme").cases().is_empty());
    let stored = stage.store.batch(&"acme/b-1".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(stored.record.state, BatchState::Discarded);
    says(courier(&stage, &["shelf", "list"]).await, 0, &["No matching entry"]);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_replayed_while_its_testmo_fails_waits_as_its_batch_alone() {
    let settings = [("COURIER_RETRY__SHELF_BACKOFF_MIN", "50ms"), ("COURIER_RETRY__SHELF_BACKOFF_MAX", "1s")];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    stage.start_worker();
    stage.publish_to("nobody.listens", batch("acme", "b-1", 1).to_string().into_bytes()).await.expect("a broker");
    let astray = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!(astray[0].content.reason, Reason::Undeliverable);
    assert_eq!(stage.event_of("acme/b-1").await["data"]["reason"], "undeliverable");
    stage.account("acme").set_faults([on_create(Fault::status(503))]);
    says(courier(&stage, &["replay", &astray[0].id.to_string(), "--yes"]).await, 0, &["1 batch: ready", "is started"]);
    let waits = |row: &Shelved| row.content.reason == Reason::ServerError && row.content.parks > 1;
    let shelf = stage.shelf_until(|shelf| shelf.iter().any(waits)).await;
    assert_eq!(shelf.len(), 1, "{shelf:?}");
    stage.account("acme").clear_faults();
    stage.delivered("acme/b-1").await;
    stage.shelf_until(<[Shelved]>::is_empty).await;
    assert_eq!(stage.account("acme").case_names(), names("b-1", 1));
    stage.end().await;
}

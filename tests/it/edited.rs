//! Checks that an edited batch is delivered once, that discards are undone, and that missing cases are decided about.

use std::fs;

use serde_json::{Value, json};
use testmo_courier::batch::Reason;
use testmo_courier::batch::ledger::{BatchState, CaseState};
use testmo_courier::store::LedgerStore;
use testmo_courier::store::audit::AuditFilter;
use testmo_courier::store::shelf::{ShelfState, Shelved};

use crate::support::batches::{batch, names};
use crate::support::broker::Broker;
use crate::support::postgres::Postgres;
use crate::support::process::{Process, command};
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::{patient, until};

/// Runs a command without a terminal, with an editor; returns its exit code and whole output.
async fn with_editor(stage: &Stage, editor: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = command(stage);
    command.args(arguments).env("EDITOR", editor).env_remove("VISUAL").env("TMPDIR", stage.path("drafts"));
    let output = patient(tokio::task::spawn_blocking(move || command.output())).await;
    let output = output.expect("a thread").expect("the program");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).expect("text"))
}

async fn courier(stage: &Stage, arguments: &[&str]) -> (Option<i32>, String) {
    with_editor(stage, "false", arguments).await
}

#[track_caller]
fn says((code, said): (Option<i32>, String), expected: i32, parts: &[&str]) -> String {
    assert_eq!(code, Some(expected), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    said
}

/// Returns the outcome of an event, its revision, and the outcome of each case.
fn told(event: &Value) -> (&str, u64, Vec<&str>) {
    let data = &event["data"];
    let cases = data["cases"].as_array().into_iter().flatten().filter_map(|case| case["outcome"].as_str());
    (data["outcome"].as_str().unwrap_or("none"), data["revision"].as_u64().unwrap_or(0), cases.collect())
}

async fn on_both(test: impl AsyncFn(Stage)) {
    test(Stage::with_tenants(&["acme"]).await).await;
    test(Stage::on_postgres(Postgres::shared(), &["acme"], &[]).await).await;
}

/// Publishes a batch of three cases, of which Testmo refuses the second one for its name.
async fn refused_in_part(stage: &mut Stage) -> Value {
    fs::create_dir_all(stage.path("drafts")).expect("a folder");
    stage.account("acme").change_settings(|settings| settings.name_max_chars = 20);
    stage.start_worker();
    let mut long = batch("acme", "b-1", 3);
    long["cases"][1]["name"] = json!("A name of more than twenty characters");
    stage.publish(&long).await;
    assert_eq!(told(&stage.event_of("acme/b-1").await), ("partial", 1, vec!["created", "refused", "created"]));
    stage.shelf_until(|shelf| shelf.iter().any(|row| row.state == ShelfState::Dead)).await;
    long
}

/// Returns what was done with entries of the shelf, in order.
async fn actions(stage: &Stage) -> Vec<String> {
    let rows = stage.store.audit(&AuditFilter::default(), 20).await.expect("the audit");
    let actions = rows.into_iter().rev().map(|row| row.action);
    actions.filter(|action| action.starts_with("shelf.")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_batch_is_delivered_once_and_its_original_creates_nothing() {
    on_both(async |mut stage| {
        let original = refused_in_part(&mut stage).await;
        let edit = ["shelf", "edit", "acme/b-1", "--yes", "--because", "the name was too long"];
        let shorten = "sed -i 's/of more than twenty characters/in short/'";
        let said = says(
            with_editor(&stage, shorten, &edit).await,
            0,
            &[
                "Cannot be edited: case #1 is in Testmo already; case #3",
                "~ /cases/1/name: \"A name of more than twenty characters\" -> \"A name in short\"",
                "Nothing is sent yet. To send what was edited, replay it: testmo-courier replay ",
            ],
        );
        assert!(said.contains("The draft is in "), "{said}");
        assert_eq!(fs::read_dir(stage.path("drafts")).expect("a folder").count(), 0, "the draft is removed");
        // Before the replay the original is a copy of a batch that has its outcome.
        stage.publish(&original).await;
        assert_eq!(told(&stage.event_of("acme/b-1").await).0, "partial");
        says(courier(&stage, &["replay", "acme/b-1", "--yes"]).await, 0, &["1 batch: ready", "is started"]);
        assert_eq!(told(&stage.event_of("acme/b-1").await), ("delivered", 2, vec!["created"; 3]));
        let there = ["b-1 case 1", "b-1 case 3", "A name in short"];
        assert_eq!(stage.account("acme").case_names(), there);
        stage.shelf_until(<[Shelved]>::is_empty).await;
        for again in [&original, &original] {
            stage.publish(again).await;
            assert_eq!(told(&stage.event_of("acme/b-1").await).0, "delivered");
        }
        assert_eq!(stage.account("acme").case_names(), there);
        assert_eq!(actions(&stage).await, ["shelf.edit", "shelf.replay"]);
        stage.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_original_is_dropped_while_the_edited_batch_waits() {
    on_both(async |mut stage| {
        stage.account("acme").revoke(1);
        stage.start_worker();
        let original = batch("acme", "b-1", 2);
        stage.publish(&original).await;
        stage.shelf_until(|shelf| shelf.len() == 1).await;
        let set = ["shelf", "edit", "acme/b-1", "--set", "name=Edited", "--set", "/cases/1/name=Also", "--yes"];
        says(courier(&stage, &set).await, 0, &["To be edited: 1 entry with 2 changes", "Edited 1 entry."]);
        stage.publish(&original).await;
        until(async || Broker::shared().depth(&stage.vhost, "testmo.cases") == 0).await;
        stage.account("acme").give_key(1, &crate::support::batches::key_of("acme"));
        assert!(stage.connect("acme", "acme", &crate::support::batches::key_of("acme")).await);
        let event = loop {
            let event = stage.event_of("acme/b-1").await;
            if event["data"].get("outcome").is_some() {
                break event;
            }
        };
        assert_eq!(told(&event).0, "delivered");
        assert_eq!(stage.account("acme").case_names(), ["Edited", "Also"]);
        stage.shelf_until(<[Shelved]>::is_empty).await;
        stage.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_breaks_the_contract_or_a_lock_loses_nothing() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    refused_in_part(&mut stage).await;
    let edit = ["shelf", "edit", "acme/b-1", "--yes"];
    let before = stage.shelf().await[0].content.body.clone();
    let said = with_editor(&stage, "sed -i s/b-1.case.1/other/", &edit).await;
    says(said, 1, &["/cases/0/name cannot be edited: case #1 is in Testmo already", "the draft is kept"]);
    let said = with_editor(&stage, "sed -i s/name/nmae/", &edit).await;
    says(said, 1, &["is not a known key; did you mean `name`?", "--file"]);
    says(with_editor(&stage, "false", &edit).await, 1, &["the editor `false` ended with"]);
    assert_eq!(fs::read_dir(stage.path("drafts")).expect("a folder").count(), 3, "each draft is kept");
    let broken = stage.path("broken.json");
    fs::write(&broken, "{").expect("a file");
    let file = ["shelf", "edit", "acme/b-1", "--yes", "--file", broken.to_str().expect("a path")];
    says(courier(&stage, &file).await, 1, &["is not valid JSON", "nothing was stored"]);
    says(with_editor(&stage, "true", &edit).await, 0, &["Nothing was changed."]);
    says(courier(&stage, &["shelf", "edit", "0000ffff"]).await, 1, &["no entry 0000ffff"]);
    let set = ["shelf", "edit", "--state", "dead", "--set", "/cases/0/name=x", "--yes"];
    says(courier(&stage, &set).await, 1, &["Not edited: 1 entry", "/cases/0/name cannot be edited"]);
    assert_eq!(stage.shelf().await[0].content.body, before);
    assert!(actions(&stage).await.is_empty());
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_no_batch_is_corrected_and_delivered() {
    on_both(async |mut stage| {
        stage.start_worker();
        let mut faulty = batch("acme", "b-1", 2);
        faulty["tennant_id"] = faulty["tenant_id"].take();
        faulty.as_object_mut().expect("an object").shift_remove("tenant_id");
        stage.publish(&faulty).await;
        let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
        assert_eq!(shelf[0].content.reason, Reason::InvalidMessage);
        let id = shelf[0].id.to_string();
        let corrected = stage.path("corrected.json");
        fs::write(&corrected, batch("acme", "b-1", 2).to_string()).expect("a file");
        let file = ["shelf", "edit", &id, "--file", corrected.to_str().expect("a path"), "--replay", "--yes"];
        says(courier(&stage, &file).await, 0, &["Stored the edited message", "sends 1 batch"]);
        assert_eq!(told(&stage.event_of("acme/b-1").await).0, "delivered");
        assert_eq!(stage.account("acme").case_names(), names("b-1", 2));
        stage.shelf_until(<[Shelved]>::is_empty).await;
        stage.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discard_is_undone_once() {
    on_both(async |mut stage| {
        stage.account("acme").revoke(1);
        stage.start_worker();
        stage.publish(&batch("acme", "b-1", 2)).await;
        let id = stage.shelf_until(|shelf| shelf.len() == 1).await[0].id.to_string();
        let discard = ["shelf", "discard", &id, "--because", "withdrawn by the customer", "--yes"];
        says(courier(&stage, &discard).await, 0, &["Discarded 1 entry"]);
        says(courier(&stage, &["shelf", "discarded"]).await, 0, &[&id, "acme/b-1", "withdrawn by the customer"]);
        stage.publish(&batch("acme", "b-1", 2)).await;
        until(async || Broker::shared().depth(&stage.vhost, "testmo.cases") == 0).await;
        assert!(stage.shelf().await.is_empty(), "a copy is recognized");
        says(
            courier(&stage, &["shelf", "restore", &id]).await,
            0,
            &["its batch is open again", "retried automatically"],
        );
        says(courier(&stage, &["shelf", "restore", &id]).await, 1, &["is on the shelf"]);
        says(courier(&stage, &["shelf", "discarded"]).await, 0, &["No discarded entry"]);
        stage.account("acme").give_key(1, &crate::support::batches::key_of("acme"));
        assert!(stage.connect("acme", "acme", &crate::support::batches::key_of("acme")).await);
        let event = loop {
            let event = stage.event_of("acme/b-1").await;
            if event["data"]["outcome"] == "delivered" {
                break event;
            }
        };
        assert_eq!(told(&event), ("delivered", 3, vec!["created"; 2]));
        assert_eq!(stage.account("acme").case_names(), names("b-1", 2));
        stage.end().await;
    })
    .await;
}

/// Has a batch end in part because a case is not found after an unknown outcome: a person has renamed one case.
async fn with_missing_case(stage: &mut Stage) -> u64 {
    stage.start_worker();
    let id = stage.publish_and_rename("acme", "b-1", "Renamed by a person").await;
    assert_eq!(told(&stage.event_of("acme/b-1").await), ("partial", 1, vec!["adopted", "unclear", "adopted"]));
    id
}

const SETTLE: [(&str, &str); 1] = [("COURIER_TESTMO__RECONCILE_DELAY_ANSWERED", "1s")];

#[tokio::test(flavor = "multi_thread")]
async fn a_case_that_a_person_renamed_is_adopted() {
    for mut stage in [
        Stage::on(Broker::shared(), &["acme"], &SETTLE).await,
        Stage::on_postgres(Postgres::shared(), &["acme"], &SETTLE).await,
    ] {
        let renamed = with_missing_case(&mut stage).await;
        let link = format!("case_id={renamed}");
        let shown = courier(&stage, &["shelf", "candidates", "acme/b-1"]).await;
        says(shown, 0, &["Missing: 1 case", "b-1 case 2", "Renamed by a person", &link]);
        let other = ["shelf", "candidates", "acme/b-1", "--adopt", "TC-2=999", "--yes"];
        says(courier(&stage, &other).await, 1, &["999 is not among the candidates"]);
        let arrived = stage.account("acme").cases()[0].id;
        let held = format!("TC-2={arrived}");
        let other = ["shelf", "candidates", "acme/b-1", "--adopt", &held, "--yes"];
        says(courier(&stage, &other).await, 1, &["is not among the candidates"]);
        let adopt = format!("TC-2={renamed}");
        let adopt = ["shelf", "candidates", "acme/b-1", "--adopt", &adopt, "--because", "it was renamed", "--yes"];
        says(courier(&stage, &adopt).await, 0, &["1 case is adopted", "All cases of the batch are in Testmo"]);
        assert_eq!(told(&stage.event_of("acme/b-1").await), ("delivered", 2, vec!["adopted"; 3]));
        let record = stage.record("acme/b-1").await;
        assert_eq!((record.state, &record.cases[1].state), (BatchState::Delivered, &CaseState::Adopted(renamed)));
        let account = record.targets[0].account.clone();
        assert!(stage.store.held_ids(&account, &[renamed]).await.expect("ids").contains(&renamed));
        assert!(stage.shelf().await.is_empty());
        assert_eq!(stage.account("acme").cases().len(), 3);
        assert_eq!(actions(&stage).await, ["shelf.decide_candidates"]);
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_whose_candidates_are_refused_is_created_by_a_replay() {
    let mut stage = Stage::on(Broker::shared(), &["acme"], &SETTLE).await;
    let renamed = with_missing_case(&mut stage).await.to_string();
    let refuse = ["shelf", "candidates", "acme/b-1", "--refuse", &renamed, "--yes"];
    says(courier(&stage, &refuse).await, 0, &["1 case is created by the next replay", "testmo-courier replay"]);
    says(courier(&stage, &["shelf", "candidates", "acme/b-1"]).await, 1, &["nothing to decide"]);
    says(courier(&stage, &["replay", "acme/b-1", "--yes"]).await, 0, &["1 batch: ready", "is started"]);
    assert_eq!(told(&stage.event_of("acme/b-1").await), ("delivered", 2, vec!["adopted", "created", "adopted"]));
    let there = stage.account("acme").case_names();
    assert_eq!(there, ["b-1 case 1", "Renamed by a person", "b-1 case 3", "b-1 case 2"]);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_reads_what_happened_without_words_of_our_own() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    refused_in_part(&mut stage).await;
    let shown = courier(&stage, &["shelf", "show", "acme/b-1", "--for-customer"]).await;
    let said =
        says(shown, 0, &["Your Testmo did not accept the test cases below", "A name of more than twenty", "case_id="]);
    assert!(!said.contains("b-1 case 1"), "{said}");
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[cfg(debug_assertions)]
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_crashes_over_an_edited_batch_delivers_it_once() {
    for point in ["after_claim", "after_push", "after_settle"] {
        let mut stage = Stage::with_tenants(&["acme"]).await;
        let original = refused_in_part(&mut stage).await;
        stage.stop_worker().await;
        let set = ["shelf", "edit", "acme/b-1", "--set", "/cases/1/name=Short", "--replay", "--yes"];
        says(courier(&stage, &set).await, 0, &["Edited 1 entry", "sends 1 batch"]);
        stage.publish(&original).await;
        stage.environment.insert("COURIER_CRASH_AT".into(), format!("{point}:1"));
        let mut process = Process::launch(&stage);
        process.exit().await;
        stage.environment.remove("COURIER_CRASH_AT");
        let process = Process::start(&stage).await;
        let event = loop {
            let event = stage.event_of("acme/b-1").await;
            if event["data"]["revision"] == 2 {
                break event;
            }
        };
        assert_eq!(told(&event).0, "delivered", "{point}");
        until(async || Broker::shared().depth(&stage.vhost, "testmo.cases") == 0).await;
        stage.all_sent().await;
        process.stop().await;
        assert_eq!(stage.account("acme").case_names(), ["b-1 case 1", "b-1 case 3", "Short"], "{point}");
        assert!(stage.shelf().await.is_empty(), "{point}");
        stage.end().await;
    }
}

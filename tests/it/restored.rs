//! Checks that nothing is created twice or lost when the store is restored from an older copy.

use std::collections::HashMap;

use serde_json::Value;
use testmo_courier::batch::Reason;
use testmo_courier::batch::ledger::BatchState;
use testmo_courier::batch::render::mapping::Mapping;
use testmo_sim::Method;
use testmo_sim::faults::{Fault, RetryAfter};
use testmo_sim::model::TagsFilter;

use crate::support::batches::{batch, names, on_create};
use crate::support::broker::Broker;
use crate::support::postgres::Postgres;
use crate::support::process::{Process, command};
use crate::support::stage::{LeftOver, Stage};
use crate::support::store_copy::StoreCopy;

/// Runs a command for a stage, and returns its exit code and whole output.
fn run(stage: &Stage, arguments: &[&str]) -> (Option<i32>, String) {
    let output = command(stage).args(arguments).output().expect("the program");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn done(stage: &Stage, arguments: &[&str]) -> String {
    let (code, said) = run(stage, arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {said}");
    said
}

/// Returns the words of the command that a worker prints which refuses to start.
fn printed_command(stage: &Stage) -> Vec<String> {
    let (code, said) = run(stage, &["run"]);
    assert_eq!(code, Some(1), "{said}");
    let command = said.split('`').find(|part| part.starts_with("testmo-courier store")).expect("a command");
    command.split(' ').skip(1).map(ToOwned::to_owned).collect()
}

/// Notes the restore as a person does: by the command that the worker prints, where it can know.
fn note_restore(stage: &Stage) -> String {
    let printed = if stage.config.store.file().is_some() {
        printed_command(stage)
    } else {
        ["store", "restored-at", "0s"].map(ToOwned::to_owned).into()
    };
    let words: Vec<&str> = printed.iter().map(String::as_str).chain(["--yes"]).collect();
    done(stage, &words)
}

/// Checks that events with the same id have the same body.
fn note(heard: &mut HashMap<String, Value>, event: Value) -> Value {
    let id = event["id"].as_str().expect("an id").to_owned();
    if let Some(before) = heard.insert(id, event.clone()) {
        assert_eq!(before, event, "an event id has come again with another body");
    }
    event
}

fn outcomes(event: &Value) -> Vec<&str> {
    let cases = event["data"]["cases"].as_array().expect("cases");
    cases.iter().map(|case| case["outcome"].as_str().unwrap_or_default()).collect()
}

fn sorted(stage: &Stage) -> Vec<String> {
    let mut names = stage.account("acme").case_names();
    names.sort();
    names
}

fn expected(batches: &[(&str, usize)]) -> Vec<String> {
    let mut all: Vec<String> = batches.iter().flat_map(|(id, count)| names(id, *count)).collect();
    all.sort();
    all
}

/// Delivers one batch, leaves one half delivered and one not begun, copies the store, delivers everything and one batch
/// more, restores the copy, and publishes again.
async fn restored(mut stage: Stage, filter: TagsFilter) {
    stage.account("acme").change_settings(|settings| settings.tags_filter = filter);
    let limited = Fault::Status {
        status: 429,
        after_commit: false,
        retry_after: Some(RetryAfter::Seconds(1)),
        html: false,
        delay_ms: 0,
    };
    let mut heard = HashMap::new();
    stage.start_worker();
    stage.publish(&batch("acme", "b-done", 3)).await;
    let first = note(&mut heard, stage.delivered("acme/b-done").await);
    // Until the lane is paused, however long that takes.
    stage.account("acme").set_faults([on_create(limited).from_nth(2)]);
    stage.publish(&batch("acme", "b-half", 150)).await;
    crate::support::waiting::until(async || stage.account("acme").case_names().len() == 103).await;
    done(&stage, &["lanes", "pause", "acme"]);
    stage.publish(&batch("acme", "b-open", 2)).await;
    stage.shelf_until(|rows| rows.len() == 2).await;
    stage.stop_worker().await;
    stage.account("acme").set_faults([]);
    assert_eq!(stage.account("acme").case_names().len(), 103);
    let copy = StoreCopy::of(&mut stage).await;

    done(&stage, &["lanes", "resume", "acme"]);
    stage.start_worker();
    stage.publish(&batch("acme", "b-lost", 120)).await;
    for subject in ["acme/b-half", "acme/b-open", "acme/b-lost"] {
        note(&mut heard, stage.delivered(subject).await);
    }
    stage.all_sent().await;
    stage.stop_worker().await;
    let all = [("b-done", 3), ("b-half", 150), ("b-open", 2), ("b-lost", 120)];
    assert_eq!(sorted(&stage), expected(&all));

    copy.restore(&mut stage).await;
    let said = note_restore(&stage);
    assert!(said.contains("Noted as restore 1."), "{said}");
    let audit = done(&stage, &["audit", "--json"]);
    assert!(audit.contains("store.restored_at") && audit.contains("copied_at"), "{audit}");
    done(&stage, &["lanes", "resume", "acme"]);
    let before = stage.account("acme").requests().len();
    stage.start_worker();
    for (id, count) in [("b-done", 3), ("b-lost", 120), ("b-new", 2)] {
        stage.publish(&batch("acme", id, count)).await;
    }
    assert_eq!(note(&mut heard, stage.delivered("acme/b-done").await)["id"], first["id"]);
    for (subject, created, revision) in
        [("acme/b-half", 100, 1_001), ("acme/b-open", 0, 1_001), ("acme/b-lost", 0, 1_001), ("acme/b-new", 2, 1_001)]
    {
        let event = note(&mut heard, stage.delivered(subject).await);
        let outcomes = outcomes(&event);
        let count = |word| outcomes.iter().filter(|outcome| **outcome == word).count();
        assert_eq!((count("created"), count("adopted")), (created, outcomes.len() - created), "{subject}");
        assert_eq!(event["data"]["revision"], revision, "{subject}");
    }
    assert_eq!(sorted(&stage), expected(&[all.as_slice(), &[("b-new", 2)]].concat()));
    let requests = stage.account("acme").requests();
    let lists = requests[before..].iter().filter(|request| request.method == Method::Get);
    let (filtered, whole): (Vec<_>, Vec<_>) = lists
        .map(|request| request.path.as_str())
        .filter(|path| path.contains("tags=sqai") || path.contains("folder_id=1&"))
        .partition(|path| path.contains("tags=sqai"));
    assert!(!filtered.is_empty(), "the filter is tried");
    // Read once, whoever needs it: three pages of a hundred.
    assert_eq!(whole.len(), if filter == TagsFilter::Any { 0 } else { 3 }, "{filtered:?} {whole:?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_delivered_after_the_copy_of_a_file_is_not_created_again() {
    restored(Stage::with_tenants(&["acme"]).await, TagsFilter::Any).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_tag_filter_does_not_show_what_exists_the_folder_is_read_once() {
    restored(Stage::with_tenants(&["acme"]).await, TagsFilter::All).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_delivered_after_the_copy_of_a_database_is_not_created_again() {
    restored(Stage::on_postgres(Postgres::shared(), &["acme"], &[]).await, TagsFilter::Any).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_has_deleted_since_is_left_to_a_person_and_the_rest_is_sent() {
    for postgres in [false, true] {
        let mut stage = if postgres {
            Stage::on_postgres(Postgres::shared(), &["acme"], &[]).await
        } else {
            Stage::with_tenants(&["acme"]).await
        };
        let copy = StoreCopy::of(&mut stage).await;
        stage.start_worker();
        stage.publish(&batch("acme", "b-1", 5)).await;
        stage.delivered("acme/b-1").await;
        stage.stop_worker().await;
        for deleted in [2, 4, 5] {
            assert!(stage.account("acme").delete_case(deleted));
        }
        copy.restore(&mut stage).await;
        done(&stage, &["store", "restored-at", "0s", "--yes"]);
        stage.start_worker();
        stage.publish(&batch("acme", "b-1", 5)).await;
        let event = stage.event_of("acme/b-1").await;
        assert_eq!(outcomes(&event), ["adopted", "unclear", "adopted", "created", "created"]);
        assert_eq!(event["data"]["reason"], "unclear_in_testmo");
        stage.end_leaving(&[LeftOver::ShelfRows]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_without_a_tag_waits_for_a_person_who_has_it_sent() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let untagged = Mapping { batch_tag: false, ..Mapping::default() };
    stage.connect_with("acme", &stage.testmo.origin("acme"), untagged).await;
    let copy = StoreCopy::of(&mut stage).await;
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 2)).await;
    stage.delivered("acme/b-1").await;
    stage.stop_worker().await;
    copy.restore(&mut stage).await;
    note_restore(&stage);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 2)).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!((outcomes(&event), &event["data"]["outcome"]), (vec!["unclear", "unclear"], &"failed".into()));
    assert_eq!(stage.account("acme").case_names(), names("b-1", 2));
    assert_eq!(stage.shelf().await[0].content.reason, Reason::UnclearInTestmo);
    assert_eq!(stage.record("acme/b-1").await.state, BatchState::Failed);
    // The person has looked: nothing of it is there, so it is to be created.
    stage.account("acme").forget_cases();
    done(&stage, &["replay", "acme/b-1", "--yes"]);
    stage.delivered("acme/b-1").await;
    assert_eq!(stage.account("acme").case_names(), names("b-1", 2));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_restore_of_the_same_copy_uses_no_number_again() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let copy = StoreCopy::of(&mut stage).await;
    let mut heard = HashMap::new();
    for (restore, revision) in [(0, 1), (1, 1_001), (2, 2_001)] {
        if restore > 0 {
            copy.restore(&mut stage).await;
            assert!(note_restore(&stage).contains(&format!("Noted as restore {restore}.")));
        }
        stage.start_worker();
        stage.publish(&batch("acme", "b-1", 2)).await;
        let event = note(&mut heard, stage.delivered("acme/b-1").await);
        assert_eq!(event["data"]["revision"], revision);
        stage.all_sent().await;
        stage.stop_worker().await;
    }
    assert_eq!(stage.account("acme").case_names(), names("b-1", 2));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_that_cannot_be_right_and_a_store_in_use_are_refused() {
    let mut stage = Stage::on(Broker::shared(), &["acme"], &[]).await;
    let process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", 1)).await;
    stage.delivered("acme/b-1").await;
    let (code, said) = run(&stage, &["store", "restored-at", "0s", "--yes"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("in use by another worker"), "{said}");
    process.stop().await;
    for (arguments, words) in [
        (vec!["2026-01-01T00:00:00Z", "--yes"], "it knows of something at"),
        (vec!["2200-01-01T00:00:00Z", "--yes"], "is in the future"),
        (vec!["0s", "--until", "2026-01-01", "--yes"], "is over already"),
        (vec!["0s"], "not a terminal"),
    ] {
        let (code, said) = run(&stage, &[vec!["store", "restored-at"], arguments].concat());
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(words), "{said}");
    }
    Process::start(&stage).await.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stops_when_its_database_is_set_back_under_it_or_a_restore_is_noted() {
    let mut stage = Stage::on_postgres(Postgres::shared(), &["acme"], &[]).await;
    let copy = StoreCopy::of(&mut stage).await;
    let mut process = Process::start(&stage).await;
    for number in 1..=3 {
        stage.publish(&batch("acme", &format!("b-{number}"), 1)).await;
        stage.delivered(&format!("acme/b-{number}")).await;
    }
    copy.restore(&mut stage).await;
    stage.publish(&batch("acme", "b-4", 1)).await;
    assert_eq!(process.exit().await.code(), Some(1), "{}", process.output());
    assert!(process.output().contains("run `testmo-courier store restored-at"), "{}", process.output());

    let mut process = Process::start(&stage).await;
    // The events that the first worker had not published yet.
    stage.all_sent().await;
    done(&stage, &["store", "restored-at", "0s", "--yes"]);
    assert_eq!(process.exit().await.code(), Some(1), "{}", process.output());
    assert!(process.output().contains("start the worker again"), "{}", process.output());
    stage.end_leaving(&[]).await;
}

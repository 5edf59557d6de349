//! Runs commands that need a broker, and checks their waits, their output and their exit codes.

use std::collections::BTreeSet;
use std::io;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use testmo_sim::Method;
use testmo_sim::faults::{CommitTime, Fault};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::support::batches::{batch, on_create};
use crate::support::broker::Broker;
use crate::support::process::{Process, command};
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::{patient, until};

/// Settings that let a request last for as long as its test holds it.
const PATIENT: [(&str, &str); 2] =
    [("COURIER_TESTMO__REQUEST_TIMEOUT", "5m"), ("COURIER_TESTMO__RECONCILE_DELAY_UNANSWERED", "5m")];

/// A command that runs while the test continues.
type Running = JoinHandle<io::Result<Output>>;

fn start(mut command: Command, arguments: &[&str]) -> Running {
    let child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program");
    spawn_blocking(move || child.wait_with_output())
}

/// Returns the exit code and the whole output.
async fn ended(running: Running) -> (Option<i32>, String) {
    let output = patient(running).await.expect("a thread").expect("its end");
    let said = String::from_utf8([output.stdout, output.stderr].concat());
    (output.status.code(), said.expect("text"))
}

async fn run(stage: &Stage, arguments: &[&str]) -> (Option<i32>, String) {
    ended(start(command(stage), arguments)).await
}

fn file(stage: &Stage, name: &str, body: &str) -> String {
    let path = stage.path(name);
    std::fs::write(&path, body).expect("a file");
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_waits_for_the_outcome_of_every_batch() {
    let mut stage = Stage::with_tenants(&["acme", "globex"]).await;
    stage.start_worker();
    let good = file(&stage, "good.json", &batch("acme", "b-1", 3).to_string());
    let (code, said) = run(&stage, &["publish", "--wait", &good, &good]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("published   acme/b-1  3 cases\n"), "{said}");
    assert!(said.contains("delivered   acme/b-1  3 cases  http://"), "{said}");

    let other = file(&stage, "other.json", &batch("globex", "b-2", 1).to_string());
    let conflict = file(&stage, "conflict.json", &batch("acme", "b-1", 2).to_string());
    let broken = file(&stage, "broken.json", "{");
    let (code, said) = run(&stage, &["publish", "--wait", "--raw", &other, &conflict, &broken]).await;
    assert_eq!(code, Some(1), "{said}");
    for part in ["delivered   globex/b-2", "invalid     acme/b-1  batch_conflict", "not_json", "→ "] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_waits_for_a_person_is_reported_and_ends_the_wait() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let early = file(&stage, "early.json", &batch("acme", "b-0", 1).to_string());
    let (code, said) = run(&stage, &["publish", "--wait", "--timeout", "1s", &early]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("open        acme/b-0") && said.contains("shelf list"), "no worker runs: {said}");
    stage.start_worker();
    stage.delivered("acme/b-0").await;
    let unknown = file(&stage, "unknown.json", &batch("nobody", "b-1", 1).to_string());
    // For less than the timeout, which is longer than any test.
    let (code, said) = run(&stage, &["publish", "--wait", "--timeout", "1h", &unknown]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("deferred    nobody/b-1  unknown_tenant"), "{said}");
    assert!(said.contains("waits for a person") && said.contains("shelf show nobody/b-1"), "{said}");
    let (code, said) = run(&stage, &["shelf", "list", "--message-id", "b-1", "--plain"]).await;
    assert!(code == Some(0) && said.contains("nobody/b-1"), "{said}");
    let (code, said) = run(&stage, &["shelf", "show", "--message-id", "B-1"]).await;
    assert!(code == Some(1) && said.contains("no message with the message_id"), "{said}");
    stage.shelf_until(|shelf| shelf.len() == 1).await;
    let (code, said) = run(&stage, &["shelf", "list", "--plain"]).await;
    assert_eq!((code, said.lines().count()), (Some(0), 1), "{said}");
    assert!(said.starts_with("00000001\tparked\tunknown_tenant\tnobody/b-1\t"), "{said}");
    let (code, said) = run(&stage, &["shelf", "show", "00000001", "--body"]).await;
    assert_eq!((code, said), (Some(0), batch("nobody", "b-1", 1).to_string()));
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_printed_until_there_are_enough() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    let tail = ["events", "tail", "--tenant", "acme", "--count", "1", "--json", "--timeout", "30s"];
    let tail = start(command(&stage), &tail);
    // Nothing reports when the command listens, so batches are published until it has seen one of them.
    let mut n = 0;
    while !tail.is_finished() {
        n += 1;
        stage.publish(&batch("acme", &format!("b-{n}"), 1)).await;
        stage.settled(&format!("acme/b-{n}")).await;
    }
    let (code, said) = ended(tail).await;
    assert_eq!((code, said.lines().count()), (Some(0), 1), "{said}");
    assert!(said.contains("\"outcome\":\"delivered\""), "{said}");
    let (code, said) = run(&stage, &["events", "tail", "--count", "1", "--timeout", "10ms"]).await;
    assert_eq!(code, Some(1), "{said}");
    let (code, said) = run(&stage, &["events", "tail", "--tenant", "acmee", "--timeout", "10ms"]).await;
    assert!(code == Some(0) && said.contains("Did you mean `acme`?"), "{said}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_topology_is_checked_and_declared() {
    let stage = Stage::with_tenants(&[]).await;
    let (code, said) = run(&stage, &["topology", "check"]).await;
    assert_eq!(code, Some(0), "{said}");
    let output = |arguments: &[&str]| {
        let mut command = command(&stage);
        command.env("COURIER_AMQP__CASES_QUEUE", "testmo.other");
        ended(start(command, arguments))
    };
    let (code, said) = output(&["topology", "check"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("queue `testmo.other` does not exist"), "{said}");
    assert_eq!(output(&["topology", "declare"]).await.0, Some(0));
    let (code, said) = output(&["topology", "check"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("with the configured type and arguments") && said.contains("not checked: bindings"),
        "{said}"
    );
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_list_or_a_message_names_can_be_typed_back() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 1)).await;
    stage.delivered("acme/b-1").await;
    let unknown = file(&stage, "unknown.json", &batch("nobody", "b-1", 1).to_string());
    let broken = file(&stage, "broken.json", "{");
    let invalid = file(&stage, "invalid.json", r#"{"schema_version": 1, "tenant_id": "acme"}"#);
    let (code, published) = run(&stage, &["publish", "--raw", &unknown, &broken, &invalid]).await;
    assert_eq!(code, Some(0), "{published}");
    stage.shelf_until(|shelf| shelf.len() == 3).await;
    let mut named: BTreeSet<String> = BTreeSet::new();
    for list in ["shelf list", "dead-letters"] {
        let arguments: Vec<&str> = list.split(' ').chain(["--plain"]).collect();
        let (_, lines) = run(&stage, &arguments).await;
        for line in lines.lines() {
            let cells: Vec<&str> = line.split('\t').collect();
            // An entry without a batch is named by its id, or as a message by its hash.
            let batch = cells[3].trim_start_matches("message ").split(' ').next().expect("a name");
            named.extend([cells[0].to_owned(), batch.to_owned()]);
        }
    }
    // So does `publish`.
    named.extend(published.lines().filter_map(|line| {
        let (_, name) = line.split_once("message ")?;
        name.split(' ').next().map(str::to_owned)
    }));
    assert!(named.len() >= 5, "{named:?}");
    for name in &named {
        let (code, said) = run(&stage, &["shelf", "show", name]).await;
        assert_eq!(code, Some(0), "{name}: {said}");
    }
    for (list, show) in [("batches list", "batches show"), ("tenants list", "tenants show")] {
        let arguments: Vec<&str> = list.split(' ').chain(["--plain"]).collect();
        let (_, lines) = run(&stage, &arguments).await;
        for line in lines.lines() {
            let name = line.split('\t').find(|cell| cell.starts_with("acme")).expect("a name");
            let arguments: Vec<&str> = show.split(' ').chain([name]).collect();
            let (code, said) = run(&stage, &arguments).await;
            assert_eq!(code, Some(0), "{name}: {said}");
        }
    }
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_before_the_topology_exists_names_the_command_that_declares_it() {
    let stage = Stage::with_tenants(&["acme"]).await;
    let good = file(&stage, "good.json", &batch("acme", "b-1", 1).to_string());
    for (setting, more) in [("CASES_EXCHANGE", None), ("EVENTS_EXCHANGE", Some("--wait"))] {
        let output = |arguments: Vec<&str>| {
            let mut command = command(&stage);
            command.env(format!("COURIER_AMQP__{setting}"), format!("testmo.new.{setting}").to_lowercase());
            // Each topology has its own queue.
            command.env("COURIER_AMQP__CASES_QUEUE", format!("testmo.new.{setting}.queue").to_lowercase());
            ended(start(command, &arguments))
        };
        let publish = || ["publish"].into_iter().chain(more).chain([good.as_str()]);
        let (code, said) = output(publish().collect()).await;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("`testmo-courier topology declare`"), "{said}");
        assert_eq!(output(vec!["topology", "declare"]).await.0, Some(0));
        // Nobody consumes the batch, so its outcome is not waited for.
        let (code, said) = output(vec!["publish", &good]).await;
        assert_eq!(code, Some(0), "followed literally: {said}");
    }
    stage.end_leaving(&[LeftOver::Messages]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_of_another_type_or_without_dead_lettering_is_no_queue_as_configured() {
    let stage = Stage::with_tenants(&[]).await;
    let mut raw = stage.raw_publisher();
    raw.declare_classic_queue("testmo.classic").expect("a queue");
    let mut check = command(&stage);
    check.env("COURIER_AMQP__CASES_QUEUE", "testmo.classic");
    let (code, said) = ended(start(check, &["topology", "check"])).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("queue `testmo.classic` differs from the configuration"), "{said}");
    assert!(said.contains("configure another name") && !said.contains("delete"), "{said}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shelf_is_searched_by_tenant_reason_state_and_time() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 1)).await;
    stage.delivered("acme/b-1").await;
    stage.publish(&batch("acme", "b-1", 2)).await;
    stage.publish(&batch("nobody", "b-2", 1)).await;
    stage.publish_bytes(b"{".to_vec()).await;
    stage.shelf_until(|shelf| shelf.len() == 3).await;
    let [conflict, unknown, broken] = ["batch_conflict", "unknown_tenant", "not_json"];
    let searches: [(&[&str], &[&str]); 11] = [
        (&["shelf", "list"], &[conflict, unknown, broken]),
        (&["shelf", "list", "--tenant", "nobody"], &[unknown]),
        (&["shelf", "list", "--tenant", "somebody"], &[]),
        (&["shelf", "list", "--reason", "not_json"], &[broken]),
        (&["shelf", "list", "--state", "parked"], &[unknown]),
        (&["shelf", "list", "--state", "dead"], &[conflict, broken]),
        (&["dead-letters"], &[conflict, broken]),
        (&["dead-letters", "--tenant", "acme"], &[conflict]),
        (&["shelf", "list", "--since", "1h"], &[conflict, unknown, broken]),
        (&["shelf", "list", "--until", "1h"], &[]),
        (&["shelf", "list", "--since", "2020-01-01", "--until", "2020-01-02"], &[]),
    ];
    for (search, expected) in searches {
        let (code, said) = run(&stage, &[search, &["--plain"]].concat()).await;
        let reasons = said.lines().filter_map(|line| line.split('\t').nth(2));
        let found: BTreeSet<&str> = reasons.collect();
        assert_eq!((code, found), (Some(0), expected.iter().copied().collect()), "{search:?}");
    }
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_is_there_for_programs_too() {
    let mut stage = Stage::on(Broker::shared(), &["acme"], &PATIENT).await;
    let process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", 1)).await;
    stage.delivered("acme/b-1").await;
    stage.publish(&batch("nobody", "b-2", 1)).await;
    stage.publish_bytes(b"{".to_vec()).await;
    stage.shelf_until(|shelf| shelf.len() == 2).await;
    // A request in flight keeps its lane in the list.
    stage.account("acme").set_faults([on_create(Fault::Held { commit: CommitTime::AfterDelay })]);
    stage.publish(&batch("acme", "b-3", 1)).await;
    until(async || process.metric("testmo_courier_create_requests_in_flight") == Some(1.0)).await;
    assert_eq!(run(&stage, &["lanes", "limit", "acme", "2"]).await.0, Some(0));
    let lanes = format!("http://{}/lanes", process.address);
    let lists: [&[&str]; 7] = [
        &["tenants", "list"],
        &["batches", "list"],
        &["shelf", "list"],
        &["dead-letters"],
        &["lanes", "overrides"],
        &["lanes", "waiting"],
        &["lanes", "--url", &lanes],
    ];
    for list in lists {
        let (code, said) = run(&stage, &[list, &["--json"]].concat()).await;
        let json: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{list:?}: {error}: {said}"));
        let rows = json.as_array().or_else(|| json[if list.len() == 2 { list[1] } else { "lanes" }].as_array());
        assert!(code == Some(0) && rows.is_some_and(|rows| !rows.is_empty()), "{list:?}: {said}");
        let (code, said) = run(&stage, &[list, &["--plain"]].concat()).await;
        assert!(code == Some(0) && said.contains('\t'), "{list:?}: {said}");
    }
    stage.account("acme").clear_faults();
    stage.delivered("acme/b-3").await;
    process.stop().await;
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_worker_at_once() {
    let stage = Stage::on(Broker::shared(), &["acme"], &PATIENT).await;
    stage.account("acme").set_faults([on_create(Fault::Held { commit: CommitTime::AfterDelay })]);
    let mut process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", 1)).await;
    let creating = |request: &testmo_sim::world::RequestRecord| request.method == Method::Post;
    stage.account("acme").until(|station| station.log.iter().any(creating)).await;
    process.signal("TERM");
    process.signal("INT");
    assert_eq!(process.exit().await.code(), Some(130));
    stage.end_leaving(&[LeftOver::Messages]).await;
}

//! Checks that a batch is taken back as far as nobody touched it, and that this is taken back as well.

mod created;
mod deleted;
mod dropped;
mod duplicates;
mod lost;
mod overwritten;
mod updated;

use serde_json::{Value, json};
use testmo_sim::world::CaseView;

use crate::support::batches::batch;
use crate::support::broker::Broker;
use crate::support::postgres::Postgres;
use crate::support::process::command;
use crate::support::stage::Stage;

/// The state that retired cases get.
const DEPRECATED: u64 = 5;
/// Times that are short enough for a test to wait for.
const QUICK: [(&str, &str); 3] = [
    ("COURIER_TESTMO__CONNECT_TIMEOUT", "300ms"),
    ("COURIER_TESTMO__REQUEST_TIMEOUT", "300ms"),
    ("COURIER_TESTMO__RECONCILE_DELAY_UNANSWERED", "300ms"),
];

/// Returns stages on both stores with the tenant acme, whose mapping says how cases are retired.
async fn both() -> [Stage; 2] {
    let stages = [
        Stage::on(Broker::shared(), &["acme"], &QUICK).await,
        Stage::on_postgres(Postgres::shared(), &["acme"], &QUICK).await,
    ];
    for stage in &stages {
        retires(stage, json!({"retired": {"state_id": DEPRECATED}})).await;
    }
    stages
}

/// Enters a mapping.
async fn retires(stage: &Stage, mapping: Value) {
    let origin = stage.testmo.origin("acme");
    stage.connect_with("acme", &origin, serde_json::from_value(mapping).expect("a mapping")).await;
}

/// Runs a command of `batches` on a batch with `--yes --json`, and returns its exit code and what it says.
fn run(stage: &Stage, of: &str, key: &str, more: &[&str]) -> (Option<i32>, Value) {
    let output = command(stage).args(arguments(of, key)).args(more).output().expect("the program");
    let said = serde_json::from_slice(&output.stdout);
    (output.status.code(), said.unwrap_or_else(|_| json!(String::from_utf8_lossy(&output.stderr))))
}

/// Returns the arguments of a command of `batches` on a batch.
fn arguments<'a>(of: &'a str, key: &'a str) -> [&'a str; 7] {
    ["batches", of, key, "--because", "the wrong story", "--yes", "--json"]
}

/// Runs a command that comes to its end.
fn done(stage: &Stage, of: &str, key: &str, more: &[&str]) -> Value {
    let (code, said) = run(stage, of, key, more);
    assert_eq!((code, &said["finished"]), (Some(0), &json!(true)), "{said}");
    said
}

/// Returns what became of each case.
fn changes(view: &Value) -> Vec<String> {
    let word = |case: &Value| case["change"].as_str().expect("a word").to_owned();
    view["cases"].as_array().expect("cases").iter().map(word).collect()
}

/// Returns a batch whose cases are remembered.
fn remembered(id: &str, cases: usize) -> Value {
    let mut batch = batch("acme", id, cases);
    batch["source"] = json!({"key": "SHOP-1"});
    batch
}

/// Returns the case with a name.
fn case(stage: &Stage, name: &str) -> CaseView {
    let found = stage.account("acme").cases().into_iter().find(|case| case.name == name);
    found.unwrap_or_else(|| panic!("no case {name}"))
}

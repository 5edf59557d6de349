//! Checks what a later generation of a story does with the cases that an earlier one wrote.

mod dropped;
mod large;
mod lost;
pub(crate) mod order;
mod overwritten;
mod planned;
pub(crate) mod replaced;
mod updated;

use serde_json::{Value, json};
use testmo_sim::AccountHandle;
use testmo_sim::world::CaseView;

use crate::support::batches::batch;
use crate::support::broker::Broker;
use crate::support::postgres::Postgres;
use crate::support::stage::Stage;

/// Returns stages on both stores with the tenant acme.
async fn both() -> [Stage; 2] {
    both_with(&[]).await
}

/// Returns such stages with further settings.
async fn both_with(settings: &[(&str, &str)]) -> [Stage; 2] {
    let on_file = Stage::on(Broker::shared(), &["acme"], settings).await;
    [on_file, Stage::on_postgres(Postgres::shared(), &["acme"], settings).await]
}

/// Returns the `n`th generation of a story, whose cases have the names of the first one until they are changed.
pub(crate) fn generation(n: usize, cases: usize, on_repeat: &str) -> Value {
    let mut generation = batch("acme", "g-1", cases);
    generation["batch_id"] = json!(format!("g-{n}"));
    generation["source"] = json!({"key": "SHOP-1"});
    generation["generated_at"] = json!(format!("2026-11-{n:02}T09:30:00Z"));
    generation["on_repeat"] = json!(on_repeat);
    generation
}

/// Renames the case at a position, from 1.
fn rename(batch: &mut Value, case: usize, name: &str) {
    batch["cases"][case - 1]["name"] = json!(name);
}

/// Returns the case in Testmo that an event names at a position, from 1.
fn row_of(account: &AccountHandle, event: &Value, case: usize) -> CaseView {
    let id = event["data"]["cases"][case - 1]["testmo_id"].as_u64().expect("an id");
    account.cases().into_iter().find(|row| row.id == id).expect("a row")
}

/// Returns what an event says was done with each case.
fn changes(event: &Value) -> Vec<String> {
    let word = |case: &Value| case.get("change").unwrap_or(&case["outcome"]).as_str().expect("a word").to_owned();
    event["data"]["cases"].as_array().expect("cases").iter().map(word).collect()
}

/// Counts the requests with a verb that Testmo has taken.
fn count(account: &AccountHandle, method: testmo_sim::Method) -> usize {
    account.requests().iter().filter(|request| request.method == method).count()
}

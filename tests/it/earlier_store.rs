//! Checks that a worker finishes the work in a store of an earlier build, without losing or repeating anything.
//!
//! The fixtures were left by a worker that was killed: one batch is delivered, one is delivered and its event not sent,
//! one waits for its connection and one for an unknown tenant, one failed and waits, one has an unknown outcome, one is
//! claimed by the killed worker, and a broken message is dead.

use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::Connection;
use testmo_courier::batch::{Reason, batch_tag};
use testmo_courier::clock::Clock;
use testmo_courier::store::shelf::ShelfState;
use testmo_courier::testmo::{Access, AddressPolicy, Client};

use crate::support::batches::{batch, key_of, names};
use crate::support::broker::Broker;
use crate::support::postgres::Postgres;
use crate::support::stage::{LeftOver, Stage};

const SQLITE: &str = include_str!("fixtures/store_sqlite.sql");
const POSTGRES: &str = include_str!("fixtures/store_postgres.sql");

/// How long ago the worker was killed, in milliseconds: every lease has expired, and everything that waits for a time
/// is due.
const AGO_MS: i64 = 600_000;

/// Returns the fixture as of now, for a stand-in at `testmo`. Numbers of 13 digits with the same prefix as the time at
/// which the fixture was made are times, and are shifted.
fn made_for(fixture: &str, testmo: &str) -> String {
    let first = fixture.lines().next().expect("a line");
    let made_at: i64 = first.trim_end_matches('.').rsplit(' ').next().and_then(|at| at.parse().ok()).expect("a time");
    let shift = Clock::system().now() - AGO_MS - made_at;
    let prefix = &made_at.to_string()[..6];
    let mut shifted = String::with_capacity(fixture.len());
    for run in fixture.as_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()) {
        let run = std::str::from_utf8(run).expect("a fixture in ASCII");
        match run.parse::<i64>() {
            Ok(at) if run.len() == 13 && run.starts_with(prefix) => shifted.push_str(&(at + shift).to_string()),
            Ok(_) | Err(_) => shifted.push_str(run),
        }
    }
    shifted.replace("@TESTMO@", testmo)
}

async fn load(url: &str, script: String) {
    sqlx::any::install_default_drivers();
    let url = if url.starts_with("sqlite:") { format!("{url}?mode=rwc") } else { url.to_owned() };
    let mut conn = sqlx::AnyConnection::connect(&url).await.expect("a database");
    sqlx::raw_sql(sqlx::AssertSqlSafe(script)).execute(&mut conn).await.expect("a fixture");
    conn.close().await.expect("an end");
}

/// Creates the cases that the worker had created in Testmo before it was killed, with the ids that they had then.
async fn create_what_was_there(stage: &Stage) {
    let config = &stage.config.testmo;
    let origin = AddressPolicy::new(config).check(&stage.testmo.origin("acme")).expect("a listed origin");
    let client = Client::new(config, Clock::system()).expect("a client");
    let access = Access { origin, key: SecretString::from(key_of("acme")) };
    for id in ["b-delivered", "b-unclear", "b-silent", "b-claimed"] {
        let tag = batch_tag(&format!("acme/{id}").parse().expect("a batch"));
        let case = |name: String| json!({"folder_id": 1, "name": name, "tags": [tag]});
        let body = json!({"cases": names(id, 2).into_iter().map(case).collect::<Vec<_>>()}).to_string();
        client.create_cases(&access, 1, body, 2).await.end.expect("cases");
    }
}

fn outcomes(event: &Value) -> Vec<(&str, u64)> {
    let cases = event["data"]["cases"].as_array().expect("cases").iter();
    cases
        .map(|case| (case["outcome"].as_str().expect("an outcome"), case["testmo_id"].as_u64().expect("an id")))
        .collect()
}

async fn is_drained(mut stage: Stage) {
    create_what_was_there(&stage).await;
    stage.start_worker();
    // The broker still has the message that was in hand.
    stage.publish(&batch("acme", "b-claimed", 2)).await;
    assert_eq!(outcomes(&stage.delivered("acme/b-silent").await), [("created", 5), ("created", 6)]);
    assert_eq!(outcomes(&stage.delivered("acme/b-unclear").await), [("adopted", 3), ("adopted", 4)]);
    assert_eq!(outcomes(&stage.delivered("acme/b-claimed").await), [("adopted", 7), ("adopted", 8)]);
    assert_eq!(outcomes(&stage.delivered("acme/b-open").await), [("created", 9), ("created", 10)]);
    assert_eq!(outcomes(&stage.delivered("oak/b-key").await), [("created", 1), ("created", 2)]);
    stage.publish(&batch("acme", "b-new", 2)).await;
    stage.delivered("acme/b-new").await;
    let left = stage.shelf_until(|shelf| shelf.len() == 2).await;
    let left: Vec<(Reason, ShelfState)> = left.iter().map(|row| (row.content.reason, row.state)).collect();
    assert_eq!(left, [(Reason::UnknownTenant, ShelfState::Parked), (Reason::NotJson, ShelfState::Dead)]);
    stage.stop_worker().await;
    assert_eq!(stage.account("acme").cases().len(), 12, "nothing is there twice");
    assert_eq!(stage.account("oak").cases().len(), 2);
    for subject in ["acme/b-delivered", "acme/b-silent", "acme/b-unclear", "acme/b-claimed", "acme/b-open"] {
        assert_eq!(stage.heard(subject), 0, "{subject} is reported once");
    }
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_an_earlier_build_is_drained_on_sqlite() {
    let prepare = async |url: &str, testmo: &str| load(url, made_for(SQLITE, testmo)).await;
    is_drained(Stage::over(Broker::shared(), &["acme", "oak"], &[], prepare).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_an_earlier_build_is_drained_on_postgres() {
    let url = Postgres::shared().database();
    let prepare = async |url: &str, testmo: &str| load(url, made_for(POSTGRES, testmo)).await;
    let settings = [("COURIER_STORE__URL", url.as_str())];
    is_drained(Stage::over(Broker::shared(), &["acme", "oak"], &settings, prepare).await).await;
}

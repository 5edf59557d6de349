//! Checks that a worker finishes the work in a store of an earlier build, without losing or repeating anything.
//!
//! Each fixture was left by a worker of such a build that was killed in the middle of its work.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

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
use crate::support::waiting::until;

/// The store of an earlier build, on both databases, and what has to become of it.
struct Earlier {
    sqlite: &'static str,
    postgres: &'static str,
    tenants: &'static [&'static str],
    /// The cases that were in Testmo, in the order of their ids: batches of acme, and the positions of their cases.
    there: &'static [(&'static str, RangeInclusive<usize>)],
    /// The batches that are delivered: the outcome of their two cases, and the first id, where it is certain.
    delivered: &'static [(&'static str, &'static str, Option<u64>)],
    /// What is left on the shelf.
    left: &'static [(Reason, ShelfState)],
}

/// From before batches had a floor: one batch is delivered, one is delivered and its event not sent, one waits for its
/// connection and one for an unknown tenant, one failed and waits, one has an unknown outcome, one is claimed by the
/// killed worker, and a broken message is dead.
const BEFORE_FLOORS: Earlier = Earlier {
    sqlite: include_str!("fixtures/before_floors_sqlite.sql"),
    postgres: include_str!("fixtures/before_floors_postgres.sql"),
    tenants: &["acme", "oak"],
    there: &[("b-delivered", 1..=2), ("b-unclear", 1..=2), ("b-silent", 1..=2), ("b-claimed", 1..=2)],
    delivered: &[
        ("acme/b-silent", "created", Some(5)),
        ("acme/b-unclear", "adopted", Some(3)),
        ("acme/b-claimed", "adopted", Some(7)),
        ("acme/b-open", "created", Some(9)),
        ("oak/b-key", "created", Some(1)),
    ],
    left: &[(Reason::UnknownTenant, ShelfState::Parked), (Reason::NotJson, ShelfState::Dead)],
};

/// From before instances of workers were stored: as above, and a suspect is on the shelf, a refused case is dead, a
/// late-duplicate check is due, an account is paused, and a folder is being created.
const BEFORE_INSTANCES: Earlier = Earlier {
    sqlite: include_str!("fixtures/before_instances_sqlite.sql"),
    postgres: include_str!("fixtures/before_instances_postgres.sql"),
    tenants: &["acme", "oak", "pine", "birch"],
    there: &[
        ("b-delivered", 1..=2),
        ("b-again", 1..=2),
        ("b-refused", 2..=4),
        ("b-unclear", 1..=2),
        ("b-claimed", 1..=2),
        ("b-silent", 1..=2),
    ],
    delivered: &[
        ("acme/b-silent", "created", Some(12)),
        ("acme/b-unclear", "adopted", Some(8)),
        ("acme/b-claimed", "adopted", Some(10)),
        ("acme/b-open", "created", None),
        ("acme/b-suspect", "created", None),
        ("oak/b-key", "created", Some(1)),
        ("birch/b-folder", "created", Some(1)),
        ("pine/b-throttled", "created", Some(1)),
    ],
    left: &[
        (Reason::UnknownTenant, ShelfState::Parked),
        (Reason::NotJson, ShelfState::Dead),
        (Reason::CaseRefused, ShelfState::Dead),
    ],
};

/// The folder that the tenant birch asks for.
const FOLDER: &str = "Checkout";

/// For how much longer the account of the tenant pine is paused, in milliseconds.
const PAUSE_MS: i64 = 8_000;

/// How long ago the worker was killed, in milliseconds: every lease has expired, and everything that waits for a time
/// is due, except for what the pause of an account holds back.
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

/// Creates what the worker had created in Testmo before it was killed, with the ids that it had then.
async fn create_what_was_there(stage: &Stage, earlier: &Earlier) {
    let config = &stage.config.testmo;
    let client = Client::new(config, Clock::system()).expect("a client");
    let access_of = |tenant| {
        let origin = AddressPolicy::new(config).check(&stage.testmo.origin(tenant)).expect("a listed origin");
        Access { origin, key: SecretString::from(key_of(tenant)) }
    };
    for (id, positions) in earlier.there {
        let tag = batch_tag(&format!("acme/{id}").parse().expect("a batch"));
        let cases: Vec<Value> = positions
            .clone()
            .map(|n| json!({"folder_id": 1, "name": format!("{id} case {n}"), "tags": [tag]}))
            .collect();
        let count = cases.len();
        let body = json!({"cases": cases}).to_string();
        client.create_cases(&access_of("acme"), 1, body, vec![false; count]).await.end.expect("cases");
    }
    if earlier.tenants.contains(&"birch") {
        client.create_folder(&access_of("birch"), 1, 1, FOLDER).await.expect("a folder");
    }
}

/// Publishes the messages that the worker had in hand, which the broker still has.
async fn publish_what_was_in_hand(stage: &Stage, earlier: &Earlier) {
    stage.publish(&batch("acme", "b-claimed", 2)).await;
    if earlier.tenants.contains(&"birch") {
        let mut wish = batch("birch", "b-folder", 2);
        wish["folder_path"] = json!([FOLDER]);
        stage.publish(&wish).await;
    }
}

fn outcomes(event: &Value) -> Vec<(&str, u64)> {
    let cases = event["data"]["cases"].as_array().expect("cases").iter();
    cases
        .map(|case| (case["outcome"].as_str().expect("an outcome"), case["testmo_id"].as_u64().expect("an id")))
        .collect()
}

/// Checks that nothing is in Testmo twice, nothing is missing, and nothing is where it does not belong.
fn is_complete(stage: &Stage, earlier: &Earlier) {
    for tenant in earlier.tenants {
        let there = earlier.there.iter().filter(|_| *tenant == "acme");
        let there = there.flat_map(|(id, positions)| positions.clone().map(move |n| format!("{id} case {n}")));
        let created = earlier.delivered.iter().filter(|(_, outcome, _)| *outcome == "created");
        let sent = created.map(|(subject, ..)| *subject).chain(["acme/b-new"]).filter_map(|subject| {
            let (owner, id) = subject.split_once('/')?;
            (owner == *tenant).then(|| names(id, 2))
        });
        let expected: BTreeSet<String> = there.chain(sent.flatten()).collect();
        let mut found = stage.account(tenant).case_names();
        found.sort();
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{tenant}");
    }
    if earlier.tenants.contains(&"birch") {
        let birch = stage.account("birch");
        assert!(birch.cases().iter().all(|case| case.folder.ends_with(FOLDER)));
        assert_eq!(birch.view().projects[0].folders.len(), 2, "the folder is created once");
    }
}

async fn is_drained(earlier: &Earlier, mut stage: Stage, opened: i64) {
    create_what_was_there(&stage, earlier).await;
    stage.start_worker();
    publish_what_was_in_hand(&stage, earlier).await;
    for (subject, outcome, first) in earlier.delivered {
        let event = stage.delivered(subject).await;
        let cases = outcomes(&event);
        let first = first.unwrap_or(cases[0].1);
        assert_eq!(cases, [(*outcome, first), (*outcome, first + 1)], "{subject}");
        assert!(!subject.starts_with("pine/") || Clock::system().now() >= opened + PAUSE_MS, "the pause is over");
    }
    stage.publish(&batch("acme", "b-new", 2)).await;
    stage.delivered("acme/b-new").await;
    let left = stage.shelf_until(|shelf| shelf.len() == earlier.left.len()).await;
    let left: Vec<(Reason, ShelfState)> = left.iter().map(|row| (row.content.reason, row.state)).collect();
    assert_eq!(left, earlier.left);
    if earlier.there.iter().any(|(id, _)| *id == "b-again") {
        until(async || stage.record("acme/b-again").await.late_since.is_none()).await;
    }
    stage.stop_worker().await;
    is_complete(&stage, earlier);
    let subjects = earlier.delivered.iter().map(|(subject, ..)| *subject);
    for subject in subjects.chain(["acme/b-delivered", "acme/b-again", "acme/b-refused"]) {
        assert_eq!(stage.heard(subject), 0, "{subject} is reported once");
    }
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

/// Opens the store of an earlier build, on SQLite or at a URL of PostgreSQL, and checks what becomes of it.
async fn is_opened_and_drained(earlier: &Earlier, postgres: Option<String>) {
    let script = if postgres.is_some() { earlier.postgres } else { earlier.sqlite };
    let url = postgres.as_deref().map(|url| ("COURIER_STORE__URL", url));
    let settings: Vec<_> = [("COURIER_TESTMO__LATE_DUPLICATE_CHECK_DELAY", "1m")].into_iter().chain(url).collect();
    let opened = Clock::system().now();
    let prepare = async |url: &str, testmo: &str| load(url, made_for(script, testmo)).await;
    is_drained(earlier, Stage::over(Broker::shared(), earlier.tenants, &settings, prepare).await, opened).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_of_earlier_builds_are_drained_on_sqlite() {
    tokio::join!(is_opened_and_drained(&BEFORE_FLOORS, None), is_opened_and_drained(&BEFORE_INSTANCES, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_of_earlier_builds_are_drained_on_postgres() {
    let server = Postgres::shared();
    let [floors, instances] = [(), ()].map(|()| Some(server.database()));
    tokio::join!(is_opened_and_drained(&BEFORE_FLOORS, floors), is_opened_and_drained(&BEFORE_INSTANCES, instances));
}

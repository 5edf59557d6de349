//! Injects faults of the store.

use std::path::Path;

use testmo_courier::store::StoreHealth;

use super::{change, doctor, examined, follow};
use crate::support::batches::batch;
use crate::support::postgres::Postgres;
use crate::support::process::{Process, command};
use crate::support::stage::Stage;
use crate::support::waiting::until;

/// Returns what makes the tables those of a later version, by the table in which its migration is recorded.
fn newer(table: &str) -> String {
    let columns = "description, success, checksum, execution_time";
    format!(
        "INSERT INTO {table} (version, {columns}) SELECT 9999, {columns} FROM {table} \
         WHERE version = (SELECT max(version) FROM {table})"
    )
}

/// Returns the version of the newest migration, and its script.
fn newest_migration(database: &str) -> (i64, String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/migrations").join(database);
    let scripts = std::fs::read_dir(folder).expect("the migrations").map(|entry| entry.expect("a file").path());
    let version = |script: &Path| {
        let name = script.file_name().and_then(|name| name.to_str()).expect("a name");
        name.split_once('_').and_then(|(version, _)| version.parse().ok()).expect("a version")
    };
    let (version, script) = scripts.map(|script| (version(&script), script)).max().expect("a migration");
    (version, std::fs::read_to_string(script).expect("a script"))
}

/// Returns the statements that take a migration back.
fn taken_back(version: i64, script: &str) -> Vec<String> {
    let lines: Vec<&str> = script.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    let statements = lines.join(" ");
    let statements = statements.split(';').map(|statement| statement.split_whitespace().collect::<Vec<_>>());
    let inverse = |words: Vec<&str>| match words.as_slice() {
        ["CREATE", "TABLE", table, ..] => format!("DROP TABLE {table}"),
        ["CREATE", "INDEX", index, ..] | ["CREATE", "UNIQUE", "INDEX", index, ..] => format!("DROP INDEX {index}"),
        ["ALTER", "TABLE", table, "ADD", "COLUMN", column, ..] => format!("ALTER TABLE {table} DROP COLUMN {column}"),
        other => panic!("this test does not know how to take back {other:?}"),
    };
    let inverses: Vec<String> = statements.filter(|words| !words.is_empty()).map(inverse).collect();
    let note = format!("DELETE FROM _sqlx_expansions WHERE version = {version}");
    inverses.into_iter().rev().chain([note]).collect()
}

async fn older_tables_are_migrated_by_the_command_and_newer_ones_are_left_alone(stage: Stage, database: &str) {
    doctor(&stage).is_healthy();
    let (version, script) = newest_migration(database);
    let older = taken_back(version, &script);
    change(&stage, &older.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let found = doctor(&stage);
    found.has("warning store");
    // The examination has changed nothing.
    doctor(&stage).has("warning store");
    let before = examined(command(&stage), &["--before-upgrade"]);
    before.has("warning store");
    let notes = before.report["findings"].to_string();
    assert!(notes.contains("The upgrade carries out 1 migration."), "{before:?}");
    let (code, said) = follow(&stage, &found.command("store"), &[]);
    assert_eq!(code, Some(0), "{said}");
    doctor(&stage).is_healthy();
    for (table, to_act) in [("_sqlx_migrations", vec!["error store"]), ("_sqlx_expansions", vec![])] {
        change(&stage, &[&newer(table)]).await;
        let found = doctor(&stage);
        assert_eq!(found.to_act(), to_act, "{table}: {found:?}");
        assert!(found.finding("store")["sentence"].to_string().contains("those of a newer version"), "{found:?}");
        change(&stage, &[&format!("DELETE FROM {table} WHERE version = 9999")]).await;
    }
    doctor(&stage).is_healthy();
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_another_version_are_found_in_a_file() {
    let stage = Stage::with_tenants(&["acme"]).await;
    older_tables_are_migrated_by_the_command_and_newer_ones_are_left_alone(stage, "sqlite").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_another_version_are_found_on_postgresql() {
    let stage = Stage::on_postgres(Postgres::shared(), &["acme"], &[]).await;
    older_tables_are_migrated_by_the_command_and_newer_ones_are_left_alone(stage, "postgres").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_answer_is_found_and_the_rest_is_examined() {
    let server = Postgres::start();
    let stage = Stage::on_postgres(&server, &["acme"], &[]).await;
    server.kill();
    let found = doctor(&stage);
    found.has("error store");
    assert!(found.is_done("topology") && found.is_done("files") && !found.is_done("tenants"), "{found:?}");
    server.boot();
    doctor(&stage).is_healthy();
    // Its connections from before are of no use any more.
    until(async || stage.store.ping().await.is_ok()).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_are_kept_too_long_are_removed_once_a_worker_runs() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 1)).await;
    stage.delivered("acme/b-1").await;
    stage.all_sent().await;
    stage.stop_worker().await;
    let earlier = "UPDATE batches SET settled_at = settled_at - 7201000, late_since = NULL";
    change(&stage, &[earlier]).await;
    stage.environment.insert("COURIER_STORE__RETENTION".into(), "1s".into());
    let found = doctor(&stage);
    found.has("warning retention");
    assert_eq!(found.command("retention"), "testmo-courier run");
    let process = Process::start(&stage).await;
    until(async || doctor(&stage).code == Some(0)).await;
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_behind_the_latest_time_in_the_store_is_found() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 1)).await;
    stage.delivered("acme/b-1").await;
    stage.all_sent().await;
    stage.stop_worker().await;
    change(&stage, &["UPDATE batches SET first_seen_at = first_seen_at + 3600000"]).await;
    let found = doctor(&stage);
    found.has("warning clock");
    assert!(
        found.finding("clock")["sentence"].to_string().contains("behind the latest time in the store"),
        "{found:?}"
    );
    change(&stage, &["UPDATE batches SET first_seen_at = first_seen_at - 3600000"]).await;
    doctor(&stage).is_healthy();
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_of_several_versions_are_found_before_an_upgrade() {
    let stage = Stage::with_tenants(&["acme"]).await;
    let process = Process::start(&stage).await;
    let before = || examined(command(&stage), &["--before-upgrade"]);
    before().is_healthy();
    let version = env!("CARGO_PKG_VERSION");
    let older = format!(
        "INSERT INTO instances SELECT 'older', replace(state, '{version}', '0.0.9'), started_at FROM instances LIMIT 1"
    );
    change(&stage, &[&older]).await;
    let found = before();
    found.has("warning upgrade");
    assert!(found.finding("upgrade")["sentence"].to_string().contains("older (0.0.9)"), "{found:?}");
    change(&stage, &[&format!("UPDATE instances SET state = replace(state, '0.0.9', '{version}')")]).await;
    before().is_healthy();
    process.stop().await;
    stage.end().await;
}

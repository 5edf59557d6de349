//! Examines healthy and faulty set-ups with `doctor`, follows its remedies, and checks that it changes nothing.

mod archive;
mod broker;
mod machine;
mod store;
mod tenants;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use testmo_courier::app::view::doctor_schema;
use testmo_courier::clock::Clock;
use testmo_courier::store::{Store, StoreHealth};

use crate::support::batches::batch;
use crate::support::broker::Broker;
use crate::support::postgres::Postgres;
use crate::support::process::{Process, command, run_reading};
use crate::support::stage::Stage;

/// What `doctor --json` has found.
#[derive(Debug)]
struct Found {
    code: Option<i32>,
    report: Value,
}

impl Found {
    /// Returns the findings on which somebody has to act, as `severity check`.
    fn to_act(&self) -> Vec<String> {
        let findings = self.report["findings"].as_array().expect("findings");
        let acting = findings.iter().filter(|finding| finding["severity"] != "note");
        acting.map(|finding| format!("{} {}", text(&finding["severity"]), text(&finding["check"]))).collect()
    }

    /// Returns the first finding of a check.
    fn finding(&self, check: &str) -> &Value {
        let findings = self.report["findings"].as_array().expect("findings");
        findings.iter().find(|finding| finding["check"] == check).unwrap_or_else(|| panic!("no {check} in {self:?}"))
    }

    /// Returns the command of the first finding of a check.
    fn command(&self, check: &str) -> String {
        text(&self.finding(check)["command"])
    }

    /// Returns whether a check was done.
    fn is_done(&self, check: &str) -> bool {
        let checks = self.report["checks"].as_array().expect("checks");
        checks.iter().any(|of| of["check"] == check && of["not_done"].is_null())
    }

    #[track_caller]
    fn has(&self, finding: &str) {
        assert_eq!(self.code, Some(1), "{self:#?}");
        assert_eq!(self.to_act(), [finding], "{self:#?}");
    }

    #[track_caller]
    fn is_healthy(&self) {
        assert_eq!((self.code, self.to_act()), (Some(0), vec![]), "{self:#?}");
        let checks = self.report["checks"].as_array().expect("checks");
        for check in checks.iter().filter(|check| check["check"] != "broker_certificate") {
            assert_eq!(check["not_done"], Value::Null, "{self:#?}");
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// Runs `doctor --json` by a prepared command.
fn examined(mut program: Command, more: &[&str]) -> Found {
    program.args(["doctor", "--json"]).args(more).stdin(Stdio::null());
    let output = tokio::task::block_in_place(|| program.output().expect("the program"));
    let said = String::from_utf8(output.stdout).expect("text");
    let report = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}, {:?}", output.stderr));
    crate::contract::validator(&doctor_schema()).validate(&report).unwrap_or_else(|error| panic!("{error}: {report}"));
    Found { code: output.status.code(), report }
}

/// Examines a stage.
fn doctor(stage: &Stage) -> Found {
    examined(command(stage), &[])
}

/// Examines a stage with other settings.
fn doctor_with(stage: &Stage, settings: &[(&str, &str)]) -> Found {
    let mut program = command(stage);
    program.envs(settings.iter().copied());
    examined(program, &[])
}

/// Runs a command of a finding in a shell, as a person does, with the settings of a stage and others.
fn follow(stage: &Stage, line: &str, settings: &[(&str, &str)]) -> (Option<i32>, String) {
    let folder = Path::new(env!("CARGO_BIN_EXE_testmo-courier")).parent().expect("a folder");
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", line]).env_clear().envs(&stage.environment).envs(settings.iter().copied());
    shell.env("PATH", format!("{}:/usr/bin:/bin", folder.display()));
    run_reading(shell, "")
}

/// Runs statements on the store of a stage.
async fn change(stage: &Stage, statements: &[&str]) {
    let url = &stage.config.store.url;
    for statement in statements {
        let sql = AssertSqlSafe((*statement).to_owned());
        if stage.config.store.is_shared() {
            let mut conn = PgConnection::connect(url).await.expect("the database");
            sqlx::raw_sql(sql).execute(&mut conn).await.expect("a change");
        } else {
            let mut conn = SqliteConnection::connect(url).await.expect("the file");
            sqlx::raw_sql(sql).execute(&mut conn).await.expect("a change");
        }
    }
}

/// Returns what the broker has in a virtual host: exchanges, queues and bindings with their arguments, and messages.
fn topology(vhost: &str) -> Vec<String> {
    let listed = |words: &[&str]| Broker::shared().ctl(&[&["-q", words[0], "-p", vhost], &words[1..]].concat());
    vec![
        listed(&["list_exchanges", "name", "type", "durable", "arguments"]),
        listed(&["list_queues", "name", "durable", "arguments", "messages"]),
        listed(&["list_bindings", "source_name", "destination_name", "routing_key", "arguments"]),
    ]
    .into_iter()
    .map(|text| {
        let mut lines: Vec<&str> = text.lines().collect();
        // RabbitMQ lists them in any order.
        lines.sort_unstable();
        lines.join("\n")
    })
    .collect()
}

/// Returns every file of a stage with its bytes.
fn files(stage: &Stage) -> BTreeMap<String, Vec<u8>> {
    let folder = std::fs::read_dir(stage.path("")).expect("the folder").map(|entry| entry.expect("a file").path());
    folder.map(|file| (file.display().to_string(), std::fs::read(&file).expect("its bytes"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_set_up_has_no_finding_and_nothing_of_it_is_changed() {
    let mut stage = Stage::with_tenants(&["acme", "globex"]).await;
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 2)).await;
    stage.delivered("acme/b-1").await;
    doctor(&stage).is_healthy();
    stage.all_sent().await;
    stage.stop_worker().await;
    stage.store.close().await;
    let (before, declared) = (files(&stage), topology(&stage.vhost));
    doctor(&stage).is_healthy();
    examined(command(&stage), &["--before-upgrade"]).is_healthy();
    assert_eq!(topology(&stage.vhost), declared);
    let after = files(&stage);
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    assert!(after == before, "the bytes of a file have changed");
    assert_eq!(stage.account("acme").cases().len(), 2);
    stage.store = Store::open(&stage.config.store, false, Clock::system()).await.expect("a store");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_set_up_on_postgresql_has_no_finding_before_and_while_workers_run() {
    let mut stage = Stage::on_postgres(Postgres::shared(), &["acme"], &[]).await;
    doctor(&stage).is_healthy();
    let process = Process::start(&stage).await;
    let observe = process.address.to_string();
    stage.publish(&batch("acme", "b-1", 1)).await;
    stage.delivered("acme/b-1").await;
    let declared = topology(&stage.vhost);
    doctor_with(&stage, &[("COURIER_OBSERVE__LISTEN", &observe)]).is_healthy();
    examined(command(&stage), &["--before-upgrade"]).is_healthy();
    assert_eq!(topology(&stage.vhost), declared);
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_a_table_and_what_to_do() {
    let stage = Stage::with_tenants(&["acme"]).await;
    let mut program = command(&stage);
    program.arg("doctor").env("COURIER_AMQP__CASES_QUEUE", "testmo.other");
    let (code, said) = run_reading(program, "");
    assert_eq!(code, Some(1), "{said}");
    for part in [
        "check ",
        "error topology: Queue `testmo.other` does not exist.",
        "→ Run `testmo-courier topology declare`",
        "  $ testmo-courier topology declare",
        "1 finding needs somebody to act.",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    let mut program = command(&stage);
    program.args(["doctor", "--nonsense"]);
    assert_eq!(run_reading(program, "").0, Some(2));
    stage.end().await;
}

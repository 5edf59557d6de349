//! Checks backups, restores and moves of a store as operators make them, with real workers before, meanwhile and after.

mod damaged;
mod moved;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

use testmo_courier::clock::Clock;
use testmo_courier::store::{Store, StoreHealth};

use crate::support::batches::{batch, names};
use crate::support::postgres::Postgres;
use crate::support::process::{Process, command};
use crate::support::stage::{LeftOver, Stage};

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

fn refused(stage: &Stage, arguments: &[&str], code: i32) -> String {
    let (found, said) = run(stage, arguments);
    assert_eq!(found, Some(code), "{arguments:?}: {said}");
    said
}

/// Has the stage use another store, as `store.url` would.
async fn use_store(stage: &mut Stage, url: &str) {
    stage.environment.insert("COURIER_STORE__URL".into(), url.into());
    stage.config.store.url = url.into();
    stage.store = Store::open(&stage.config.store, false, Clock::system()).await.expect("a store");
}

fn path(stage: &Stage, name: &str) -> String {
    stage.path(name).display().to_string()
}

/// The batches of a run, with their sizes.
fn load() -> Vec<(String, usize)> {
    (0..60).map(|n| (format!("b-{n:02}"), 1 + n % 7)).collect()
}

fn expected(batches: &[(String, usize)]) -> Vec<String> {
    let mut all: Vec<String> = batches.iter().flat_map(|(id, count)| names(id, *count)).collect();
    all.sort();
    all
}

fn in_testmo(stage: &Stage) -> Vec<String> {
    let mut names = stage.account("acme").case_names();
    names.sort();
    names
}

/// Makes backups while a worker delivers, loses the store with what was delivered since the last one, restores it into another
/// database, and publishes everything again.
async fn restored_under_load(mut stage: Stage, restored_into: String) {
    let batches = load();
    let worker = Process::start(&stage).await;
    let file = path(&stage, "backup.gz");
    for (at, (id, count)) in batches.iter().enumerate() {
        stage.publish(&batch("acme", id, *count)).await;
        if at % 20 == 19 {
            let said = done(&stage, &["store", "backup", &file, "--replace"]);
            assert!(said.contains("it is not in the backup"), "{said}");
            let said = done(&stage, &["store", "restore", &file, "--check"]);
            assert!(said.contains("is in use") && said.contains("The backup is sound"), "{said}");
        }
    }
    let mode = std::fs::metadata(&file).expect("a backup").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(refused(&stage, &["store", "backup", &file], 2).contains("add --replace"));
    for (id, _) in &batches {
        stage.delivered(&format!("acme/{id}")).await;
    }
    stage.all_sent().await;
    worker.stop().await;
    assert_eq!(in_testmo(&stage), expected(&batches));

    stage.store.close().await;
    let said = done(&stage, &["store", "restore", &file, "--check"]);
    assert!(said.contains("is not empty") && said.contains("set store.url"), "{said}");
    let said = refused(&stage, &["store", "restore", &file, "--yes"], 1);
    assert!(said.contains("is not empty") && said.contains("set store.url"), "{said}");
    stage.environment.insert("COURIER_STORE__URL".into(), restored_into.clone());
    let said = done(&stage, &["store", "restore", &file, "--check"]);
    assert!(said.contains("API keys of 1 of 1 tenants") && said.contains("would be created"), "{said}");
    assert!(refused(&stage, &["run"], 2).contains("there is no store"), "the check created nothing");
    let said = done(&stage, &["store", "restore", &file, "--yes", "--because", "the disk failed"]);
    assert!(said.contains("Noted as restore 1."), "{said}");
    use_store(&mut stage, &restored_into).await;
    let worker = Process::start(&stage).await;
    let new = [("b-new".to_owned(), 3)];
    for (id, count) in batches.iter().chain(&new) {
        stage.publish(&batch("acme", id, *count)).await;
    }
    for (id, _) in batches.iter().chain(&new) {
        stage.settled(&format!("acme/{id}")).await;
    }
    stage.all_sent().await;
    worker.stop().await;
    assert_eq!(in_testmo(&stage), expected(&[batches.as_slice(), &new].concat()));
    let ids: BTreeSet<u64> = stage.account("acme").cases().iter().map(|case| case.id).collect();
    assert_eq!(ids.len(), in_testmo(&stage).len());
    let audit = done(&stage, &["audit", "--json"]);
    assert!(audit.contains("store.restored_at") && audit.contains("the disk failed"), "{audit}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_backed_up_under_load_is_restored_into_a_database() {
    let stage = Stage::with_tenants(&["acme"]).await;
    let database = Postgres::shared().database();
    restored_under_load(stage, database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_backed_up_under_load_is_restored_into_a_file() {
    let stage = Stage::on_postgres(Postgres::shared(), &["acme"], &[]).await;
    let file = format!("sqlite:{}", path(&stage, "restored.db"));
    restored_under_load(stage, file).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_on_the_shelf_is_in_a_backup_and_is_delivered_after_the_restore() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    done(&stage, &["lanes", "pause", "acme"]);
    stage.start_worker();
    stage.publish(&batch("acme", "b-waits", 2)).await;
    stage.shelf_until(|rows| rows.len() == 1).await;
    let file = path(&stage, "backup.gz");
    done(&stage, &["store", "backup", &file]);
    stage.stop_worker().await;
    stage.store.close().await;
    let database = Postgres::shared().database();
    stage.environment.insert("COURIER_STORE__URL".into(), database.clone());
    done(&stage, &["store", "restore", &file, "--yes"]);
    use_store(&mut stage, &database).await;
    done(&stage, &["lanes", "resume", "acme"]);
    stage.start_worker();
    let event = stage.delivered("acme/b-waits").await;
    assert_eq!(event["data"]["revision"], 1_001);
    assert_eq!(in_testmo(&stage), expected(&[("b-waits".to_owned(), 2)]));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_was_killed_leaves_a_store_that_no_worker_uses_and_is_repeated() {
    for postgres in [false, true] {
        let mut stage = Stage::with_tenants(&["acme"]).await;
        for n in 0..150 {
            let large = batch("acme", &format!("b-{n}"), 100);
            stage.shelve_for_person(&large, testmo_courier::batch::Reason::KeyRefused).await;
        }
        let file = path(&stage, "backup.gz");
        done(&stage, &["store", "backup", &file]);
        stage.store.close().await;
        let place = if postgres { Postgres::shared().database() } else { format!("sqlite:{}", path(&stage, "new.db")) };
        stage.environment.insert("COURIER_STORE__URL".into(), place.clone());
        let mut restoring = command(&stage);
        restoring.args(["store", "restore", &file, "--yes"]);
        let restoring = restoring.spawn().expect("the program");
        let is_marked = async || {
            let store = Store::open(&place_config(&stage, &place), false, Clock::system()).await;
            matches!(store, Err(testmo_courier::store::StoreError::Incomplete(_)))
        };
        if postgres {
            // A session is refused while the restore runs, so the rows are awaited instead.
            await_rows(&place).await;
        } else {
            crate::support::waiting::until(is_marked).await;
        }
        kill(restoring);
        let said = refused(&stage, &["run"], 1);
        assert!(said.contains("incomplete") && said.contains("store restore"), "{said}");
        assert!(refused(&stage, &["tenants", "list"], 1).contains("incomplete"));
        done(&stage, &["store", "restore", &file, "--yes"]);
        use_store(&mut stage, &place).await;
        assert_eq!(stage.shelf().await.len(), 150);
        stage.end_leaving(&[LeftOver::ShelfRows]).await;
    }
}

fn place_config(stage: &Stage, url: &str) -> testmo_courier::config::Store {
    testmo_courier::config::Store { url: url.into(), ..stage.config.store.clone() }
}

/// Waits until a restore into a database has written its first rows.
async fn await_rows(url: &str) {
    use sqlx::{Connection, PgConnection, Row};
    crate::support::waiting::until(async || {
        let Ok(mut conn) = PgConnection::connect(url).await else { return false };
        let there = sqlx::query("SELECT COUNT(*) FROM facts WHERE name = 'not_to_be_used'").fetch_one(&mut conn).await;
        there.is_ok_and(|row| row.get::<i64, _>(0) == 1)
    })
    .await;
}

fn kill(mut process: std::process::Child) {
    process.kill().expect("a process");
    process.wait().expect("its end");
}

/// The commands of the page for operators that begin with `store`, in their order, each as its words.
fn commands_of_the_page(stage: &Stage, database: &str) -> Vec<Vec<String>> {
    let page = include_str!("../../docs/operating.md");
    let secret = path(stage, "db-password");
    let mut target = url::Url::parse(database).expect("a URL");
    std::fs::write(&secret, target.password().unwrap_or("none")).expect("a file");
    target.set_password(None).expect("a URL with a host");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).expect("permissions");
    let word = |word: &str| match word {
        "/backup/courier.gz" => path(stage, "courier.gz"),
        "postgres://courier@db:5432/courier" => target.to_string(),
        "/etc/testmo-courier/db-password" => secret.clone(),
        other => other.to_owned(),
    };
    let words = |line: &str| {
        // Quotes are only around the reason.
        let mut words: Vec<String> = Vec::new();
        for (at, part) in line.split('\'').enumerate() {
            match at % 2 {
                0 => words.extend(part.split_whitespace().map(word)),
                _ => words.push(part.to_owned()),
            }
        }
        words
    };
    let commands = page.lines().filter_map(|line| line.strip_prefix("testmo-courier ")?.split(" #").next());
    commands.filter(|line| line.starts_with("store ")).map(words).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_page_for_operators_work_as_they_are_written() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.store.close().await;
    let database = Postgres::shared().database();
    let commands = commands_of_the_page(&stage, &database);
    let names: Vec<&str> = commands.iter().map(|words| words[1].as_str()).collect();
    assert_eq!(names, ["restored-at", "backup", "restore", "restore", "copy"]);
    let mut restored = stage.config.store.url.clone();
    for mut words in commands {
        match words[1].as_str() {
            // The time is that of an example.
            "restored-at" => words[2] = "0s".into(),
            "restore" if !words.iter().any(|word| word == "--check") => {
                restored = format!("sqlite:{}", path(&stage, "restored.db"));
                stage.environment.insert("COURIER_STORE__URL".into(), restored.clone());
            }
            _ => {}
        }
        let asks = words[1] != "backup" && !words.iter().any(|word| word == "--check");
        words.extend(asks.then(|| "--yes".to_owned()));
        done(&stage, &words.iter().map(String::as_str).collect::<Vec<_>>());
    }
    assert_ne!(restored, stage.config.store.url);
    use_store(&mut stage, &database).await;
    stage.end().await;
}

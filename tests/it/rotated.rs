//! Checks that workers deliver while the master key is replaced, and after a restart with the new one.

use std::path::PathBuf;
use std::process::Stdio;

use sqlx::{Connection, Executor, PgConnection};

use crate::support::batches::batch;
use crate::support::postgres::Postgres;
use crate::support::process::{Process, command};
use crate::support::stage::Stage;
use crate::support::waiting::until;

/// Runs a command for a stage, and returns what it prints.
fn done(stage: &Stage, arguments: &[&str]) -> String {
    let output = command(stage).args(arguments).output().expect("the program");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_deliver_while_the_master_key_is_replaced_and_after_it() {
    let mut stage = Stage::with_tenants(&["acme", "birch"]).await;
    let process = Process::start(&stage).await;
    let key_file = stage.config.keys.master_key_file.clone();
    let former_key = std::fs::read_to_string(&key_file).expect("a key");
    deliver(&mut stage, "before").await;
    let said = done(&stage, &[&ROTATE[..], &["--because", "a test"][..]].concat());
    assert!(said.contains("2 connections were encrypted again"), "{said}");
    let new_key = std::fs::read_to_string(&key_file).expect("a key");
    assert_ne!(former_key, new_key);
    deliver(&mut stage, "by-the-former-key").await;
    // A machine on which the file was not replaced yet.
    let elsewhere = stage.path("elsewhere.key");
    std::fs::write(&elsewhere, &former_key).expect("a file");
    std::fs::set_permissions(&elsewhere, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("its mode");
    let shown = command(&stage).env(KEY_FILE, &elsewhere).args(["tenants", "verify", "--all"]).output();
    assert_eq!(shown.expect("the program").status.code(), Some(0), "it leads to the new key");
    let said = done(&stage, &[&ROTATE[..], &["--finish", "--yes"][..]].concat());
    assert!(said.contains("Finished."), "{said}");
    deliver(&mut stage, "finished").await;
    process.stop().await;
    let process = Process::start(&stage).await;
    deliver(&mut stage, "restarted").await;
    let refused = command(&stage).env(KEY_FILE, &elsewhere).args(["tenants", "verify", "--all"]).output();
    let refused = String::from_utf8(refused.expect("the program").stderr).expect("text");
    assert!(refused.contains("is not the one that encrypts the store's API keys"), "{refused}");
    let audit = done(&stage, &["audit", "--json"]);
    assert_eq!(audit.matches("master_key.rotate").count(), 3, "{audit}");
    process.stop().await;
    for secret in [former_key.trim(), new_key.trim()] {
        let output: PathBuf = stage.path("output");
        assert!(!std::fs::read_to_string(output).expect("text").contains(secret) && !audit.contains(secret));
    }
    stage.end().await;
}

const KEY_FILE: &str = "COURIER_KEYS__MASTER_KEY_FILE";
const ROTATE: [&str; 2] = ["tenants", "rotate-master-key"];

async fn deliver(stage: &mut Stage, id: &str) {
    for tenant in ["acme", "birch"] {
        stage.publish(&batch(tenant, id, 1)).await;
        stage.delivered(&format!("{tenant}/{id}")).await;
    }
}

/// Starts the command, and kills it once the rotation has begun and before an API key is encrypted again.
async fn kill_in_the_middle(stage: &Stage) {
    let mut lock = PgConnection::connect(&stage.config.store.url).await.expect("a connection");
    // Connections can be read, and not be changed.
    lock.execute("BEGIN; LOCK TABLE connections IN EXCLUSIVE MODE").await.expect("a lock");
    let mut watch = PgConnection::connect(&stage.config.store.url).await.expect("a connection");
    let mut child =
        command(stage).args(ROTATE).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program");
    loop {
        let begun: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM master_key_rotation")
            .fetch_one(&mut watch)
            .await
            .expect("a number");
        if begun == 1 {
            break;
        }
        assert!(child.try_wait().expect("a child").is_none(), "it waits for the lock");
    }
    child.kill().expect("a kill");
    child.wait().expect("its end");
    lock.execute("ROLLBACK").await.expect("no lock");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_was_killed_is_continued_and_two_workers_deliver_all_the_time_though_one_has_the_former_file() {
    let mut stage = Stage::on_postgres(Postgres::shared(), &["acme", "birch"], &[]).await;
    let (key_file, elsewhere) = (stage.config.keys.master_key_file.clone(), stage.path("elsewhere.key"));
    std::fs::copy(&key_file, &elsewhere).expect("a copy");
    let with_file = |stage: &mut Stage, file: &PathBuf| {
        stage.environment.insert(KEY_FILE.into(), file.display().to_string());
    };
    let first = Process::start(&stage).await;
    with_file(&mut stage, &elsewhere);
    let second = Process::start(&stage).await;
    with_file(&mut stage, &key_file);
    deliver(&mut stage, "before").await;

    kill_in_the_middle(&stage).await;
    let former = std::fs::read_to_string(&key_file).expect("a key");
    deliver(&mut stage, "killed").await;
    let refused = command(&stage).args(ROTATE).output().expect("the program");
    let said = String::from_utf8(refused.stderr).expect("text");
    assert!(said.contains("was interrupted a moment ago") && said.contains("run the command again after"), "{said}");
    assert_eq!(refused.status.code(), Some(1));
    until(async || command(&stage).args(ROTATE).output().expect("the program").status.success()).await;
    assert_ne!(std::fs::read_to_string(&key_file).expect("a key"), former);
    assert_eq!(std::fs::read_to_string(&elsewhere).expect("a key"), former);

    first.stop().await;
    deliver(&mut stage, "by-the-former-file").await;
    done(&stage, &[&ROTATE[..], &["--finish", "--yes"][..]].concat());
    deliver(&mut stage, "finished").await;
    second.stop().await;
    with_file(&mut stage, &elsewhere);
    let mut refused = Process::launch(&stage);
    assert_eq!(refused.exit().await.code(), Some(2));
    let said = refused.output();
    assert!(said.contains("is not the one that encrypts the store's API keys"), "{said}");
    drop(refused);
    std::fs::copy(&key_file, &elsewhere).expect("a copy");
    let second = Process::start(&stage).await;
    deliver(&mut stage, "restarted").await;
    second.stop().await;
    let audit = done(&stage, &["audit", "--json"]);
    assert_eq!(audit.matches("master_key.rotate").count(), 3, "{audit}");
    stage.end().await;
}

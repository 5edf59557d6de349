//! Checks that workers deliver while the master key is replaced, and after a restart with the new one.

use std::path::PathBuf;

use crate::support::batches::batch;
use crate::support::process::{Process, command};
use crate::support::stage::Stage;

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
    let deliver = async |stage: &mut Stage, id: &str| {
        for tenant in ["acme", "birch"] {
            stage.publish(&batch(tenant, id, 1)).await;
            stage.delivered(&format!("{tenant}/{id}")).await;
        }
    };
    deliver(&mut stage, "before").await;
    let rotate = ["tenants", "rotate-master-key"];
    let said = done(&stage, &[&rotate[..], &["--because", "a test"][..]].concat());
    assert!(said.contains("2 connections were encrypted again"), "{said}");
    let new_key = std::fs::read_to_string(&key_file).expect("a key");
    assert_ne!(former_key, new_key);
    deliver(&mut stage, "by-the-former-key").await;
    // A machine on which the file was not replaced yet.
    let elsewhere = stage.path("elsewhere.key");
    std::fs::write(&elsewhere, &former_key).expect("a file");
    std::fs::set_permissions(&elsewhere, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("its mode");
    let shown =
        command(&stage).env("COURIER_KEYS__MASTER_KEY_FILE", &elsewhere).args(["tenants", "verify", "--all"]).output();
    assert_eq!(shown.expect("the program").status.code(), Some(0), "it leads to the new key");
    let said = done(&stage, &[&rotate[..], &["--finish", "--yes"][..]].concat());
    assert!(said.contains("Finished."), "{said}");
    deliver(&mut stage, "finished").await;
    process.stop().await;
    let process = Process::start(&stage).await;
    deliver(&mut stage, "restarted").await;
    let refused =
        command(&stage).env("COURIER_KEYS__MASTER_KEY_FILE", &elsewhere).args(["tenants", "verify", "--all"]).output();
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

//! Searches the archive for a support ticket for secrets that were planted.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{examined, text};
use crate::support::batches::{batch, key_of};
use crate::support::process::{Process, command, run_reading};
use crate::support::stage::Stage;

/// Returns the members of an archive with their texts.
fn members(stage: &Stage, archive: &Path) -> Vec<(String, String)> {
    let folder = stage.path("unpacked");
    fs::create_dir_all(&folder).expect("a folder");
    let unpacked = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(&folder).status();
    assert!(unpacked.expect("tar").success());
    let files = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("a file"));
    let member = |file: fs::DirEntry| {
        (file.file_name().into_string().expect("a name"), fs::read_to_string(file.path()).expect("text"))
    };
    let mut members: Vec<_> = files.map(member).collect();
    members.sort();
    members
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_token_password_or_text_of_a_case_is_in_an_archive() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let process = Process::start(&stage).await;
    stage.environment.insert("COURIER_OBSERVE__LISTEN".into(), process.address.to_string());
    stage.publish(&batch("acme", "b-1", 2)).await;
    stage.delivered("acme/b-1").await;
    let mut creating = command(&stage);
    creating.args(["tokens", "create", "planted", "--role", "admin"]);
    let (code, token) = run_reading(creating, "");
    assert_eq!(code, Some(0), "{token}");
    let token = token.split_whitespace().find(|word| word.starts_with("tc_")).expect("a token").to_owned();
    let master_key = fs::read_to_string(stage.path("courier.key")).expect("the key").trim().to_owned();
    let secrets = [key_of("acme"), token.clone(), master_key.clone(), "guest:guest".into(), "b-1 case 1".into()];
    let log = stage.path("planted.log");
    let planted = secrets.join(" ");
    let lines = [
        format!(
            "{{\"timestamp\":\"t\",\"level\":\"WARN\",\"message\":\"shelved\",\"detail\":\"{planted}\",\"cases\":2}}"
        ),
        format!(
            "{{\"timestamp\":\"t\",\"level\":\"WARN\",\"message\":\"key {} {token} {master_key}\"}}",
            key_of("acme")
        ),
        format!("2026-11-30T22:06:25.1Z  WARN a batch is shelved detail=\"{planted}\""),
        format!("thread 'main' panicked at {planted}"),
    ];
    fs::write(&log, lines.join("\n")).expect("a log");

    let archive = stage.path("ticket.tar.gz");
    let (file, log) = (archive.display().to_string(), log.display().to_string());
    let found = examined(command(&stage), &["--bundle", &file, "--log", &log]);
    found.is_healthy();
    let members = members(&stage, &archive);
    let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    let wanted =
        ["log.txt", "metrics.txt", "report.json", "report.txt", "settings.toml", "topology.txt", "versions.json"];
    assert_eq!(names, wanted);
    for (name, content) in &members {
        for secret in &secrets {
            assert!(!content.contains(secret.as_str()), "{secret} is in {name}: {content}");
        }
        assert!(!content.contains("Open the page"), "{name}: {content}");
    }
    let of = |name: &str| members.iter().find(|(member, _)| member == name).map(|(_, text)| text.as_str()).expect(name);
    assert!(of("log.txt").contains("a batch is shelved") && of("log.txt").contains("\"cases\":2"), "{}", of("log.txt"));
    assert!(of("metrics.txt").contains("testmo_courier_build_info"), "{}", of("metrics.txt"));
    assert!(of("topology.txt").contains("x-delivery-limit=50"), "{}", of("topology.txt"));
    assert!(of("settings.toml").contains("delivery_limit = 50"), "{}", of("settings.toml"));
    let versions: serde_json::Value = serde_json::from_str(of("versions.json")).expect("JSON");
    assert!(text(&versions["database_version"]).starts_with("SQLite 3."), "{versions}");
    assert_eq!(versions["broker"], "RabbitMQ");

    let mut again = command(&stage);
    again.args(["doctor", "--bundle", &file]);
    let (code, said) = run_reading(again, "");
    assert!(code == Some(2) && said.contains("exists already"), "{said}");
    process.stop().await;
    stage.end().await;
}

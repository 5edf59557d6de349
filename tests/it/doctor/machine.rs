//! Injects faults of the machine: settings, files, limits and addresses.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::{doctor, doctor_with, examined, follow};
use crate::support::process::{Process, command};
use crate::support::stage::Stage;
use crate::support::waiting::until;

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_the_settings_and_an_ignored_variable_are_found() {
    let stage = Stage::with_tenants(&[]).await;
    let found = doctor_with(&stage, &[("COURIER_AMQP__PREFETCH", "many")]);
    found.has("error configuration");
    assert!(found.finding("configuration")["sentence"].to_string().contains("amqp.prefetch"), "{found:?}");
    let (code, _) = follow(&stage, &found.command("configuration"), &[("COURIER_AMQP__PREFETCH", "many")]);
    assert_eq!(code, Some(2), "it shows the same mistake");
    doctor_with(&stage, &[("COURIER_AMQP__PREFETCH", "10")]).is_healthy();
    doctor_with(&stage, &[("COURIER_PREFETCH", "10")]).has("warning configuration");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_others_can_read_are_closed_by_the_command_and_reported_at_the_start_of_a_worker() {
    let stage = Stage::with_tenants(&["acme"]).await;
    for name in ["courier.key", "courier.db"] {
        fs::set_permissions(stage.path(name), Permissions::from_mode(0o644)).expect("permissions");
        let found = doctor(&stage);
        found.has("warning files");
        let (code, said) = follow(&stage, &found.command("files"), &[]);
        assert_eq!(code, Some(0), "{said}");
        doctor(&stage).is_healthy();
    }
    let settings = stage.path("settings.toml");
    fs::write(&settings, format!("[amqp]\nurl = \"{}\"\n", stage.config.amqp.url)).expect("a file");
    fs::set_permissions(&settings, Permissions::from_mode(0o644)).expect("permissions");
    let file = settings.display().to_string();
    let found = examined(command(&stage), &["--config", &file]);
    found.has("warning files");
    let (code, said) = follow(&stage, &found.command("files"), &[]);
    assert_eq!(code, Some(0), "{said}");
    examined(command(&stage), &["--config", &file]).is_healthy();

    fs::set_permissions(stage.path("courier.key"), Permissions::from_mode(0o644)).expect("permissions");
    let process = Process::start(&stage).await;
    until(async || process.output().contains("can read or change")).await;
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_store_is_created_and_a_missing_or_foreign_key_is_restored() {
    let stage = Stage::with_tenants(&["acme"]).await;
    let fresh = |name: &str| stage.path(name).display().to_string();
    let (store, key) = (format!("sqlite:{}", fresh("fresh.db")), fresh("fresh.key"));
    let settings = [("COURIER_STORE__URL", store.as_str()), ("COURIER_KEYS__MASTER_KEY_FILE", key.as_str())];
    let found = doctor_with(&stage, &settings);
    assert_eq!(found.to_act(), ["error master_key", "error store"], "{found:?}");
    let (code, said) = follow(&stage, &found.command("store"), &settings);
    assert_eq!(code, Some(0), "{said}");
    doctor_with(&stage, &settings).is_healthy();

    let (kept, other) = (stage.path("kept.key"), stage.path("other.key"));
    let other_key = format!("{}\n", "ab".repeat(32));
    fs::write(&other, other_key).expect("a file");
    fs::set_permissions(&other, Permissions::from_mode(0o600)).expect("permissions");
    let foreign = other.display().to_string();
    let with_other = [settings[0], ("COURIER_KEYS__MASTER_KEY_FILE", foreign.as_str())];
    let found = doctor_with(&stage, &with_other);
    found.has("error master_key");
    assert!(found.finding("master_key")["remedy"].to_string().contains("Restore that master key file"), "{found:?}");
    fs::rename(&key, &kept).expect("a file");
    let found = doctor_with(&stage, &settings);
    found.has("error master_key");
    assert!(found.finding("master_key")["remedy"].to_string().contains("Restore the file"), "{found:?}");
    fs::rename(&kept, &key).expect("a file");
    doctor_with(&stage, &settings).is_healthy();
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_another_program_uses_is_free_once_that_has_ended() {
    let stage = Stage::with_tenants(&[]).await;
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("its address").to_string();
    let found = doctor_with(&stage, &[("COURIER_OBSERVE__LISTEN", &address)]);
    found.has("error listeners");
    drop(other);
    doctor_with(&stage, &[("COURIER_OBSERVE__LISTEN", &address)]).is_healthy();
    let elsewhere = doctor_with(&stage, &[("COURIER_OBSERVE__LISTEN", "192.0.2.1:9464")]);
    elsewhere.has("error listeners");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_open_files_that_slows_a_worker_down_is_raised_as_the_command_says() {
    let stage = Stage::with_tenants(&[]).await;
    let limited = |limit: &str| {
        let program = command(&stage);
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(format!("{limit} && exec \"$0\" \"$@\"")).arg(program.get_program());
        shell.env_clear().envs(&stage.environment);
        examined(shell, &[])
    };
    let found = limited("ulimit -n 100");
    found.has("warning descriptors");
    limited(&found.command("descriptors")).is_healthy();
    stage.end().await;
}

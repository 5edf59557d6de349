//! Has real workers follow a directory with the files of tenants, as Kubernetes mounts a secret.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use testmo_courier::batch::Reason;
use testmo_courier::store::ConnectionStore;
use testmo_courier::store::connections::{ConnectionRow, Verification};
use testmo_sim::world::AccountSpec;

use crate::support::batches::{batch, key_of, tenant_id};
use crate::support::broker::Broker;
use crate::support::postgres::Postgres;
use crate::support::process::{Process, command};
use crate::support::stage::Stage;
use crate::support::waiting::until;

const TENANTS: [&str; 3] = ["acme", "birch", "cedar"];

/// A mounted secret: its files are links through `..data`, which is replaced to change all of them at once.
pub(crate) struct Mount {
    pub(crate) folder: PathBuf,
    states: usize,
    files: Vec<(String, String)>,
}

impl Mount {
    fn at(folder: PathBuf) -> Self {
        fs::create_dir(&folder).expect("a folder");
        Self { folder, states: 0, files: Vec::new() }
    }

    /// Sets what files hold; a file without content is removed.
    pub(crate) fn set(&mut self, files: &[(&str, Option<String>)]) {
        for (name, text) in files {
            self.files.retain(|(other, _)| other != name);
            self.files.extend(text.clone().map(|text| ((*name).to_owned(), text)));
        }
        self.mount();
    }

    pub(crate) fn mount(&mut self) {
        self.states += 1;
        let state = format!("..{}", self.states);
        let present = self.folder.join(&state);
        fs::create_dir(&present).expect("a folder");
        for (name, text) in &self.files {
            fs::write(present.join(name), text).expect("a file");
            fs::set_permissions(present.join(name), Permissions::from_mode(0o440)).expect("its mode");
            let link = self.folder.join(name);
            if link.symlink_metadata().is_err() {
                symlink(format!("..data/{name}"), link).expect("a link");
            }
        }
        symlink(&state, self.folder.join("..data_tmp")).expect("a link");
        fs::rename(self.folder.join("..data_tmp"), self.folder.join("..data")).expect("the new state");
        for entry in fs::read_dir(&self.folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            let is_former = entry.is_dir() && !entry.is_symlink() && entry != present;
            if is_former {
                fs::remove_dir_all(entry).expect("the former state");
            } else if !entry.exists() {
                fs::remove_file(entry).expect("a link to nothing");
            }
        }
    }
}

/// Returns the file of a tenant whose API key is in a file of its own.
pub(crate) fn file(stage: &Stage, tenant: &str, folder: u64) -> Option<String> {
    let origin = stage.testmo.origin(tenant);
    let lines = [
        format!("base_url = \"{origin}\""),
        "project_id = 1".into(),
        format!("folder_id = {folder}"),
        format!("api_key_file = \"{tenant}.key\""),
    ];
    Some(lines.join("\n"))
}

async fn row(stage: &Stage, tenant: &str) -> Option<ConnectionRow> {
    stage.store.connection(&tenant_id(tenant)).await.expect("a store")
}

pub(crate) async fn files(process: &Process, state: &str, count: f64) {
    let name = format!("testmo_courier_tenant_files{{state=\"{state}\"}}");
    until(async || process.metric(&name) == Some(count)).await;
}

async fn deliver(stage: &mut Stage, tenant: &str, id: &str) {
    stage.publish(&batch(tenant, id, 1)).await;
    stage.delivered(&format!("{tenant}/{id}")).await;
}

fn run(stage: &Stage, arguments: &[&str]) -> (Option<i32>, String) {
    let output = command(stage).args(arguments).output().expect("the program");
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// Lets a stage without tenants follow a directory, which has a file for each tenant.
pub(crate) fn follow(stage: &mut Stage) -> Mount {
    let mut mount = Mount::at(stage.path("tenants"));
    let origins: Vec<String> = TENANTS.iter().map(|tenant| stage.testmo.origin(tenant)).collect();
    for (key, value) in [
        ("COURIER_TENANTS__SOURCE", "directory".to_owned()),
        ("COURIER_TENANTS__DIRECTORY", mount.folder.display().to_string()),
        ("COURIER_TENANTS__POLL_INTERVAL", "20ms".into()),
        ("COURIER_TENANTS__REMOVAL_DELAY", "100ms".into()),
        ("COURIER_TESTMO__ALLOWED_INSECURE_ORIGINS", origins.join(",")),
    ] {
        stage.environment.insert(key.into(), value);
    }
    for tenant in TENANTS {
        stage.testmo.create(tenant, AccountSpec::with_one_folder(&key_of(tenant))).expect("an account");
        let (toml, key) = (format!("{tenant}.toml"), format!("{tenant}.key"));
        mount.files.extend([(toml, file(stage, tenant, 1).expect("a file")), (key, key_of(tenant))]);
    }
    mount
}

async fn workers_take_over_what_changes_in_a_directory(mut stage: Stage) {
    let mut mount = follow(&mut stage);
    let json = serde_json::json!({"base_url": stage.testmo.origin("cedar"), "project_id": 1, "folder_id": 1,
        "api_key": key_of("cedar"), "api_key_expires_on": "2999-12-31"});
    mount.files.retain(|(name, _)| !name.starts_with("cedar"));
    mount.set(&[("cedar.json", Some(json.to_string())), ("birch.key", Some("wrong".into()))]);
    let process = Process::start(&stage).await;
    files(&process, "in_use", 3.0).await;
    for tenant in ["acme", "cedar"] {
        deliver(&mut stage, tenant, "added").await;
    }
    assert_eq!(row(&stage, "cedar").await.expect("a connection").expires_on.as_deref(), Some("2999-12-31"));

    // What waits for a key is sent once the key is corrected.
    stage.publish(&batch("birch", "waits", 1)).await;
    stage.shelf_until(|shelf| shelf.iter().any(|row| row.content.reason == Reason::KeyRefused)).await;
    mount.set(&[("birch.key", Some(key_of("birch")))]);
    stage.delivered("birch/waits").await;

    // A change that does not work leaves the connection from before in force.
    mount.set(&[("acme.key", Some("wrong".into()))]);
    let has_change = async || row(&stage, "acme").await.is_some_and(|row| row.successor.is_some());
    until(async || has_change().await).await;
    deliver(&mut stage, "acme", "beside").await;
    mount.set(&[("acme.key", Some(key_of("acme"))), ("acme.toml", file(&stage, "acme", 1).map(|text| text + "\n"))]);
    until(async || row(&stage, "acme").await.is_some_and(|row| row.successor.is_none() && row.is_verified())).await;

    // A broken file leaves what it said before in force, also after a restart.
    mount.set(&[("acme.toml", Some("base_url = \"x\"\nproject_id = \n".into()))]);
    files(&process, "broken", 1.0).await;
    deliver(&mut stage, "acme", "broken").await;
    process.stop().await;
    let process = Process::start(&stage).await;
    files(&process, "broken", 1.0).await;
    deliver(&mut stage, "acme", "restarted").await;
    let said = process.output();
    let line = said.lines().find(|line| line.contains("file cannot be used")).expect("a line").to_owned();
    assert!(line.contains("/tenants/acme.toml") && line.contains("line 2, column "), "{line}");
    assert!(line.contains("Write one setting a line") && !said.contains("testmo_api_secret"), "{line}");
    mount.set(&[("acme.toml", file(&stage, "acme", 1))]);
    files(&process, "broken", 0.0).await;

    // What a removed file leaves waits, and is sent when the file is back.
    mount.set(&[("birch.toml", None)]);
    until(async || row(&stage, "birch").await.is_none()).await;
    stage.publish(&batch("birch", "unknown", 1)).await;
    stage.shelf_until(|shelf| shelf.iter().any(|row| row.content.reason == Reason::UnknownTenant)).await;
    mount.set(&[("birch.toml", file(&stage, "birch", 1))]);
    stage.delivered("birch/unknown").await;
    files(&process, "in_use", 3.0).await;
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_take_over_what_changes_in_a_directory_on_sqlite() {
    workers_take_over_what_changes_in_a_directory(Stage::with_tenants(&[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_take_over_what_changes_in_a_directory_on_postgresql() {
    workers_take_over_what_changes_in_a_directory(Stage::on_postgres(Postgres::shared(), &[], &[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_directory_removes_nothing_and_a_connection_without_a_file_can_be_removed() {
    let mut stage = Stage::on(Broker::shared(), &[], &[]).await;
    let mut mount = follow(&mut stage);
    mount.mount();
    let process = Process::start(&stage).await;
    files(&process, "in_use", 3.0).await;
    let of_acme = mount.folder.join("acme.toml").display().to_string();
    for arguments in [["tenants", "set", "acme", "--folder", "2"], ["tenants", "remove", "acme", "--yes", "--purge"]] {
        let (code, said) = run(&stage, &arguments);
        assert!(code == Some(1) && said.contains(&of_acme) && said.contains("nothing was changed"), "{said}");
    }
    let (code, said) = run(&stage, &["tenants", "verify", "acme"]);
    assert_eq!(code, Some(0), "{said}");
    let (_, said) = run(&stage, &["audit", "--json"]);
    assert!(said.contains("file acme.toml") && !said.contains("testmo_api_secret"), "{said}");

    mount.files.clear();
    mount.mount();
    files(&process, "removal_held", 3.0).await;
    for tenant in TENANTS {
        let row = row(&stage, tenant).await.expect("a connection");
        assert!(matches!(row.finding, Some(Verification::Works { .. })), "{row:?}");
    }
    deliver(&mut stage, "acme", "held").await;
    let (code, said) = run(&stage, &["tenants", "remove", "cedar", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    files(&process, "removal_held", 2.0).await;

    fs::rename(&mount.folder, stage.path("elsewhere")).expect("a folder");
    files(&process, "broken", 1.0).await;
    deliver(&mut stage, "birch", "unreadable").await;
    process.stop().await;
    stage.end().await;
}

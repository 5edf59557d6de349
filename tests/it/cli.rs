//! Does the command keep its word where no broker is needed: what it prints, what it stores, how it exits?

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use tempfile::TempDir;
use testmo_courier::batch::Reason;
use testmo_courier::batch::render::mapping::Mapping;
use testmo_courier::clock::Clock;
use testmo_courier::config::{Sources, load};
use testmo_courier::store::connections::{Verification, WriteOutcome};
use testmo_courier::store::{ConnectionStore, Store};
use testmo_courier::tenants::{Examined, Keyring, Tenants};
use testmo_courier::testmo::AddressPolicy;
use testmo_sim::faults::{Fault, PathKind, RetryAfter, Rule};
use testmo_sim::world::AccountSpec;
use testmo_sim::{Method, Server};

use crate::support::stage::patient;
use crate::support::wire::{Wire, answer, send};

const KEY: &str = "testmo_api_s3cret";

/// A folder with nothing in it but what the commands make there.
struct Folder {
    folder: TempDir,
    origin: Option<String>,
}

/// What a command said and how it ended.
#[derive(Debug)]
struct End {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Folder {
    fn empty() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), origin: None }
    }

    fn with_store() -> Self {
        let folder = Self::empty();
        assert_eq!(folder.courier(&["init"]).code, Some(0));
        folder
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn courier(&self, arguments: &[&str]) -> End {
        self.courier_reading("", arguments)
    }

    fn courier_reading(&self, input: &str, arguments: &[&str]) -> End {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        tokio::task::block_in_place(|| {
            let mut child = command.spawn().expect("the command starts");
            // A command that does not read its input may have ended before.
            drop(child.stdin.take().expect("its input").write_all(input.as_bytes()));
            child.wait_with_output().expect("its end").into()
        })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_testmo-courier"));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("COURIER_") || matches!(&*text, "AMQP_URL" | "DATABASE_URL") {
                command.env_remove(name);
            }
        }
        command.args(arguments).current_dir(self.path()).env("AMQP_URL", "amqp://u:hunter2@127.0.0.1:1/%2f");
        command.env("COURIER_OBSERVE__LISTEN", "127.0.0.1:0");
        if let Some(origin) = &self.origin {
            command.env("COURIER_TESTMO__ALLOW_INSECURE_ORIGINS", origin);
        }
        command
    }

    fn set(&self, key: &str, more: &[&str]) -> End {
        let origin = self.origin.as_deref().expect("a stand-in");
        let arguments = ["tenants", "set", "acme", "--base-url", origin, "--project", "1", "--folder", "1"];
        self.courier_reading(key, &[&arguments[..], &["--key-stdin"], more].concat())
    }
}

impl From<Output> for End {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl End {
    #[track_caller]
    fn is(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for part in parts {
            assert!(self.out.contains(part) || self.err.contains(part), "{part:?} is not in {self:?}");
        }
        assert!(!self.out.contains("hunter2") && !self.err.contains("hunter2"), "{self:?}");
        assert!(!self.out.contains("s3cret") && !self.err.contains("s3cret"), "{self:?}");
    }
}

async fn with_testmo() -> (Folder, Server) {
    let server = Server::start().await.expect("a stand-in");
    server.create("acme", AccountSpec::with_one_folder(KEY)).expect("an account");
    let folder = Folder { origin: Some(server.origin("acme")), ..Folder::with_store() };
    (folder, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn init_makes_what_is_missing_and_leaves_alone_what_is_there() {
    let folder = Folder::empty();
    folder.courier(&["tenants", "list"]).is(2, &["there is no store", "testmo-courier init"]);
    folder.courier(&["init"]).is(0, &["testmo-courier.db (made)", "testmo-courier.key (made)", "tenants set"]);
    let key = std::fs::read(folder.path().join("testmo-courier.key")).unwrap();
    folder.courier(&["init"]).is(0, &["testmo-courier.db (was there already)"]);
    assert_eq!(std::fs::read(folder.path().join("testmo-courier.key")).unwrap(), key);
    folder.courier(&["tenants", "list"]).is(0, &["No connection is entered yet"]);
    folder.courier(&["tenants", "list", "--json"]).is(0, &["[]"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_or_exchanged_master_key_is_noticed() {
    let folder = Folder::with_store();
    let file = folder.path().join("testmo-courier.key");
    std::fs::write(&file, "0".repeat(64)).unwrap();
    folder.courier(&["tenants", "verify", "--all"]).is(2, &["is not the one", "put that one back"]);
    folder.courier(&["init"]).is(2, &["is not the one"]);
    std::fs::remove_file(&file).unwrap();
    folder.courier(&["init"]).is(2, &["its master key is not at", "put it back"]);
    folder.courier(&["run"]).is(2, &["master key file", "put the file back that `testmo-courier init` made"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_in_the_configuration_is_told_at_once() {
    let folder = Folder::empty();
    folder.courier(&["config", "check"]).is(0, &["ok"]);
    std::fs::write(folder.path().join("bad.toml"), "[retry]\ntries = 0\n[amqp]\nprefetchh = 1\n").unwrap();
    let told = ["`retry.tries`", "unknown key `amqp.prefetchh`; is `amqp.prefetch` meant?"];
    folder.courier(&["--config", "bad.toml", "config", "check"]).is(2, &told);
    std::fs::write(folder.path().join("bad.toml"), "nope = 1\n[store]\nretention = \"soon\"\n").unwrap();
    let told = ["unknown key `nope`; `config show` lists those there are", "a time from 1s to 3650days"];
    folder.courier(&["--config", "bad.toml", "config", "check"]).is(2, &told);
    folder.courier(&["config", "check", "--config", "none.toml"]).is(2, &["none.toml: cannot be read"]);
    folder.courier(&["config", "show"]).is(0, &["url = \"amqp://u:***@127.0.0.1:1/%2f\"", "[retry]"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_command_line_says_what_to_type_instead() {
    let folder = Folder::with_store();
    folder.courier(&["tenant"]).is(2, &["tenants"]);
    folder.courier(&["publish"]).is(2, &["<FILE>"]);
    folder.courier(&["tenants", "set", "ac me"]).is(2, &["a tenant id is 1 to 64"]);
    folder.courier(&["tenants", "set", "acme"]).is(2, &["--base-url, --project, --folder"]);
    folder.courier(&["tenants", "set", "acme", "--api-key", KEY]).is(2, &["--key-stdin", "--key-file"]);
    folder.courier(&["shelf", "show", "x"]).is(2, &["shelf list"]);
    folder.courier(&["shelf", "show", "1"]).is(1, &["00000001"]);
    folder.courier(&["events", "tail", "--timeout", "soon"]).is(2, &["30s, 5m"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbour_that_is_away_is_an_exit_code_of_its_own() {
    let folder = Folder::with_store();
    std::fs::write(folder.path().join("b.json"), include_str!("../demo/batches/01-shop-vouchers-de.json")).unwrap();
    folder.courier(&["topology", "check"]).is(3, &["127.0.0.1:1"]);
    folder.courier(&["events", "tail"]).is(3, &["127.0.0.1:1"]);
    folder.courier(&["publish", "b.json"]).is(3, &["127.0.0.1:1"]);
    folder.courier(&["publish", "--wait", "b.json"]).is(3, &["127.0.0.1:1"]);
    folder.courier(&["health", "--url", "http://127.0.0.1:1/readyz"]).is(3, &["does not answer"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_faults_is_not_published_and_every_fault_is_named() {
    let folder = Folder::empty();
    let batch = include_str!("../demo/batches/09-repeated-external-id.json");
    let told = ["standard input: 1 fault", "/cases/2/external_id", "nothing was published"];
    folder.courier_reading(batch, &["publish", "-"]).is(1, &told);
    folder.courier(&["publish", "none.json"]).is(2, &["none.json cannot be read"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_tried_as_soon_as_it_is_entered() {
    let (folder, server) = with_testmo().await;
    folder.set(KEY, &[]).is(0, &["green", "connected as Push Bot to project \"Shop\", folder \"Generated\""]);
    folder.courier(&["tenants", "list"]).is(0, &["green  acme", "1 Shop", "1 Generated", "never"]);
    folder.courier(&["tenants", "show", "acme"]).is(0, &["kept encrypted", "Push Bot", "custom_steps"]);
    server.account("acme").revoke(1);
    folder.courier(&["tenants", "verify", "acme"]).is(1, &["red", "401", "Generate a new API key"]);
    folder.courier(&["tenants", "list", "--plain"]).is(0, &["red\tacme", "key_refused"]);
    folder.courier(&["tenants", "verify", "other"]).is(1, &["no connection of tenant other"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_of_a_change_stays_as_it_was() {
    let (folder, _server) = with_testmo().await;
    folder.set(KEY, &["--expires", "2999-12-31"]).is(0, &["green", "2999-12-31"]);
    folder.courier(&["tenants", "set", "acme", "--folder", "7"]).is(1, &["has no folder 7", "not verified"]);
    folder.courier(&["tenants", "set", "acme", "--folder", "1"]).is(0, &["green", "2999-12-31"]);
    folder.courier(&["tenants", "set", "acme", "--no-expiry"]).is(0, &["green"]);
    folder.courier(&["tenants", "list"]).is(0, &["not known"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_saved_as_not_verified_and_replacing_it_reminds_of_the_old_one() {
    let (folder, _server) = with_testmo().await;
    folder.set("wrong", &[]).is(1, &["red", "401", "Saved as not verified"]);
    folder.set(KEY, &[]).is(0, &["green", "Revoke API keys", "Admin panel"]);
    folder.set(" \n", &[]).is(2, &["the API key is empty"]);
    folder.set("two words", &[]).is(2, &["holds blanks"]);
    folder.set(KEY, &["--expires", "2001-01-01"]).is(2, &["expired already", "--no-expiry"]);
    folder.courier(&["tenants", "list"]).is(0, &["green  acme"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_testmo_that_wants_a_pause_is_not_asked_again_and_a_connection_that_worked_goes_on() {
    for wait in [RetryAfter::Seconds(100), RetryAfter::DateIn(100)] {
        let (folder, server) = with_testmo().await;
        folder.set(KEY, &[]).is(0, &["green"]);
        let acme = server.account("acme");
        acme.set_faults([Rule::always(Fault::throttled(Some(wait))).on(Method::Get, PathKind::Project)]);
        let told = ["429", "tenants verify acme", "It worked before, so batches still go out."];
        folder.courier(&["tenants", "verify", "acme"]).is(1, &told);
        acme.clear_faults();
        let asked = acme.requests().len();
        folder.courier(&["tenants", "verify", "acme"]).is(1, &["asked for a pause", "s of it are left"]);
        folder.courier(&["tenants", "set", "acme", "--expires", "2999-12-31"]).is(1, &["asked for a pause"]);
        assert_eq!(acme.requests().len(), asked, "nothing is asked during the pause");
        folder.courier(&["tenants", "list"]).is(0, &["green  acme", "2999-12-31"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_known_or_is_another_is_a_typing_error_until_it_has_worked() {
    // It answers, but knows nothing of TLS.
    let plain = Server::start().await.expect("a stand-in");
    let label = "a".repeat(64);
    for origin in [plain.origin("acme").replace("http:", "https:"), format!("http://{label}.invalid/acme")] {
        let folder = Folder { origin: Some(origin), ..Folder::with_store() };
        let told = ["red", "The host in the instance URL is not known", "typing errors", "Saved as not verified"];
        folder.set(KEY, &[]).is(1, &told);
        folder.courier(&["tenants", "verify", "acme"]).is(1, &["Batches wait: a running worker looks again"]);
        folder.courier(&["tenants", "list"]).is(0, &["red    acme", "wrong_host"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_never_goes_to_another_address_than_it_was_entered_for() {
    let (mut folder, server) = with_testmo().await;
    let elsewhere = server.create("other", AccountSpec::with_one_folder(KEY)).unwrap();
    folder.set(KEY, &[]).is(0, &["green"]);
    let (old, new) = (server.origin("acme"), server.origin("other"));
    folder.origin = Some(format!("{old},{new}"));
    let change = ["tenants", "set", "acme", "--base-url", &new];
    folder.courier(&change).is(2, &["entering the API key again", "--key-stdin"]);
    assert_eq!(elsewhere.requests().len(), 0);
    folder.courier_reading(KEY, &[&change[..], &["--key-stdin"]].concat()).is(0, &["green"]);
    let refused = ["tenants", "set", "acme", "--base-url", "https://10.0.0.1"];
    folder.courier(&refused).is(2, &["names an address instead of a host"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_removed_only_when_that_is_meant() {
    let (folder, _server) = with_testmo().await;
    folder.set(KEY, &[]).is(0, &["green"]);
    folder.courier(&["tenants", "remove", "acme"]).is(2, &["--yes"]);
    folder.courier(&["tenants", "list"]).is(0, &["acme"]);
    folder.courier(&["tenants", "remove", "acme", "--yes"]).is(0, &["Removed"]);
    folder.courier(&["tenants", "remove", "acme", "--yes"]).is(1, &["no connection of tenant acme"]);
}

/// A command that asks Testmo whose key it has, and is answered 401 only once it is let go on.
struct Held {
    asked: tokio::sync::oneshot::Receiver<()>,
    go_on: std::sync::mpsc::Sender<()>,
    wire: Wire,
}

/// A stand-in, and a connection to another one that refuses its key: at once when it is entered, and later on request.
async fn with_held() -> (Folder, Server, Held) {
    let server = Server::start().await.expect("a stand-in");
    server.create("acme", AccountSpec::with_one_folder(KEY)).expect("an account");
    let (asking, asked) = tokio::sync::oneshot::channel();
    let (go_on, released) = std::sync::mpsc::channel();
    let mut asking = Some(asking);
    let mut is_first = true;
    let wire = Wire::after_requests(2, move |stream| {
        if !std::mem::take(&mut is_first) {
            asking.take().map(|asking| asking.send(()));
            released.recv().expect("a test that lets it go on");
        }
        send(stream, &answer("401 Unauthorized", "application/json", "{}"));
    });
    let old = format!("http://{}", wire.address);
    let folder = Folder { origin: Some(format!("{old},{}", server.origin("acme"))), ..Folder::with_store() };
    let arguments = ["tenants", "set", "acme", "--base-url", &old, "--project", "1", "--folder", "1", "--key-stdin"];
    folder.courier_reading(KEY, &arguments).is(1, &["red", "401"]);
    (folder, server, Held { asked, go_on, wire })
}

impl Held {
    /// Runs a command that is held, and does something else meanwhile.
    async fn during(self, folder: &Folder, arguments: &[&str], act: impl AsyncFnOnce()) -> End {
        let mut command = folder.command(arguments);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.expect("the command starts");
        patient(self.asked).await.expect("a command that asks Testmo");
        act().await;
        self.go_on.send(()).expect("a server that waits");
        let end = tokio::task::block_in_place(|| child.wait_with_output().expect("its end"));
        self.wire.end().await;
        end.into()
    }
}

/// The store of a folder, as a worker uses it beside commands.
async fn store_of(folder: &Folder) -> Store {
    let url = format!("sqlite:{}", folder.path().join("testmo-courier.db").display());
    let environment = [("DATABASE_URL".to_owned(), url)].into();
    let config = load(&Sources { files: vec![], environment }).expect("a configuration");
    Store::open(&config.store, false, Clock::system()).await.expect("a store")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_entered_while_the_old_one_is_verified_stays_as_it_was_entered() {
    let (folder, server, held) = with_held().await;
    let end = held
        .during(&folder, &["tenants", "verify", "acme"], async || {
            let new = ["tenants", "set", "acme", "--base-url", &server.origin("acme"), "--key-stdin"];
            folder.courier_reading(KEY, &new).is(0, &["green"]);
        })
        .await;
    end.is(1, &["acme  changed meanwhile", "not saved", "tenants verify acme"]);
    folder.courier(&["tenants", "list"]).is(0, &["green  acme"]);
    folder.courier(&["tenants", "verify", "acme"]).is(0, &["green"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_people_who_change_a_connection_the_one_who_comes_too_late_is_told_so() {
    let (folder, server, held) = with_held().await;
    let end = held
        .during(&folder, &["tenants", "set", "acme", "--folder", "7"], async || {
            let new = ["tenants", "set", "acme", "--base-url", &server.origin("acme"), "--key-stdin"];
            folder.courier_reading(KEY, &new).is(0, &["green"]);
        })
        .await;
    end.is(1, &["acme was changed meanwhile, so nothing was saved", "tenants show acme"]);
    folder.courier(&["tenants", "list"]).is(0, &["green  acme", "1 Generated"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_notes_of_a_connection_does_not_fail_the_command_that_changes_it() {
    let (folder, _server, held) = with_held().await;
    let store = store_of(&folder).await;
    let end = held
        .during(&folder, &["tenants", "set", "acme", "--expires", "2999-12-31"], async || {
            let row = store.connection(&"acme".parse().unwrap()).await.unwrap().unwrap();
            let finding = Verification::Fails { reason: Reason::Forbidden, detail: "found by a worker".into() };
            let written = store.record_verification(&row.tenant, &row.version, row.epoch, &finding).await.unwrap();
            assert!(written.is_done());
        })
        .await;
    end.is(1, &["found by a worker", "2999-12-31"]);
    folder.courier(&["tenants", "show", "acme"]).is(0, &["found by a worker", "2999-12-31"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_has_found_out_is_dropped_where_a_person_has_changed_the_connection_meanwhile() {
    let (folder, _server) = with_testmo().await;
    folder.set(KEY, &[]).is(0, &["green"]);
    let store = store_of(&folder).await;
    let environment = [("COURIER_TESTMO__ALLOW_INSECURE_ORIGINS".to_owned(), folder.origin.clone().unwrap())].into();
    let config = load(&Sources { files: vec![], environment }).unwrap();
    let keyring = Keyring::load(&folder.path().join("testmo-courier.key")).unwrap();
    let tenants = Tenants::new(Arc::new(store.clone()), keyring, AddressPolicy::new(&config.testmo));
    let stored = async || store.connection(&"acme".parse().unwrap()).await.unwrap();
    let read = stored().await.unwrap();
    folder.courier(&["tenants", "set", "acme", "--expires", "2999-12-31"]).is(0, &["green"]);
    // That it does not work, and that a name in the mapping has come to mean something else.
    let fails = Examined::failed(Reason::KeyRefused, "401".into());
    let other = Some(Mapping { mark: false, ..Mapping::default() });
    let renamed = Examined { mapping: other, ..Examined::failed(Reason::Forbidden, "403".into()) };
    for examined in [&fails, &renamed] {
        assert_eq!(tenants.note(&read, examined).await.unwrap(), WriteOutcome::ChangedMeanwhile);
        let row = stored().await.unwrap();
        assert_eq!((row.is_verified(), row.expires_on.as_deref()), (true, Some("2999-12-31")));
    }
    folder.courier(&["tenants", "remove", "acme", "--yes"]).is(0, &["Removed"]);
    assert_eq!(tenants.note(&read, &renamed).await.unwrap(), WriteOutcome::ChangedMeanwhile);
    assert!(stored().await.is_none(), "a tenant that was removed does not come back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_can_be_checked_where_there_is_nothing_else() {
    let folder = Folder::empty();
    let head = r#"{"schema_version":1,"batch_id":"b","tenant_id":"t","generated_at":"2026-11-23T09:30:00Z""#;
    let fine = format!(r#"{head},"cases":[{{"external_id":"A","name":"a","gherkin":"Feature: a"}}]}}"#);
    let odd = format!(r#"{head},"cases":[{{"name":"<b>a</b>","tags":["Smoke Test"]}}]}}"#);
    let broken = format!(r#"{head},"cases":[{{"name":""}},{{"nam":1}}]}}"#);
    for (name, text) in [("fine.json", &fine), ("odd.json", &odd), ("broken.json", &broken)] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
        .courier(&["lint", "fine.json", "odd.json"])
        .is(0, &["fine.json: fine", "odd.json: 4 warnings", "`smoke-test`"]);
    let told = ["broken.json: 3 faults", "/cases/0/name", "/cases/1/nam ", "/cases/1/name", "→ send 1 to 1000"];
    folder.courier(&["lint", "fine.json", "broken.json"]).is(1, &told);
    folder.courier_reading("{", &["lint", "-"]).is(1, &["standard input: 1 fault", "is not valid JSON: EOF"]);
    folder.courier(&["lint", "none.json"]).is(2, &["none.json cannot be read"]);
    let end = folder.courier(&["lint", "--json", "odd.json", "broken.json"]);
    let told: serde_json::Value = serde_json::from_str(&end.out).unwrap();
    assert_eq!(end.code, Some(1));
    assert_eq!((&told[0]["batch"], told[0]["warnings"].as_array().map(Vec::len)), (&"t/b".into(), Some(4)));
    assert_eq!(told[1]["faults"][0]["pointer"], "/cases/0/name");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schemas_are_printed_as_they_are_committed() {
    let folder = Folder::empty();
    for (name, file) in [
        ("batch", include_str!("../../docs/schemas/batch.schema.json")),
        ("events", include_str!("../../docs/schemas/events.schema.json")),
        ("asyncapi", include_str!("../../docs/schemas/asyncapi.json")),
    ] {
        assert_eq!(folder.courier(&["schema", name]).out, file);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn output_that_nobody_reads_ends_quietly() {
    let folder = Folder::empty();
    let mut command = folder.command(&["publish", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It waits for its input until nobody can read its output any more.
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(b"{").unwrap();
    let end = End::from(child.wait_with_output().unwrap());
    assert_eq!((end.code, end.err.as_str()), (Some(0), ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_can_say_the_names_that_testmo_shows() {
    let (folder, server) = with_testmo().await;
    let mapping = r#"{"template": "Case (steps)", "gherkin_template": "Case (BDD)", "state": "Draft",
        "description": "Description", "priority": {"column": "Priority", "values": {"critical": "High", "low": 3}},
        "fixed": {"Priority": "Normal"}}"#;
    std::fs::write(folder.path().join("mapping.json"), mapping).unwrap();
    folder.set(KEY, &["--mapping", "mapping.json"]).is(0, &["green"]);
    let shown = folder.courier(&["tenants", "show", "acme"]);
    shown.is(0, &["\"state\": \"Draft\"", "by ids and columns", "\"template_id\": 2", "\"custom_priority\": 2"]);

    std::fs::write(folder.path().join("wrong.json"), r#"{"state": "Drafft", "steps": "Stepps"}"#).unwrap();
    let told = ["red", "\"Drafft\"; there is \"Draft\", \"Review\"", "`steps`", "\"Steps\"", "Saved as not verified"];
    folder.courier(&["tenants", "set", "acme", "--mapping", "wrong.json"]).is(1, &told);
    let batch = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/demo/batches/01-shop-vouchers-de.json");
    folder.courier(&["tenants", "preview", "acme", batch]).is(1, &["names in the mapping are not known yet"]);

    // Where Testmo lists nothing, names cannot be looked up; ids and columns do without.
    server.account("acme").change_settings(|settings| settings.states_route = false);
    std::fs::write(folder.path().join("state.json"), r#"{"state": "Draft"}"#).unwrap();
    let told = ["does not list its states", "write the id"];
    folder.courier(&["tenants", "set", "acme", "--mapping", "state.json"]).is(1, &told);
    server.account("acme").change_settings(|settings| settings.fields_route = false);
    std::fs::write(folder.path().join("ids.json"), r#"{"state": 1, "template_id": 2}"#).unwrap();
    folder.courier(&["tenants", "set", "acme", "--mapping", "ids.json"]).is(0, &["green"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_comes_to_mean_something_else_makes_another_version() {
    let (folder, server) = with_testmo().await;
    std::fs::write(folder.path().join("mapping.json"), r#"{"state": "Draft"}"#).unwrap();
    folder.set(KEY, &["--mapping", "mapping.json"]).is(0, &["green"]);
    let version = |end: &End| {
        let shown: serde_json::Value = serde_json::from_str(&end.out).unwrap();
        (shown["version"].clone(), shown["mapping_by_ids"]["state_id"].clone())
    };
    let before = version(&folder.courier(&["tenants", "show", "acme", "--json"]));
    server.account("acme").with(|station| station.account.states[0].id = 77);
    folder.courier(&["tenants", "verify", "acme"]).is(0, &["green"]);
    let after = version(&folder.courier(&["tenants", "show", "acme", "--json"]));
    assert_eq!((before.1, after.1), (serde_json::json!(1), serde_json::json!(77)));
    assert_ne!(before.0, after.0);
    server.account("acme").with(|station| station.account.states.clear());
    folder.courier(&["tenants", "verify", "acme"]).is(1, &["red", "there is no \"Draft\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_shows_what_a_batch_would_become_and_sends_nothing() {
    let (folder, server) = with_testmo().await;
    folder.set(KEY, &[]).is(0, &["green"]);
    let asked = server.account("acme").requests().len();
    let batch = r#"{"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme", "generated_at": "2026-11-23T09:30:00Z",
        "folder_path": ["Checkout"], "cases": [{"name": "Pay", "steps": [{"action": "Open <it>", "expected": "Seen"}],
        "tags": ["Smoke Test"], "issues": ["A-1"]}, {"name": "Leave"}]}"#;
    let shown = folder.courier_reading(batch, &["tenants", "preview", "acme", "-"]);
    let parts =
        ["below it Checkout", "1: 2 cases (", "1. <p>Open &lt;it&gt;</p>", "expected  <p>Seen</p>", "case 2 of 2"];
    shown.is(0, &parts);
    shown.is(0, &["\"Smoke Test\" is sent as smoke-test", "issues: the mapping names no integration_id"]);
    assert_eq!(server.account("acme").requests().len(), asked);

    let online =
        folder.courier_reading(batch, &["tenants", "preview", "acme", "-", "--online", "--json", "--case", "2"]);
    online.is(0, &["to be created: Checkout", "\"position\": 2"]);
    assert!(!online.out.contains("\"position\": 1"), "{online:?}");
    let requests = server.account("acme").requests();
    assert!(requests[asked..].iter().all(|request| request.method == Method::Get), "{requests:?}");
    folder.courier_reading(batch, &["tenants", "preview", "acme", "-", "--case", "3"]).is(2, &["from 1 to 2"]);
    folder.courier_reading("{", &["tenants", "preview", "acme", "-"]).is(1, &["is not a batch"]);
}

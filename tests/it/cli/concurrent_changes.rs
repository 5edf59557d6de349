//! Changes a connection while another command, or a worker, has read it.

use std::process::Stdio;
use std::sync::Arc;

use testmo_courier::batch::Reason;
use testmo_courier::batch::render::mapping::Mapping;
use testmo_courier::clock::Clock;
use testmo_courier::config::{Sources, load};
use testmo_courier::store::connections::{Verification, WriteOutcome};
use testmo_courier::store::{ConnectionStore, Store};
use testmo_courier::tenants::{Examined, Keyring, Tenants};
use testmo_courier::testmo::AddressPolicy;
use testmo_sim::Server;
use testmo_sim::world::AccountSpec;

use super::{End, Folder, KEY, with_testmo};
use crate::support::waiting::patient;
use crate::support::wire::{Wire, answer, send};

/// A command that asks Testmo for the key's owner; Testmo answers 401 only when the test releases it.
struct Held {
    asked: tokio::sync::oneshot::Receiver<()>,
    go_on: std::sync::mpsc::Sender<()>,
    wire: Wire,
}

/// Starts a stand-in, and enters a connection to a second one that refuses its key: at once when the connection is
/// entered, and after that when the test releases the answer.
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
    let arguments =
        ["tenants", "set", "acme", "--base-url", &old, "--project", "1", "--folder", "1", "--api-key-stdin"];
    folder.courier_reading(KEY, &arguments).is(1, &["red", "401"]);
    (folder, server, Held { asked, go_on, wire })
}

impl Held {
    /// Runs a command whose request is held, and calls `act` meanwhile.
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

/// Opens the store of a folder, as a worker uses it while commands run.
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
            let new = ["tenants", "set", "acme", "--base-url", &server.origin("acme"), "--api-key-stdin"];
            folder.courier_reading(KEY, &new).is(0, &["green"]);
        })
        .await;
    end.is(1, &["acme  was changed meanwhile", "not saved", "tenants verify acme"]);
    folder.courier(&["tenants", "list"]).is(0, &["green  acme"]);
    folder.courier(&["tenants", "verify", "acme"]).is(0, &["green"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_people_who_change_a_connection_the_second_one_gets_an_error() {
    let (folder, server, held) = with_held().await;
    let end = held
        .during(&folder, &["tenants", "set", "acme", "--folder", "7"], async || {
            let new = ["tenants", "set", "acme", "--base-url", &server.origin("acme"), "--api-key-stdin"];
            folder.courier_reading(KEY, &new).is(0, &["green"]);
        })
        .await;
    end.is(1, &["acme was changed meanwhile; nothing was saved", "tenants show acme"]);
    folder.courier(&["tenants", "list"]).is(0, &["green  acme", "1 Generated"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_notes_of_a_connection_does_not_fail_the_command_that_changes_it() {
    let (folder, _server, held) = with_held().await;
    let store = store_of(&folder).await;
    let end = held
        .during(&folder, &["tenants", "set", "acme", "--expires", "2029-12-31"], async || {
            let row = store.connection(&"acme".parse().unwrap()).await.unwrap().unwrap();
            let finding = Verification::Fails { reason: Reason::Forbidden, detail: "found by a worker".into() };
            let written = store.record_verification(&row.tenant, &row.version, row.epoch, &finding).await.unwrap();
            assert!(written.is_done());
        })
        .await;
    end.is(1, &["found by a worker", "2029-12-31"]);
    folder.courier(&["tenants", "show", "acme"]).is(0, &["found by a worker", "2029-12-31"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_has_found_out_is_dropped_where_a_person_has_changed_the_connection_meanwhile() {
    let (folder, _server) = with_testmo().await;
    folder.set(KEY, &[]).is(0, &["green"]);
    let store = store_of(&folder).await;
    let environment = [("COURIER_TESTMO__ALLOWED_INSECURE_ORIGINS".to_owned(), folder.origin.clone().unwrap())].into();
    let config = load(&Sources { files: vec![], environment }).unwrap();
    let keyring = Keyring::load(&folder.path().join("testmo-courier.key")).unwrap();
    let tenants = Tenants::new(Arc::new(store.clone()), keyring, AddressPolicy::new(&config.testmo));
    let stored = async || store.connection(&"acme".parse().unwrap()).await.unwrap();
    let read = stored().await.unwrap();
    folder.courier(&["tenants", "set", "acme", "--expires", "2029-12-31"]).is(0, &["green"]);
    // The findings are that the connection fails, and also that a name in the mapping has another meaning now.
    let fails = Examined::failed(Reason::KeyRefused, "401".into());
    let other = Some(Mapping { batch_tag: false, ..Mapping::default() });
    let renamed = Examined { mapping: other, ..Examined::failed(Reason::Forbidden, "403".into()) };
    for examined in [&fails, &renamed] {
        assert_eq!(tenants.note(&read, examined, &[]).await.unwrap(), WriteOutcome::ChangedMeanwhile);
        let row = stored().await.unwrap();
        assert_eq!((row.is_verified(), row.expires_on.as_deref()), (true, Some("2029-12-31")));
    }
    folder.courier(&["tenants", "remove", "acme", "--yes"]).is(0, &["Removed"]);
    assert_eq!(tenants.note(&read, &renamed, &[]).await.unwrap(), WriteOutcome::ChangedMeanwhile);
    assert!(stored().await.is_none(), "a tenant that was removed does not come back");
}

//! Enters, verifies, changes and removes connections.

use testmo_sim::faults::{Fault, PathKind, RetryAfter, Rule};
use testmo_sim::world::AccountSpec;
use testmo_sim::{Method, Server};

use super::{Folder, KEY, with_testmo};

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_tried_as_soon_as_it_is_entered() {
    let (folder, server) = with_testmo().await;
    folder.set(KEY, &[]).is(0, &["green", "connected as Push Bot to project \"Shop\", folder \"Generated\""]);
    folder.courier(&["tenants", "list"]).is(0, &["green  acme", "1 Shop", "1 Generated", "never"]);
    folder.courier(&["tenants", "show", "acme"]).is(0, &["stored encrypted", "Push Bot", "custom_steps"]);
    server.account("acme").revoke(1);
    folder.courier(&["tenants", "verify", "acme"]).is(1, &["red", "401", "Generate a new API key"]);
    folder.courier(&["tenants", "list", "--plain"]).is(0, &["red\tacme", "key_refused"]);
    folder.courier(&["tenants", "verify", "other"]).is(1, &["no connection of tenant other"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_of_a_change_stays_as_it_was() {
    let (folder, _server) = with_testmo().await;
    folder.set(KEY, &["--expires", "2999-12-31"]).is(0, &["green", "2999-12-31"]);
    folder
        .courier(&["tenants", "set", "acme", "--folder", "7"])
        .is(1, &["has no folder 7", "Saved, but not working yet"]);
    folder.courier(&["tenants", "set", "acme", "--folder", "1"]).is(0, &["green", "2999-12-31"]);
    folder.courier(&["tenants", "set", "acme", "--no-expiry"]).is(0, &["green"]);
    folder.courier(&["tenants", "list"]).is(0, &["not known"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_saved_as_not_verified_and_replacing_it_reminds_of_the_old_one() {
    let (folder, _server) = with_testmo().await;
    folder.set("wrong", &[]).is(1, &["red", "401", "Saved, but not working yet"]);
    folder.set(KEY, &[]).is(0, &["green", "Revoke API keys", "Admin panel"]);
    folder.set(" \n", &[]).is(2, &["the API key is empty"]);
    folder.set("two words", &[]).is(2, &["contains spaces"]);
    folder.set(KEY, &["--expires", "2001-01-01"]).is(2, &["is in the past", "--no-expiry"]);
    folder.courier(&["tenants", "list"]).is(0, &["green  acme"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_testmo_that_wants_a_pause_is_not_asked_again_and_a_connection_that_worked_goes_on() {
    for wait in [RetryAfter::Seconds(100), RetryAfter::DateIn(100)] {
        let (folder, server) = with_testmo().await;
        folder.set(KEY, &[]).is(0, &["green"]);
        let acme = server.account("acme");
        acme.set_faults([Rule::always(Fault::throttled(Some(wait))).on(Method::Get, PathKind::Project)]);
        let told = ["429", "tenants verify acme", "The connection worked before, so batches are still sent."];
        folder.courier(&["tenants", "verify", "acme"]).is(1, &told);
        acme.clear_faults();
        let asked = acme.requests().len();
        folder.courier(&["tenants", "verify", "acme"]).is(1, &["paused by Testmo's rate limit", "s more"]);
        folder
            .courier(&["tenants", "set", "acme", "--expires", "2999-12-31"])
            .is(1, &["paused by Testmo's rate limit"]);
        assert_eq!(acme.requests().len(), asked, "nothing is asked during the pause");
        folder.courier(&["tenants", "list"]).is(0, &["green  acme", "2999-12-31"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_known_or_is_another_is_a_typing_error_until_it_has_worked() {
    // This stand-in answers, but does not speak TLS.
    let plain = Server::start().await.expect("a stand-in");
    let label = "a".repeat(64);
    for origin in [plain.origin("acme").replace("http:", "https:"), format!("http://{label}.invalid/acme")] {
        let folder = Folder { origin: Some(origin), ..Folder::with_store() };
        let told = ["red", "The host in the base URL is unknown", "typing errors", "Saved, but not working yet"];
        folder.set(KEY, &[]).is(1, &told);
        folder
            .courier(&["tenants", "verify", "acme"])
            .is(1, &["This tenant's batches are held until the connection works: a running worker verifies it again"]);
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
    folder.courier(&change).is(2, &["requires the API key to be entered again", "--api-key-stdin"]);
    assert_eq!(elsewhere.requests().len(), 0);
    folder.courier_reading(KEY, &[&change[..], &["--api-key-stdin"]].concat()).is(0, &["green"]);
    let refused = ["tenants", "set", "acme", "--base-url", "https://10.0.0.1"];
    folder.courier(&refused).is(2, &["contains an IP address instead of a host name"]);
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

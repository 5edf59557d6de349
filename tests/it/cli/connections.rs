//! Enters, verifies, changes and removes connections.

use testmo_sim::faults::{Fault, PathKind, RetryAfter, Rule};
use testmo_sim::world::AccountSpec;
use testmo_sim::{Method, Server};

use super::{Folder, KEY, with_testmo};

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_tried_as_soon_as_it_is_entered() {
    let (folder, server) = with_testmo().await;
    folder.set(KEY, &[]).is(0, &["green", "connected as Push Bot to project \"Shop\", folder \"Generated\""]);
    folder.courier(&["tenants", "list"]).is(0, &["green  acme", "1 Shop", "1 Generated", "no batch yet"]);
    folder.courier(&["tenants", "show", "acme"]).is(0, &["stored encrypted", "Push Bot", "custom_steps"]);
    server.account("acme").revoke(1);
    folder.courier(&["tenants", "verify", "acme"]).is(1, &["red", "401", "Generate a new API key"]);
    folder.courier(&["tenants", "list", "--plain"]).is(0, &["red\tacme", "key_refused"]);
    folder.courier(&["tenants", "verify", "other"]).is(1, &["no connection of tenant other"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_of_a_change_stays_as_it_was() {
    let (folder, _server) = with_testmo().await;
    folder.set(KEY, &["--expires", "2029-12-31"]).is(0, &["green", "2029-12-31"]);
    folder
        .courier(&["tenants", "set", "acme", "--folder", "7"])
        .is(1, &["amber  acme", "has no folder 7", "not in force", "batches are sent to project 1 Shop, folder 1"]);
    folder.courier(&["tenants", "set", "acme", "--folder", "1"]).is(0, &["green", "2029-12-31"]);
    folder.courier(&["tenants", "set", "acme", "--no-expiry"]).is(0, &["green"]);
    folder.courier(&["tenants", "list"]).is(0, &["not known"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_saved_as_not_verified_and_replacing_it_reminds_of_the_old_one() {
    let (folder, _server) = with_testmo().await;
    folder.set("wrong", &[]).is(1, &["red", "401", "Saved, but not working yet"]);
    folder.set(KEY, &[]).is(0, &["green", "Revoke API keys", "Admin panel"]);
    let again = folder.set(KEY, &[]);
    again.is(0, &["green"]);
    assert!(!again.out.contains("Revoke"), "the same key was entered again: {again:?}");
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
            .courier(&["tenants", "set", "acme", "--expires", "2029-12-31"])
            .is(1, &["paused by Testmo's rate limit"]);
        assert_eq!(acme.requests().len(), asked, "nothing is asked during the pause");
        folder.courier(&["tenants", "list"]).is(0, &["amber  acme", "2029-12-31", "paused by Testmo's rate limit"]);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_works_stays_in_force_until_another_one_does() {
    let (folder, _server) = with_testmo().await;
    folder.set(KEY, &["--expires", "2029-12-31"]).is(0, &["green", "not been tried"]);
    let in_force = folder.shown();
    // A slip in the key, in the folder, and in a name of the mapping.
    let refused = folder.set("wrong", &["--expires", "2028-01-01"]);
    refused.is(1, &["amber  acme", "401", "not in force", "--discard-change"]);
    assert!(!refused.out.contains("Revoke") && !refused.out.contains("2029"), "{refused:?}");
    let beside = folder.shown();
    assert_eq!((&beside["version"], &beside["verified"]), (&in_force["version"], &true.into()));
    assert_eq!(beside["api_key_expires_on"], "2029-12-31", "the day belongs to the key in force");
    assert_eq!(beside["change_not_in_force"]["api_key_expires_on"], "2028-01-01");
    folder.courier(&["tenants", "list"]).is(0, &["amber  acme", "the last change is not in force"]);
    folder.courier(&["tenants", "verify", "acme"]).is(1, &["connected as Push Bot", "The last change is not in force"]);
    // A later change starts from what was entered last, so the right key is enough.
    folder.courier(&["tenants", "set", "acme", "--folder", "7"]).is(1, &["401", "not in force"]);
    folder.courier(&["tenants", "set", "acme", "--discard-change"]).is(0, &["Dropped the last change"]);
    folder.courier(&["tenants", "set", "acme", "--discard-change"]).is(0, &["Nothing was dropped"]);
    assert_eq!(folder.shown()["change_not_in_force"], serde_json::Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_works_later_is_put_in_force_by_verifying_it() {
    let (folder, server) = with_testmo().await;
    folder.set(KEY, &[]).is(0, &["green"]);
    folder.set("testmo_api_n3w", &[]).is(1, &["401", "not in force"]);
    server.account("acme").give_key(1, "testmo_api_n3w");
    let verified = folder.courier(&["tenants", "verify", "acme", "--json"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let verified: serde_json::Value = serde_json::from_str(&verified.out).expect("JSON");
    assert_eq!((&verified["saved"], &verified["change_in_force"]), (&true.into(), &true.into()));
    let shown = folder.shown();
    assert_eq!((&shown["light"], &shown["verified"]), (&"green".into(), &true.into()));
    assert_eq!(shown["change_not_in_force"], serde_json::Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_further_change_says_what_it_takes_from_the_last_one_and_can_leave_it_out() {
    let (folder, server) = with_testmo().await;
    folder.set(KEY, &[]).is(0, &["green"]);
    std::fs::write(folder.path().join("mapping.json"), r#"{"state": "Drafft"}"#).unwrap();
    let first = folder.courier(&["tenants", "set", "acme", "--folder", "7", "--mapping", "mapping.json"]);
    first.is(1, &["not in force"]);
    assert!(!first.out.contains("belong to this change"), "nothing is carried along yet: {first:?}");
    folder
        .courier(&["tenants", "show", "acme"])
        .is(0, &["not in force: folder 7 (in force: 1), mapping", "--discard-change"]);
    let set = ["tenants", "set", "acme", "--expires", "2029-12-31"];
    let told = ["belong to this change, too: folder 7 (in force: 1), mapping.", "again with --discard-change"];
    folder.courier(&set).is(1, &[&told[..], &["not in force"]].concat());
    folder
        .courier(&["tenants", "set", "acme", "--folder", "1"])
        .is(1, &["belong to this change, too: expiration date 2029-12-31 (in force: not known), mapping."]);
    let json = folder.courier(&[&set[..], &["--json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(json["carried_along"], serde_json::json!(["mapping"]));
    // The remedy, followed literally.
    let left_out = folder.courier(&[&set[..], &["--discard-change"]].concat());
    left_out.is(0, &["green", "2029-12-31"]);
    assert!(!left_out.out.contains("belong to this change"), "{left_out:?}");
    let shown = folder.shown();
    assert_eq!((&shown["change_not_in_force"], &shown["folder_id"]), (&serde_json::Value::Null, &1.into()));
    assert_eq!(shown["mapping"].get("state"), None);
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_light_shows_what_a_verification_met_until_one_is_completed() {
    let (folder, server) = with_testmo().await;
    folder.set(KEY, &[]).is(0, &["green"]);
    let acme = server.account("acme");
    acme.set_faults([Rule::always(Fault::status(503)).on(Method::Get, PathKind::Project)]);
    let met = ["amber  acme", "503", "The connection worked before, so batches are still sent."];
    folder.courier(&["tenants", "verify", "acme"]).is(1, &met);
    let told = ["amber", "the last verification was not completed (server_error", "1 Shop", "1 Generated"];
    folder.courier(&["tenants", "list"]).is(0, &told);
    folder.courier(&["tenants", "show", "acme"]).is(0, &told);
    assert_eq!(folder.shown()["interruption"]["reason"], "server_error");
    acme.clear_faults();
    folder.courier(&["tenants", "verify", "acme"]).is(0, &["green"]);
    assert_eq!(folder.shown()["interruption"], serde_json::Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_names_of_project_and_folder_stay_known_while_a_connection_fails() {
    let (folder, server) = with_testmo().await;
    folder.set(KEY, &[]).is(0, &["green"]);
    server.account("acme").revoke(1);
    for _ in 0..2 {
        folder.courier(&["tenants", "verify", "acme"]).is(1, &["red", "401"]);
    }
    let told = ["red", "1 Shop", "1 Generated", "as of the last successful check"];
    folder.courier(&["tenants", "list"]).is(0, &told);
    folder.courier(&["tenants", "show", "acme"]).is(0, &told);
    let shown = folder.shown();
    assert_eq!((&shown["project_name"], &shown["folder_path"]), (&"Shop".into(), &"Generated".into()));
    assert!(shown["names_as_of"].is_string());
    // Entered again for the same project, the names are the same.
    folder.set("wrong", &[]).is(1, &["red"]);
    folder.courier(&["tenants", "list"]).is(0, &told);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_answered_with_what_does() {
    let (folder, _server) = with_testmo().await;
    folder.set(KEY, &[]).is(0, &["green"]);
    let batch = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/demo/batches/01-shop-vouchers-de.json");
    for command in [
        &["tenants", "show", "acne"][..],
        &["tenants", "verify", "acne"],
        &["tenants", "probe", "acne"],
        &["tenants", "remove", "acne", "--yes"],
        &["tenants", "mapping", "draft", "acne"],
        &["tenants", "preview", "acne", batch],
        &["tenants", "set", "acne", "--discard-change"],
        &["lint", "--tenant", "acne", batch],
        &["lanes", "pause", "acne"],
    ] {
        folder.courier(command).is(1, &["Did you mean `acme`?"]);
    }
    folder.courier(&["tenants", "set", "acne", "--folder", "1"]).is(2, &["acne is new", "Did you mean `acme`?"]);
    let far = folder.courier(&["tenants", "show", "zebra"]);
    assert!(!far.err.contains("Did you mean"), "{far:?}");
    let set = |option: &str| folder.courier(&["tenants", "set", "acme", "--dry-run", option, "7"]);
    set("--folder").is(1, &["project \"Shop\" has no folder 7; it has 1 Generated"]);
    set("--project").is(1, &["reading project 7", "the key's user sees 1 Shop"]);
    folder
        .courier(&["tenants", "probe", "acme", "--write", "7", "--yes"])
        .is(1, &["has no folder 7; it has 1 Generated"]);
    let origin = folder.origin.clone().unwrap();
    let new = ["tenants", "set", "acne", "--base-url", &origin, "--project", "1", "--folder", "1", "--api-key-stdin"];
    folder.courier_reading(KEY, &new).is(0, &["acne is new; there is also a tenant acme."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_would_be_and_saves_nothing() {
    let (folder, _server) = with_testmo().await;
    folder.set(KEY, &["--dry-run"]).is(0, &["green", "connected as Push Bot", "Nothing was saved"]);
    folder.courier(&["tenants", "show", "acme"]).is(1, &["no connection of tenant acme"]);
    folder.set(KEY, &[]).is(0, &["green"]);
    let before = folder.shown();
    let slip = folder.courier(&["tenants", "set", "acme", "--folder", "7", "--dry-run", "--json"]);
    assert_eq!(slip.code, Some(1), "{slip:?}");
    let tried: serde_json::Value = serde_json::from_str(&slip.out).expect("JSON");
    assert_eq!((&tried["saved"], &tried["in_force"]), (&false.into(), &false.into()));
    assert_eq!(tried["verification"]["fails"]["reason"], "target_missing");
    assert_eq!(folder.shown(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_expiry_belongs_to_its_key() {
    let (folder, server) = with_testmo().await;
    folder.set(KEY, &["--expires", "2029-12-31"]).is(0, &["2029-12-31"]);
    folder.set(KEY, &[]).is(0, &["2029-12-31"]);
    server.account("acme").give_key(1, "testmo_api_n3w");
    let replaced = folder.set("testmo_api_n3w", &[]);
    replaced.is(0, &["green", "Revoke API keys", "does not apply to the new key"]);
    assert!(!replaced.out.contains("2029"), "{replaced:?}");
    assert_eq!(folder.shown()["api_key_expires_on"], serde_json::Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_copy_is_read_and_what_they_mistype_is_answered_with_what_to_type() {
    let (folder, _server) = with_testmo().await;
    let set =
        |more: &[&str]| folder.courier_reading(KEY, &[&["tenants", "set", "acme", "--api-key-stdin"], more].concat());
    let page = "https://acme.testmo.net/repositories/3?group_id=428&case_id=7";
    set(&["--base-url", page]).is(2, &["lacks --project, --folder", "add --project 3 --folder 428"]);
    set(&["--base-url", "acme.testmo.com"]).is(2, &["Did you mean https://acme.testmo.net?"]);
    let hidden = set(&["--base-url", "https://user:pw0rd@acme.testmo.net/\u{1b}[2J"]);
    hidden.is(2, &["https://…@acme.testmo.net", "\\u{1b}[2J", "user name or password"]);
    assert!(!hidden.err.contains("pw0rd") && !hidden.err.contains('\u{1b}'), "{hidden:?}");
    for odd in ["https://acme*.testmo.net", "https://-acme.testmo.net"] {
        set(&["--base-url", odd, "--project", "1", "--folder", "1"]).is(2, &["is not allowed"]);
    }
    folder.set(&format!("\"Bearer {KEY}\"\n"), &["--expires", "31.12.2029"]).is(2, &["Write the day as 2029-12-31"]);
    folder.set(KEY, &["--expires", "2999-12-31"]).is(2, &["in 973 years", "add --yes"]);
    folder.set(&format!("\"Bearer {KEY}\"\n"), &["--expires", "31 Dec 2999", "--yes"]).is(0, &["green", "2999-12-31"]);
    folder.courier(&["tenants", "show", "acme"]).is(0, &["(in 97", "years)"]);
}

//! Probes a tenant's Testmo and removes a tenant, by forms.

use serde_json::json;
use testmo_courier::app::actor::Role;
use testmo_courier::batch::Reason;
use testmo_courier::store::ConnectionStore;

use super::browser::Browser;
use crate::api::support::{Api, both};
use crate::support::batches::{batch, tenant_id};
use crate::support::stage::{LeftOver, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_removed_only_as_it_was_seen_and_with_a_reason() {
    for api in both(&["acme", "birch"]).await {
        for id in ["b-1", "b-2"] {
            api.stage.shelve_for_person(&batch("acme", id, 1), Reason::AllRefused).await;
        }
        let mut browser = Browser::logged_in(&api, "admin", Role::Admin, None).await;
        let mut operator = Browser::logged_in(&api, "operator", Role::Operator, None).await;
        operator.get("/tenants/acme").is(200).says("Remove…</button>").says("needs the role admin");
        let at = "/tenants/acme/remove";
        browser.get("/tenants/acme").is(200).says(&format!("href=\"{at}\""));
        browser.get("/tenants/ash/remove").is(404);
        let page = browser.get(at).is(200).says("Remove acme and discard 2").says("<b>2</b> dead");
        let (state, expected) = (page.field("state"), page.field("expected"));
        let seen = [("state", state.as_str()), ("expected", &expected)];
        let form = |more: &[(&'static str, &'static str)]| [&seen[..], more].concat();
        let (purge, because) = (("purge", "yes"), ("because", "the contract has ended"));
        browser.post(at, &form(&[because])).is(422).says("id=\"purge-wrong\"").says("value=\"the contract has ended\"");
        browser.post(at, &form(&[purge])).is(422).says("id=\"because-wrong\"").says(" checked");
        // What came meanwhile was not seen, and is not discarded.
        api.stage.shelve_for_person(&batch("acme", "b-3", 1), Reason::AllRefused).await;
        browser.post(at, &form(&[purge, because])).is(409).says("Nothing was removed");
        let another = [("state", "x"), ("expected", "3"), purge, because];
        browser.post(at, &another).is(409).says("Nothing was removed");
        assert_eq!(api.stage.shelf().await.len(), 3);
        let sent = [("state", state.as_str()), ("expected", "3"), purge, because];
        let shown = browser.submit(at, &sent).is(200).says("acme is removed, and 3 entries are discarded.");
        assert!(!shown.text.contains("href=\"/tenants/acme\""), "{}", shown.text);
        assert!(api.stage.shelf().await.is_empty());
        assert!(api.stage.store.connection(&tenant_id("acme")).await.expect("a store").is_none());
        assert!(api.stage.store.connection(&tenant_id("birch")).await.expect("a store").is_some());
        browser.get("/audit?tenant=acme").is(200).says("the contract has ended");
        browser.get(at).is(404);
        browser.post(at, &sent).is(404);
        api.end().await.end_leaving(&[LeftOver::Events]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_says_what_holds_and_writes_only_if_a_folder_is_named() {
    for api in both(&["acme"]).await {
        let mut browser = Browser::logged_in(&api, "operator", Role::Operator, None).await;
        let mut viewer = Browser::logged_in(&api, "viewer", Role::Viewer, None).await;
        let at = "/tenants/acme/probe";
        viewer.get(at).is(200).says("was not probed yet").says("needs the role operator");
        viewer.post(at, &[]).is(403);
        let read = browser.submit(at, &[]).is(200).says("Probed: ").says("Lists of cases can be sorted by id");
        assert!(api.stage.account("acme").cases().is_empty(), "{}", read.text);
        for (folder, wrong) in
            [("", "Enter the id of a folder."), ("x", "is not a folder id"), ("999", "no folder 999")]
        {
            let page = browser.post(at, &[("write", "yes"), ("folder_id", folder)]).is(422);
            page.says("id=\"folder-wrong\"").says(wrong);
        }
        let written = browser.submit(at, &[("write", "yes"), ("folder_id", "1")]).is(200);
        written.says("user may create cases").says(">holds</span>");
        assert!(api.stage.account("acme").cases().is_empty(), "the case of the probe is deleted again");
        browser.get("/tenants/ash/probe").is(404);
        browser.post("/tenants/ash/probe", &[]).is(404);
        api.end().await.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_with_a_file_is_changed_and_removed_there_and_nowhere_else() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let (directory, origin) = (stage.path("files"), stage.testmo.origin("acme"));
    std::fs::create_dir(&directory).expect("a folder");
    std::fs::write(directory.join("acme.toml"), "").expect("a file");
    stage.config.tenants.directory = Some(directory.clone());
    let api = Api::of(stage).await;
    let token = api.token("program", Role::Admin, None).await;
    let body = json!({"base_url": origin, "project_id": 1, "folder_id": 1});
    for (method, body, remedy) in [("PUT", Some(&body), "Change the file"), ("DELETE", None, "Delete the file")] {
        let answer = api.ask(method, "/api/v1/tenants/acme", &token, "If-Match: *\r\n", body);
        let said = answer.refused(409, "conflict").to_string();
        assert!(said.contains("is kept in the file acme.toml; nothing was changed"), "{said}");
        assert!(said.contains(remedy) && !said.contains("/files/"), "{said}");
    }
    let mut browser = Browser::logged_in(&api, "admin", Role::Admin, None).await;
    let state = browser.get("/tenants/acme").is(200).field("state");
    let form = [("state", state.as_str()), ("base_url", &origin), ("project_id", "1"), ("folder_id", "1")];
    browser.post("/tenants/acme/connection", &form).is(409).says("is kept in the file acme.toml");
    browser.get("/tenants/acme/remove").is(409).says("Delete the file");
    api.ask("POST", "/api/v1/tenants/acme/verify", &token, "", None).is(200);
    std::fs::remove_file(directory.join("acme.toml")).expect("the file");
    api.ask("DELETE", "/api/v1/tenants/acme", &token, "If-Match: *\r\n", None).is(200);
    api.end().await.end().await;
}

//! Reads and discards entries of the shelf.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testmo_courier::app::actor::Role;
use testmo_courier::batch::Reason;

use super::support::{Api, both};
use crate::support::batches::batch;
use crate::support::stage::LeftOver;

/// Reads all pages of a list, and returns a member of each row.
fn pages(api: &Api, path: &str, token: &str, member: &str, mut between: impl FnMut()) -> Vec<Value> {
    let rows = api.pages(path, token, |_| between());
    rows.iter().map(|row| row[member].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_have_every_entry_once_also_while_entries_come_and_go() {
    for api in both(&["acme", "birch"]).await {
        for n in 0..7 {
            let tenant = if n % 2 == 0 { "acme" } else { "birch" };
            api.stage.shelve(&batch(tenant, &format!("b-{n}"), 1), Reason::RetriesExhausted).await;
        }
        let operator = api.token("operator", Role::Operator, None).await;
        let all = pages(&api, "/api/v1/shelf?limit=200", &operator, "id", || {});
        assert_eq!(all.len(), 7);
        assert_eq!(pages(&api, "/api/v1/shelf?limit=2", &operator, "id", || {}), all);
        let of_acme = pages(&api, "/api/v1/shelf?limit=1&tenant_id=acme", &operator, "tenant_id", || {});
        assert_eq!(of_acme, ["acme"; 4]);
        let mut going = all.clone();
        let found = pages(&api, "/api/v1/shelf?limit=2", &operator, "id", || {
            // The newest that is left is discarded after each page.
            let newest = going.remove(0);
            let body = json!({"ids": [newest], "reason": "a test"});
            api.post("/api/v1/shelf/discard", &operator, &body).is(200);
        });
        let found: BTreeSet<&str> = found.iter().filter_map(Value::as_str).collect();
        let left: BTreeSet<&str> = going.iter().filter_map(Value::as_str).collect();
        assert!(left.is_subset(&found), "what stays is found: {left:?} of {found:?}");
        api.end().await.end_leaving(&[LeftOver::ShelfRows, LeftOver::Events]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_one_tenant_sees_and_changes_its_own_entries_alone() {
    for api in both(&["acme", "birch"]).await {
        for tenant in ["acme", "birch"] {
            api.stage.shelve_for_person(&batch(tenant, "b-1", 1), Reason::RetriesExhausted).await;
        }
        let admin = api.token("admin", Role::Admin, None).await;
        let acme = api.token("acme", Role::Operator, Some("acme")).await;
        let id_of = |tenant: &str| {
            let listed = api.get(&format!("/api/v1/shelf?tenant_id={tenant}"), &admin).is(200);
            listed["items"][0]["id"].as_str().expect("an id").to_owned()
        };
        let (own, foreign) = (id_of("acme"), id_of("birch"));
        assert_eq!(api.get("/api/v1/shelf", &acme).is(200)["items"].as_array().map(Vec::len), Some(1));
        let groups = api.get("/api/v1/shelf/groups", &acme).is(200);
        assert_eq!(groups["items"][0]["tenants"], json!([{"tenant_id": "acme", "entries": 1}]), "{groups}");
        assert!(!groups.to_string().contains("birch"));
        let note = format!("/api/v1/shelf/groups/{}/note", groups["items"][0]["id"].as_str().expect("an id"));
        api.ask("PUT", &note, &admin, "", Some(&json!({"text": "birch has called"}))).is(200);
        for path in ["/api/v1/shelf/groups", "/api/v1/attention", &format!("/api/v1/shelf/{own}")] {
            assert!(api.get(path, &admin).is(200).to_string().contains("birch has called"), "{path}");
            assert!(!api.get(path, &acme).is(200).to_string().contains("birch"), "{path}");
        }
        for path in [
            "/api/v1/shelf?tenant_id=birch".to_owned(),
            "/api/v1/shelf/groups?tenant_id=birch".to_owned(),
            "/api/v1/batches?tenant_id=birch".to_owned(),
            "/api/v1/batches/birch/b-1".to_owned(),
            "/api/v1/batches/birch/b-1/events".to_owned(),
            format!("/api/v1/shelf/{foreign}"),
            format!("/api/v1/shelf/{foreign}/body"),
            "/api/v1/shelf/ffffffff".to_owned(),
        ] {
            api.get(&path, &acme).refused(404, "not_found");
        }
        for body in [
            json!({"ids": [foreign], "reason": "x"}),
            json!({"ids": [own, foreign], "reason": "x"}),
            json!({"ids": ["birch/b-1"], "reason": "x"}),
            json!({"selection": {"tenant_id": "birch"}, "reason": "x"}),
        ] {
            api.post("/api/v1/shelf/discard", &acme, &body).refused(404, "not_found");
        }
        api.post("/api/v1/lanes/pause", &acme, &json!({"lane": "birch"})).refused(404, "not_found");
        api.post("/api/v1/lanes/pause", &acme, &json!({"lane": api.stage.testmo.origin("acme")}))
            .refused(404, "not_found");
        assert_eq!(api.stage.shelf().await.len(), 2);
        let all = json!({"selection": {"all": true}, "reason": "x"});
        let done = api.post("/api/v1/shelf/discard", &acme, &all).is(200);
        assert_eq!((&done["planned"], &done["outcome"]["discarded"][0]["id"]), (&json!(1), &json!(own)), "{done}");
        api.get(&format!("/api/v1/shelf/{foreign}"), &admin).is(200);
        api.end().await.end_leaving(&[LeftOver::ShelfRows, LeftOver::Events]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_names_what_it_means_and_says_what_it_did() {
    for api in both(&["acme"]).await {
        for n in 0..3 {
            api.stage.shelve(&batch("acme", &format!("b-{n}"), 1), Reason::RetriesExhausted).await;
        }
        let operator = api.token("operator", Role::Operator, None).await;
        let discard = |body: Value| api.post("/api/v1/shelf/discard", &operator, &body);
        discard(json!({"reason": "x"})).refused(422, "invalid_body");
        discard(json!({"selection": {}, "reason": "x"})).refused(422, "invalid_body");
        discard(json!({"ids": ["acme/b-0"], "selection": {"all": true}, "reason": "x"})).refused(422, "invalid_body");
        discard(json!({"ids": ["acme/b-0"]})).refused(422, "invalid_body");
        discard(json!({"ids": ["acme/b-9"], "reason": "x"})).refused(404, "not_found");
        let seen = json!({"selection": {"tenant_id": "acme"}, "expected_entries": 2, "reason": "x"});
        discard(seen).refused(409, "changed_meanwhile");
        let plan = discard(json!({"selection": {"reason": "retries_exhausted"}, "dry_run": true})).is(200);
        assert_eq!((&plan["planned"], &plan["outcome"]), (&json!(3), &Value::Null));
        assert_eq!(api.stage.shelf().await.len(), 3);
        let done = discard(json!({"selection": {"tenant_id": "acme"}, "expected_entries": 3, "reason": "x"})).is(200);
        assert_eq!(done["outcome"]["discarded"].as_array().map(Vec::len), Some(3), "{done}");
        let kept = api.get("/api/v1/audit?action=shelf.discard&limit=2", &operator).is(200);
        let first = &kept["items"][0];
        assert_eq!(
            (&first["actor"], &first["face"], &first["because"]),
            (&json!("operator"), &json!("api"), &json!("x"))
        );
        let all = pages(&api, "/api/v1/audit?action=shelf.discard&limit=2", &operator, "batch_id", || {});
        assert_eq!(all.len(), 3);
        let birch = api.token("birch", Role::Viewer, Some("birch")).await;
        assert_eq!(api.get("/api/v1/audit", &birch).is(200)["items"], json!([]));
        api.get("/api/v1/audit?tenant_id=acme", &birch).refused(404, "not_found");
        let listed = api.get("/api/v1/batches?tenant_id=acme", &operator).is(200);
        assert_eq!(listed["items"].as_array().map(Vec::len), Some(3), "{listed}");
        let paged = pages(&api, "/api/v1/batches?limit=1", &operator, "batch_id", || {});
        assert_eq!(paged.len(), 3);
        let shown = api.get("/api/v1/batches/acme/b-1", &operator).is(200);
        assert_eq!(shown["state"], "discarded");
        let events = api.get("/api/v1/batches/acme/b-1/events", &operator).is(200);
        assert_eq!(events["items"][0]["content"]["data"]["outcome"], "discarded", "{events}");
        api.end().await.end_leaving(&[LeftOver::Events]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_are_paused_and_messages_checked() {
    for api in both(&["acme"]).await {
        let operator = api.token("operator", Role::Operator, None).await;
        let paused = api.post("/api/v1/lanes/pause", &operator, &json!({"lane": "acme"})).is(200);
        assert_eq!(paused["paused"], true);
        assert_eq!(api.get("/api/v1/lanes", &operator).is(200)["overrides"][0]["lane"], "acme");
        assert_eq!(api.get("/api/v1/attention", &operator).is(200)["paused"], json!(["acme"]));
        api.post("/api/v1/lanes/limit", &operator, &json!({"lane": "acme", "requests": 0}))
            .refused(422, "invalid_body");
        let resumed = api.post("/api/v1/lanes/resume", &operator, &json!({"lane": "acme", "now": true})).is(200);
        assert_eq!((&resumed["paused"], &resumed["waiting_batches"]), (&json!(false), &json!(0)));
        let message = batch("acme", "b-1", 2);
        let checked = api.post("/api/v1/lint?tenant_id=acme", &operator, &message).is(200);
        assert_eq!((&checked["deliverable_cases"], &checked["tenant"]["tenant_id"]), (&json!(2), &json!("acme")));
        assert!(
            !api.post("/api/v1/lint", &operator, &json!([])).is(200)["faults"].as_array().expect("faults").is_empty()
        );
        let shown = api.post("/api/v1/tenants/acme/preview?case=2", &operator, &message).is(200);
        assert_eq!(shown["cases"][0]["position"], 2, "{shown}");
        api.post("/api/v1/tenants/acme/preview?case=3", &operator, &message).refused(400, "invalid_parameter");
        api.post("/api/v1/tenants/acme/preview", &operator, &json!({})).refused(422, "refused");
        api.end().await.end().await;
    }
}

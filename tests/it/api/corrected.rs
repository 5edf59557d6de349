//! Edits entries of the shelf, and restores discarded ones.

use serde_json::{Value, json};
use testmo_courier::app::actor::Role;
use testmo_courier::batch::Reason;

use super::support::{Answer, Api, both, exchange};
use crate::support::batches::batch;
use crate::support::stage::LeftOver;

/// Shelves a batch of three cases, and returns the id of its entry.
async fn shelved(api: &Api, tenant: &str, id: &str) -> String {
    api.stage.shelve(&batch(tenant, id, 3), Reason::CaseRefused).await;
    let rows = api.stage.shelf().await;
    rows.iter().map(|row| row.id).max().expect("an entry").to_string()
}

fn put(api: &Api, token: &str, (id, query): (&str, &str), body: &Value) -> Answer {
    api.ask("PUT", &format!("/api/v1/shelf/{id}/message?{query}"), token, "", Some(body))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_edited_from_its_draft_and_the_answer_has_the_difference() {
    for api in both(&["acme", "birch"]).await {
        let (id, foreign) = (shelved(&api, "acme", "b-1").await, shelved(&api, "birch", "b-1").await);
        let viewer = api.token("viewer", Role::Viewer, None).await;
        let operator = api.token("operator", Role::Operator, Some("acme")).await;
        let draft = api.get(&format!("/api/v1/shelf/{id}/draft"), &viewer).is(200);
        assert_eq!((&draft["batch"], &draft["locked_cases"]), (&json!("acme/b-1"), &json!([])), "{draft}");
        let version = format!("version={}", draft["version"]);
        let mut message: Value = serde_json::from_str(draft["message"].as_str().expect("a text")).expect("JSON");
        assert_eq!(message, batch("acme", "b-1", 3));
        message["cases"][1]["name"] = json!("shorter");

        let dry = format!("{version}&dry_run=true");
        let checked = put(&api, &operator, (&id, &dry), &message).is(200);
        let change = json!([{"pointer": "/cases/1/name", "before": "b-1 case 2", "after": "shorter"}]);
        assert_eq!((&checked["stored"], &checked["changes"]), (&json!(false), &change), "{checked}");
        let same = put(&api, &operator, (&id, &version), &batch("acme", "b-1", 3)).is(200);
        assert_eq!((&same["stored"], &same["changes"]), (&json!(false), &json!([])));

        put(&api, &operator, (&id, ""), &message).refused(400, "invalid_parameter");
        put(&api, &operator, (&id, "version=99"), &message).refused(409, "changed_meanwhile");
        let mut faulty = message.clone();
        faulty["cases"][0]["name"] = json!("");
        let refused = put(&api, &operator, (&id, &version), &faulty).refused(422, "refused");
        assert_eq!(refused["pointer"], "/cases/0/name", "{refused}");
        assert!(refused["remedy"].is_string() && refused["faults"].as_array().is_some_and(|all| all.len() == 1));
        let mut other = message.clone();
        other["batch_id"] = json!("b-2");
        let refused = put(&api, &operator, (&id, &version), &other).refused(422, "refused");
        assert_eq!(refused["pointer"], "/batch_id", "{refused}");
        let head = format!("Host: localhost\r\nConnection: close\r\nAuthorization: Bearer {operator}\r\n");
        let path = format!("/api/v1/shelf/{id}/message?{version}");
        let raw =
            format!("PUT {path} HTTP/1.1\r\n{head}Content-Type: application/json\r\nContent-Length: 3\r\n\r\nno!");
        exchange(api.address, &raw).refused(422, "refused");

        let reasoned = format!("{version}&reason=too%20long");
        let stored = put(&api, &operator, (&id, &reasoned), &message).is(200);
        assert_eq!((&stored["stored"], &stored["changes"]), (&json!(true), &change));
        put(&api, &operator, (&id, &version), &message).refused(409, "changed_meanwhile");
        let shown = api.get(&format!("/api/v1/shelf/{id}"), &viewer).is(200);
        assert_eq!(shown["body"], message);
        let audit = api.get("/api/v1/audit?action=shelf.edit", &operator).is(200);
        assert_eq!(audit["items"][0]["because"], "too long", "{audit}");

        for id in [&foreign, "ffffffff"] {
            api.get(&format!("/api/v1/shelf/{id}/draft"), &operator).refused(404, "not_found");
            put(&api, &operator, (id, &version), &message).refused(404, "not_found");
            api.get(&format!("/api/v1/shelf/{id}/customer-text"), &operator).refused(404, "not_found");
        }
        let said = api.get(&format!("/api/v1/shelf/{id}/customer-text"), &operator).is(200);
        assert!(said["text"].as_str().is_some_and(|text| text.contains("3 test cases")), "{said}");
        api.end().await.end_leaving(&[LeftOver::ShelfRows]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_is_set_in_what_is_selected_and_nowhere_else() {
    for api in both(&["acme", "birch"]).await {
        let own = [shelved(&api, "acme", "b-1").await, shelved(&api, "acme", "b-2").await];
        let foreign = shelved(&api, "birch", "b-1").await;
        let operator = api.token("operator", Role::Operator, Some("acme")).await;
        let set = |body: Value| api.post("/api/v1/shelf/edit", &operator, &body);
        let plan = set(json!({"selection": {"all": true}, "set": ["priority=high"], "dry_run": true})).is(200);
        assert_eq!((&plan["planned"], &plan["changes"], &plan["outcome"]), (&json!(2), &json!(6), &Value::Null));
        assert_eq!(plan["samples"][0]["changes"][0]["pointer"], "/cases/0/priority", "{plan}");

        for (body, status, code) in [
            (json!({"set": ["priority=high"]}), 422, "invalid_body"),
            (json!({"selection": {}, "set": ["priority=high"]}), 422, "invalid_body"),
            (json!({"selection": {"all": true}, "set": []}), 422, "invalid_body"),
            (json!({"selection": {"all": true}, "set": ["priority"]}), 422, "invalid_body"),
            (
                json!({"selection": {"all": true}, "set": ["priority=high"], "expected_entries": 3}),
                409,
                "changed_meanwhile",
            ),
            (json!({"ids": [foreign], "set": ["priority=high"]}), 404, "not_found"),
            (json!({"ids": [own[0], foreign], "set": ["priority=high"]}), 404, "not_found"),
            (json!({"ids": ["birch/b-1"], "set": ["priority=high"]}), 404, "not_found"),
            (json!({"ids": ["ffffffff"], "set": ["priority=high"]}), 404, "not_found"),
            (json!({"selection": {"tenant_id": "birch"}, "set": ["priority=high"]}), 404, "not_found"),
        ] {
            set(body).refused(status, code);
        }
        let done = set(json!({"ids": [own[0]], "set": ["priority=high", "batch_id=x"]})).is(200);
        assert_eq!((&done["planned"], &done["refused"][0]["id"]), (&json!(0), &json!(own[0])), "{done}");
        let done = set(json!({"selection": {"tenant_id": "acme"}, "set": ["priority=high"], "expected_entries": 2}));
        let done = done.is(200);
        assert_eq!(done["outcome"]["edited"].as_array().map(Vec::len), Some(2), "{done}");
        let again = set(json!({"selection": {"all": true}, "set": ["priority=high"]})).is(200);
        assert_eq!((&again["planned"], again["unaffected"].as_array().map(Vec::len)), (&json!(0), Some(2)));
        let admin = api.token("admin", Role::Admin, None).await;
        let other = api.get(&format!("/api/v1/shelf/{foreign}"), &admin).is(200);
        assert_eq!(other["body"], batch("birch", "b-1", 3));
        api.end().await.end_leaving(&[LeftOver::ShelfRows]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_entry_is_listed_and_restored_once() {
    for api in both(&["acme", "birch"]).await {
        let own = [shelved(&api, "acme", "b-1").await, shelved(&api, "acme", "b-2").await];
        let foreign = shelved(&api, "birch", "b-1").await;
        let admin = api.token("admin", Role::Admin, None).await;
        let operator = api.token("operator", Role::Operator, Some("acme")).await;
        let restore = |token: &str, id: &str| {
            let body = json!({"reason": "still needed"});
            api.post(&format!("/api/v1/shelf/discarded/{id}/restore"), token, &body)
        };
        restore(&operator, &own[0]).refused(409, "conflict");
        restore(&operator, &foreign).refused(404, "not_found");
        let all = json!({"selection": {"all": true}, "reason": "by mistake"});
        api.post("/api/v1/shelf/discard", &admin, &all).is(200);
        let rows = api.pages("/api/v1/shelf/discarded?limit=1", &operator, |_| {});
        let mut found: Vec<Value> = rows.iter().map(|row| row["id"].clone()).collect();
        found.sort_by_key(Value::to_string);
        assert_eq!(found, own.each_ref().map(|id| json!(id)));
        let listed = api.get("/api/v1/shelf/discarded?tenant_id=birch", &admin).is(200);
        assert_eq!((&listed["items"][0]["because"], &listed["next"]), (&json!("by mistake"), &Value::Null));
        api.get("/api/v1/shelf/discarded?tenant_id=birch", &operator).refused(404, "not_found");
        for id in [&foreign, "ffffffff", "acme", "x"] {
            restore(&operator, id).refused(404, "not_found");
        }
        let restored = restore(&operator, &own[0]).is(200);
        assert_eq!((&restored["batch"], &restored["batch_reopened"]), (&json!("acme/b-1"), &json!(true)), "{restored}");
        restore(&operator, &own[0]).refused(409, "conflict");
        api.get(&format!("/api/v1/shelf/{}", own[0]), &operator).is(200);
        let audit = api.get("/api/v1/audit?action=shelf.restore", &operator).is(200);
        assert_eq!(audit["items"][0]["because"], "still needed");
        api.end().await.end_leaving(&[LeftOver::ShelfRows, LeftOver::Events]).await;
    }
}

//! Checks who may call, and which messages refuse everybody else.

use serde_json::json;

use super::desk;
use crate::request::{Method, Request};

#[test]
fn a_missing_wrong_or_revoked_key_is_401_without_errors() {
    let mut desk = desk();
    desk.account().revoke_key(3);
    for token in [None, Some("wrong"), Some("read")] {
        let mut request = Request::get("/user");
        request.token = token.map(str::to_owned);
        let refusal = desk.world.handle("acme", &request, desk.now);
        assert_eq!((refusal.status, refusal.value()), (401, json!({ "message": "Unauthenticated." })));
    }
}

#[test]
fn a_new_key_works_and_the_old_one_does_not() {
    let mut desk = desk();
    desk.account().renew_key(2, Some("fresh".to_owned()));
    assert_eq!(desk.get("/user").status, 401);
    desk.token = "fresh";
    assert_eq!(desk.get("/user").status, 200);
}

#[test]
fn the_user_is_a_bare_object_without_role() {
    let user = desk().get("/user").value();
    assert_eq!(
        user,
        json!({ "id": 2, "name": "write bot", "timezone": "Europe/Berlin", "date_format": "Y-m-d", "time_format": null })
    );
}

#[test]
fn an_unknown_route_is_404_in_the_recorded_words_even_without_a_key() {
    for path in ["projects/3/cases/3712", "cases/1", "projects/3/folders/10", "projects/3/priorities"] {
        let request = Request::get(&format!("/{path}"));
        let mut desk = desk();
        let refusal = desk.world.handle("acme", &request, desk.now);
        let words = format!("The route api/v1/{path} could not be found.");
        assert_eq!((refusal.status, refusal.value()), (404, json!({ "message": words })));
    }
}

#[test]
fn a_wrong_verb_is_405_and_lists_the_others() {
    let refusal = desk().send(Request::with_json(Method::Put, "/projects/3/cases", &json!({})));
    let words = "The PUT method is not supported for route api/v1/projects/3/cases. \
                 Supported methods: GET, HEAD, POST, PATCH, DELETE.";
    assert_eq!((refusal.status, refusal.value()["message"].as_str()), (405, Some(words)));
    assert_eq!(refusal.header("allow"), Some("GET, HEAD, POST, PATCH, DELETE"));
}

#[test]
fn a_user_who_only_reads_is_403_on_every_write() {
    let mut desk = desk();
    desk.token = "read";
    for method in [Method::Post, Method::Patch, Method::Delete] {
        for below in ["/projects/3/cases", "/projects/3/folders"] {
            assert_eq!(desk.send(Request::with_json(method, below, &json!({}))).status, 403);
        }
    }
    assert_eq!(desk.get("/projects/3/cases").status, 200);
}

#[test]
fn a_project_that_is_not_open_to_the_user_is_404() {
    for below in ["/projects/4", "/projects/4/cases", "/projects/4/folders", "/projects/99"] {
        let mut desk = desk();
        let refusal = desk.get(below);
        assert_eq!(refusal.status, 404, "{below}");
        assert!(refusal.value()["message"].is_string());
        desk.token = "admin";
        let expected = if below == "/projects/99" { 404 } else { 200 };
        assert_eq!(desk.get(below).status, expected, "{below}");
    }
}

#[test]
fn a_body_over_the_limit_is_413() {
    let mut desk = desk();
    desk.settings().body_limit_bytes = 100;
    let long = "x".repeat(100);
    assert_eq!(desk.create(json!([{ "name": long, "folder_id": 10 }])).status, 413);
    assert_eq!(desk.create(json!([{ "name": "x", "folder_id": 10 }])).status, 201);
}

#[test]
fn a_body_that_is_not_json_is_refused() {
    let mut desk = desk();
    let valid = br#"{"cases":[{"name":"x","folder_id":10}]}"#;
    for (content_type, body, status) in [
        (Some("application/json"), &b"{\"cases\": [{"[..], 400),
        (Some("text/plain"), &valid[..], 422),
        (None, &valid[..], 422),
        (Some("application/json; charset=utf-8"), &valid[..], 201),
        (Some("application/vnd.api+json"), &valid[..], 201),
    ] {
        let target = "/api/v1/projects/3/cases";
        let request = Request::read(Method::Post, target, None, content_type, body);
        assert_eq!(desk.send(request).status, status, "{content_type:?}");
    }
}

#[test]
fn every_answer_carries_the_accounts_own_date() {
    let mut desk = desk();
    desk.settings().clock_skew_ms = 60_000;
    let date = desk.get("/user").header("date").map(str::to_owned);
    assert_eq!(date.as_deref(), Some("Fri, 31 Jul 2026 09:33:21 GMT"));
}

//! Checks that everything can be ordered over HTTP, and that mistakes are reported.

use serde_json::{Value, json};
use testmo_sim::Server;

use crate::client::{CASES, KEY, acme, get, post, send};

#[tokio::test]
async fn an_account_is_made_replaced_and_removed() {
    let server = Server::start().await.unwrap();
    let spec = json!({
        "users": [{ "name": "Push Bot", "token": KEY }],
        "projects": [{ "name": "Shop", "folders": [{ "name": "Top", "folders": [{ "name": "Below" }] }] }],
        "priorities": [{ "id": 1, "value": "Critical" }],
        "settings": { "required_fields": ["custom_priority"] },
    });
    let made = send(&server, "PUT", "/_sim/accounts/acme", &spec).await;
    let view = made.json();
    assert_eq!(
        (made.status(), &view["users"][0]),
        (201, &json!({ "id": 1, "name": "Push Bot", "role": "write", "has_key": true }))
    );
    assert_eq!(view["projects"][0]["folders"][1]["path"], "Top/Below");
    assert!(!made.text().contains(KEY));
    assert_eq!(post(&server, &["no priority"]).await.status(), 422);
    assert_eq!(get(&server, "/_sim/accounts").await.json()["accounts"][0]["name"], "acme");
    send(&server, "PUT", "/_sim/accounts/acme", &json!({})).await;
    assert_eq!(get(&server, "/_sim/accounts/acme").await.json()["users"], json!([]));
    assert_eq!(send(&server, "DELETE", "/_sim/accounts/acme", &json!({})).await.status(), 204);
    assert_eq!(get(&server, "/_sim/accounts/acme").await.status(), 404);
    assert_eq!(get(&server, "/_sim/health").await.json(), json!({ "status": "ok" }));
}

#[tokio::test]
async fn mistakes_in_control_bodies_are_named() {
    let (server, _acme) = acme().await;
    let twice = json!([{ "id": 1, "name": "a" }, { "id": 1, "name": "b" }]);
    for (method, call, body, word) in [
        ("PUT", "", json!({ "userz": [] }), "userz"),
        ("PUT", "", json!({ "projects": twice }), "project id 1 is given twice"),
        ("PUT", "", json!({ "settings": { "latency": 5 } }), "latency"),
        ("PATCH", "/settings", json!({ "latency": 5 }), "latency"),
        ("PATCH", "/settings", json!({ "latency_ms": "5" }), "invalid type"),
        ("PUT", "/faults", json!([{ "fault": { "kind": "explode" } }]), "explode"),
        ("POST", "/faults", json!({ "fault": { "kind": "drop_last" }, "time": 1 }), "time"),
        ("PUT", "/rate_limit", json!({ "capacity": 1 }), "per_minute"),
        ("POST", "/users/1/role", json!({ "role": "king" }), "king"),
    ] {
        let refusal = send(&server, method, &format!("/_sim/accounts/acme{call}"), &body).await;
        let words = refusal.text();
        assert!(refusal.status() == 400 && words.contains(word), "{method} {call}: {words}");
    }
    for path in ["/_sim", "/_sim/nothing", "/_sim/accounts/acme/nothing", "/_sim/accounts/nobody/cases"] {
        assert_eq!(get(&server, path).await.status(), 404, "{path}");
    }
    assert_eq!(send(&server, "PUT", "/_sim/accounts/a%20b", &json!({})).await.status(), 400);
}

#[tokio::test]
async fn faults_and_limits_are_set_and_lifted() {
    let (server, _acme) = acme().await;
    let rule = json!({ "method": "POST", "path": "cases", "times": 1,
                       "fault": { "kind": "status", "status": 503, "retry_after": { "seconds": 2 } } });
    let order = async |method: &str, call: &str, body: &Value| {
        let answer = send(&server, method, &format!("/_sim/accounts/acme/{call}"), body).await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        answer.json()
    };
    order("PUT", "faults", &json!([rule])).await;
    let view = order("POST", "faults", &json!({ "fault": { "kind": "cut", "at": "after_commit" } })).await;
    assert_eq!(view["faults"].as_array().unwrap().len(), 2);
    let refusal = post(&server, &["a"]).await;
    assert_eq!((refusal.status(), refusal.header("retry-after")), (503, Some("2")));
    assert!(post(&server, &["a"]).await.is_nothing());
    order("DELETE", "faults", &json!({})).await;
    assert_eq!(post(&server, &["a"]).await.status(), 201);
    order("PUT", "rate_limit", &json!({ "capacity": 1, "per_minute": 1, "retry_after": "date" })).await;
    assert_eq!(post(&server, &["a"]).await.status(), 201);
    assert_eq!(post(&server, &["a"]).await.status(), 429);
    order("DELETE", "rate_limit", &json!({})).await;
    order("PATCH", "settings", &json!({ "templates_route": false })).await;
    assert_eq!(get(&server, "/acme/api/v1/projects/1/templates").await.status(), 404);
}

#[tokio::test]
async fn users_lose_and_get_keys_and_rights() {
    let (server, acme) = acme().await;
    let user = "/_sim/accounts/acme/users/1";
    send(&server, "POST", &format!("{user}/role"), &json!({ "role": "read" })).await;
    assert_eq!(post(&server, &["a"]).await.status(), 403);
    send(&server, "POST", &format!("{user}/role"), &json!({ "role": "write" })).await;
    let made_up = send(&server, "POST", &format!("{user}/token"), &json!({})).await.json();
    assert!(made_up["token"].is_string());
    assert_eq!(post(&server, &["a"]).await.status(), 401);
    send(&server, "POST", &format!("{user}/token"), &json!({ "token": KEY })).await;
    assert_eq!(post(&server, &["a"]).await.status(), 201);
    send(&server, "POST", &format!("{user}/revoke"), &json!({})).await;
    assert_eq!(post(&server, &["a"]).await.status(), 401);
    assert!(!acme.view().users[0].has_key);
    assert_eq!(send(&server, "POST", "/_sim/accounts/acme/users/9/revoke", &json!({})).await.status(), 404);
}

#[tokio::test]
async fn people_remove_folders_and_projects() {
    let (server, acme) = acme().await;
    post(&server, &["a"]).await;
    let shown = get(&server, "/_sim/accounts/acme/cases").await.json();
    let case = &shown["cases"][0];
    assert_eq!((&case["folder"], &case["name"]), (&json!("Generated"), &json!("a")));
    for (call, status) in [("folders/1", 204), ("folders/1", 404), ("projects/1", 204), ("projects/x", 404)] {
        let path = format!("/_sim/accounts/acme/{call}");
        assert_eq!(send(&server, "DELETE", &path, &json!({})).await.status(), status, "{call}");
    }
    assert!(acme.cases().is_empty());
    assert_eq!(get(&server, CASES).await.status(), 404);
}

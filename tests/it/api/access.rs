//! Checks who may use which route, on both stores.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testmo_courier::app::access::create_link;
use testmo_courier::app::actor::{Actor, Face, Role};
use testmo_courier::app::restore_entry;
use testmo_courier::batch::{Reason, hex};
use testmo_courier::http::api::{RouteSummary, route_summaries};
use testmo_courier::store::access::NewToken;
use testmo_courier::store::audit::{AuditAction, AuditEntry, AuditSubject};
use testmo_courier::store::shelf::ShelfFilter;

use super::support::{Api, ask, both, exchange};
use crate::support::batches::{batch, tenant_id};
use crate::support::stage::LeftOver;

/// Ids of entries of a tenant.
pub(crate) struct Entries {
    pub(crate) on_shelf: String,
    pub(crate) discarded: String,
}

impl Entries {
    /// Shelves two batches of a tenant, and discards one of them.
    pub(crate) async fn of(api: &Api, tenant: &str, admin: &str) -> Self {
        for id in ["b-1", "b-2"] {
            api.stage.shelve(&batch(tenant, id, 1), Reason::RetriesExhausted).await;
        }
        let body = json!({"ids": [format!("{tenant}/b-2")], "reason": "a test"});
        let discarded =
            api.post("/api/v1/shelf/discard", admin, &body).is(200)["outcome"]["discarded"][0]["id"].clone();
        let rows = api.stage.shelf().await;
        let row = rows.iter().find(|row| row.tenant() == Some(&tenant_id(tenant))).expect("an entry");
        Self { on_shelf: row.id.to_string(), discarded: discarded.as_str().expect("an id").to_owned() }
    }
}

/// Returns a path of a route that names things of a tenant.
fn path(route: &RouteSummary, tenant: &str, entries: &Entries, link: &str) -> String {
    let entry = if route.id == "restoreEntry" { &entries.discarded } else { &entries.on_shelf };
    let path = route.path.replace("{tenant}", tenant).replace("{batch}", "b-1").replace("{id}", entry);
    let path = path.replace("{group}", "c-00000000").replace("{replay}", "1");
    // Of nobody, so that no token is revoked.
    let path = path.replace("/t/{link}", &format!("/t/{link}")).replace("{link}", "none").replace("{name}", "none");
    match route.id {
        "findBatches" => format!("{path}?text=b-1"),
        "putShelfMessage" => format!("{path}?version=1"),
        _ => path,
    }
}

/// Sends a request over a route with a body that would change something.
fn send(api: &Api, route: &RouteSummary, path: &str, token: &str) -> (u16, Value) {
    let body = match route.id {
        _ if !route.has_body => None,
        "putTenant" => {
            Some(json!({"base_url": "https://x.testmo.net", "project_id": 9, "folder_id": 9, "api_key": "k"}))
        }
        "createToken" => Some(json!({"name": "made", "role": "admin"})),
        "pauseLane" | "resumeLane" => Some(json!({"lane": "acme"})),
        "limitLane" => Some(json!({"lane": "acme", "requests": 1})),
        "planReplay" | "discardEntries" => Some(json!({"selection": {"all": true}, "reason": "a test"})),
        "putGroupNote" => Some(json!({"text": "a note"})),
        "setShelfFields" => Some(json!({"selection": {"all": true}, "set": ["priority=high"]})),
        "decideCandidates" => Some(json!({"refuse": [1]})),
        "lintMessage" | "previewMessage" | "putShelfMessage" => Some(batch("acme", "b-1", 1)),
        _ => Some(json!({})),
    };
    let headers = if route.has_precondition { "If-Match: *\r\n" } else { "" };
    let answer = api.ask(route.method, path, token, headers, body.as_ref());
    (answer.status, answer.body)
}

/// Returns everything that the routes can change.
pub(crate) async fn state(api: &Api) -> String {
    let store = &api.stage.store;
    let connections = store.connections().await.expect("a store");
    let connections: Vec<_> =
        connections.iter().map(|row| (row.tenant.clone(), row.version.clone(), row.epoch)).collect();
    let shelf = store.shelf(&ShelfFilter::default(), 100).await.expect("a store");
    let shelf: Vec<_> = shelf.iter().map(|row| (row.id, row.generation)).collect();
    let tokens: Vec<_> = store.tokens_after("", 100).await.expect("a store");
    let tokens: Vec<_> = tokens.iter().map(|row| (row.name.clone(), row.revoked_at)).collect();
    let lanes = testmo_courier::app::lanes::overrides(store).await.expect("a store");
    let links = store.links_of(&tenant_id("acme"), 100).await.expect("a store").len();
    let replays = store.replays(None, None, 100).await.expect("a store");
    let discarded = restore_entry::list(store, &restore_entry::filter(None, None), 100).await.expect("a store").len();
    format!("{connections:?} {shelf:?} {discarded} {tokens:?} {lanes:?} {links} {replays:?}")
}

/// Creates a token that has expired, and returns its secret.
async fn expired(api: &Api) -> String {
    let secret = format!("tc_{}", "A".repeat(43));
    let anna = Actor::new("anna", Role::Admin, Face::CommandLine);
    let entry = AuditEntry::new(&anna, AuditAction::CreateToken, AuditSubject::named("token old"));
    let token = NewToken {
        name: "old".into(),
        hash: hex(&Sha256::digest(secret.as_bytes())),
        role: Role::Admin,
        tenant: None,
        created_by: "anna".into(),
        valid_for: Some(-1),
    };
    assert!(api.stage.store.create_token(&token, &entry).await.expect("a store").is_some());
    secret
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_open_to_its_role_and_above_and_to_nobody_else() {
    for api in both(&["acme", "birch"]).await {
        let anna = Actor::new("anna", Role::Admin, Face::CommandLine);
        let link = create_link(&api.stage.store, &anna, &tenant_id("acme"), 30).await.expect("a link").secret;
        let revoked = api.token("revoked", Role::Admin, None).await;
        let admin = api.token("admin", Role::Admin, None).await;
        let own = Entries::of(&api, "acme", &admin).await;
        let foreign = Entries::of(&api, "birch", &admin).await;
        api.ask("DELETE", "/api/v1/tokens/revoked", &admin, "", None).is(200);
        let forged = format!("tc_{}A", "Q".repeat(42));
        let expired = expired(&api).await;
        let viewer = api.token("viewer", Role::Viewer, None).await;
        let of_acme = api.token("of-acme", Role::Admin, Some("acme")).await;
        let operator = api.token("operator", Role::Operator, None).await;
        let before = state(&api).await;
        for route in route_summaries() {
            let path_of = |tenant: &str, entries: &Entries| path(&route, tenant, entries, &link);
            let Some(needed) = route.role else {
                assert_eq!(send(&api, &route, &path_of("acme", &own), "").0, 200, "{}", route.id);
                let other = path_of("acme", &own).replace(&link, &forged);
                assert_eq!(send(&api, &route, &other, "").0, 404, "{}", route.id);
                continue;
            };
            for token in ["", "x", &forged, &revoked, &expired] {
                let (status, body) = send(&api, &route, &path_of("acme", &own), token);
                assert_eq!((status, &body["code"]), (401, &json!("unauthenticated")), "{} {token}", route.id);
            }
            for (role, token) in [(Role::Viewer, &viewer), (Role::Operator, &operator)] {
                if role < needed {
                    let (status, body) = send(&api, &route, &path_of("acme", &own), token);
                    assert_eq!((status, &body["code"]), (403, &json!("role_too_low")), "{} {role:?}", route.id);
                } else if !route.changes {
                    let (status, body) = send(&api, &route, &path_of("acme", &own), token);
                    assert!(status < 300 || matches!(status, 404 | 409), "{} {role:?}: {status} {body}", route.id);
                }
            }
            if route.is_for_all {
                let (status, body) = send(&api, &route, &path_of("acme", &own), &of_acme);
                assert_eq!((status, &body["code"]), (403, &json!("not_for_tenant_tokens")), "{}", route.id);
            } else if route.path.contains("{tenant}") || route.path.contains("{id}") {
                let (status, body) = send(&api, &route, &path_of("birch", &foreign), &of_acme);
                assert_eq!((status, &body["code"]), (404, &json!("not_found")), "{}: {body}", route.id);
            }
        }
        assert_eq!(state(&api).await, before, "who may not change anything has changed nothing");
        api.end().await.end_leaving(&[LeftOver::ShelfRows, LeftOver::Events]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_another_tenant_is_refused_like_one_that_does_not_exist() {
    for api in both(&["acme", "birch"]).await {
        let admin = api.token("admin", Role::Admin, None).await;
        let foreign = Entries::of(&api, "birch", &admin).await;
        let of_acme = api.token("of-acme", Role::Admin, Some("acme")).await;
        for part in ["", "/body", "/draft", "/customer-text"] {
            let refused = |id: &str| {
                let path = format!("/api/v1/shelf/{id}{part}");
                api.get(&path, &of_acme).refused(404, "not_found").to_string().replace(id, "ID")
            };
            assert_eq!(refused(&foreign.on_shelf), refused("0fffffff"), "{part}");
        }
        api.end().await.end_leaving(&[LeftOver::ShelfRows, LeftOver::Events]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_may_use_every_route() {
    let [api, other] = both(&["acme"]).await;
    other.end().await.end().await;
    let admin = api.token("admin", Role::Admin, None).await;
    let entries = Entries::of(&api, "acme", &admin).await;
    // What removes comes last.
    let mut routes = route_summaries();
    routes.retain(|route| route.role.is_some());
    routes.sort_by_key(|route| (route.method == "DELETE", route.id == "discardEntries"));
    for route in routes {
        let (status, body) = send(&api, &route, &path(&route, "acme", &entries, ""), &admin);
        assert!(!matches!(status, 401 | 403 | 405 | 500 | 503), "{}: {status} {body}", route.id);
    }
    api.end().await.end_leaving(&[LeftOver::Events]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expired_or_was_revoked_opens_nothing_in_any_replica() {
    for mut api in both(&[]).await {
        let replica = api.another().await;
        let admin = api.token("admin", Role::Admin, None).await;
        let ci = api.token("ci", Role::Viewer, None).await;
        let old = expired(&api).await;
        let said = api.get("/api/v1/tenants", &old).refused(401, "unauthenticated");
        assert_eq!(said["detail"], "The token has expired.");
        for address in [api.address, replica] {
            ask(address, "GET", "/api/v1/tenants", &ci, "", None).is(200);
        }
        api.ask("DELETE", "/api/v1/tokens/ci", &admin, "", None).is(200);
        for address in [api.address, replica] {
            let said = ask(address, "GET", "/api/v1/tenants", &ci, "", None).refused(401, "unauthenticated");
            assert_eq!(said["detail"], "The token was revoked.");
        }
        api.ask("DELETE", "/api/v1/tokens/ci", &admin, "", None).refused(404, "not_found");
        let listed = api.get("/api/v1/tokens", &admin).is(200);
        let state =
            |name: &str| listed["items"].as_array().expect("a list").iter().find(|row| row["name"] == name).cloned();
        assert!(state("ci").expect("a row")["revoked_at"].is_string());
        assert!(state("admin").expect("a row")["last_used_at"].is_string());
        assert!(!listed.to_string().contains("hash") && !listed.to_string().contains("tc_"));
        api.end().await.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_of_this_api_is_refused_with_a_reason() {
    let api = Api::of(crate::support::stage::Stage::with_tenants(&["acme"]).await).await;
    let token = api.token("admin", Role::Admin, None).await;
    let raw = |request: &str| exchange(api.address, request);
    let head = format!("Connection: close\r\nAuthorization: Bearer {token}\r\n");
    raw(&format!("GET /api/v1/tenants HTTP/1.1\r\nHost: evil.example\r\n{head}\r\n")).refused(421, "misdirected");
    api.get("/api/v1/nothing", &token).refused(404, "not_found");
    let answer = api.ask("PATCH", "/api/v1/tenants/acme", &token, "", None);
    assert!(answer.header("allow").is_some_and(|allowed| allowed.contains("put")), "{}", answer.head);
    answer.refused(405, "method_not_allowed");
    let unknown = api.get("/api/v1/shelf?tenat_id=acme", &token).refused(400, "invalid_parameter");
    assert_eq!(unknown["parameter"], "tenat_id");
    assert!(unknown["remedy"].as_str().is_some_and(|remedy| remedy.contains("tenant_id")), "{unknown}");
    for query in ["limit=0", "limit=1&limit=2", "state=old", "after=x", "group=7", "since=never"] {
        api.get(&format!("/api/v1/shelf?{query}"), &token).refused(400, "invalid_parameter");
    }
    let put = |body: Value| api.ask("PUT", "/api/v1/tenants/acme", &token, "If-Match: *\r\n", Some(&body));
    let wrong = put(json!({"base_url": "x", "project_id": 1, "folder_id": 1, "api_kee": "k"}));
    let wrong = wrong.refused(422, "invalid_body");
    assert!(wrong["detail"].as_str().is_some_and(|detail| detail.contains("api_kee")), "{wrong}");
    assert_eq!(put(json!({"base_url": "x", "project_id": "1"})).refused(422, "invalid_body")["pointer"], "/project_id");
    let text = "Content-Type: text/plain\r\nContent-Length: 2\r\n";
    let answer = raw(&format!("POST /api/v1/lanes/pause HTTP/1.1\r\nHost: localhost\r\n{head}{text}\r\n{{}}"));
    answer.refused(415, "media_type");
    let broken = "Content-Type: application/json\r\nContent-Length: 2\r\n";
    let answer = raw(&format!("POST /api/v1/lanes/pause HTTP/1.1\r\nHost: localhost\r\n{head}{broken}\r\n{{]"));
    answer.refused(400, "not_json");
    let large = "Content-Type: application/json\r\nContent-Length: 9999999\r\n";
    let answer = raw(&format!("POST /api/v1/lanes/pause HTTP/1.1\r\nHost: localhost\r\n{head}{large}\r\n"));
    answer.refused(413, "body_too_large");
    let answer = api.get("/api/v1/tenants", &token);
    for header in ["cache-control: no-store", "x-content-type-options: nosniff", "default-src 'none'"] {
        assert!(answer.head.contains(header), "{}", answer.head);
    }
    api.end().await.end().await;
}

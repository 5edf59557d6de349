//! Enters the connection of a tenant as a settings page does.

use serde_json::{Value, json};
use testmo_courier::app::actor::Role;

use super::support::{Answer, Api, both};
use crate::support::batches::{in_days, key_of};

/// What a person enters on the page: the account of another tenant of the stage.
fn form(api: &Api) -> Value {
    json!({
        "base_url": api.stage.testmo.origin("birch"),
        "project_id": 1,
        "folder_id": 1,
        "api_key": format!(" Bearer {} ", key_of("birch")),
        "api_key_expires_on": in_days(10),
    })
}

fn put(api: &Api, token: &str, precondition: &str, body: &Value) -> Answer {
    api.ask("PUT", "/api/v1/tenants/acme", token, &format!("{precondition}\r\n"), Some(body))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_entered_changed_and_removed_by_what_the_page_has_read() {
    for api in both(&["birch"]).await {
        let birch = api.stage.testmo.origin("birch");
        let token = api.token("page", Role::Admin, Some("acme")).await;
        let status = api.get("/api/v1/tenants/acme/status", &token).is(200);
        assert_eq!((&status["light"], &status["waiting_batches"]), (&json!("grey"), &json!(0)));
        api.get("/api/v1/tenants/acme", &token).refused(404, "not_found");
        let body = form(&api);
        put(&api, &token, "X-None: 1", &body).refused(428, "precondition_needed");
        put(&api, &token, "If-Match: *", &body).refused(412, "precondition_failed");
        let dry =
            api.ask("PUT", "/api/v1/tenants/acme?dry_run=true", &token, "If-None-Match: *\r\n", Some(&body)).is(200);
        assert_eq!((&dry["saved"], &dry["in_force"]), (&json!(false), &json!(true)));
        api.get("/api/v1/tenants/acme", &token).refused(404, "not_found");
        let entered = put(&api, &token, "If-None-Match: *", &body);
        let tag = entered.header("etag").expect("a tag").to_owned();
        let entered = entered.is(201);
        assert_eq!((&entered["saved"], &entered["in_force"]), (&json!(true), &json!(true)), "{entered}");
        assert!(!entered.to_string().contains(&key_of("birch")), "the key is write-only");
        put(&api, &token, "If-None-Match: *", &body).refused(412, "precondition_failed");

        let shown = api.get("/api/v1/tenants/acme", &token);
        assert_eq!(shown.header("etag"), Some(tag.as_str()));
        assert!(!shown.is(200).to_string().contains(&key_of("birch")));
        let status = api.get("/api/v1/tenants/acme/status", &token).is(200);
        assert_eq!((&status["light"], &status["api_key_days_left"]), (&json!("amber"), &json!(10)), "{status}");
        assert!(
            status["sentence"].as_str().is_some_and(|sentence| sentence.contains("expires in 10 days")),
            "{status}"
        );

        // The key and its day are kept where they are left out; null forgets the day.
        let kept = json!({"base_url": birch, "project_id": 1, "folder_id": 1});
        let answer = put(&api, &token, &format!("If-Match: {tag}"), &kept);
        assert_eq!(answer.is(200)["connection"]["api_key_expires_on"], body["api_key_expires_on"]);
        let mut forgotten = kept.clone();
        forgotten["api_key_expires_on"] = Value::Null;
        let tag = api.get("/api/v1/tenants/acme", &token).header("etag").expect("a tag").to_owned();
        let answer = put(&api, &token, &format!("If-Match: {tag}"), &forgotten);
        assert_eq!(answer.is(200)["connection"]["api_key_expires_on"], Value::Null);
        put(&api, &token, &format!("If-Match: {tag}"), &kept).refused(412, "precondition_failed");

        let mut elsewhere = kept.clone();
        elsewhere["base_url"] = json!("https://evil.example");
        let refused = put(&api, &token, "If-Match: *", &elsewhere).refused(422, "refused");
        assert_eq!(refused["pointer"], "/base_url");
        let mut late = kept.clone();
        late["api_key_expires_on"] = json!("31.12.2031");
        let refused = put(&api, &token, "If-Match: *", &late).refused(422, "invalid_body");
        assert_eq!(refused["pointer"], "/api_key_expires_on");

        // What does not work is saved beside what works.
        let mut missing = kept.clone();
        missing["folder_id"] = json!(999);
        let beside = put(&api, &token, "If-Match: *", &missing).is(200);
        assert_eq!((&beside["saved"], &beside["in_force"]), (&json!(true), &json!(false)), "{beside}");
        api.post("/api/v1/tenants/acme/verify", &token, &json!({})).refused(400, "invalid_parameter");
        let verified = api.ask("POST", "/api/v1/tenants/acme/verify", &token, "", None).is(200);
        assert_eq!(verified["change_in_force"], json!(false), "{verified}");

        let none = api.ask("DELETE", "/api/v1/tenants/acme", &token, "If-Match: \"x\"\r\n", None);
        none.refused(412, "precondition_failed");
        api.ask("DELETE", "/api/v1/tenants/acme", &token, "If-Match: *\r\n", None).is(200);
        assert_eq!(api.get("/api/v1/tenants/acme/status", &token).is(200)["light"], "grey");
        api.end().await.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_tenants_have_pages_and_a_token_for_one_tenant_sees_it_alone() {
    let tenants = ["ash", "birch", "cedar"];
    for api in both(&tenants).await {
        let token = api.token("viewer", Role::Viewer, None).await;
        let rows = api.pages("/api/v1/tenants?limit=2", &token, |_| {});
        assert_eq!(rows.iter().map(|row| &row["tenant_id"]).collect::<Vec<_>>(), tenants);
        let own = api.token("own", Role::Viewer, Some("birch")).await;
        for path in ["/api/v1/tenants", "/api/v1/tenants?after=ash", "/api/v1/tenants?after=cedar"] {
            let listed = api.get(path, &own).is(200);
            let listed: Vec<_> =
                listed["items"].as_array().expect("a list").iter().map(|row| &row["tenant_id"]).collect();
            assert_eq!(listed, ["birch"], "{path}");
        }
        let attention = api.get("/api/v1/attention", &own).is(200);
        assert_eq!(attention["connections"], json!([]));
        api.end().await.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_shows_the_light_of_its_tenant_until_it_is_revoked() {
    for api in both(&["acme", "birch"]).await {
        let token = api.token("suite", Role::Admin, None).await;
        let made = api.post("/api/v1/tenants/acme/links", &token, &json!({"minutes": 5})).is(201);
        let path = made["status_path"].as_str().expect("a path").to_owned();
        let status = api.get(&path, "").is(200);
        assert_eq!(status["tenant_id"], "acme");
        assert_eq!(api.get(&path, "").is(200)["light"], status["light"], "more than once");
        let listed = api.get("/api/v1/tenants/acme/links", &token).is(200);
        assert!(!listed.to_string().contains("tl_"));
        assert_eq!(api.get("/api/v1/tenants/birch/links", &token).is(200)["items"], json!([]));
        let id = made["id"].as_str().expect("an id");
        api.ask("DELETE", &format!("/api/v1/tenants/birch/links/{id}"), &token, "", None).refused(404, "not_found");
        api.ask("DELETE", &format!("/api/v1/tenants/acme/links/{id}"), &token, "", None).is(200);
        api.get(&path, "").refused(404, "not_found");
        api.post("/api/v1/tenants/acme/links", &token, &json!({"minutes": 31})).refused(422, "invalid_body");
        api.end().await.end().await;
    }
}

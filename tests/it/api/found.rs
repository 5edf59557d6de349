//! Finds batches, and shows what needs attention.

use serde_json::{Value, json};
use testmo_courier::app::actor::Role;
use testmo_courier::batch::Reason;
use testmo_courier::store::search::SearchStore;

use super::support::{Api, both};
use crate::support::batches::batch;
use crate::support::stage::LeftOver;

fn ids(found: &Value, member: &str) -> Vec<String> {
    let rows = found["items"].as_array().expect("a list").iter();
    rows.map(|row| row[member].as_str().expect("a text").to_owned()).collect()
}

/// Shelves batches of two tenants, and makes them searchable as a worker does.
async fn with_shelf(api: &Api) {
    for n in 0..3 {
        api.stage.shelve(&batch("acme", &format!("b-{n}"), 2), Reason::RetriesExhausted).await;
    }
    api.stage.shelve(&batch("birch", "b-0", 1), Reason::KeyRefused).await;
    while api.stage.store.fill_search("a test", 100).await.expect("a store").is_more {}
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_customer_names_is_found_page_by_page_and_of_the_own_tenant_alone() {
    for api in both(&["acme", "birch"]).await {
        with_shelf(&api).await;
        let viewer = api.token("viewer", Role::Viewer, None).await;
        let own = api.token("own", Role::Viewer, Some("acme")).await;
        let rows = api.pages("/api/v1/find?text=case%201&limit=2", &viewer, |page| {
            assert_eq!((&page["searched"]["text"], &page["searched"]["parts"]), (&json!("case 1"), &json!("any_part")));
            assert!(page["items"].as_array().is_some_and(|rows| rows.len() <= 2), "{page}");
        });
        let id = |row: &Value, member: &str| row[member].as_str().expect("a text").to_owned();
        let mut found: Vec<_> = rows.iter().map(|row| (id(row, "tenant_id"), id(row, "batch_id"))).collect();
        found.sort();
        let expected = [("acme", "b-0"), ("acme", "b-1"), ("acme", "b-2"), ("birch", "b-0")];
        assert_eq!(found, expected.map(|(tenant, batch)| (tenant.to_owned(), batch.to_owned())));

        let case = &api.get("/api/v1/find?text=b-1%20case%202&tenant_id=acme", &viewer).is(200)["items"][0]["cases"][0];
        assert_eq!((&case["position"], &case["external_id"]), (&json!(2), &json!("TC-2")), "{case}");
        let short = api.get("/api/v1/find?text=b", &viewer).is(200);
        assert_eq!((&short["searched"]["parts"], &short["items"]), (&json!("whole_values"), &json!([])));

        assert_eq!(ids(&api.get("/api/v1/find?text=b-0", &own).is(200), "tenant_id"), ["acme"]);
        assert_eq!(api.get("/api/v1/find?text=birch/b-0", &own).is(200)["items"], json!([]));
        api.get("/api/v1/find?text=b-0&tenant_id=birch", &own).refused(404, "not_found");
        let said = api.get("/api/v1/find", &viewer).refused(400, "invalid_parameter");
        assert_eq!(said["parameter"], "text", "{said}");
        for query in ["text=", "text=%2E%2E", "text=%ff", "text=b-0&after=x", "text=b-0&tenant_id=a%20b"] {
            api.get(&format!("/api/v1/find?{query}"), &viewer).refused(400, "invalid_parameter");
        }
        api.end().await.end_leaving(&[LeftOver::ShelfRows]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_attention_says_who_acts_and_a_tenants_token_sees_its_own() {
    for api in both(&["acme", "birch"]).await {
        with_shelf(&api).await;
        let operator = api.token("operator", Role::Operator, None).await;
        let own = api.token("own", Role::Viewer, Some("birch")).await;
        let attention = api.get("/api/v1/attention", &operator).is(200);
        // What is retried automatically needs nobody.
        let [cause] = &attention["groups"].as_array().expect("causes")[..] else { panic!("{attention}") };
        assert_eq!((&cause["reason"], &cause["who_acts"]), (&json!("key_refused"), &json!("tenant")), "{cause}");
        assert_eq!((&cause["affected_tenants"], &cause["entries"]), (&json!(1), &json!(1)), "{cause}");
        assert!(cause["sentence"].as_str().is_some_and(|sentence| sentence.starts_with("Testmo refused the API key")));
        assert_eq!(cause["next_command"], "testmo-courier tenants set birch --new-api-key");
        let connections = attention["connections"].as_array().expect("tenants").iter();
        let lights: Vec<_> = connections.map(|row| &row["light"]).collect();
        assert_eq!(lights, ["amber", "amber"], "what waits since 1970 waits long: {attention}");
        assert_eq!(attention["delivered_lately"]["batches"], 0);
        assert_eq!(attention["delivered_lately"]["is_complete"], true);

        let group = cause["id"].as_str().expect("an id");
        let note = json!({"text": "of acme, too"});
        api.ask("PUT", &format!("/api/v1/shelf/groups/{group}/note"), &operator, "", Some(&note)).is(200);
        let seen = api.get("/api/v1/attention", &operator).is(200);
        assert_eq!(seen["groups"][0]["note"]["text"], "of acme, too");
        let seen = api.get("/api/v1/attention", &own).is(200);
        assert_eq!((&seen["groups"][0]["note"], &seen["groups"][0]["entries"]), (&Value::Null, &json!(1)));
        assert!(!seen.to_string().contains("acme"), "{seen}");
        let other = api.get("/api/v1/attention?tenant_id=acme", &operator).is(200);
        assert_eq!(other["groups"], json!([]));
        api.get("/api/v1/attention?tenant_id=acme", &own).refused(404, "not_found");
        api.end().await.end_leaving(&[LeftOver::ShelfRows]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_listed_by_state_and_time() {
    for api in both(&["acme"]).await {
        api.stage.shelve(&batch("acme", "b-0", 1), Reason::RetriesExhausted).await;
        let operator = api.token("operator", Role::Operator, None).await;
        api.post("/api/v1/shelf/discard", &operator, &json!({"ids": ["acme/b-0"], "reason": "x"})).is(200);
        let count = |query: &str| {
            let listed = api.get(&format!("/api/v1/batches?{query}"), &operator).is(200);
            listed["items"].as_array().expect("a list").len()
        };
        assert_eq!(
            (count("state=discarded"), count("state=delivered"), count("since=1h"), count("until=1h")),
            (1, 0, 1, 0)
        );
        api.get("/api/v1/batches?state=old", &operator).refused(400, "invalid_parameter");
        api.get("/api/v1/batches?since=never", &operator).refused(400, "invalid_parameter");
        api.end().await.end_leaving(&[LeftOver::Events]).await;
    }
}

//! Connects a tenant by the form, and by a tenant's own link.

use testmo_courier::app::actor::Role;

use super::browser::{Browser, Page};
use crate::api::support::{Api, both};
use crate::support::batches::{in_days, key_of};
use crate::support::broker::Broker;
use crate::support::stage::Stage;

/// Enters a connection by the form that a page has.
fn entered(browser: &mut Browser, page: &Page, to: &str, base_url: &str, key: &str, folder: &str) -> Page {
    let (state, day) = (page.field("state"), in_days(10));
    let form = [
        ("state", state.as_str()),
        ("api_key", key),
        ("expires_on", &day),
        ("base_url", base_url),
        ("project_id", "1"),
        ("folder_id", folder),
        ("then", "save"),
    ];
    browser.post(to, &form)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_connected_by_the_form_with_the_cause_beside_the_field_at_fault() {
    for api in both(&["birch"]).await {
        let mut browser = Browser::logged_in(&api, "admin", Role::Admin, None).await;
        let origin = api.stage.testmo.origin("birch");
        assert_eq!(browser.get("/tenants?open=acme").is(303).to(), "/tenants/acme");
        let page = browser.get("/tenants/acme").is(200).says("Connect acme").says("class=\"light grey\"");
        let labels: Vec<&str> = ["API key", "Expiration Date", "Base URL", "Project ID*", "Folder ID*"].into();
        let places: Vec<usize> =
            labels.iter().filter_map(|label| page.text.find(&format!(">{label}</label>"))).collect();
        assert!(places.len() == 5 && places.is_sorted(), "the words and the order of SQAI Suite's page");
        let to = "/tenants/acme/connection";
        let wrong = entered(&mut browser, &page, to, "https://evil.example", "k", "1").is(422);
        wrong.says("id=\"base_url-wrong\"").says("testmo.net");
        let wrong = entered(&mut browser, &page, to, &origin, "wrong", "1").is(200);
        let wrong = wrong.says("id=\"api_key-wrong\"").says("401 Unauthorized").says("class=\"light red\"");
        assert!(!wrong.text.contains("wrong\" type"), "the key is never shown again");
        let page = browser.get("/tenants/acme").is(200);
        entered(&mut browser, &wrong, to, &origin, &key_of("birch"), "999").is(200).says("id=\"folder_id-wrong\"");
        // An outdated form changes nothing.
        entered(&mut browser, &page, to, &origin, &key_of("birch"), "1").is(409).says("Nothing was saved");
        let page = browser.get("/tenants/acme").is(200);
        let state = page.field("state");
        let choose = [
            ("state", state.as_str()),
            ("base_url", &origin),
            ("project_id", "1"),
            ("then", "choose"),
            ("api_key", &key_of("birch")),
        ];
        let offered = browser.post(to, &choose).is(200);
        offered.says("<option value=\"1\">").says("What this key may see");
        let saved = entered(&mut browser, &page, to, &origin, &key_of("birch"), "1").is(303);
        let shown = browser.get(&saved.to()).is(200).says("Saved and connected as").says("class=\"light amber\"");
        let shown = shown.says("expires in 10 days").says("connection.set");
        assert!(!shown.text.contains(&key_of("birch")));
        browser.submit("/tenants/acme/verify", &[]).is(200).says("The connection works");
        api.end().await.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_sees_and_corrects_its_own_connection_by_a_link() {
    let settings = [("COURIER_ADMIN__FRAME_ANCESTORS", "https://suite.example.com")];
    let api = Api::of(Stage::on(Broker::shared(), &["acme", "birch"], &settings).await).await;
    let mut admin = Browser::logged_in(&api, "admin", Role::Admin, None).await;
    let made = admin.post("/tenants/acme/links", &[("minutes", "5")]).is(200).says("shown this once");
    let link = made.text.split("href=\"/t/").nth(1).and_then(|rest| rest.split('"').next()).expect("a link");
    let link = format!("/t/{link}");
    // In a frame of another site there are no cookies.
    let mut tenant = Browser::of(api.address);
    let page = tenant.get(&link).is(200).says("Testmo for acme").says("class=\"light green\"");
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.ends_with("frame-ancestors https://suite.example.com"), "{policy}");
    assert_eq!((page.header("referrer-policy"), page.header("cache-control")), (Some("same-origin"), Some("no-store")));
    assert!(!page.text.contains("birch") && !page.text.contains("href=\"/failures"), "{}", page.text);
    assert!(tenant.cookies.is_empty());
    let origin = api.stage.testmo.origin("acme");
    let to = format!("{link}/connection");
    let wrong = entered(&mut tenant, &page, &to, &origin, "wrong", "1").is(200).says("id=\"api_key-wrong\"");
    entered(&mut tenant, &wrong, &to, &origin, &key_of("acme"), "1").is(200).says("Saved and connected as");
    tenant.post(&format!("{link}/verify"), &[]).is(200).says("The connection works");
    assert!(tenant.cookies.is_empty());
    tenant.get("/tenants/acme").is(303);
    let audit = admin.get("/audit?tenant=acme").is(200);
    audit.says("link for acme");
    let listed = admin.get("/tenants/acme").is(200);
    let id = listed.text.split("/tenants/acme/links/").nth(1).and_then(|rest| rest.split('/').next()).expect("an id");
    admin.submit(&format!("/tenants/acme/links/{id}/revoke"), &[]).is(200).says("The link is revoked");
    tenant.get(&link).is(404);
    tenant.post(&format!("{link}/verify"), &[]).is(404);
    api.end().await.end().await;
}

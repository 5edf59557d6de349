//! Shows a tenant's own page within a page of another site, in a browser that keeps no cookie there.

use serde_json::json;
use testmo_courier::app::access::create_link;
use testmo_courier::app::actor::{Actor, Face, Role};

use super::site::Site;
use crate::ground::Ground;
use crate::person::{Hands, Person};
use crate::support::batches::{key_of, tenant_id};
use crate::support::broker::Broker;
use crate::support::stage::Stage;
use crate::support::tls_front::TlsFront;
use crate::support::wire::Authority;

/// Turns to the frame of the page that is open, which a form may have exchanged.
async fn enter(person: &Person) {
    person.browser.client.enter_parent_frame().await.expect("the page around it");
    person.browser.client.enter_frame(0).await.expect("a frame");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_corrects_its_connection_in_a_frame_of_another_site_without_cookies() {
    let site = Site::start().await;
    let front = TlsFront::start(site.address, Authority::new().server("suite.example.com")).await;
    let suite = format!("https://suite.example.com:{}", front.address.port());
    let settings = [("COURIER_ADMIN__FRAME_ANCESTORS", suite.as_str())];
    let ground = Ground::of(Stage::on(Broker::shared(), &["acme"], &settings).await).await;
    let anna = Actor::new("anna", Role::Admin, Face::CommandLine);
    let link = create_link(&ground.api.stage.store, &anna, &tenant_id("acme"), 30).await.expect("a link").secret;
    site.show(&format!("<iframe width=900 height=700 src=\"{}/t/{link}\"></iframe>", ground.origin()));
    let person = Person::new(&ground.origin(), Hands::Mouse).await;
    person.browser.open(&suite).await;
    enter(&person).await;
    person.sees("Testmo for acme").await;
    assert_eq!(person.browser.value("document.cookie").await, "");
    person.fill("API key", "testmo_api_wrong").await;
    person.press("Save Configuration").await;
    enter(&person).await;
    person.sees("401 Unauthorized").await;
    person.fill("API key", &key_of("acme")).await;
    person.press("Save Configuration").await;
    enter(&person).await;
    person.sees("Saved and connected as").await;
    let cookies = person.browser.command("Network.getAllCookies", &json!({})).await;
    assert_eq!(cookies["cookies"], json!([]));
    // Not within a page that is not listed, nor where a listed page is within such a one.
    person.browser.client.enter_parent_frame().await.expect("the page around it");
    person.browser.open(&format!("http://evil.example:{}", site.address.port())).await;
    enter(&person).await;
    assert!(!person.words().await.contains("Testmo for acme"));
    person.browser.end().await;
    ground.end_leaving(&[]).await;
}

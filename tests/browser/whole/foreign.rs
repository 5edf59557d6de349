//! Attacks people through pages of other sites, in a browser in which they are logged in.

use testmo_courier::store::AccountStore;

use super::site::Site;
use crate::flows::log_in;
use crate::ground::Ground;
use crate::person::{Hands, Person};
use crate::support::stage::Stage;

/// Returns the origins under which a browser knows a site: one is of another site than the console's, one only of another port,
/// for which a browser sends the console's cookies.
fn origins(site: &Site) -> [String; 2] {
    let port = site.address.port();
    [format!("http://evil.example:{port}"), format!("http://127.0.0.1:{port}")]
}

async fn logged_in() -> (Ground, Person, Site) {
    let ground = Ground::of(Stage::with_tenants(&["acme"]).await).await;
    let person = Person::new(&ground.origin(), Hands::Mouse).await;
    log_in(&person, &ground.token).await;
    (ground, person, Site::start().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_form_and_no_script_of_another_site_changes_anything() {
    let (ground, person, site) = logged_in().await;
    let target = format!("{}/lanes/pause", ground.origin());
    let form = format!(
        "<form method=post action=\"{target}\"><input name=lane value=acme><button>Win a prize</button></form>"
    );
    let fetched = format!(
        "<script>fetch('{target}', {{method: 'POST', mode: 'no-cors', credentials: 'include', \
         headers: {{'Content-Type': 'application/x-www-form-urlencoded'}}, body: 'lane=acme'}}) \
         .finally(() => {{ document.body.append('Fetched.'); }});</script>"
    );
    for origin in origins(&site) {
        site.show(&form);
        person.browser.open(&origin).await;
        person.press("Win a prize").await;
        person.sees("The request was not sent by a page of this console.").await;
        site.show(&fetched);
        person.browser.open(&origin).await;
        person.sees("Fetched.").await;
        let read = format!("fetch('{}/audit').then(() => 'read', () => 'refused')", ground.origin());
        assert_eq!(person.browser.value(&read).await, "refused", "{origin} cannot read the console");
    }
    assert!(ground.api.stage.store.lane_overrides().await.expect("a store").is_empty());
    person.open("/lanes").await;
    person.sees("No lane is paused or limited.").await;
    person.browser.end().await;
    ground.end_leaving(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_of_the_console_is_shown_in_a_frame_of_another_site() {
    let (ground, person, site) = logged_in().await;
    for path in ["/", "/lanes", "/log-in", "/tenants/acme"] {
        site.show(&format!("<iframe width=900 height=600 src=\"{}{path}\"></iframe>", ground.origin()));
        for origin in origins(&site) {
            person.browser.open(&origin).await;
            person.browser.client.enter_frame(0).await.expect("a frame");
            let words = person.words().await;
            assert!(!words.contains("testmo-courier") && !words.contains("Log in"), "{path} in {origin}: {words}");
            person.browser.client.enter_parent_frame().await.expect("the page around it");
        }
    }
    person.browser.end().await;
    ground.end_leaving(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_to_the_console_by_chance_opens_nothing() {
    let (ground, person, _site) = logged_in().await;
    let port = ground.address().port();
    for path in ["/", "/log-in", "/assets/console.css"] {
        person.browser.open(&format!("http://evil.example:{port}{path}")).await;
        let status = person.browser.value("performance.getEntriesByType('navigation')[0].responseStatus").await;
        assert_eq!(status, 421, "{path}: {}", person.words().await);
    }
    person.browser.end().await;
    ground.end_leaving(&[]).await;
}

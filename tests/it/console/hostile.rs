//! Shows texts that others wrote on every page: none of them becomes markup.

use serde_json::json;
use testmo_courier::app::actor::Role;
use testmo_courier::batch::Reason;

use super::browser::Browser;
use crate::api::support::both;
use crate::support::batches::batch;
use crate::support::stage::LeftOver;

const EVIL: &str = "\"'><img src=x onerror=alert(1)></textarea><script>alert(2)</script>\u{202e}\u{1b}[2J";

#[tokio::test(flavor = "multi_thread")]
async fn no_text_of_a_batch_a_person_or_testmo_becomes_markup() {
    for api in both(&["acme"]).await {
        let mut message = batch("acme", "b-1", 1);
        message["source"] = json!({"key": EVIL, "title": EVIL, "link": "javascript:alert(1)", "generator": EVIL});
        let case = &mut message["cases"][0];
        case["name"] = json!(EVIL);
        case["tags"] = json!([EVIL]);
        case["steps"] = json!([{"action": EVIL, "expected": EVIL}]);
        case["fields"] = json!({EVIL: EVIL});
        api.stage.shelve_for_person(&message, Reason::AllRefused).await;
        let mut browser = Browser::logged_in(&api, "admin", Role::Admin, None).await;
        let entries = browser.get("/failures/entries").is(200);
        let entry =
            entries.text.split("\"/entries/").nth(1).and_then(|rest| rest.get(..8)).expect("an entry").to_owned();
        let start = browser.get("/").is(200);
        let cause =
            start.text.split("\"/failures/c-").nth(1).and_then(|rest| rest.get(..8)).expect("a cause").to_owned();
        browser.post(&format!("/failures/c-{cause}/note"), &[("text", EVIL)]).is(303);
        browser.post("/lanes/pause", &[("lane", "acme"), ("because", EVIL)]).is(303);
        browser.post("/replays", &[("id", &entry), ("unchanged", "yes"), ("name", EVIL), ("because", EVIL)]).is(303);
        let evil = "%22%3E%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E%3Cscript%3Ealert(2)%3C%2Fscript%3E";
        let mut pages = vec![
            "/".to_owned(),
            "/failures".into(),
            "/failures/entries".into(),
            format!("/failures/c-{cause}"),
            format!("/entries/{entry}"),
            format!("/entries/{entry}/edit"),
            format!("/failures/discard?id={entry}"),
            format!("/failures/set?id={entry}&set=priority%3D{evil}"),
            format!("/failures/set?id={entry}&set={evil}"),
            "/replays".into(),
            "/replays/1".into(),
            "/tenants".into(),
            "/tenants/acme".into(),
            "/tenants/acme/mapping".into(),
            "/lanes".into(),
            "/audit".into(),
            "/tokens".into(),
            format!("/search?text={evil}"),
            "/search?text=alert".into(),
        ];
        for field in ["tenant", "reason", "state", "group", "since", "until", "message_id", "after", evil] {
            pages.push(format!("/failures/entries?{field}={evil}"));
        }
        for at in
            ["/audit?actor=", "/batches?tenant=", "/discarded?tenant=", "/tenants?after=", "/log-in?next=", "/nothing/"]
        {
            pages.push(format!("{at}{evil}"));
        }
        pages.push(format!("/tenants/{evil}"));
        pages.push(format!("/batches/acme/{evil}"));
        for at in pages {
            let page = browser.get(&at);
            assert!(page.status < 500, "{at}: {}", page.status);
            for markup in ["<img src=x", "<script>", "onerror=alert(1)>", "\u{202e}", "\u{1b}", "href=\"javascript:"] {
                assert!(!page.text.contains(markup), "{at} has {markup:?}: {}", page.text);
            }
        }
        browser.get(&format!("/entries/{entry}")).is(200).says("\\u{202e}").says("&#60;script&#62;alert(2)");
        let answer = browser.get(&format!("/entries/{entry}/body")).is(200);
        assert_eq!(answer.header("content-disposition"), Some("attachment"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        api.end().await.end_leaving(&[LeftOver::ShelfRows]).await;
    }
}

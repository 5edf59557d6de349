//! Checks who may open which page, and from where.

use testmo_courier::app::access::{create_link, log_in};
use testmo_courier::app::actor::{Actor, Face, Role};
use testmo_courier::clock::Clock;
use testmo_courier::http::console::{PageSummary, page_summaries};
use testmo_courier::store::{Store, StoreHealth};

use super::browser::Browser;
use crate::api::access::{Entries, state};
use crate::api::support::{Api, both};
use crate::support::batches::tenant_id;
use crate::support::stage::LeftOver;

/// 13 hours in milliseconds: longer than a session lasts.
const LONG: i64 = 13 * 3_600_000;

/// Returns the address of a page that names things of a tenant.
fn path(page: &PageSummary, tenant: &str, entries: &Entries, link: &str) -> String {
    let entry = if page.id == "restoreEntry" { &entries.discarded } else { &entries.on_shelf };
    let path = page.path.replace("{tenant}", tenant).replace("{batch}", "b-1");
    let path = if page.id == "revokeLink" { path.replace("{id}", "none") } else { path.replace("{id}", entry) };
    let path = path.replace("{group}", "c-00000000").replace("{replay}", "1").replace("{link}", link);
    // Of nobody, so that no token is revoked.
    let path = path.replace("{name}", if page.id == "asset" { "console.css" } else { "none" });
    match page.id {
        "search" => format!("{path}?text=b-1"),
        "planDiscard" | "planSet" => format!("{path}?id={entry}"),
        _ => path,
    }
}

/// Returns a form that would change something.
fn form<'a>(page: &'a PageSummary, entries: &'a Entries, token: &'a str) -> Vec<(&'a str, &'a str)> {
    let value = |name: &'a str| match name {
        "token" => token,
        "id" => entries.on_shelf.as_str(),
        "lane" => "acme",
        "name" => "made",
        "role" => "admin",
        "set" => "priority=high",
        "version" | "minutes" | "requests" => "1",
        "message" | "mapping" => "{}",
        "base_url" => "https://x.testmo.net",
        "project_id" | "folder_id" => "9",
        "api_key" => "k",
        "then" => "store",
        "what" => "undo",
        "text" | "because" => "a test",
        _ => "",
    };
    page.form.iter().map(|name| (*name, value(name))).filter(|(_, value)| !value.is_empty()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_open_to_its_role_and_above_and_to_nobody_else() {
    for api in both(&["acme", "birch"]).await {
        let anna = Actor::new("anna", Role::Admin, Face::CommandLine);
        let link = create_link(&api.stage.store, &anna, &tenant_id("acme"), 30).await.expect("a link").secret;
        let admin = api.token("admin", Role::Admin, None).await;
        let own = Entries::of(&api, "acme", &admin).await;
        let foreign = Entries::of(&api, "birch", &admin).await;
        let mut nobody = Browser::of(api.address);
        let mut forged = nobody.clone();
        forged.cookies.insert("courier-session".into(), format!("ts_{}A", "Q".repeat(42)));
        let mut revoked = Browser::logged_in(&api, "revoked", Role::Admin, None).await;
        api.ask("DELETE", "/api/v1/tokens/revoked", &admin, "", None).is(200);
        let mut ended = Browser::logged_in(&api, "ended", Role::Admin, None).await;
        let kept = ended.clone();
        ended.post("/log-out", &[]).is(303);
        ended = kept;
        let mut viewer = Browser::logged_in(&api, "viewer", Role::Viewer, None).await;
        let mut operator = Browser::logged_in(&api, "operator", Role::Operator, None).await;
        let mut chief = Browser::logged_in(&api, "chief", Role::Admin, None).await;
        let mut of_acme = Browser::logged_in(&api, "of-acme", Role::Admin, Some("acme")).await;
        let before = state(&api).await;
        for page in page_summaries() {
            let (at, form) = (path(&page, "acme", &own, &link), form(&page, &own, "tc_wrong"));
            let send = |browser: &mut Browser, at: &str| match page.method {
                "GET" => browser.get(at),
                _ => browser.post(at, &form),
            };
            // A page of another site sends no form of the console, also where the browser has a session.
            if page.method == "POST" {
                for headers in [
                    "Origin: http://evil.example\r\n".to_owned(),
                    "Origin: null\r\n".to_owned(),
                    format!("Origin: http://{}\r\nSec-Fetch-Site: cross-site\r\n", api.address),
                    "Sec-Fetch-Site: same-site\r\n".to_owned(),
                    String::new(),
                ] {
                    let answer = chief.post_with(&at, &headers, &form);
                    assert_eq!(answer.status, 403, "{} {headers}", page.id);
                }
            }
            let Some(needed) = page.role else {
                if page.is_of_link {
                    let other = path(&page, "acme", &own, &format!("tl_{}A", "Q".repeat(42)));
                    assert_eq!(send(&mut chief, &other).status, 404, "{}: the link counts, not the session", page.id);
                }
                continue;
            };
            for (who, browser) in
                [("nobody", &mut nobody), ("forged", &mut forged), ("revoked", &mut revoked), ("ended", &mut ended)]
            {
                let answer = send(browser, &at);
                match page.method {
                    "GET" => assert!(answer.is(303).to().starts_with("/log-in"), "{} {who}", page.id),
                    _ => assert_eq!(answer.status, 401, "{} {who}", page.id),
                }
            }
            for (role, browser) in [(Role::Viewer, &mut viewer), (Role::Operator, &mut operator)] {
                if role < needed {
                    assert_eq!(send(browser, &at).status, 403, "{} {role:?}", page.id);
                } else if page.method == "GET" {
                    let answer = browser.get(&at);
                    assert!(matches!(answer.status, 200 | 404 | 409), "{} {role:?}: {}", page.id, answer.text);
                }
            }
            if page.is_for_all {
                assert_eq!(send(&mut of_acme, &at).status, 403, "{}", page.id);
            } else if page.path.contains("{tenant}") || page.path.contains("{id}") {
                let answer = send(&mut of_acme, &path(&page, "birch", &foreign, &link));
                assert_eq!(answer.status, 404, "{}: {}", page.id, answer.text);
            }
        }
        assert_eq!(state(&api).await, before, "who may not change anything has changed nothing");
        api.end().await.end_leaving(&[LeftOver::ShelfRows, LeftOver::Events]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_of_one_tenant_names_no_other_through_any_filter() {
    for api in both(&["acme", "birch"]).await {
        let admin = api.token("admin", Role::Admin, None).await;
        let foreign = Entries::of(&api, "birch", &admin).await;
        let mut own = Browser::logged_in(&api, "own", Role::Admin, Some("acme")).await;
        let before = state(&api).await;
        for at in [
            "/failures?tenant=birch",
            "/failures/entries?tenant=birch",
            "/batches?tenant=birch",
            "/audit?tenant=birch",
            "/discarded?tenant=birch",
        ] {
            own.get(at).is(404);
        }
        for at in
            ["/", "/failures", "/failures/entries", "/batches", "/audit", "/discarded", "/tenants", "/search?text=b-1"]
        {
            let page = own.get(at).is(200);
            assert!(!page.text.contains("birch"), "{at}: {}", page.text);
        }
        own.get(&format!("/failures/discard?id={}", foreign.on_shelf)).is(404);
        let form = [("id", foreign.on_shelf.as_str()), ("because", "x"), ("set", "priority=high"), ("then", "store")];
        own.post("/failures/discard", &[form[0], form[1]]).is(404);
        own.post("/failures/set", &[form[0], form[2], form[3]]).is(404);
        own.post("/failures/discard", &[("tenant", "birch"), ("because", "x")]).is(404);
        own.post("/lanes/pause", &[("lane", "birch")]).is(404);
        assert_eq!(state(&api).await, before);
        api.end().await.end_leaving(&[LeftOver::ShelfRows, LeftOver::Events]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_over_leads_to_the_log_in_and_back() {
    let [api, other] = both(&["acme"]).await;
    other.end().await.end().await;
    let token = api.token("viewer", Role::Viewer, None).await;
    let past = Clock::standing_at(api.stage.store.now() - LONG);
    let past = Store::open(&api.stage.config.store, false, past).await.expect("a store");
    let secret = log_in(&past, &token).await.expect("a session");
    past.close().await;
    let mut browser = Browser::of(api.address);
    browser.cookies.insert("courier-session".into(), secret);
    let sent = browser.get("/failures?state=dead").is(303);
    assert_eq!(sent.to(), "/log-in?next=%2Ffailures%3Fstate%3Ddead");
    browser.get(&sent.to()).is(200).says("Your session is over.").says("value=\"/failures?state=dead\"");
    let sent = browser.post("/log-in", &[("token", &token), ("next", "/failures?state=dead")]).is(303);
    assert_eq!(sent.to(), "/failures?state=dead");
    for elsewhere in ["https://evil.example", "//evil.example", "/\\evil.example"] {
        assert_eq!(browser.post("/log-in", &[("token", &token), ("next", elsewhere)]).is(303).to(), "/");
    }
    api.end().await.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_of_the_console_is_refused() {
    let api = Api::of(crate::support::stage::Stage::with_tenants(&["acme"]).await).await;
    let mut browser = Browser::logged_in(&api, "admin", Role::Admin, None).await;
    browser.get("/nothing").is(404).says("There is no such page.");
    browser.get("/failures?tenat=acme").is(400).says("tenat");
    browser.get("/failures?state=old").is(400);
    browser.get("/log-out").is(405);
    browser.get("/failures/entries?after=x").is(400);
    browser.post("/failures/discard", &[("because", "x")]).is(422);
    browser.post("/lanes/pause", &[("lane", "acme"), ("force", "yes")]).is(400);
    let json = format!("Origin: http://{}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n", api.address);
    browser.send("POST", "/lanes/pause", &format!("{json}\r\n{{}}"), None).is(415);
    let large = format!("Origin: http://{}\r\nContent-Length: 999999999\r\n", api.address);
    browser.send("POST", "/lanes/pause", &large, None).is(413);
    let mut elsewhere = browser.clone();
    elsewhere.cookies.clear();
    let host = "GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    let answer = crate::api::support::exchange(api.address, host);
    assert_eq!(answer.status, 421);
    api.end().await.end().await;
}

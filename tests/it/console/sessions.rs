//! Logs in and out, and checks what every page has around it.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use testmo_courier::app::actor::Role;

use super::browser::Browser;
use crate::api::support::{Api, both};
use crate::support::broker::Broker;
use crate::support::postgres::Postgres;
use crate::support::process::{command, own_address};
use crate::support::stage::Stage;
use crate::support::waiting::until;

/// The pages that a person opens from the navigation.
const PAGES: [&str; 10] = [
    "/",
    "/failures",
    "/failures/entries",
    "/replays",
    "/tenants",
    "/batches",
    "/discarded",
    "/lanes",
    "/audit",
    "/tokens",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_person_logs_in_with_a_token_and_out_in_every_replica() {
    for mut api in both(&["acme"]).await {
        let replica = api.another().await;
        let mut browser = Browser::of(api.address);
        browser.get("/").is(303);
        browser.get("/log-in").is(200).says("The console is off until there is a token.");
        let token = api.token("anna", Role::Operator, None).await;
        browser.get("/log-in").is(200).says("type=\"password\"");
        browser.post("/log-in", &[("token", "tc_wrong")]).is(422).says("This token is not known.");
        let page = browser.submit("/log-in", &[("token", &token)]).is(200);
        let page = page.says("anna, operator").says("Nothing needs you.");
        assert!(!page.text.contains(&token) && !page.text.contains("/tokens"), "{}", page.text);
        let mut elsewhere = Browser { address: replica, ..browser.clone() };
        elsewhere.get("/failures").is(200);
        let kept = browser.clone();
        browser.submit("/log-out", &[]).is(200).says("You are logged out.");
        assert!(!browser.cookies.contains_key("courier-session"));
        for (mut browser, address) in [(kept.clone(), api.address), (kept, replica)] {
            browser.address = address;
            browser.get("/failures").is(303);
        }
        api.end().await.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_tries_many_tokens_waits() {
    let api = Api::of(Stage::with_tenants(&[]).await).await;
    let token = api.token("anna", Role::Viewer, None).await;
    let mut browser = Browser::of(api.address);
    let tries: BTreeSet<u16> =
        (0..40).map(|n| browser.post("/log-in", &[("token", &format!("tc_{n}"))]).status).collect();
    assert_eq!(tries, BTreeSet::from([422, 429]));
    let page = browser.post("/log-in", &[("token", &token)]).is(429);
    assert!(page.header("retry-after").is_some());
    // The API is another door, with its own answer to each request.
    api.get("/api/v1/health", &token).is(200);
    api.end().await.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn off_this_machine_a_token_is_entered_with_tls_alone() {
    let settings =
        [("COURIER_ADMIN__PUBLIC_URL", "https://courier.example.com"), ("COURIER_ADMIN__HOSTS", "plain.example.com")];
    let api = Api::of(Stage::on(Broker::shared(), &[], &settings).await).await;
    let token = api.token("anna", Role::Viewer, None).await;
    let send = |host: &str, origin: &str| {
        let body = format!("token={token}");
        let request = format!(
            "POST /log-in HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        crate::api::support::exchange(api.address, &request)
    };
    let public = send("courier.example.com", "https://courier.example.com");
    assert_eq!(public.status, 303, "{}", public.head);
    assert!(public.head.contains("set-cookie: __host-courier-session=ts_"), "{}", public.head);
    assert!(public.head.contains("; secure"), "{}", public.head);
    assert_eq!(send("courier.example.com", "http://courier.example.com").status, 403);
    assert_eq!(send("plain.example.com", "http://plain.example.com").status, 403);
    api.end().await.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_whole_without_a_script_and_asks_nobody_else() {
    for api in both(&["acme"]).await {
        let mut browser = Browser::logged_in(&api, "admin", Role::Admin, None).await;
        let mut whole = 0;
        for at in PAGES.into_iter().chain(["/tenants/acme", "/tenants/new", "/tenants/acme/mapping", "/search?text=x"])
        {
            let page = browser.get(at).is(200);
            let policy = page.header("content-security-policy").expect("a policy").to_owned();
            assert!(policy.contains("default-src 'none'") && policy.ends_with("frame-ancestors 'none'"), "{policy}");
            assert_eq!(page.header("cache-control"), Some("no-store"), "{at}");
            let text = &page.text;
            assert_eq!(text.matches("<h1").count(), 1, "{at}");
            assert!(text.contains("testmo-courier ") && text.contains("id=\"same\""), "{at} prints its command");
            for part in [" style=", "javascript:", " onclick=", "<style", "src=\"http"] {
                assert!(!text.contains(part), "{at} has {part}");
            }
            assert_eq!(text.matches("<script").count(), 1, "{at}");
            let ids: Vec<&str> = text.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
            let different: BTreeSet<&str> = ids.iter().copied().collect();
            assert_eq!(ids.len(), different.len(), "{at}: {ids:?}");
            whole = whole.max(text.len());
        }
        let page = browser.get("/").is(200);
        for address in page.text.split('"').filter(|part| part.starts_with("/assets/")).collect::<BTreeSet<_>>() {
            let asset = browser.get(address).is(200);
            assert!(asset.header("cache-control").is_some_and(|kept| kept.contains("immutable")), "{address}");
            assert!(!asset.text.contains("http://www.w3.org/2000/svg") || address.contains("icon"), "{address}");
            whole += asset.text.len();
        }
        assert!(whole < 60_000, "the first page has {whole} bytes in all");
        browser.get("/assets/other.css").is(404);
        api.end().await.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_whom_an_allowed_proxy_has_logged_in_needs_no_token() {
    let mut secret = tempfile::NamedTempFile::new().expect("a file");
    std::io::Write::write_all(&mut secret, b"a secret of the proxy\n").expect("a file");
    let file = secret.path().display().to_string();
    let settings = [
        ("COURIER_ADMIN__PROXIES", "127.0.0.1"),
        ("COURIER_ADMIN__PROXY_SECRET_FILE", file.as_str()),
        ("COURIER_ADMIN__PROXY_ROLE", "operator"),
        ("COURIER_ADMIN__PROXY_ROLE_HEADER", "x-courier-role"),
    ];
    let api = Api::of(Stage::on(Broker::shared(), &["acme"], &settings).await).await;
    let mut browser = Browser::of(api.address);
    let user = "X-Forwarded-User: anna@example.com\r\n";
    let own = format!("{user}X-Courier-Proxy-Secret: a secret of the proxy\r\n");
    browser.send("GET", "/failures", &own, None).is(200).says("anna@example.com, operator");
    browser.send("GET", "/failures", user, None).is(303);
    browser.send("GET", "/failures", &format!("{user}X-Courier-Proxy-Secret: another\r\n"), None).is(303);
    browser.send("GET", "/tokens", &own, None).is(403).says("anna@example.com, operator");
    let with = |headers: &str, role: &str| format!("{headers}X-Courier-Role: {role}\r\n");
    browser.send("GET", "/tokens", &with(&own, "admin"), None).is(200).says("anna@example.com, admin");
    for forged in [with(user, "admin"), with(&own, "owner"), with(&with(&own, "viewer"), "admin")] {
        browser.send("GET", "/tokens", &forged, None).is(303);
    }
    let origin = format!("{own}Origin: http://{}\r\n", api.address);
    browser.send("POST", "/lanes/pause", &with(&origin, "viewer"), Some("lane=acme")).is(403);
    browser.send("POST", "/lanes/pause", &origin, Some("lane=acme")).is(303);
    browser.send("POST", "/lanes/pause", &format!("{own}Origin: http://evil.example\r\n"), Some("lane=acme")).is(403);
    let token = api.token("viewer", Role::Viewer, None).await;
    let audit = api.get("/api/v1/audit?action=lane.pause", &token).is(200);
    assert_eq!(audit["items"][0]["actor"], "anna@example.com", "{audit}");
    api.end().await.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_is_served_without_a_worker_on_a_database_server() {
    let api = Api::of(Stage::on_postgres(Postgres::shared(), &["acme"], &[]).await).await;
    let token = api.token("anna", Role::Viewer, None).await;
    let address = own_address();
    let mut program = command(&api.stage);
    program.arg("console").env("COURIER_ADMIN__LISTEN", address.to_string());
    program.stdout(Stdio::null()).stderr(Stdio::null());
    let mut console = program.spawn().expect("the program");
    until(async || std::net::TcpStream::connect(address).is_ok()).await;
    let mut browser = Browser::of(address);
    browser.submit("/log-in", &[("token", &token)]).is(200).says("Nothing needs you.");
    browser.get("/tenants/acme").is(200).says("class=\"light green\"");
    let stopped = Command::new("kill").args(["-TERM", &console.id().to_string()]).status().expect("a signal");
    assert!(stopped.success());
    let end = tokio::task::block_in_place(|| console.wait().expect("an end"));
    assert!(end.success(), "{end}");
    api.end().await.end().await;
}

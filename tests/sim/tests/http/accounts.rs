//! Checks that accounts are separate, and that each request is recorded.

use serde_json::json;
use testmo_sim::Method;
use testmo_sim::world::{AccountSpec, KeyUse};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{CASES, KEY, acme, get, post, send};

#[tokio::test]
async fn accounts_share_a_port_and_nothing_else() {
    let (server, acme) = acme().await;
    let other = server.create("other", AccountSpec::with_one_folder("another key")).unwrap();
    assert_eq!(post(&server, &["a"]).await.status(), 201);
    assert_eq!(get(&server, "/other/api/v1/user").await.status(), 401);
    assert_eq!(get(&server, "/nobody/api/v1/user").await.status(), 404);
    assert_eq!((acme.case_names(), other.case_names().len()), (vec!["a".to_owned()], 0));
    assert_eq!(server.origin("acme"), format!("http://{}/acme", server.address()));
}

#[tokio::test]
async fn a_request_is_on_record_with_its_cases_and_without_its_key() {
    let (server, acme) = acme().await;
    post(&server, &["a", "b"]).await;
    get(&server, &format!("{CASES}?folder_id=1&expands=tags")).await;
    acme.revoke(1);
    post(&server, &["c"]).await;
    let records = acme.requests();
    let [made, listed, refused] = &records[..] else { panic!("{records:?}") };
    assert_eq!((made.seq, made.method, made.status), (1, Method::Post, Some(201)));
    assert_eq!(made.case_names, ["a", "b"]);
    assert_eq!((made.is_committed, &made.created), (true, &vec![1, 2]));
    assert_eq!((made.key, made.user.as_deref()), (KeyUse::Known, Some("Push Bot")));
    assert!(made.answered_at >= Some(made.received_at));
    assert_eq!(listed.path, "/api/v1/projects/1/cases?folder_id=1&expands=tags");
    assert_eq!((listed.method, listed.is_committed), (Method::Get, false));
    assert_eq!((refused.status, refused.key, &refused.user), (Some(401), KeyUse::Unknown, &None));
    let told = get(&server, "/_sim/accounts/acme/requests?since=1").await;
    assert_eq!(told.json()["requests"].as_array().unwrap().len(), 2);
    assert!(!told.text().contains(KEY));
}

#[tokio::test]
async fn only_the_last_requests_are_remembered() {
    let (server, acme) = acme().await;
    acme.change_settings(|settings| settings.record_limit = 2);
    for name in ["a", "b", "c"] {
        post(&server, &[name]).await;
    }
    let seqs: Vec<u64> = acme.requests().iter().map(|record| record.seq).collect();
    assert_eq!(seqs, [2, 3]);
}

#[tokio::test]
async fn a_verb_that_the_route_lacks_is_405() {
    let (server, _acme) = acme().await;
    assert_eq!(send(&server, "PUT", CASES, &json!({})).await.status(), 405);
    assert_eq!(send(&server, "OPTIONS", CASES, &json!({})).await.status(), 405);
}

#[tokio::test]
async fn a_stopped_server_takes_no_more_connections() {
    let (server, acme) = acme().await;
    let address = server.address();
    server.stop().await;
    // The server of another test may have got the port meanwhile, and may itself be stopped while it
    // answers: only what this server recorded counts.
    if let Ok(mut stream) = TcpStream::connect(address).await {
        let request = format!("GET {CASES} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        drop(stream.write_all(request.as_bytes()).await);
        drop(stream.read_to_end(&mut Vec::new()).await);
    }
    assert!(acme.requests().is_empty());
}

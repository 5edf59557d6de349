//! Serves the API beside a worker: neither idle clients nor a defect in a request concerns the work.

use std::net::{SocketAddr, TcpStream};

use testmo_courier::app::actor::Role;

use super::support::{Api, ask};
use crate::support::batches::{batch, key_of};
use crate::support::broker::Broker;
use crate::support::process::Process;
use crate::support::stage::Stage;
use crate::support::waiting::until;

/// Waits until a worker serves the API, and returns its address, which the log names.
async fn address_of(process: &Process) -> SocketAddr {
    let find = || {
        let output = process.output();
        let line = output.lines().find(|line| line.contains("the API and the console are served"))?.to_owned();
        let digits = |c: char| c.is_ascii_digit() || c == '.' || c == ':';
        line.split(|c: char| !digits(c)).find_map(|word| word.parse::<SocketAddr>().ok())
    };
    until(async || find().is_some()).await;
    find().expect("an address")
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_keep_nobody_from_the_api_and_no_batch_from_testmo() {
    let settings = [("COURIER_ADMIN__LISTEN", "127.0.0.1:0")];
    let stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    let api = Api::of(stage).await;
    let token = api.token("viewer", Role::Viewer, None).await;
    let mut stage = api.end().await;
    let process = Process::start_limited(&stage, "ulimit -n 160").await;
    let address = address_of(&process).await;
    let idle: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(address).expect("a connection")).collect();
    for n in 0..10 {
        stage.publish(&batch("acme", &format!("b-{n}"), 1)).await;
    }
    for n in 0..10 {
        stage.delivered(&format!("acme/b-{n}")).await;
    }
    for path in ["/readyz", "/livez", "/metrics"] {
        let answer = process.get(path).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    ask(address, "GET", "/api/v1/health", &token, "", None).is(200);
    ask(address, "GET", "/api/v1/batches/acme/b-9", &token, "", None).is(200);
    ask(address, "GET", "/api/v1/tenants", "", "", None).refused(401, "unauthenticated");
    assert_eq!(idle.len(), 200);
    process.stop().await;
    stage.end().await;
}

#[cfg(debug_assertions)]
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_the_end_of_one_request_and_a_worker_stops_in_order() {
    let settings = [("COURIER_ADMIN__LISTEN", "127.0.0.1:0"), ("COURIER_PANIC_AT", "unit:api:1:getHealth")];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    stage.config.admin.listen = None;
    let api = Api::of(stage).await;
    let token = api.token("viewer", Role::Viewer, None).await;
    let mut stage = api.end().await;
    let process = Process::start(&stage).await;
    let address = address_of(&process).await;
    ask(address, "GET", "/api/v1/health", &token, "", None).refused(500, "defect");
    ask(address, "GET", "/api/v1/health", &token, "", None).is(200);
    assert!(process.get("/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200")));
    stage.publish(&batch("acme", "b-1", 1)).await;
    stage.delivered("acme/b-1").await;
    let shown = ask(address, "GET", "/api/v1/batches/acme/b-1", &token, "", None).is(200);
    assert_eq!(shown["state"], "delivered");
    assert!(!shown.to_string().contains(&key_of("acme")));
    process.stop().await;
    stage.end().await;
}

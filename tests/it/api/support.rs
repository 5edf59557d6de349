//! Serves the API of a stage, and sends requests to it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use testmo_courier::app::access::{TokenInput, create};
use testmo_courier::app::actor::{Actor, Face, Role};
use testmo_courier::http::admin::serve;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::batches::tenant_id;
use crate::support::postgres::Postgres;
use crate::support::stage::Stage;
use crate::support::waiting::patient;

/// The longest wait for an answer.
const LONGEST_ANSWER: Duration = Duration::from_secs(60);

/// The most pages that a list of a test has.
const MOST_PAGES: usize = 1_000;

/// The API of a stage.
pub(crate) struct Api {
    pub(crate) stage: Stage,
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    serving: JoinSet<()>,
}

/// An answer to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Value,
}

/// Returns a stage on an SQLite file, and one on a PostgreSQL database.
pub(crate) async fn both(tenants: &[&str]) -> [Api; 2] {
    let file = Stage::with_tenants(tenants).await;
    let server = Stage::on_postgres(Postgres::shared(), tenants, &[]).await;
    [Api::of(file).await, Api::of(server).await]
}

impl Api {
    /// Serves the API of a stage.
    pub(crate) async fn of(stage: Stage) -> Self {
        let (stop, mut serving) = (CancellationToken::new(), JoinSet::new());
        let (listener, address) = listener().await;
        serving.spawn(serve(listener, stage.config.clone(), stop.clone()));
        Self { stage, address, stop, serving }
    }

    /// Serves the API once more, as another replica does, and returns its address.
    pub(crate) async fn another(&mut self) -> SocketAddr {
        let (listener, address) = listener().await;
        self.serving.spawn(serve(listener, self.stage.config.clone(), self.stop.clone()));
        address
    }

    /// Stops the API and returns its stage.
    pub(crate) async fn end(mut self) -> Stage {
        self.stop.cancel();
        patient(async { while self.serving.join_next().await.is_some() {} }).await;
        self.stage
    }

    /// Creates a token and returns its secret.
    pub(crate) async fn token(&self, name: &str, role: Role, tenant: Option<&str>) -> String {
        let anna = Actor::new("anna", Role::Admin, Face::CommandLine);
        let input = TokenInput { name: name.parse().expect("a name"), role, tenant: tenant.map(tenant_id), days: None };
        create(&self.stage.store, &anna, input).await.expect("a token").secret
    }

    /// Sends a request.
    pub(crate) fn ask(&self, method: &str, path: &str, token: &str, headers: &str, body: Option<&Value>) -> Answer {
        ask(self.address, method, path, token, headers, body)
    }

    /// Reads.
    pub(crate) fn get(&self, path: &str, token: &str) -> Answer {
        self.ask("GET", path, token, "", None)
    }

    /// Reads all pages of a list, and returns their rows; calls `between` with each page before the next one is read.
    #[track_caller]
    pub(crate) fn pages(&self, path: &str, token: &str, mut between: impl FnMut(&Value)) -> Vec<Value> {
        let (mut path, mut rows) = (path.to_owned(), Vec::new());
        for _ in 0..MOST_PAGES {
            let page = self.get(&path, token).is(200);
            rows.extend(page["items"].as_array().expect("a list").iter().cloned());
            between(&page);
            let Some(next) = page["next"].as_str() else { return rows };
            path = next.to_owned();
        }
        panic!("the list does not end after {MOST_PAGES} pages: {path}")
    }

    /// Sends JSON.
    pub(crate) fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        self.ask("POST", path, token, "", Some(body))
    }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    (listener, address)
}

/// Sends a request to an address; `headers` are whole lines. An empty token is left out.
pub(crate) fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    token: &str,
    headers: &str,
    body: Option<&Value>,
) -> Answer {
    let authorization = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    let body = body.map(Value::to_string);
    let length = body.as_ref().map_or_else(String::new, |body| {
        format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len())
    });
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{authorization}{headers}{length}\r\n{}",
        body.unwrap_or_default()
    );
    exchange(address, &request)
}

/// Sends the bytes of a request and returns the answer.
pub(crate) fn exchange(address: SocketAddr, request: &str) -> Answer {
    let (status, head, text) = exchange_text(address, request);
    let body = serde_json::from_str(&text).unwrap_or_else(|_| json!(text));
    Answer { status, head: head.to_ascii_lowercase(), body }
}

/// Sends the bytes of a request, and returns the status, the head and the text of the answer.
pub(crate) fn exchange_text(address: SocketAddr, request: &str) -> (u16, String, String) {
    tokio::task::block_in_place(|| {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(LONGEST_ANSWER)).expect("a time limit");
        stream.write_all(request.as_bytes()).expect("a request that is read");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, text) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, head.to_owned(), text.to_owned())
    })
}

impl Answer {
    /// Checks the status, and returns the body.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{} {}", self.head, self.body);
        self.body
    }

    /// Checks that the request was refused with this status and code.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status, &self.body["code"]), (status, &json!(code)), "{} {}", self.head, self.body);
        assert!(self.head.contains("content-type: application/problem+json"), "{}", self.head);
        self.body
    }

    /// Returns a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

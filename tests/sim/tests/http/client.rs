//! Shows exactly what arrives on a socket, with one connection for each request.

use std::net::SocketAddr;

use serde_json::{Value, json};
use testmo_sim::world::AccountSpec;
use testmo_sim::{AccountHandle, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const KEY: &str = "testmo_api_secret";
pub(crate) const CASES: &str = "/acme/api/v1/projects/1/cases";

/// Everything that arrived until the connection ended.
#[derive(Debug)]
pub(crate) struct Arrived {
    head: String,
    body: Vec<u8>,
}

impl Arrived {
    /// Returns whether the connection ended before a single byte.
    pub(crate) fn is_nothing(&self) -> bool {
        self.head.is_empty() && self.body.is_empty()
    }

    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let pairs = self.head.lines().filter_map(|line| line.split_once(": "));
        pairs.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// Returns the length that the head promises, and the length that arrived.
    pub(crate) fn lengths(&self) -> (usize, usize) {
        (self.header("content-length").unwrap().parse().unwrap(), self.body.len())
    }

    /// Returns the name in every row of the `result`.
    pub(crate) fn names(&self) -> Vec<String> {
        let value = self.json();
        let rows = value["result"].as_array().unwrap();
        rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    }
}

/// Starts a server with the account `acme`: user 1 with [`KEY`], project 1, folder 1.
pub(crate) async fn acme() -> (Server, AccountHandle) {
    let server = Server::start().await.unwrap();
    let account = server.create("acme", AccountSpec::with_one_folder(KEY)).unwrap();
    (server, account)
}

/// Returns the body that creates cases with these names in folder 1.
pub(crate) fn cases(names: &[&str]) -> Value {
    let case = |name: &&str| json!({ "name": name, "folder_id": 1 });
    json!({ "cases": names.iter().map(case).collect::<Vec<_>>() })
}

/// Writes a request and leaves the connection open.
pub(crate) async fn begin(server: SocketAddr, method: &str, path: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {server}\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Reads until the connection ends, for whatever reason.
pub(crate) async fn end(mut stream: TcpStream) -> Arrived {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.ok();
    let end_of_head = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let body = end_of_head.map_or(Vec::new(), |end| bytes[end + 4..].to_vec());
    let head = &bytes[..end_of_head.unwrap_or(0)];
    Arrived { head: String::from_utf8(head.to_vec()).unwrap(), body }
}

pub(crate) async fn send(server: &Server, method: &str, path: &str, body: &Value) -> Arrived {
    end(begin(server.address(), method, path, &body.to_string()).await).await
}

pub(crate) async fn get(server: &Server, path: &str) -> Arrived {
    end(begin(server.address(), "GET", path, "").await).await
}

/// Creates cases with these names.
pub(crate) async fn post(server: &Server, names: &[&str]) -> Arrived {
    send(server, "POST", CASES, &cases(names)).await
}

//! Checks that Testmo is reached through a proxy where one is set, and what is said of one that opens no tunnel.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::support::batches::batch;
use crate::support::broker::Broker;
use crate::support::stage::{LeftOver, Stage};

/// A proxy on loopback; its threads end with their connections, and with the process.
struct Proxy {
    address: SocketAddr,
    /// The head of each request.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Starts a proxy that opens tunnels, or answers each request with `refusal`.
    fn start(refusal: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let known = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, asked) = (stream.expect("a connection"), known.clone());
                std::thread::spawn(move || serve(stream, refusal, &asked));
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

fn serve(mut stream: TcpStream, refusal: Option<&str>, asked: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a request");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("text");
    let target = head.split(' ').nth(1).expect("a target").to_owned();
    asked.lock().expect("no panic").push(head);
    if let Some(refusal) = refusal {
        return stream.write_all(refusal.as_bytes()).expect("an answer");
    }
    let mut onward = TcpStream::connect(target).expect("the target");
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").expect("an answer");
    let (mut back, mut from) = (stream.try_clone().expect("a socket"), onward.try_clone().expect("a socket"));
    std::thread::spawn(move || std::io::copy(&mut from, &mut back));
    drop(std::io::copy(&mut stream, &mut onward));
    drop(onward.shutdown(std::net::Shutdown::Both));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_connection_to_testmo_goes_through_the_proxy() {
    let proxy = Proxy::start(None);
    let url = format!("http://user:secret@{}", proxy.address);
    let mut stage = Stage::on(Broker::shared(), &["acme"], &[("COURIER_TESTMO__PROXY", &url)]).await;
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 2)).await;
    stage.delivered("acme/b-1").await;
    assert_eq!(stage.account("acme").cases().len(), 2);
    let asked = proxy.asked();
    assert!(!asked.is_empty());
    for head in asked {
        assert!(head.starts_with("CONNECT 127.0.0.1:") && head.contains("Basic dXNlcjpzZWNyZXQ="), "{head}");
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_refuses_is_named_and_the_tenants_url_is_not_blamed() {
    let proxy = Proxy::start(Some("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"));
    let url = format!("http://{}", proxy.address);
    let settings = [("COURIER_TESTMO__PROXY", url.as_str()), ("COURIER_RETRY__MAX_ATTEMPTS", "1")];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 1)).await;
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    let detail = shelf[0].content.detail.clone().unwrap_or_default();
    assert!(detail.contains("asks for a user and a password: write them into testmo.proxy"), "{detail}");
    assert_eq!(stage.account("acme").cases().len(), 0);
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

//! Attacks the console with very many, very slow and very large requests: it goes on, and the worker keeps delivering.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use crate::ground::Ground;
use crate::plain::Browser;
use crate::support::batches::batch;
use crate::support::stage::Stage;

/// How many tokens are tried, and by how many programs at once.
const ATTEMPTS: usize = 10_000;
const AT_ONCE: usize = 8;
/// The most tokens that an address tries in a minute, with room for a run that takes some minutes.
const MOST_TRIED: usize = 100;
/// How many connections send nearly nothing.
const SLOW: usize = 100;
/// The longest wait for an answer of an attacker.
const LONGEST_ANSWER: Duration = Duration::from_secs(60);

async fn ground() -> (Ground, Browser) {
    let ground = Ground::of(Stage::with_tenants(&["acme"]).await).await;
    let mut browser = Browser::of(ground.address());
    browser.post("/log-in", &[("token", &ground.token)]).is(303);
    (ground, browser)
}

/// Tries tokens, and returns how often each status was the answer.
fn tries(address: SocketAddr, first: usize) -> BTreeMap<u16, usize> {
    let mut browser = Browser::of(address);
    let mut statuses = BTreeMap::new();
    for n in first..first + ATTEMPTS / AT_ONCE {
        let token = format!("tc_{n:043}");
        *statuses.entry(browser.post("/log-in", &[("token", &token)]).status).or_default() += 1;
    }
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_guesses_of_a_token_open_nothing_and_hold_nobody_up() {
    let (mut ground, mut browser) = ground().await;
    let address = ground.address();
    let attackers: Vec<_> =
        (0..AT_ONCE).map(|n| thread::spawn(move || tries(address, n * ATTEMPTS / AT_ONCE))).collect();
    for n in 0..10 {
        let id = format!("b-{n}");
        ground.api.stage.publish(&batch("acme", &id, 3)).await;
        ground.api.stage.delivered(&format!("acme/{id}")).await;
        browser.get("/failures").is(200);
        ground.api.get("/api/v1/health", &ground.token).is(200);
    }
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    for attacker in attackers {
        for (status, count) in tokio::task::block_in_place(|| attacker.join()).expect("its end") {
            *statuses.entry(status).or_default() += count;
        }
    }
    assert_eq!(statuses.values().sum::<usize>(), ATTEMPTS, "{statuses:?}");
    let (refused, waits) = (statuses[&422], statuses[&429]);
    assert!(refused + waits == ATTEMPTS && refused <= MOST_TRIED, "{statuses:?}");
    browser.get("/").is(200).says("Nothing needs you.");
    ground.end_leaving(&[]).await;
}

/// Sends a head with as many bytes as the server takes, and returns the status of the answer, if there is one.
fn endless_head(address: SocketAddr) -> Option<u16> {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(LONGEST_ANSWER)).expect("a time limit");
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {address}\r\n").as_bytes()).expect("a beginning");
    let line = format!("X-Large: {}\r\n", "x".repeat(4_000));
    // The server closes the connection once it has enough.
    let sent = (0..10_000).try_for_each(|_| stream.write_all(line.as_bytes()));
    assert!(sent.is_err_and(|error| matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)));
    status(&mut stream)
}

/// Sends a form without an end, and returns the status of the answer, if there is one.
fn endless_form(address: SocketAddr) -> Option<u16> {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(LONGEST_ANSWER)).expect("a time limit");
    let head = format!(
        "POST /log-in HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\nTransfer-Encoding: chunked\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("a beginning");
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    drop((0..1_000).try_for_each(|_| stream.write_all(chunk.as_bytes())));
    status(&mut stream)
}

fn status(stream: &mut TcpStream) -> Option<u16> {
    let mut answer = Vec::new();
    // What was not read is a reason for the system to cut the connection, with or without the answer.
    drop(stream.take(1_000).read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|status| status.parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_and_huge_requests_hold_nobody_up() {
    let (mut ground, mut browser) = ground().await;
    let address = ground.address();
    let slow = |n: usize| {
        let mut stream = TcpStream::connect(address).expect("a connection");
        let begun = match n % 2 {
            0 => format!("GET / HTTP/1.1\r\nHost: {address}\r\nX-Slow: "),
            _ => format!(
                "POST /log-in HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\nContent-Length: 100000\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\n\r\ntoken="
            ),
        };
        // One that makes room for another may be closed already.
        drop(stream.write_all(begun.as_bytes()));
        stream
    };
    let held: Vec<_> = (0..SLOW).map(slow).collect();
    ground.api.stage.publish(&batch("acme", "b-1", 3)).await;
    ground.api.stage.delivered("acme/b-1").await;
    browser.get("/failures").is(200);
    for _ in 0..3 {
        let (head, form) = tokio::task::block_in_place(|| (endless_head(address), endless_form(address)));
        assert!(matches!(head, None | Some(400 | 431)), "{head:?}");
        assert!(matches!(form, None | Some(413)), "{form:?}");
    }
    ground.api.stage.publish(&batch("acme", "b-2", 3)).await;
    ground.api.stage.delivered("acme/b-2").await;
    browser.get("/").is(200).says("Nothing needs you.");
    drop(held);
    ground.end_leaving(&[]).await;
}

//! Checks that each end of a create request is classified by the bytes that passed: "clear" if the request cannot have
//! created anything, "unclear" if the worker must reconcile before it sends the cases again.

use std::net::TcpListener;

use secrecy::SecretString;
use testmo_courier::batch::verdict::answer::{ApiError, CreateResult};
use testmo_courier::clock::Clock;
use testmo_courier::config::{Sources, load};
use testmo_courier::testmo::{Access, AddressPolicy, Client};
use testmo_sim::world::AccountSpec;

use crate::support::process;
use crate::support::wire::{Authority, Wire, answer, encrypted, hold, read_request, reset, send};

pub(crate) const BODY: &str =
    r#"{"cases":[{"folder_id":7,"name":"a"},{"folder_id":7,"name":"b"},{"folder_id":7,"name":"c"}]}"#;
pub(crate) const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=UTF-8";

/// A time limit that no test reaches.
pub(crate) const LONG: &str = "20s";
/// A time limit that a test waits for.
const SHORT: &str = "1s";

/// Sends three cases to an origin, as the worker does.
async fn push_to(origin: &str) -> CreateResult {
    push_within(origin, BODY.into(), LONG, LONG).await
}

pub(crate) async fn push_within(origin: &str, body: String, connect: &str, request: &str) -> CreateResult {
    Pusher::to(origin, connect, request).push(body).await
}

/// A client that sends three cases to an origin.
pub(crate) struct Pusher {
    client: Client,
    access: Access,
}

impl Pusher {
    pub(crate) async fn push(&self, body: String) -> CreateResult {
        self.client.create_cases(&self.access, 1, body, vec![false; 3]).await.end
    }

    pub(crate) fn to(origin: &str, connect: &str, request: &str) -> Self {
        // As in `main`; only the first call in the process succeeds.
        drop(rustls::crypto::ring::default_provider().install_default());
        let environment = [
            ("COURIER_TESTMO__ALLOWED_INSECURE_ORIGINS", origin),
            ("COURIER_TESTMO__ALLOWED_HOSTS", "*.testmo.net,localhost"),
            ("COURIER_TESTMO__CONNECT_TIMEOUT", connect),
            ("COURIER_TESTMO__REQUEST_TIMEOUT", request),
            ("COURIER_TESTMO__RECONCILE_DELAY_UNANSWERED", LONG),
            ("COURIER_TESTMO__MAX_RESPONSE_BYTES", "1000000"),
        ];
        let environment = environment.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let mut config = load(&Sources { files: vec![], environment }).expect("a configuration").testmo;
        if origin.starts_with("https://") && !origin.contains("127.0.0.1") {
            config.allowed_insecure_origins.clear();
        }
        let origin = AddressPolicy::new(&config).check(origin).expect("an origin that may be called");
        let client = Client::new(&config, Clock::system()).expect("a client");
        let access = Access { origin, key: SecretString::from("testmo_api_secret") };
        Self { client, access }
    }
}

/// Returns the error of a create request to a server with a script, once the script has finished.
pub(crate) async fn trouble_at(wire: Wire) -> ApiError {
    trouble_within(wire, LONG).await
}

async fn trouble_within(wire: Wire, request: &str) -> ApiError {
    let end = push_within(&format!("http://{}", wire.address), BODY.into(), request, request).await;
    wire.end().await;
    end.expect_err("a trouble")
}

#[track_caller]
fn clear(trouble: &ApiError, class: &str) {
    assert_eq!((trouble.class(), trouble.may_have_committed()), (class, false), "{trouble}");
}

#[track_caller]
pub(crate) fn unclear(trouble: &ApiError, class: &str) {
    assert_eq!((trouble.class(), trouble.may_have_committed()), (class, true), "{trouble}");
}

#[tokio::test]
async fn a_host_name_that_leads_to_a_private_address_is_not_dialled() {
    let trouble = push_to("https://localhost").await.unwrap_err();
    clear(&trouble, "address_refused");
    assert!(trouble.to_string().contains("not a public address"), "{trouble}");
}

#[tokio::test]
async fn a_connection_that_is_refused_is_clear() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let trouble = push_to(&format!("http://{free}")).await.unwrap_err();
    clear(&trouble, "unreachable");
    assert!(trouble.to_string().to_lowercase().contains("refused"), "{trouble}");
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_in_time_is_clear() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Nobody accepts, so the queue is full after these two connections, and further ones are not answered.
    let waiting = [tokio::net::TcpStream::connect(address).await, tokio::net::TcpStream::connect(address).await];
    assert!(waiting.iter().all(Result::is_ok));
    let trouble = push_within(&format!("http://{address}"), BODY.into(), SHORT, LONG).await.unwrap_err();
    clear(&trouble, "unreachable");
}

#[tokio::test]
async fn a_certificate_of_an_unknown_issuer_is_clear() {
    let config = Authority::new().server("127.0.0.1");
    let wire = Wire::start(1, move |stream| {
        let mut stream = encrypted(stream, &config);
        while stream.conn.is_handshaking() && stream.conn.complete_io(&mut stream.sock).is_ok() {}
    });
    let trouble = push_to(&format!("https://{}", wire.address)).await.unwrap_err();
    wire.end().await;
    clear(&trouble, "tls");
    assert!(trouble.to_string().contains("SSL_CERT_FILE"), "{trouble}");
}

#[tokio::test]
async fn something_that_speaks_no_tls_is_clear() {
    let wire = Wire::start(1, |mut stream| {
        send(&mut stream, "HTTP/1.1 400 Bad Request\r\n\r\n");
        hold(&mut stream);
    });
    let trouble = push_to(&format!("https://{}", wire.address)).await.unwrap_err();
    wire.end().await;
    clear(&trouble, "tls");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_name_is_reported_and_the_right_one_is_accepted() {
    let sim = testmo_sim::Server::start().await.unwrap();
    sim.create("acme", AccountSpec::with_one_folder("key")).unwrap();
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("ca.pem"), &authority.pem).unwrap();
    for (name, code, told) in
        [("elsewhere.example", 1, "no secure connection"), ("127.0.0.1", 1, "does not come from Testmo")]
    {
        let config = authority.server(name);
        let wire = Wire::start(1, move |stream| {
            let mut stream = encrypted(stream, &config);
            while stream.conn.is_handshaking() && stream.conn.complete_io(&mut stream.sock).is_ok() {}
            if !stream.conn.is_handshaking() && stream.conn.process_new_packets().is_ok() {
                read_request(&mut stream);
                send(&mut stream, &answer("200 OK", HTML, "<html>"));
            }
        });
        let origin = format!("https://{}", wire.address);
        let run = |arguments: &[&str], input: &str| {
            let mut command = process::bare_command();
            command
                .env("COURIER_TESTMO__ALLOWED_INSECURE_ORIGINS", &origin)
                .env("COURIER_STORE__URL", format!("sqlite:{}", path("courier.db")))
                .env("COURIER_KEYS__MASTER_KEY_FILE", path("courier.key"))
                // Where the client looks for trusted certificates.
                .env("SSL_CERT_FILE", path("ca.pem"))
                .args(arguments);
            process::run_reading(command, input)
        };
        assert_eq!(run(&["init"], "").0, Some(0));
        let set =
            ["tenants", "set", "acme", "--base-url", &origin, "--project", "1", "--folder", "1", "--api-key-stdin"];
        let (ended, said) = run(&set, "key");
        wire.end().await;
        assert_eq!(ended, Some(code), "{said}");
        assert!(said.contains(told), "{name}: {said}");
    }
}

#[tokio::test]
async fn a_reset_before_the_body_began_is_clear() {
    // The reset comes in the middle of the handshake: no byte of the request has been written.
    let wire = Wire::start(1, reset);
    let trouble = push_to(&format!("https://{}", wire.address)).await.unwrap_err();
    wire.end().await;
    clear(&trouble, "unreachable");
}

#[tokio::test]
async fn a_reset_after_the_body_began_is_unclear() {
    // The body is so large that it cannot all be sent before the connection is reset.
    let body = format!(r#"{{"cases":[{{"name":"{}"}}]}}"#, "x".repeat(8_000_000));
    let wire = Wire::start(1, |stream| {
        let mut head = [0; 1_000];
        std::io::Read::read_exact(&mut &stream, &mut head).unwrap();
        reset(stream);
    });
    let trouble = push_within(&format!("http://{}", wire.address), body, LONG, LONG).await.unwrap_err();
    wire.end().await;
    unclear(&trouble, "broken");
}

#[tokio::test]
async fn a_connection_that_ends_without_an_answer_is_unclear() {
    unclear(&trouble_at(Wire::after_request(|_| {})).await, "broken");
}

#[tokio::test]
async fn no_answer_in_time_is_unclear() {
    assert_eq!(trouble_within(Wire::after_request(hold), SHORT).await, ApiError::TimedOut);
    unclear(&ApiError::TimedOut, "timeout");
}

#[tokio::test]
async fn half_a_head_in_time_is_unclear() {
    let half = |stream: &mut _| {
        send(stream, "HTTP/1.1 201 Created\r\nContent-Ty");
        hold(stream);
    };
    unclear(&trouble_within(Wire::after_request(half), SHORT).await, "timeout");
}

#[tokio::test]
async fn half_a_body_in_time_is_unclear() {
    let whole = answer("201 Created", JSON, r#"{"result":[{"id":1},{"id":2},{"id":3}]}"#);
    let half = move |stream: &mut _| {
        send(stream, &whole[..whole.len() - 10]);
        hold(stream);
    };
    unclear(&trouble_within(Wire::after_request(half), SHORT).await, "timeout");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_unclear() {
    let whole = answer("201 Created", JSON, r#"{"result":[{"id":1},{"id":2},{"id":3}]}"#);
    unclear(&trouble_at(Wire::answering(whole[..whole.len() - 10].into())).await, "broken");
}

#[tokio::test]
async fn each_5xx_is_unclear() {
    for status in [500, 502, 503, 504, 520] {
        let wire = Wire::answering(answer(&format!("{status} ApiError"), HTML, "<html>"));
        let trouble = trouble_at(wire).await;
        assert_eq!(trouble, ApiError::Server { status });
        unclear(&trouble, "5xx");
    }
}

#[tokio::test]
async fn a_success_whose_body_is_no_json_is_unclear() {
    for body in ["", "{", r#"{"result":[{"id":1},{"id""#, "<html>", r#"{"message":"ok"}"#, "[]"] {
        unclear(&trouble_at(Wire::answering(answer("201 Created", JSON, body))).await, "unreadable");
    }
}

#[tokio::test]
async fn a_success_with_more_entries_than_cases_is_unclear() {
    let body = r#"{"result":[{"id":1},{"id":2},{"id":3},{"id":4}]}"#;
    unclear(&trouble_at(Wire::answering(answer("201 Created", JSON, body))).await, "unreadable");
}

/// Returns the ids that a create request reads from a successful answer.
async fn ids_of(body: &str) -> Vec<Option<u64>> {
    let wire = Wire::answering(answer("201 Created", JSON, body));
    let end = push_to(&format!("http://{}", wire.address)).await;
    wire.end().await;
    end.expect("ids")
}

#[tokio::test]
async fn entries_that_are_missing_from_a_success_are_unclear_and_the_others_created() {
    assert_eq!(ids_of(r#"{"result":[{"id":5},{"id":6}]}"#).await, [Some(5), Some(6), None]);
    assert_eq!(ids_of(r#"{"result":[{"id":5},{"name":"b"},{"id":7}]}"#).await, [Some(5), None, Some(7)]);
    assert_eq!(ids_of(r#"{"result":[]}"#).await, [None; 3]);
}

#[tokio::test]
async fn entries_in_another_order_are_paired_by_index() {
    let body = r#"{"result":[{"id":7,"name":"c"},{"id":6,"name":"b"},{"id":5,"name":"a"}]}"#;
    assert_eq!(ids_of(body).await, [Some(7), Some(6), Some(5)]);
}

#[tokio::test]
async fn a_page_in_place_of_a_success_is_unclear() {
    // A proxy can replace Testmo's answer by its own page, after Testmo has created the cases.
    unclear(&trouble_at(Wire::answering(answer("200 OK", HTML, "<html>"))).await, "not_testmo");
    unclear(&trouble_at(Wire::answering("HTTP/1.1 204 No Content\r\n\r\n".into())).await, "not_testmo");
}

/// Bodies of an answer, with their types; Testmo itself refuses only with the first form.
const BODIES: [(&str, &str); 4] =
    [(JSON, r#"{"message":"No."}"#), (HTML, "<html>"), (JSON, r#"{"error":"blocked"}"#), ("text/plain", "No.")];

#[tokio::test]
async fn a_status_that_precedes_any_work_is_clear_with_every_body() {
    for (kind, body) in BODIES {
        for (status, class) in
            [(401, "401"), (413, "413"), (421, "not_processed"), (425, "not_processed"), (429, "429")]
        {
            clear(&trouble_at(Wire::answering(answer(&format!("{status} ApiError"), kind, body))).await, class);
        }
    }
}

#[tokio::test]
async fn a_refusal_is_clear_in_testmos_own_words_and_unclear_in_others() {
    for (at, (kind, body)) in BODIES.into_iter().enumerate() {
        for (status, class) in [(400, "4xx"), (403, "403"), (404, "404"), (405, "4xx"), (422, "422")] {
            let trouble = trouble_at(Wire::answering(answer(&format!("{status} ApiError"), kind, body))).await;
            if at == 0 { clear(&trouble, class) } else { unclear(&trouble, "inconclusive") }
        }
    }
}

#[tokio::test]
async fn any_other_status_is_unclear_with_every_body() {
    for (kind, body) in BODIES {
        for status in [402, 406, 408, 409, 410, 411, 414, 418, 423, 424, 428, 431, 451, 499, 600, 999] {
            let trouble = trouble_at(Wire::answering(answer(&format!("{status} ApiError"), kind, body))).await;
            assert_eq!(trouble, ApiError::Inconclusive { status });
            unclear(&trouble, "inconclusive");
        }
    }
}

#[tokio::test]
async fn an_answer_that_switches_protocols_is_unclear() {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n";
    let trouble = trouble_at(Wire::answering(switch.into())).await;
    assert!(trouble.may_have_committed(), "{trouble}");
}

#[tokio::test]
async fn a_redirect_is_clear_where_it_says_that_the_request_goes_elsewhere_and_is_never_followed() {
    for (status, is_clear) in [
        ("301 Moved Permanently", true),
        // These two may lead to the result of a request that was carried out.
        ("302 Found", false),
        ("303 See Other", false),
        ("307 Temporary Redirect", true),
        ("308 Permanent Redirect", true),
    ] {
        let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
        elsewhere.set_nonblocking(true).unwrap();
        let location = format!("http://{}/login", elsewhere.local_addr().unwrap());
        let redirect = format!("HTTP/1.1 {status}\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let trouble = trouble_at(Wire::answering(redirect)).await;
        if is_clear {
            clear(&trouble, "not_testmo")
        } else {
            unclear(&trouble, "not_testmo")
        }
        assert!(elsewhere.accept().is_err(), "the key would have gone elsewhere");
    }
}

//! Serves connections byte by byte, by the script of a test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use rcgen::{BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::waiting::patient;

/// A server for a number of connections, one after another; its script serves each of them.
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    thread: JoinHandle<()>,
}

impl Wire {
    pub(crate) fn start(connections: usize, mut script: impl FnMut(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let thread = std::thread::spawn(move || {
            for _ in 0..connections {
                script(listener.accept().expect("a connection").0);
            }
        });
        Self { address, thread }
    }

    /// Returns a server that reads a whole request, and then calls `script`.
    pub(crate) fn after_request(script: impl FnMut(&mut TcpStream) + Send + 'static) -> Self {
        Self::after_requests(1, script)
    }

    /// Returns the same server for a number of connections, with one request each.
    pub(crate) fn after_requests(connections: usize, mut script: impl FnMut(&mut TcpStream) + Send + 'static) -> Self {
        Self::start(connections, move |mut stream| {
            read_request(&mut stream);
            script(&mut stream);
        })
    }

    /// Returns a server that answers a request with these bytes.
    pub(crate) fn answering(answer: String) -> Self {
        Self::after_request(move |stream| send(stream, &answer))
    }

    /// Waits until every connection was served; if the script failed, the test fails.
    pub(crate) async fn end(self) {
        let ended = patient(tokio::task::spawn_blocking(|| self.thread.join())).await;
        ended.expect("a thread").expect("a script that was played to its end");
    }
}

/// Returns an answer with its length.
pub(crate) fn answer(status: &str, kind: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

pub(crate) fn send(stream: &mut impl Write, bytes: &str) {
    // A client that has closed the connection has already finished its part of the test.
    drop(stream.write_all(bytes.as_bytes()));
}

/// Reads a request with a length, up to its last byte.
pub(crate) fn read_request(stream: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4_096];
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok()
            });
            if body.len() >= length.unwrap_or(0) {
                return text.into_owned();
            }
        }
        match stream.read(&mut chunk).expect("a request") {
            0 => panic!("the request ended early"),
            n => bytes.extend_from_slice(&chunk[..n]),
        }
    }
}

/// Holds the connection until the client has closed it.
pub(crate) fn hold(stream: &mut TcpStream) {
    // A reset is an acceptable end, too.
    drop(std::io::copy(stream, &mut std::io::sink()));
}

/// Resets the connection: a connection that is closed with unread bytes is reset, not ended.
pub(crate) fn reset(stream: TcpStream) {
    assert!(stream.peek(&mut [0]).expect("something to read") > 0);
    drop(stream);
}

/// An authority that signs certificates for servers.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// The authority's certificate, as a client needs it to trust the authority.
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        // Each has a name of its own: a certificate of another one is of an unknown authority then, and not badly signed.
        static AUTHORITIES: AtomicUsize = AtomicUsize::new(1);
        let name = format!("authority {}", AUTHORITIES.fetch_add(1, Ordering::Relaxed));
        let mut params = named(CertificateParams::new(Vec::new()).expect("no names"), &name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Returns certificate and key of a server with this name, as another program reads them.
    pub(crate) fn pems(&self, name: &str) -> (String, String) {
        let (certificate, key) = self.signed(name);
        (certificate.pem(), key.serialize_pem())
    }

    fn signed(&self, name: &str) -> (Certificate, KeyPair) {
        self.certified(params_of(name))
    }

    fn certified(&self, params: CertificateParams) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.issuer).expect("a certificate"), key)
    }

    /// Returns the TLS configuration of a server with this name.
    pub(crate) fn server(&self, name: &str) -> Arc<ServerConfig> {
        Self::serving(self.signed(name))
    }

    /// Returns the TLS configuration of a server with this name, whose certificate has expired.
    pub(crate) fn expired(&self, name: &str) -> Arc<ServerConfig> {
        Self::serving(self.certified(expired_params_of(name)))
    }

    /// Returns certificate and key of a server with this name, whose certificate has expired, as another program reads them.
    pub(crate) fn expired_pems(&self, name: &str) -> (String, String) {
        let (certificate, key) = self.certified(expired_params_of(name));
        (certificate.pem(), key.serialize_pem())
    }

    /// Returns the TLS configuration of a server with this name, whose certificate expires in a number of days.
    pub(crate) fn expiring(&self, name: &str, days: i64) -> Arc<ServerConfig> {
        Self::serving(self.certified(expiring_params_of(name, days)))
    }

    /// Returns certificate and key of such a server, as another program reads them.
    pub(crate) fn expiring_pems(&self, name: &str, days: i64) -> (String, String) {
        let (certificate, key) = self.certified(expiring_params_of(name, days));
        (certificate.pem(), key.serialize_pem())
    }

    fn serving((certificate, key): (Certificate, KeyPair)) -> Arc<ServerConfig> {
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let config = ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key);
        config.expect("a server's configuration").into()
    }
}

fn params_of(name: &str) -> CertificateParams {
    named(CertificateParams::new([name.to_owned()]).expect("a name"), name)
}

fn expiring_params_of(name: &str, days: i64) -> CertificateParams {
    let then = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
    let day = jiff::tz::TimeZone::UTC.to_datetime(then).date();
    let mut params = params_of(name);
    let (month, day_of_month) = (day.month().unsigned_abs(), day.day().unsigned_abs());
    params.not_after = rcgen::date_time_ymd(day.year().into(), month, day_of_month);
    params
}

fn expired_params_of(name: &str) -> CertificateParams {
    let mut params = params_of(name);
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    params
}

/// Returns parameters of a certificate with a subject of its own: one that has the subject of its issuer counts as signed by
/// itself.
fn named(mut params: CertificateParams, name: &str) -> CertificateParams {
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// Returns the same connection, encrypted; the handshake happens with the first byte.
pub(crate) fn encrypted(stream: TcpStream, config: &Arc<ServerConfig>) -> StreamOwned<ServerConnection, TcpStream> {
    let session = ServerConnection::new(config.clone()).expect("a session");
    StreamOwned::new(session, stream)
}

//! Opens tunnels through an HTTP proxy, for networks from which only a proxy leads out.

use std::fmt;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use crate::batch::verdict::answer::ApiError;

/// The most bytes of a proxy's answer.
const LONGEST_ANSWER: usize = 16 * 1024;

/// The proxy through which Testmo is reached.
#[derive(Clone)]
pub(super) struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
    /// User and password for the proxy, as its header has them.
    credentials: Option<SecretString>,
}

impl Proxy {
    /// Reads the setting `testmo.proxy`; `None` if it is empty. The configuration has checked that it is a URL.
    pub(super) fn of(setting: &str) -> Option<Self> {
        let url = Url::parse(setting).ok()?;
        let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
        let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
        let credentials = (!url.username().is_empty()).then(|| {
            let password = decoded(url.password().unwrap_or_default());
            SecretString::from(STANDARD.encode([decoded(url.username()), b":".to_vec(), password].concat()))
        });
        Some(Self { host, port: url.port_or_known_default()?, credentials })
    }

    /// Asks the proxy at the other end of `stream` for a tunnel to a host. What is sent afterwards reaches that host.
    pub(super) async fn open_tunnel(&self, stream: &mut TcpStream, host: &str, port: u16) -> Result<(), ApiError> {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let credentials = self.credentials.as_ref().map_or_else(String::new, |credentials| {
            format!("Proxy-Authorization: Basic {}\r\n", credentials.expose_secret())
        });
        let request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{credentials}\r\n");
        let asked = async {
            stream.write_all(request.as_bytes()).await?;
            read_head(stream).await
        };
        let head = asked.await.map_err(|error| ApiError::Unreachable(format!("{self} gave no tunnel: {error}")))?;
        match status_of(&head) {
            Some(200..=299) => Ok(()),
            status => Err(ApiError::Unreachable(self.refusal(status, &format!("{host}:{port}")))),
        }
    }

    fn refusal(&self, status: Option<u16>, to: &str) -> String {
        match status {
            Some(407) => format!("{self} asks for a user and a password: write them into testmo.proxy"),
            Some(403) => format!("{self} does not let the worker reach {to}: ask who runs the proxy to allow it"),
            Some(status) => format!("{self} answered {status} instead of opening a tunnel to {to}"),
            None => format!("{self} did not answer as an HTTP proxy"),
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy {}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads to the end of the answer's head, and no byte further: what follows belongs to the tunnel.
async fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= LONGEST_ANSWER {
            return Err(io::Error::other("its answer is too long"));
        }
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}

fn status_of(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let status = std::str::from_utf8(line).ok()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?;
    status.parse().ok()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_proxy_is_read_from_its_url_and_shows_no_password() {
        let proxy = Proxy::of("http://user:p%40ss@proxy.example:3128").expect("a proxy");
        assert_eq!((proxy.host.as_str(), proxy.port), ("proxy.example", 3128));
        let credentials = proxy.credentials.as_ref().map(|credentials| credentials.expose_secret().to_owned());
        assert_eq!(credentials, Some(STANDARD.encode("user:p@ss")));
        assert_eq!(format!("{proxy:?}"), "the proxy proxy.example:3128");
        assert_eq!(Proxy::of("http://[::1]").map(|proxy| (proxy.host, proxy.port)), Some(("::1".into(), 80)));
        assert!(Proxy::of("").is_none());
    }

    /// Answers a request for a tunnel with `answer`; returns what the worker makes of it and what the proxy read.
    async fn asked(answer: &'static str) -> (Result<(), ApiError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let serving = async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let read = read_head(&mut stream).await.expect("a request");
            stream.write_all(answer.as_bytes()).await.expect("an answer");
            String::from_utf8(read).expect("text")
        };
        let proxy = Proxy::of(&format!("http://u:p@127.0.0.1:{port}")).expect("a proxy");
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("a connection");
        tokio::join!(proxy.open_tunnel(&mut stream, "acme.testmo.net", 443), serving)
    }

    #[tokio::test]
    async fn a_tunnel_is_asked_for_and_a_refusal_says_what_to_do() {
        let (end, request) = asked("HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n").await;
        assert_eq!(end, Ok(()));
        assert_eq!(
            request,
            "CONNECT acme.testmo.net:443 HTTP/1.1\r\nHost: acme.testmo.net:443\r\nProxy-Authorization: Basic dTpw\r\n\r\n"
        );
        for (answer, told) in [
            ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "write them into testmo.proxy"),
            ("HTTP/1.1 403 Forbidden\r\n\r\n", "does not let the worker reach acme.testmo.net:443"),
            ("HTTP/1.0 502 Bad Gateway\r\n\r\n", "answered 502 instead of"),
            ("SSH-2.0-OpenSSH\r\n\r\n", "did not answer as an HTTP proxy"),
            ("", "gave no tunnel"),
        ] {
            let Err(ApiError::Unreachable(text)) = asked(answer).await.0 else { panic!("{answer}") };
            assert!(text.contains(told), "{answer}: {text}");
        }
    }
}

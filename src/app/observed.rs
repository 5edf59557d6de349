//! Reads what a worker on this machine shows to monitoring, by one plain request that costs next to nothing.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use url::Url;

/// How long a healthy worker takes at most.
const LIMIT: Duration = Duration::from_secs(2);
/// How many bytes of an answer are read.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// Returns the URL of a path at an address that a worker on this machine listens at.
pub fn url_at(listen: SocketAddr, path: &str) -> Option<Url> {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    format!("http://{}{path}", SocketAddr::new(ip, listen.port())).parse().ok()
}

/// Requests a URL, and returns the status and the body.
///
/// # Errors
/// When no complete answer comes in time.
pub fn get(url: &Url) -> io::Result<(u16, String)> {
    let until = Instant::now() + LIMIT;
    let left = || {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    };
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
    if url.scheme() != "http" {
        return Err(wrong("only http:// URLs are supported"));
    }
    let host = url.host_str().ok_or_else(|| wrong("the URL contains no host"))?;
    let port = url.port_or_known_default().unwrap_or(80);
    let mut connected = Err(wrong("the host has no address"));
    for address in (host.trim_matches(['[', ']']), port).to_socket_addrs()? {
        connected = left().and_then(|left| TcpStream::connect_timeout(&address, left));
        if connected.is_ok() {
            break;
        }
    }
    let mut stream = connected?;
    stream.set_write_timeout(Some(left()?))?;
    // HTTP/1.0, so that the answer comes in one piece and ends with the connection.
    write!(stream, "GET {} HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n", url.path())?;
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    loop {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut part)? {
            0 => break,
            n => answer.extend_from_slice(&part[..n]),
        }
        if answer.len() as u64 > MOST_BYTES {
            break;
        }
    }
    read(&String::from_utf8_lossy(&answer)).ok_or_else(|| wrong("the response is not HTTP"))
}

fn read(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.get(..3)?.parse().ok()?;
    Some((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_every_interface_is_requested_on_the_loopback() {
        for (listen, url) in [
            ("0.0.0.0:9464", "http://127.0.0.1:9464/readyz"),
            ("[::]:9464", "http://[::1]:9464/readyz"),
            ("10.1.2.3:80", "http://10.1.2.3/readyz"),
        ] {
            assert_eq!(url_at(listen.parse().unwrap(), "/readyz").unwrap().as_str(), url);
        }
    }

    #[test]
    fn an_answer_is_read_by_its_status() {
        assert_eq!(read("HTTP/1.0 503 Service Unavailable\r\nA: b\r\n\r\nstore\n"), Some((503, "store\n".into())));
        assert_eq!(read("SSH-2.0-OpenSSH\r\n\r\n"), None);
    }
}

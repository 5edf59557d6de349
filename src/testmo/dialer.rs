//! Opens a connection to a vetted address, with TLS where the origin says so.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rustix::io::Errno;
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::ConfigVerifierExt;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use url::Url;

use super::address::Origin;
use super::connection::{Connection, Stream};
use super::metered::Metered;
use super::proxy::Proxy;
use super::resolver::{ResolveError, resolve};
use super::sockets::{Slot, Sockets};
use super::tls_trouble::tls_trouble;
use crate::batch::verdict::answer::ApiError;
use crate::certificates::{self, Peer};

/// How long one address is tried before the next one is tried beside it (RFC 8305).
const STAGGER: Duration = Duration::from_millis(300);
/// The most addresses of a name that are tried.
const MOST_ADDRESSES: usize = 6;
/// How often the kernel checks a connection on which nothing happens, which also keeps it known on the way.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long what was written may stay unconfirmed by the other side's kernel until the connection counts as broken.
const UNCONFIRMED: Duration = Duration::from_secs(30);

/// Where connections of an origin lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    host: String,
    port: u16,
    is_tls: bool,
    /// Whether it may lead to any address, because the operator has listed it.
    is_listed: bool,
}

/// A connection, and the certificate of its host if there is TLS.
type Seen = (Connection, Option<CertificateDer<'static>>);

/// Opens connections.
pub(super) struct Dialer {
    tls: TlsConnector,
    time_limit: Duration,
    sockets: Sockets,
    proxy: Option<Proxy>,
}

impl Endpoint {
    pub(super) fn of(origin: &Origin) -> Result<Self, ApiError> {
        let unusable = || ApiError::AddressRefused(format!("{origin} has no host"));
        let url = Url::parse(origin.as_str()).map_err(|_| unusable())?;
        let host = url.host_str().ok_or_else(unusable)?.trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default().ok_or_else(unusable)?;
        Ok(Self { host, port, is_tls: url.scheme() == "https", is_listed: origin.is_insecure() })
    }

    #[cfg(test)]
    pub(super) fn named(name: &str) -> Self {
        Self { host: name.into(), port: 443, is_tls: true, is_listed: false }
    }
}

impl Dialer {
    pub(super) fn new(time_limit: Duration, sockets: Sockets, proxy: Option<Proxy>) -> Result<Self, rustls::Error> {
        let mut tls = ClientConfig::with_platform_verifier()?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: TlsConnector::from(Arc::new(tls)), time_limit, sockets, proxy })
    }

    /// Opens a connection in a slot. Whatever fails here, nothing of a request was sent.
    pub(super) async fn dial(&self, endpoint: &Endpoint, slot: &Slot) -> Result<Connection, ApiError> {
        self.dial_seeing(endpoint, slot).await.map(|(connection, _)| connection)
    }

    /// Opens a connection in a slot, and returns the certificate of the host with it, if there is TLS.
    pub(super) async fn dial_seeing(&self, endpoint: &Endpoint, slot: &Slot) -> Result<Seen, ApiError> {
        let dialled = timeout(self.time_limit, self.dial_patiently(endpoint, slot)).await;
        dialled.unwrap_or_else(|_| {
            Err(ApiError::Unreachable(format!("no connection within {} ms", self.time_limit.as_millis())))
        })
    }

    async fn dial_patiently(&self, endpoint: &Endpoint, slot: &Slot) -> Result<Seen, ApiError> {
        // What cannot be a name in DNS is not known there.
        let name = ServerName::try_from(endpoint.host.clone()).map_err(|_| ApiError::UnknownHost)?;
        let found = match &self.proxy {
            None => resolve(&endpoint.host, endpoint.port, !endpoint.is_listed, slot).await,
            // The name of the host is resolved beyond the proxy.
            Some(proxy) => resolve(&proxy.host, proxy.port, false, slot).await,
        };
        let addresses = found.map_err(|error| resolve_trouble(error, self.proxy.as_ref()))?;
        let (mut stream, slot) =
            connect(addresses, slot, &self.sockets).await.map_err(|error| socket_trouble(&error))?;
        keep_alive(&stream).map_err(|error| socket_trouble(&error))?;
        if let Some(proxy) = &self.proxy {
            proxy.open_tunnel(&mut stream, &endpoint.host, endpoint.port).await?;
        }
        let (stream, gauge) = Metered::new(stream);
        let mut certificate = None;
        let stream: Box<dyn Stream> = if endpoint.is_tls {
            let stream = self.tls.connect(name, stream).await.map_err(|error| tls_trouble(&error))?;
            certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first().cloned());
            if let Some(own) = &certificate {
                certificates::note(Peer::Testmo, &endpoint.host, own);
            }
            Box::new(stream)
        } else {
            Box::new(stream)
        };
        let connection = Connection::over(stream, gauge, slot).await;
        Ok((connection.map_err(|error| ApiError::Unreachable(error.to_string()))?, certificate))
    }
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer").field("time_limit", &self.time_limit).finish_non_exhaustive()
    }
}

/// Connects to the first address that answers. Each is tried a moment after the one before it, or once that one has
/// failed. Two are tried at once only while sockets are left for all who need one.
async fn connect(addresses: Vec<SocketAddr>, slot: &Slot, sockets: &Sockets) -> io::Result<(TcpStream, Slot)> {
    let mut rest = addresses.into_iter().take(MOST_ADDRESSES);
    let mut attempts = FuturesUnordered::new();
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        let slot = if attempts.is_empty() { Some(slot.clone()) } else { sockets.spare() };
        match slot.and_then(|slot| Some((rest.next()?, slot))) {
            Some((address, slot)) => attempts.push(async move { (TcpStream::connect(address).await, slot) }),
            None if attempts.is_empty() => return Err(failed),
            None => {}
        }
        tokio::select! {
            Some((ended, slot)) = attempts.next() => match ended {
                Ok(stream) => return Ok((stream, slot)),
                // Another address would not help.
                Err(error) if is_own(&error) => return Err(error),
                Err(error) => failed = error,
            },
            () = sleep(STAGGER), if rest.len() > 0 => {}
        }
    }
}

fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE).with_retries(3))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNCONFIRMED))?;
    Ok(())
}

fn resolve_trouble(error: ResolveError, proxy: Option<&Proxy>) -> ApiError {
    // The system's resolver reports a missing descriptor as an unknown name, or as a failure of the name server.
    let own = || own_trouble().map(|error| ApiError::NoSocket(error.to_string()));
    match error {
        ResolveError::Unknown => own().unwrap_or_else(|| match proxy {
            Some(proxy) => ApiError::Unreachable(format!("the host name of {proxy} is unknown: check testmo.proxy")),
            None => ApiError::UnknownHost,
        }),
        ResolveError::NoAnswer(_) => own().unwrap_or_else(|| ApiError::Unreachable(error.to_string())),
        ResolveError::NotPublic(_) => ApiError::AddressRefused(error.to_string()),
    }
}

fn socket_trouble(error: &io::Error) -> ApiError {
    let trouble = if is_own(error) { ApiError::NoSocket } else { ApiError::Unreachable };
    trouble(error.to_string())
}

/// Returns what this machine lacks for a further socket, if it lacks something.
fn own_trouble() -> Option<io::Error> {
    std::net::UdpSocket::bind(("127.0.0.1", 0)).err().filter(is_own)
}

/// Returns whether an error says that this process or machine has nothing left for a socket: no descriptor, no memory,
/// no space.
fn is_own(error: &io::Error) -> bool {
    let own = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS, Errno::NOSPC];
    Errno::from_io_error(error).is_some_and(|errno| own.contains(&errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_machine_lacks_is_not_the_hosts_fault() {
        for (errno, is_ours) in [
            (Errno::MFILE, true),
            (Errno::NFILE, true),
            (Errno::NOMEM, true),
            (Errno::NOBUFS, true),
            (Errno::NOSPC, true),
            (Errno::CONNREFUSED, false),
            (Errno::NETUNREACH, false),
            (Errno::TIMEDOUT, false),
        ] {
            let trouble = socket_trouble(&errno.into());
            assert_eq!(matches!(trouble, ApiError::NoSocket(_)), is_ours, "{trouble}");
            assert!(!trouble.may_have_committed(), "{trouble}");
        }
    }

    #[test]
    fn an_unknown_name_is_the_hosts_or_the_proxys_and_a_failed_look_up_is_nobodys() {
        assert_eq!(resolve_trouble(ResolveError::Unknown, None), ApiError::UnknownHost);
        let proxy = Proxy::of("http://proxy:3128").expect("a proxy");
        let of_proxy = resolve_trouble(ResolveError::Unknown, Some(&proxy));
        assert!(matches!(&of_proxy, ApiError::Unreachable(text) if text.contains("check testmo.proxy")), "{of_proxy}");
        let unasked = resolve_trouble(ResolveError::NoAnswer("Try again".into()), None);
        assert!(matches!(unasked, ApiError::Unreachable(_)), "{unasked}");
    }

    #[tokio::test]
    async fn the_next_address_is_tried_when_one_fails() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = listener.local_addr().unwrap();
        let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let sockets = Sockets::new(1);
        let slot = sockets.spare().unwrap();
        let dialled = async |addresses| connect(addresses, &slot, &sockets).await.map(|(stream, _)| stream);
        assert!(dialled(vec![gone, there]).await.is_ok());
        assert_eq!(dialled(vec![gone]).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert!(dialled(vec![]).await.is_err());
    }
}

//! Opens a socket to the broker, with TLS where its address says so, and notes the certificate that the broker shows.

use std::io;

use async_rs::traits::Reactor;
use async_rs::{Runtime, Tokio};
use lapin::AsyncTcpStream;
use lapin::tcp::{AMQPUriTcpExt, OwnedTLSConfig};
use lapin::uri::AMQPUri;

use crate::certificates::{self, Peer};

/// A socket to the broker, with or without TLS.
pub(super) type Socket = AsyncTcpStream<<Tokio as Reactor>::TcpStream>;

/// Opens a socket.
///
/// # Errors
/// When the broker cannot be reached, or TLS is not established.
pub(super) async fn dial(uri: &AMQPUri, tls: &OwnedTLSConfig) -> io::Result<Socket> {
    let socket = uri.connect_with_config_async(tls.as_ref(), &Runtime::new(Tokio::current())).await?;
    if let Some(own) = certificate(&socket) {
        certificates::note(Peer::Broker, &uri.authority.host, own);
    }
    Ok(socket)
}

/// Returns the certificate that the broker showed, in DER.
pub(super) fn certificate(socket: &Socket) -> Option<&[u8]> {
    let AsyncTcpStream::Rustls(stream) = socket else { return None };
    stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).map(AsRef::as_ref)
}

//! Encrypts the connections to a server that speaks plain HTTP, with a certificate that can be replaced.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A front of one server; it ends when it is dropped.
pub(crate) struct TlsFront {
    pub(crate) address: SocketAddr,
    config: Arc<Mutex<Arc<ServerConfig>>>,
    _serving: JoinSet<()>,
}

impl TlsFront {
    /// Serves the connections to a free port of loopback.
    pub(crate) async fn start(server: SocketAddr, config: Arc<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let config = Arc::new(Mutex::new(config));
        let current = config.clone();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut clients = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let config = current.lock().unwrap_or_else(PoisonError::into_inner).clone();
                clients.spawn(async move {
                    // A client that does not accept the certificate ends the handshake.
                    let Ok(mut client) = TlsAcceptor::from(config).accept(stream).await else { return };
                    let mut server = TcpStream::connect(server).await.expect("the server");
                    drop(copy_bidirectional(&mut client, &mut server).await);
                });
            }
        });
        Self { address, config, _serving: serving }
    }

    /// Shows another certificate to connections from now on.
    pub(crate) fn renew(&self, config: Arc<ServerConfig>) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
    }
}

//! Encrypts the connections to a server that speaks without TLS, with a certificate that can be replaced.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::batches::key_of;
use super::process::{command, run_reading};
use super::stage::Stage;
use super::wire::Authority;

/// The Testmo of the tenant `acme` behind TLS, for a tenant whose connection comes later.
pub(crate) struct EncryptedTestmo {
    pub(crate) authority: Authority,
    pub(crate) front: TlsFront,
    origin: String,
    /// The file with the certificate of the authority.
    pub(crate) trusted: String,
}

impl EncryptedTestmo {
    /// Encrypts the Testmo of a stage, and allows its new address.
    pub(crate) async fn of(stage: &mut Stage) -> Self {
        let authority = Authority::new();
        let trusted = stage.path("ca.pem");
        std::fs::write(&trusted, &authority.pem).expect("a file");
        let plain = stage.testmo.origin("acme");
        let server = plain.trim_start_matches("http://").split('/').next().and_then(|host| host.parse().ok());
        let front = TlsFront::start(server.expect("an address"), authority.server("127.0.0.1")).await;
        let origin = format!("https://{}/acme", front.address);
        let allowed = stage.environment.get_mut("COURIER_TESTMO__ALLOWED_INSECURE_ORIGINS").expect("the setting");
        *allowed = format!("{allowed},{origin}");
        Self { authority, front, origin, trusted: trusted.display().to_string() }
    }

    /// Enters the connection of the tenant `late` by the program, and returns its exit code and output.
    pub(crate) fn connect(&self, stage: &Stage) -> (Option<i32>, String) {
        let mut program = command(stage);
        program.args(["tenants", "set", "late", "--base-url", &self.origin, "--project", "1", "--folder", "1"]);
        program.arg("--api-key-stdin");
        run_reading(program, &key_of("acme"))
    }
}

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

//! Runs a TCP proxy on loopback whose connections can be cut, refused and stalled.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// A proxy to one address.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    weather: watch::Sender<Weather>,
}

/// The state of the network between two neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    Fair,
    /// Connections stay open, and nothing passes.
    Stalled,
    /// Connections break, and new ones are closed at once.
    Down,
}

impl Proxy {
    /// Starts a proxy on a free port that passes everything on to `target`.
    pub(crate) async fn to(target: SocketAddr, tasks: &TaskTracker) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let weather = watch::Sender::new(Weather::Fair);
        let (seen, inner) = (weather.subscribe(), tasks.clone());
        tasks.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *seen.borrow() != Weather::Down {
                    inner.spawn(pass(client, target, seen.clone()));
                }
                if seen.has_changed().is_err() {
                    return;
                }
            }
        });
        Ok(Self { address, weather })
    }

    /// Breaks every connection, and closes new ones at once until the proxy is [open](Self::open) again.
    pub(crate) fn cut(&self) {
        self.weather.send_replace(Weather::Down);
    }

    /// Lets nothing pass until the proxy is [open](Self::open) again.
    pub(crate) fn stall(&self) {
        self.weather.send_replace(Weather::Stalled);
    }

    pub(crate) fn open(&self) {
        self.weather.send_replace(Weather::Fair);
    }
}

async fn pass(client: TcpStream, target: SocketAddr, weather: watch::Receiver<Weather>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    let mut cut = weather.clone();
    tokio::select! {
        _ = cut.wait_for(|now| *now == Weather::Down) => {}
        () = copy(client_in, server_out, weather.clone()) => {}
        () = copy(server_in, client_out, weather) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut weather: watch::Receiver<Weather>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let passes = weather.wait_for(|now| *now == Weather::Fair).await.is_ok();
        if !passes || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

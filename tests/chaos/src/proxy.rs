//! How does a network fail? A TCP proxy on loopback whose connections can be cut and stalled.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// A proxy to one address.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    cuts: watch::Sender<u64>,
    stalled: watch::Sender<bool>,
}

impl Proxy {
    /// Listens on a free port and passes everything on to `target`.
    pub(crate) async fn to(target: SocketAddr, tasks: &TaskTracker) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (cuts, stalled) = (watch::Sender::new(0), watch::Sender::new(false));
        let (cut, stall, inner) = (cuts.subscribe(), stalled.subscribe(), tasks.clone());
        tasks.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                inner.spawn(pass(client, target, cut.clone(), stall.clone()));
            }
        });
        Ok(Self { address, cuts, stalled })
    }

    /// Breaks every connection there is.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Lets nothing pass, or everything again.
    pub(crate) fn stall(&self, stalled: bool) {
        self.stalled.send_replace(stalled);
    }
}

async fn pass(client: TcpStream, target: SocketAddr, mut cut: watch::Receiver<u64>, stall: watch::Receiver<bool>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    cut.mark_unchanged();
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    tokio::select! {
        _ = cut.changed() => {}
        () = copy(client_in, server_out, stall.clone()) => {}
        () = copy(server_in, client_out, stall) => {}
    }
}

async fn copy(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut stall: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if stall.wait_for(|stalled| !stalled).await.is_err() || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

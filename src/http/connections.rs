//! Accepts connections to a port, and bounds how many are open and how long they may be silent.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// How long a connection may be without a whole head of a request.
pub(super) const LONGEST_SILENCE: Duration = Duration::from_secs(30);
/// How long nothing is accepted after the system could not open a connection.
const RECOVERY: Duration = Duration::from_secs(1);

/// The address at the other end of a connection; every request has it as an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Peer(pub(super) IpAddr);

/// The connections that are open.
struct Connections {
    most: usize,
    longest_silence: Duration,
    tasks: JoinSet<()>,
    known: Vec<Known>,
    turn: Arc<AtomicU64>,
}

struct Known {
    /// The turn at which the connection was opened, or its last request began.
    used: Arc<AtomicU64>,
    /// Whether a request is being answered.
    busy: Arc<AtomicBool>,
    task: AbortHandle,
}

/// Serves up to `most` connections for as long as it is polled; when it is dropped, all are closed. Files are kept for them
/// (`descriptors.rs`).
pub(super) async fn serve_all(
    listener: TcpListener,
    app: Router,
    most: usize,
    longest_silence: Duration,
) -> Infallible {
    let mut open =
        Connections { most, longest_silence, tasks: JoinSet::new(), known: Vec::new(), turn: Arc::default() };
    loop {
        tokio::select! {
            Some(_) = open.tasks.join_next() => open.forget_closed(),
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    open.make_room().await;
                    open.serve(stream, Peer(address.ip()), &app);
                }
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "no connection to a port of the worker can be accepted");
                    tokio::time::sleep(RECOVERY).await;
                }
            },
        }
    }
}

impl Connections {
    /// Closes the connection that has been without a new request for longest, if no further one may be open, and one that is
    /// being answered only if all are: a client that asks for something is served however many others are silent.
    async fn make_room(&mut self) {
        while self.tasks.len() >= self.most {
            if let Some(oldest) = self.known.iter().min_by_key(|known| known.rank()) {
                oldest.task.abort();
            }
            // Until it has closed its socket.
            self.tasks.join_next().await;
            self.forget_closed();
        }
    }

    fn forget_closed(&mut self) {
        self.known.retain(|known| !known.task.is_finished());
    }

    fn serve(&mut self, stream: TcpStream, peer: Peer, app: &Router) {
        let (turn, used) = (self.turn.clone(), Arc::new(AtomicU64::new(next(&self.turn))));
        let busy = Arc::<AtomicBool>::default();
        let (answer, last, at_work) = (TowerToHyperService::new(app.clone()), used.clone(), busy.clone());
        let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(peer);
            last.store(next(&turn), Ordering::Relaxed);
            at_work.store(true, Ordering::Relaxed);
            let (answering, at_work) = (answer.call(request), at_work.clone());
            async move {
                let answer = answering.await;
                at_work.store(false, Ordering::Relaxed);
                answer
            }
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(self.longest_silence);
        let serving = http.serve_connection(TokioIo::new(stream), service);
        // How a connection ends is the client's business.
        let task = self.tasks.spawn(async move { drop(serving.await) });
        self.known.push(Known { used, busy, task });
    }
}

impl Known {
    /// Returns what orders connections by how little their clients lose when they are closed.
    fn rank(&self) -> (bool, u64) {
        (self.busy.load(Ordering::Relaxed), self.used.load(Ordering::Relaxed))
    }
}

fn next(turn: &AtomicU64) -> u64 {
    turn.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const MOST: usize = 16;

    async fn server(longest_silence: Duration) -> (std::net::SocketAddr, JoinSet<Infallible>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route("/livez", get(|| async { "alive\n" }));
        let mut serving = JoinSet::new();
        serving.spawn(serve_all(listener, app, MOST, longest_silence));
        (address, serving)
    }

    async fn ask(stream: &mut TcpStream) {
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: courier\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"alive\n") {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "an answer");
        }
    }

    #[tokio::test]
    async fn a_silent_connection_makes_room_and_one_with_requests_is_kept() {
        let (address, _serving) = server(LONGEST_SILENCE).await;
        let mut regular = TcpStream::connect(address).await.unwrap();
        let mut silent = Vec::new();
        for n in 0..MOST * 20 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            if n % 2 == 0 {
                stream.write_all(b"GET /livez HTTP/1.1\r\nHo").await.unwrap();
            }
            silent.push(stream);
            if n % 8 == 0 {
                ask(&mut regular).await;
            }
        }
        ask(&mut regular).await;
        let mut other = TcpStream::connect(address).await.unwrap();
        ask(&mut other).await;
        for mut closed in silent.drain(..MOST * 19) {
            assert!(closed.read_u8().await.is_err(), "it was silent for longest");
        }
    }

    #[tokio::test]
    async fn a_connection_without_a_whole_head_is_closed() {
        let (address, _serving) = server(Duration::from_millis(20)).await;
        for sent in ["", "GET /livez HTTP/1.1\r\nHost: cou"] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(sent.as_bytes()).await.unwrap();
            assert!(stream.read_u8().await.is_err(), "{sent:?}");
        }
    }
}

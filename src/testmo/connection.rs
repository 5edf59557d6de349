//! Carries requests over one connection, which is driven by the task of the request.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use axum::body::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::metered::Gauge;
use super::sockets::Slot;

/// What HTTP runs over: a socket, or TLS over one.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection to an origin. Dropping it closes its socket at once: no task of its own keeps it open or busy.
pub(super) struct Connection {
    pub(super) sender: SendRequest<Full<Bytes>>,
    pub(super) gauge: Gauge,
    pub(super) driver: Driver,
    /// Dropped after the driver, which has the socket.
    _slot: Slot,
}

/// Moves the bytes of a connection.
pub(super) struct Driver {
    /// `None` once the connection has ended.
    moving: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Connection {
    pub(super) async fn over(stream: Box<dyn Stream>, gauge: Gauge, slot: Slot) -> Result<Self, hyper::Error> {
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // How a connection ends is reported to the request that it carries.
        let moving = async move { drop(connection.await) };
        Ok(Self { sender, gauge, driver: Driver { moving: Some(Box::pin(moving)) }, _slot: slot })
    }

    /// Returns whether the connection can carry a request now, as far as the socket shows.
    pub(super) fn is_usable(&mut self) -> bool {
        self.driver.advance(&mut Context::from_waker(Waker::noop()));
        self.driver.moving.is_some() && self.sender.is_ready()
    }
}

impl Driver {
    /// Waits for something that the connection has to do, and moves its bytes meanwhile.
    pub(super) async fn drive<T>(&mut self, what: impl Future<Output = T>) -> T {
        let mut what = std::pin::pin!(what);
        std::future::poll_fn(|context| {
            self.advance(context);
            what.as_mut().poll(context)
        })
        .await
    }

    fn advance(&mut self, context: &mut Context<'_>) {
        if let Some(moving) = &mut self.moving
            && let Poll::Ready(()) = moving.as_mut().poll(context)
        {
            self.moving = None;
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("has_ended", &self.driver.moving.is_none()).finish_non_exhaustive()
    }
}

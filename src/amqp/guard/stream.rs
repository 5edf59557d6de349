//! Wraps the socket of a connection, above TLS, and opens a connection with it.
//!
//! lapin takes a custom transport through `Connection::connector`: a runtime whose TCP stream is the transport.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_rs::traits::Reactor;
use async_rs::util::RuntimeParts;
use async_rs::{Runtime, Tokio};
use futures_io::{AsyncRead, AsyncWrite};
use futures_util::Stream;
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;
use lapin::{AsyncTcpStream, Connection, ConnectionProperties};

use super::frames::Guard;
use super::marker::Marker;
use crate::amqp::dial::{Socket, dial};

/// The most bytes that are read at once, which bounds the bytes that wait behind an unreadable header.
const MOST_AT_ONCE: usize = 65_536;
/// The most bytes that are collected at once.
const MOST_COLLECTED: usize = 4_096;

/// Opens a connection whose content headers lapin can read.
///
/// # Errors
/// The errors of lapin's own connecting.
pub(in crate::amqp) async fn connect(
    uri: AMQPUri,
    properties: ConnectionProperties,
    tls: OwnedTLSConfig,
    marker: &Marker,
) -> lapin::Result<Connection> {
    let tokio = Tokio::current();
    let runtime = Runtime::new(RuntimeParts::new(tokio.clone(), GuardedReactor(tokio)));
    let marker = marker.clone();
    let open = async move |uri: AMQPUri, _: Runtime<RuntimeParts<Tokio, GuardedReactor>>| {
        let socket = dial(&uri, &tls).await?;
        let guard = Guard::new(marker.clone(), uri.query.frame_max.unwrap_or_default());
        Ok(AsyncTcpStream::Plain(GuardedStream { socket, guard }))
    };
    Connection::connector(uri, runtime, open, properties).await
}

/// A socket whose incoming bytes pass the guard.
pub(super) struct GuardedStream<S = Socket> {
    socket: S,
    guard: Guard,
}

/// tokio's reactor, for lapin's own waits. Connections are opened by [`connect`] alone.
#[derive(Clone, Debug)]
pub(super) struct GuardedReactor(Tokio);

impl<S: AsyncRead + Unpin> AsyncRead for GuardedStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        let Self { socket, guard } = self.get_mut();
        if room.is_empty() {
            return Poll::Ready(Ok(0));
        }
        // Returning no bytes would mean the end of the connection, so reading goes on until there are bytes to give
        // out.
        loop {
            if guard.has_ready() {
                return Poll::Ready(Ok(guard.give(room)));
            }
            match guard.wanted() {
                0 => {
                    let most = room.len().min(MOST_AT_ONCE);
                    let count = ready!(Pin::new(&mut *socket).poll_read(cx, &mut room[..most]))?;
                    let passed = guard.scan(&mut room[..count]);
                    if passed > 0 || count == 0 {
                        return Poll::Ready(Ok(passed));
                    }
                }
                wanted => {
                    let mut bytes = [0; MOST_COLLECTED];
                    let most = wanted.min(MOST_COLLECTED);
                    let count = ready!(Pin::new(&mut *socket).poll_read(cx, &mut bytes[..most]))?;
                    if count == 0 {
                        return Poll::Ready(Ok(0));
                    }
                    guard.collect(&bytes[..count]);
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for GuardedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, parts)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(cx)
    }
}

impl Reactor for GuardedReactor {
    type TcpStream = GuardedStream;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: io::Read + io::Write + Send + 'static>(
        &self,
        _: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<GuardedStream, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    fn tcp_connect_addr(&self, _: SocketAddr) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        std::future::ready(Err(io::Error::from(io::ErrorKind::Unsupported)))
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::super::header::tests::payload;
    use super::super::marker::write_frame;
    use super::*;

    /// A socket that gives out one byte at each second call, as a slow network does.
    struct Slow<'a> {
        bytes: &'a [u8],
        ready: bool,
    }

    impl AsyncRead for Slow<'_> {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
            self.ready = !self.ready;
            if self.ready {
                return Poll::Pending;
            }
            let Some((first, rest)) = self.bytes.split_first() else { return Poll::Ready(Ok(0)) };
            self.bytes = rest;
            room[0] = *first;
            Poll::Ready(Ok(1))
        }
    }

    /// Returns everything up to the end, read into buffers of this size.
    fn read(socket: impl AsyncRead + Unpin, marker: &Marker, room: usize) -> Vec<u8> {
        let mut stream = GuardedStream { socket, guard: Guard::new(marker.clone(), 16_384) };
        let (mut all, mut room) = (Vec::new(), vec![0; room]);
        loop {
            match Pin::new(&mut stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut room) {
                Poll::Ready(Ok(0)) => return all,
                Poll::Ready(Ok(count)) => all.extend(&room[..count]),
                Poll::Ready(Err(error)) => panic!("{error}"),
                Poll::Pending => {}
            }
        }
    }

    fn frames() -> Vec<u8> {
        let mut frames = Vec::new();
        for properties in [&b"\x02ok"[..], b"\x02\xff\xfe"] {
            write_frame(2, [0, 1], &payload(1 << 7, properties), &mut frames);
            write_frame(3, [0, 1], b"body!", &mut frames);
        }
        frames
    }

    #[test]
    fn a_header_that_is_held_back_is_not_the_end_of_the_connection() {
        let (marker, frames) = (Marker::random(), frames());
        let whole = read(frames.as_slice(), &marker, 100_000);
        assert!(whole.len() > frames.len());
        for room in [1, 7, 30] {
            assert_eq!(read(frames.as_slice(), &marker, room), whole);
            assert_eq!(read(Slow { bytes: &frames, ready: false }, &marker, room), whole);
        }
    }

    #[test]
    fn the_end_in_the_middle_of_a_frame_is_the_end() {
        let (marker, frames) = (Marker::random(), frames());
        for end in 0..frames.len() {
            let whole = read(frames.as_slice(), &marker, 100_000);
            assert!(whole.starts_with(&read(&frames[..end], &marker, 100_000)), "{end}");
        }
    }
}

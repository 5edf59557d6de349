//! Counts the bytes that a socket takes and gives, and bounds what it gives.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What has passed through a socket, below TLS. Only the task of the request that uses the socket reads and writes it.
#[derive(Debug)]
struct Meter {
    written: AtomicU64,
    read: AtomicU64,
    /// How much may have been read in all.
    allowed: AtomicU64,
    is_over: AtomicBool,
}

/// A socket that counts.
#[derive(Debug)]
pub(super) struct Metered {
    stream: TcpStream,
    meter: Arc<Meter>,
}

/// Reads the counts of a socket from outside, as it is in use elsewhere.
#[derive(Clone, Debug)]
pub(super) struct Gauge(Arc<Meter>);

/// The point of a socket's counts at which a request begins.
#[derive(Clone, Debug)]
pub(super) struct RequestStart {
    meter: Arc<Meter>,
    written: u64,
    read: u64,
}

impl Metered {
    pub(super) fn new(stream: TcpStream) -> (Self, Gauge) {
        let meter = Arc::new(Meter {
            written: AtomicU64::new(0),
            read: AtomicU64::new(0),
            allowed: AtomicU64::new(u64::MAX),
            is_over: AtomicBool::new(false),
        });
        (Self { stream, meter: meter.clone() }, Gauge(meter))
    }

    fn count_written(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(count)) = written {
            self.meter.written.fetch_add(u64::try_from(*count).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }
}

impl Gauge {
    /// Begins a request, whose answer may have `most` bytes for now.
    pub(super) fn begin(&self, most: u64) -> RequestStart {
        let at = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let start = RequestStart { meter: self.0.clone(), written: at(&self.0.written), read: at(&self.0.read) };
        start.allow(most);
        start
    }
}

impl RequestStart {
    /// Bounds the answer to `most` bytes in all.
    pub(super) fn allow(&self, most: u64) {
        self.meter.allowed.store(self.read.saturating_add(most), Ordering::Relaxed);
    }

    /// Returns whether the socket has taken any byte of the request. Otherwise nothing of it can have arrived.
    pub(super) fn is_sent(&self) -> bool {
        self.meter.written.load(Ordering::Relaxed) > self.written
    }

    /// Returns whether the answer was longer than allowed.
    pub(super) fn is_over(&self) -> bool {
        self.meter.is_over.load(Ordering::Relaxed)
    }
}

impl AsyncRead for Metered {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.meter.read.load(Ordering::Relaxed) >= this.meter.allowed.load(Ordering::Relaxed) {
            this.meter.is_over.store(true, Ordering::Relaxed);
            return Poll::Ready(Err(io::Error::other("the answer is longer than allowed")));
        }
        let before = into.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, into);
        let count = into.filled().len() - before;
        this.meter.read.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
        read
    }
}

impl AsyncWrite for Metered {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.count_written(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, bytes);
        this.count_written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

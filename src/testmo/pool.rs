//! Keeps connections for the next requests to their origins.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::connection::Connection;
use super::dialer::Endpoint;
use super::sockets::{Slot, Sockets};
use crate::guard::lock;

/// How long a connection is kept without a request. Balancers and address translators forget idle connections after a
/// minute or more, some of them without a word, and a request over such a connection is never answered.
const LONGEST_IDLE: Duration = Duration::from_secs(20);
/// The most idle connections to one origin.
const MOST_OF_ONE: usize = 16;
/// The most idle connections in all.
const MOST: usize = 64;

/// Idle connections, and the sockets that all connections take.
#[derive(Debug)]
pub(super) struct Pool {
    sockets: Sockets,
    /// In the order in which they became idle.
    idle: Mutex<VecDeque<Idle>>,
}

#[derive(Debug)]
struct Idle {
    endpoint: Endpoint,
    connection: Connection,
    since: Instant,
}

impl Pool {
    pub(super) fn new(sockets: Sockets) -> Self {
        Self { sockets, idle: Mutex::default() }
    }

    /// Returns a slot for a new connection, if need be in place of the one that has been idle longest. Without an idle
    /// one, waits until another is closed; nothing is returned if that takes too long.
    pub(super) async fn slot(&self, longest: Duration) -> Option<Slot> {
        if let Some(slot) = self.sockets.spare() {
            return Some(slot);
        }
        // Noted first, so that no connection becomes idle unseen.
        let wanted = self.sockets.want();
        let oldest = lock(&self.idle).pop_front();
        drop(oldest);
        timeout(longest, wanted.slot()).await.ok().flatten()
    }

    /// Returns the connection to an endpoint that was used last, if one is usable.
    pub(super) fn take(&self, endpoint: &Endpoint, now: Instant) -> Option<Connection> {
        loop {
            let mut idle = lock(&self.idle);
            forget_old(&mut idle, now);
            let at = idle.iter().rposition(|idle| idle.endpoint == *endpoint)?;
            let found = idle.remove(at)?;
            drop(idle);
            let mut connection = found.connection;
            if connection.is_usable() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection over which an answer was read to its end. Where too many are kept, the one that has been idle
    /// longest is closed; none is kept while another request waits for a socket.
    pub(super) fn put(&self, endpoint: Endpoint, mut connection: Connection, now: Instant) {
        if !connection.is_usable() {
            return;
        }
        let mut idle = lock(&self.idle);
        if self.sockets.are_wanted() {
            return;
        }
        forget_old(&mut idle, now);
        if idle.iter().filter(|idle| idle.endpoint == endpoint).count() >= MOST_OF_ONE
            && let Some(oldest) = idle.iter().position(|idle| idle.endpoint == endpoint)
        {
            idle.remove(oldest);
        }
        if idle.len() >= MOST {
            idle.pop_front();
        }
        idle.push_back(Idle { endpoint, connection, since: now });
    }

    /// Closes all idle connections.
    pub(super) fn clear(&self) {
        lock(&self.idle).clear();
    }
}

fn forget_old(idle: &mut VecDeque<Idle>, now: Instant) {
    while idle.front().is_some_and(|idle| now.saturating_duration_since(idle.since) >= LONGEST_IDLE) {
        idle.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::testmo::metered::Metered;

    /// Opens connections to a listener that keeps them.
    struct Host(TcpListener, Vec<TcpStream>, Sockets);

    impl Host {
        async fn new(sockets: &Sockets) -> Self {
            Self(TcpListener::bind("127.0.0.1:0").await.unwrap(), Vec::new(), sockets.clone())
        }

        async fn connection(&mut self) -> Connection {
            self.connection_in(self.2.spare().unwrap()).await
        }

        async fn connection_in(&mut self, slot: Slot) -> Connection {
            let stream = TcpStream::connect(self.0.local_addr().unwrap()).await.unwrap();
            self.1.push(self.0.accept().await.unwrap().0);
            let (stream, gauge) = Metered::new(stream);
            Connection::over(Box::new(stream), gauge, slot).await.unwrap()
        }
    }

    async fn stage(most: usize) -> (Host, Pool) {
        let sockets = Sockets::new(most);
        (Host::new(&sockets).await, Pool::new(sockets))
    }

    fn endpoint(name: &str) -> Endpoint {
        Endpoint::named(name)
    }

    #[tokio::test]
    async fn a_connection_is_kept_for_less_time_than_balancers_keep_theirs() {
        let (mut host, pool) = stage(MOST).await;
        let now = Instant::now();
        for (idle, is_kept) in [(19, true), (20, false)] {
            pool.put(endpoint("a"), host.connection().await, now);
            let later = now + Duration::from_secs(idle);
            assert_eq!(pool.take(&endpoint("a"), later).is_some(), is_kept, "{idle} s");
        }
    }

    #[tokio::test]
    async fn idle_connections_are_bounded_for_each_origin_and_in_all() {
        let ((mut host, pool), now) = (stage(MOST + 1).await, Instant::now());
        for _ in 0..MOST_OF_ONE + 4 {
            pool.put(endpoint("a"), host.connection().await, now);
        }
        assert_eq!(lock(&pool.idle).len(), MOST_OF_ONE);
        for n in 0..MOST {
            pool.put(endpoint(&format!("b{n}")), host.connection().await, now);
        }
        assert_eq!(lock(&pool.idle).len(), MOST);
        assert!(pool.take(&endpoint("a"), now).is_none(), "those that were idle longest made room");
        pool.clear();
        assert!(pool.take(&endpoint("b1"), now).is_none());
    }

    #[tokio::test]
    async fn an_idle_connection_makes_room_for_another_host() {
        let ((mut host, pool), now) = (stage(2).await, Instant::now());
        pool.put(endpoint("a"), host.connection().await, now);
        pool.put(endpoint("b"), host.connection().await, now);
        let slot = pool.slot(Duration::ZERO).await.expect("that of the oldest");
        assert!(pool.take(&endpoint("a"), now).is_none());
        let used = (pool.take(&endpoint("b"), now).unwrap(), host.connection_in(slot).await);
        assert!(pool.slot(Duration::from_millis(1)).await.is_none(), "both are in use");
        drop(used);
        assert!(pool.slot(Duration::ZERO).await.is_some());
    }

    #[tokio::test]
    async fn a_connection_is_not_kept_while_another_request_waits_for_a_socket() {
        let ((mut host, pool), now) = (stage(1).await, Instant::now());
        let connection = host.connection().await;
        let mut waiting = Box::pin(pool.slot(Duration::from_secs(3_600)));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        pool.put(endpoint("a"), connection, now);
        assert!(waiting.await.is_some());
        assert!(pool.take(&endpoint("a"), now).is_none());
    }

    #[tokio::test]
    async fn a_request_that_gives_up_waiting_takes_no_socket() {
        let ((mut host, pool), now) = (stage(1).await, Instant::now());
        let connection = host.connection().await;
        let mut waiting = Box::pin(pool.slot(Duration::from_secs(3_600)));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(waiting);
        pool.put(endpoint("a"), connection, now);
        assert!(pool.take(&endpoint("a"), now).is_some(), "nobody waits any more");
    }
}

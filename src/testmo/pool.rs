//! Keeps connections for the next requests to their origins.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;
use super::dialer::Endpoint;
use crate::guard::lock;

/// How long a connection is kept without a request. Balancers and address translators forget idle connections after a
/// minute or more, some of them without a word, and a request over such a connection is never answered.
const LONGEST_IDLE: Duration = Duration::from_secs(20);
/// The most idle connections to one origin.
const MOST_OF_ONE: usize = 16;
/// The most idle connections in all.
const MOST: usize = 64;

/// Idle connections, in the order in which they became idle.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<VecDeque<Idle>>);

#[derive(Debug)]
struct Idle {
    endpoint: Endpoint,
    connection: Connection,
    since: Instant,
}

impl Pool {
    /// Returns the connection to an endpoint that was used last, if one is usable.
    pub(super) fn take(&self, endpoint: &Endpoint, now: Instant) -> Option<Connection> {
        loop {
            let mut idle = lock(&self.0);
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
    /// longest is closed.
    pub(super) fn put(&self, endpoint: Endpoint, mut connection: Connection, now: Instant) {
        if !connection.is_usable() {
            return;
        }
        let mut idle = lock(&self.0);
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
        lock(&self.0).clear();
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
    struct Host(TcpListener, Vec<TcpStream>);

    impl Host {
        async fn new() -> Self {
            Self(TcpListener::bind("127.0.0.1:0").await.unwrap(), Vec::new())
        }

        async fn connection(&mut self) -> Connection {
            let stream = TcpStream::connect(self.0.local_addr().unwrap()).await.unwrap();
            self.1.push(self.0.accept().await.unwrap().0);
            let (stream, gauge) = Metered::new(stream);
            Connection::over(Box::new(stream), gauge).await.unwrap()
        }
    }

    fn endpoint(name: &str) -> Endpoint {
        Endpoint::named(name)
    }

    #[tokio::test]
    async fn a_connection_is_kept_for_less_time_than_balancers_keep_theirs() {
        let (mut host, pool) = (Host::new().await, Pool::default());
        let now = Instant::now();
        for (idle, is_kept) in [(19, true), (20, false)] {
            pool.put(endpoint("a"), host.connection().await, now);
            let later = now + Duration::from_secs(idle);
            assert_eq!(pool.take(&endpoint("a"), later).is_some(), is_kept, "{idle} s");
        }
    }

    #[tokio::test]
    async fn idle_connections_are_bounded_for_each_origin_and_in_all() {
        let (mut host, pool, now) = (Host::new().await, Pool::default(), Instant::now());
        for _ in 0..MOST_OF_ONE + 4 {
            pool.put(endpoint("a"), host.connection().await, now);
        }
        assert_eq!(lock(&pool.0).len(), MOST_OF_ONE);
        for n in 0..MOST {
            pool.put(endpoint(&format!("b{n}")), host.connection().await, now);
        }
        assert_eq!(lock(&pool.0).len(), MOST);
        assert!(pool.take(&endpoint("a"), now).is_none(), "those that were idle longest made room");
        pool.clear();
        assert!(pool.take(&endpoint("b1"), now).is_none());
    }
}

//! Bounds how often a peer may fail to log in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::guard::lock;

/// How many failures a peer may have within a window.
const MOST: u32 = 10;
/// How long failures are remembered.
const WINDOW: Duration = Duration::from_secs(60);
/// How many peers are remembered.
const MOST_PEERS: usize = 4_096;

/// The failures of each peer.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<HashMap<IpAddr, Failures>>);

#[derive(Clone, Copy, Debug)]
struct Failures {
    since: Instant,
    count: u32,
}

impl Attempts {
    /// Counts an attempt of a peer as failed, and returns how long it has to wait if it has failed too often. An attempt that
    /// succeeds is taken back by [`Self::forgive`].
    pub(super) fn begin(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut known = lock(&self.0);
        if known.len() >= MOST_PEERS && !known.contains_key(&peer) {
            known.retain(|_, failures| now.duration_since(failures.since) < WINDOW);
        }
        // So many peers at once are an attack: those that are not known yet wait for the others.
        if known.len() >= MOST_PEERS && !known.contains_key(&peer) {
            return Err(WINDOW);
        }
        let failures = known.entry(peer).or_insert(Failures { since: now, count: 0 });
        if now.duration_since(failures.since) >= WINDOW {
            *failures = Failures { since: now, count: 0 };
        }
        if failures.count >= MOST {
            return Err(WINDOW.saturating_sub(now.duration_since(failures.since)));
        }
        failures.count += 1;
        Ok(())
    }

    /// Takes an attempt of a peer back that has succeeded.
    pub(super) fn forgive(&self, peer: IpAddr) {
        if let Some(failures) = lock(&self.0).get_mut(&peer) {
            failures.count = failures.count.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_fails_too_often_waits_and_others_do_not() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        let peer = |n: u32| IpAddr::from(n.to_be_bytes());
        for _ in 0..MOST {
            assert_eq!(attempts.begin(peer(1), start), Ok(()));
        }
        assert_eq!(attempts.begin(peer(1), start + Duration::from_secs(20)), Err(Duration::from_secs(40)));
        assert_eq!(attempts.begin(peer(2), start), Ok(()));
        assert_eq!(attempts.begin(peer(1), start + WINDOW), Ok(()));
        for _ in 0..MOST * 2 {
            assert_eq!(attempts.begin(peer(3), start), Ok(()));
            attempts.forgive(peer(3));
        }
    }

    #[test]
    fn memory_has_a_bound_whoever_asks() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        let peer = |n: usize| IpAddr::from(u32::try_from(n).unwrap().to_be_bytes());
        for n in 0..MOST_PEERS {
            assert_eq!(attempts.begin(peer(n), start), Ok(()));
        }
        assert_eq!(attempts.begin(peer(MOST_PEERS), start), Err(WINDOW));
        assert_eq!(attempts.begin(peer(0), start), Ok(()), "one that is known");
        assert_eq!(attempts.begin(peer(MOST_PEERS), start + WINDOW), Ok(()));
    }
}

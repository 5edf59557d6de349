//! Raises the limit of open files, and decides how many of them connections to Testmo may take.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many files are kept for the broker, the store and the observe port, where the limit allows it.
const KEPT: u64 = 64;
/// How many of them have to be kept: 17 for the observe port, about 12 for the store, 8 for the broker, and some for
/// what is opened for a moment, such as a file or a name server.
const LEAST_KEPT: u64 = 48;
/// The fewest connections to Testmo that a worker starts with.
const FEWEST_CONNECTIONS: u64 = 4;
/// The most connections that are kept for what is no batch: verifications and late-duplicate checks.
const CONNECTIONS_BESIDE_REQUESTS: usize = 16;
/// The lowest limit that is proposed.
const LEAST_LIMIT: u64 = 1_024;
/// How many files count as open where they cannot be counted.
const USUALLY_OPEN: u64 = 16;

/// The limit of open files is too low to work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the limit of open files is {limit}, but the worker needs at least {needed}: raise it, for example with `ulimit -n \
     1024` or with LimitNOFILE=1024 in the systemd unit"
)]
pub struct TooFewFiles {
    limit: u64,
    needed: u64,
}

/// Raises the soft limit of open files to the hard one, and logs this. Without the permission the limit stays.
pub fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    let word = |files: Option<u64>| files.map_or_else(|| "unlimited".to_owned(), |files| files.to_string());
    let (from, to) = (word(limit.current), word(limit.maximum));
    match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        Ok(()) => tracing::info!("the limit of open files was raised from {from} to {to}"),
        Err(error) => tracing::warn!(%error, "the limit of open files could not be raised from {from} to {to}"),
    }
}

/// Returns how many connections to Testmo may be open, beside `store` connections to a database server.
///
/// # Errors
/// When the limit of open files is too low to work with.
pub fn most_connections(store: u32) -> Result<usize, TooFewFiles> {
    let Some(limit) = getrlimit(Resource::Nofile).current else { return Ok(usize::MAX) };
    share(limit, open_files().unwrap_or(USUALLY_OPEN), store.into())
}

/// Returns how many connections to Testmo could be open, beside `store` connections to a database server, in a worker that
/// this user starts with the hard limit of this process.
///
/// # Errors
/// When that limit is too low to work with.
pub fn connections_of_a_worker(store: u32) -> Result<usize, TooFewFiles> {
    let Some(limit) = getrlimit(Resource::Nofile).maximum else { return Ok(usize::MAX) };
    share(limit, USUALLY_OPEN, store.into())
}

/// Returns how many requests may be sent at once over so many connections: some connections are for what is no batch.
pub fn requests_over(connections: usize) -> usize {
    connections - (connections / 4).min(CONNECTIONS_BESIDE_REQUESTS)
}

/// Returns a limit of open files that lets a worker send so many requests at once, beside `store` other connections.
pub fn limit_for(requests: usize, store: u32) -> u64 {
    let connections = u64::try_from(requests.saturating_add(CONNECTIONS_BESIDE_REQUESTS)).unwrap_or(u64::MAX);
    let files = connections.saturating_add(USUALLY_OPEN + KEPT + u64::from(store));
    files.checked_next_power_of_two().unwrap_or(u64::MAX).max(LEAST_LIMIT)
}

/// Returns how many of `limit` files are for connections to Testmo, if `open` are open and the store needs `store` more.
fn share(limit: u64, open: u64, store: u64) -> Result<usize, TooFewFiles> {
    let left = limit.saturating_sub(open + store);
    let connections = left.saturating_sub((left / 2).clamp(LEAST_KEPT, KEPT));
    if connections < FEWEST_CONNECTIONS {
        return Err(TooFewFiles { limit, needed: open + store + LEAST_KEPT + FEWEST_CONNECTIONS });
    }
    Ok(usize::try_from(connections).unwrap_or(usize::MAX))
}

/// Returns how many files this process has open.
fn open_files() -> Option<u64> {
    let list = ["/proc/self/fd", "/dev/fd"].into_iter().find_map(|folder| std::fs::read_dir(folder).ok())?;
    u64::try_from(list.count()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_kept_for_the_broker_the_store_and_the_observe_port() {
        for (limit, open, store, connections) in [
            (1_048_576, 12, 0, Some(1_048_576 - 12 - 64)),
            (1_024, 12, 0, Some(948)),
            (1_024, 12, 100, Some(848)),
            (140, 12, 0, Some(64)),
            (80, 12, 0, Some(20)),
            (64, 12, 0, Some(4)),
            (63, 12, 0, None),
            (64, 12, 1, None),
            (10, 12, 8, None),
        ] {
            assert_eq!(share(limit, open, store).ok(), connections, "{limit}, {open} open, {store} for the store");
        }
        assert_eq!(share(63, 12, 0), Err(TooFewFiles { limit: 63, needed: 64 }));
    }

    #[test]
    fn a_proposed_limit_is_enough() {
        for (requests, store, proposed) in [(1, 0, 1_024), (64, 64, 1_024), (900, 64, 2_048), (10_000, 164, 16_384)] {
            let limit = limit_for(requests, store);
            assert_eq!(limit, proposed);
            let connections = share(limit, USUALLY_OPEN, store.into()).unwrap();
            assert!(requests_over(connections) >= requests, "{requests} {store}");
        }
    }

    #[test]
    fn open_files_are_counted() {
        let before = open_files().unwrap();
        let files: Vec<_> = (0..500).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        // Other tests open and close files meanwhile.
        assert!(open_files().unwrap() > before + 100, "{} beside {} files", before, files.len());
    }
}

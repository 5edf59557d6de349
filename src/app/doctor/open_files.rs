//! Compares the limit of open files with the settings.

use super::finding::{Check, Finding};
use crate::config::Config;
use crate::descriptors::{self, TooFewFiles};

/// What the API and the console need, as `docs/operating.md` says.
const FILES_OF_THE_API: u32 = 64;
/// The remedy for a limit that is too low.
const REMEDY: &str = "Raise the limit with `ulimit -n 1024` in the shell that starts the worker, or with LimitNOFILE=1024 in \
                      the systemd unit.";

/// Finds a limit that is too low for a worker that this user starts.
pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let store = if config.store.is_shared() { config.store.max_connections } else { 0 };
    let files = if config.admin.listen.is_some() { FILES_OF_THE_API } else { 0 };
    let connections = descriptors::connections_of_a_worker(store + files);
    findings(connections.map(descriptors::requests_over), config.requests.worker_concurrency)
}

/// Decides about how many requests the limit leaves room for.
fn findings(requests: Result<usize, TooFewFiles>, wanted: usize) -> Vec<Finding> {
    let finding = match requests {
        Err(_) => Finding::error(Check::Descriptors, "The limit of open files is too low for a worker.", REMEDY),
        Ok(requests) if requests < wanted => {
            let sentence = format!(
                "The limit of open files leaves room for {requests} requests at once; requests.worker_concurrency is {wanted}."
            );
            Finding::warning(Check::Descriptors, sentence, REMEDY)
        }
        Ok(_) => return Vec::new(),
    };
    vec![finding.with("ulimit -n 1024")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_slows_the_worker_down_is_a_warning() {
        assert_eq!(findings(Ok(64), 64), []);
        assert_eq!(findings(Ok(63), 64)[0].severity.name(), "warning");
    }
}

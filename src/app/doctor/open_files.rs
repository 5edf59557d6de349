//! Compares the limit of open files with the settings.

use super::finding::{Check, Finding};
use crate::config::Config;
use crate::descriptors::{self, TooFewFiles};

/// What the API and the console need, as `docs/operating.md` says.
const FILES_OF_THE_API: u32 = 64;
/// Finds a limit that is too low for a worker that this user starts.
pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let store = if config.store.is_shared() { config.store.max_connections } else { 0 };
    let files = if config.admin.listen.is_some() { FILES_OF_THE_API } else { 0 };
    let (connections, wanted) =
        (descriptors::connections_of_a_worker(store + files), config.requests.worker_concurrency);
    findings(connections.map(descriptors::requests_over), wanted, descriptors::limit_for(wanted, store + files))
}

/// Decides about how many requests the limit leaves room for; with the limit `enough` it leaves room for all that are wanted.
fn findings(requests: Result<usize, TooFewFiles>, wanted: usize, enough: u64) -> Vec<Finding> {
    let remedy = format!(
        "Raise the limit with `ulimit -n {enough}` in the shell that starts the worker, or with LimitNOFILE={enough} in the \
         systemd unit."
    );
    let finding = match requests {
        Err(_) => Finding::error(Check::Descriptors, "The limit of open files is too low for a worker.", remedy),
        Ok(requests) if requests < wanted => {
            let sentence = format!(
                "The limit of open files leaves room for {requests} requests at once; requests.worker_concurrency is {wanted}."
            );
            Finding::warning(Check::Descriptors, sentence, remedy)
        }
        Ok(_) => return Vec::new(),
    };
    vec![finding.with(format!("ulimit -n {enough}"))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_slows_the_worker_down_is_a_warning() {
        assert_eq!(findings(Ok(64), 64, 1_024), []);
        let found = &findings(Ok(63), 64, 1_024)[0];
        assert_eq!((found.severity.name(), found.command.as_deref()), ("warning", Some("ulimit -n 1024")));
        assert!(findings(Ok(900), 2_000, 4_096)[0].remedy.contains("LimitNOFILE=4096"));
    }
}

//! Examines what matters before an upgrade: other versions, what is under way, what waits in the tables, and copies.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::plural::counted;
use super::finding::{Check, Finding};
use super::outcome::{Outcome, limited};
use crate::store::{KnownWorker, Store, StoreError, TablesState};

/// The version of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What there is to know of the workers of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Facts {
    workers: Vec<KnownWorker>,
    requests: u64,
}

/// Examines the store for an upgrade to the version of this program. Where its tables are older, these are compared only.
pub(super) async fn examine(store: &Store, tables: &TablesState) -> Outcome {
    let reading = async {
        match facts(store).await {
            Ok(facts) => Outcome::done(Check::Upgrade, findings(&facts, tables)),
            // Older tables may lack what is read.
            Err(error) => Outcome {
                skipped: Some(error.to_string()),
                ..Outcome::done(Check::Upgrade, findings(&Facts::default(), tables))
            },
        }
    };
    limited(Check::Upgrade, Duration::ZERO, reading).await
}

async fn facts(store: &Store) -> Result<Facts, StoreError> {
    let under_way = store.requests_under_way().await?;
    Ok(Facts { workers: store.known_workers().await?, requests: under_way.iter().map(|open| open.requests).sum() })
}

fn findings(facts: &Facts, tables: &TablesState) -> Vec<Finding> {
    let mut found = Vec::from_iter(of_versions(&facts.workers));
    if facts.requests > 0 {
        let requests = usize::try_from(facts.requests).unwrap_or(usize::MAX);
        let sentence = format!("{} under way.", counted(requests, "create request is", "create requests are"));
        let remedy = "Stop each worker by SIGTERM and wait for its end, so that it lets them finish.";
        found.push(Finding::note(Check::Upgrade, sentence, remedy).with("testmo-courier lanes waiting"));
    }
    if !tables.waiting.is_empty() {
        let sentence = format!("The upgrade carries out {}.", counted(tables.waiting.len(), "migration", "migrations"));
        let remedy =
            "Take a copy of the store first. Workers of the version before go on working on it (docs/upgrading.md).";
        found.push(Finding::note(Check::Upgrade, sentence, remedy));
    }
    let remedy = "Take a copy of the store and, apart from it, of the master key, as docs/operating.md says.";
    found.push(Finding::note(Check::Upgrade, "The age of the latest backup is not known to the store.", remedy));
    found
}

fn of_versions(workers: &[KnownWorker]) -> Option<Finding> {
    let running = workers.iter().filter(|worker| worker.is_running);
    let versions: BTreeSet<&str> =
        running.clone().map(|worker| worker.version.as_deref().unwrap_or("unknown")).collect();
    let listed = || {
        let named = running
            .clone()
            .map(|worker| format!("{} ({})", worker.name, worker.version.as_deref().unwrap_or("unknown version")));
        named.collect::<Vec<_>>().join(", ")
    };
    if versions.len() > 1 {
        let sentence = format!("Workers of several versions use the store: {}.", listed());
        let remedy = "Finish the earlier upgrade first: start the workers of the older version with the newer one.";
        return Some(Finding::warning(Check::Upgrade, sentence, remedy).with("testmo-courier doctor --before-upgrade"));
    }
    (versions.iter().any(|version| *version != VERSION)).then(|| {
        let sentence =
            format!("The workers of the store have another version than this program ({VERSION}): {}.", listed());
        let remedy = "Upgrade one worker after the other; workers of both versions may run meanwhile.";
        Finding::note(Check::Upgrade, sentence, remedy)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(version: Option<&str>, is_running: bool) -> KnownWorker {
        KnownWorker { name: "w".into(), version: version.map(Into::into), started_at: 1, is_running }
    }

    #[test]
    fn only_a_mixture_of_running_versions_is_a_warning() {
        let of = |workers: &[KnownWorker]| of_versions(workers).map(|finding| finding.severity.name());
        let (own, old) = (worker(Some(VERSION), true), worker(Some("0.0.9"), true));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[own.clone(), own.clone()]), None);
        assert_eq!(of(&[own.clone(), worker(Some("0.0.9"), false)]), None);
        assert_eq!(of(std::slice::from_ref(&old)), Some("note"));
        assert_eq!(of(&[worker(None, true)]), Some("note"));
        assert_eq!(of(&[own, old]), Some("warning"));
    }

    #[test]
    fn what_is_under_way_and_what_waits_are_notes() {
        let tables = TablesState { waiting: vec![(40, "sessions")], ..TablesState::default() };
        let found = findings(&Facts { workers: vec![], requests: 3 }, &tables);
        let sentences: Vec<_> = found.iter().map(|finding| finding.sentence.as_str()).collect();
        assert_eq!(
            sentences,
            [
                "3 create requests are under way.",
                "The upgrade carries out 1 migration.",
                "The age of the latest backup is not known to the store."
            ]
        );
        assert_eq!(findings(&Facts::default(), &TablesState::default()).len(), 1);
    }
}

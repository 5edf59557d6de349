//! Examines everything that a worker needs, and says what is wrong and what to do about it. Nothing is changed.
//!
//! | file | responsibility |
//! | --- | --- |
//! | `finding`, `outcome`, `report` | the values; `outcome` runs a check within a time limit |
//! | `configuration`, `files`, `disk`, `open_files`, `addresses`, `listeners` | this machine |
//! | `broker`, `broker_limits` | the broker |
//! | `stored`, `upgrade` | the store |
//! | `sample` | tenants and their Testmo |
//! | `certificate` | until when certificates are valid |
//! | `bundle`, `archive`, `redaction`, `log_lines` | the archive for a support ticket |
//!
//! In each file the facts are read in one function, and another one, which a table tests, decides what they mean.

mod addresses;
mod archive;
mod broker;
mod broker_limits;
pub mod bundle;
mod certificate;
mod configuration;
mod disk;
mod files;
mod finding;
mod listeners;
mod log_lines;
mod open_files;
mod outcome;
mod redaction;
mod report;
mod sample;
mod stored;
mod upgrade;

use std::path::PathBuf;

use self::broker::Broker;
pub use self::finding::{Check, Finding, Severity};
pub use self::outcome::Outcome;
use self::outcome::blocking;
pub use self::report::Report;
use super::time::now;
use crate::amqp::Greeting;
use crate::config::{Config, ConfigError, Sources, load};

/// The checks that need valid settings, in the order in which they are shown.
const WITH_SETTINGS: [Check; 15] = [
    Check::Files,
    Check::MasterKey,
    Check::Disk,
    Check::Descriptors,
    Check::Addresses,
    Check::Listeners,
    Check::Broker,
    Check::BrokerCertificate,
    Check::Topology,
    Check::Limits,
    Check::Store,
    Check::Retention,
    Check::Clock,
    Check::Tenants,
    Check::Testmo,
];

/// What is examined.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// Whether to examine what matters before an upgrade, too.
    pub before_upgrade: bool,
    /// How many tenants are examined at most.
    pub tenants: usize,
}

/// The result of an examination.
#[derive(Debug)]
pub struct Examination {
    /// What was found.
    pub report: Report,
    /// The settings in force, if they are valid.
    pub config: Option<Config>,
    /// How the broker introduced itself, if it did.
    broker: Option<Greeting>,
    /// The version of the store's database, if it could be read.
    database: Option<String>,
}

/// Examines everything that a worker with these settings needs. It never waits longer than its time limits, and a check that
/// cannot be done does not stop the others.
pub async fn examine(sources: &Sources, scope: Scope) -> Examination {
    let loaded = load(sources);
    let findings = configuration::findings(loaded.as_ref().err(), &sources.ignored());
    let configuration = Outcome::done(Check::Configuration, findings);
    match loaded {
        Ok(config) => examine_with(config, configuration, sources, scope).await,
        Err(ConfigError(_)) => {
            let skipped = WITH_SETTINGS.iter().map(|check| Outcome::skipped(*check, "the settings are wrong"));
            let outcomes = std::iter::once(configuration).chain(skipped).collect();
            Examination { report: Report { at: now(), outcomes }, config: None, broker: None, database: None }
        }
    }
}

/// Examines what costs next to nothing, and writes what was found into the log.
pub async fn at_start(config: &Config, settings: &[PathBuf]) {
    let (files, disk) = tokio::join!(files(config, settings), disk(config));
    for finding in files.findings.iter().chain(&disk.findings) {
        let Finding { severity, check, sentence, remedy, command } = finding;
        let (check, command) = (check.name(), command.as_deref());
        match severity {
            Severity::Error => tracing::error!(check, remedy, command, "{sentence}"),
            Severity::Warning => tracing::warn!(check, remedy, command, "{sentence}"),
            Severity::Note => tracing::info!(check, remedy, command, "{sentence}"),
        }
    }
}

async fn examine_with(config: Config, configuration: Outcome, sources: &Sources, scope: Scope) -> Examination {
    let (machine, broker, (stored, database)) =
        tokio::join!(on_this_machine(&config, &sources.files), at_the_broker(&config), in_the_store(&config, scope),);
    let Broker { outcomes, greeting, .. } = broker;
    let mut outcomes: Vec<Outcome> = [vec![configuration], machine, outcomes, stored].into_iter().flatten().collect();
    merge(&mut outcomes);
    let report = Report { at: now(), outcomes };
    Examination { report, config: Some(config), broker: greeting, database }
}

async fn files(config: &Config, settings: &[PathBuf]) -> Outcome {
    let (config, settings) = (config.clone(), settings.to_vec());
    blocking(Check::Files, move || files::examine(&config, &settings)).await
}

async fn disk(config: &Config) -> Outcome {
    let config = config.clone();
    blocking(Check::Disk, move || disk::examine(&config)).await
}

async fn on_this_machine(config: &Config, settings: &[PathBuf]) -> Vec<Outcome> {
    let (of_key, of_limit, of_listeners) = (config.clone(), config.clone(), config.clone());
    let (files, key, disk, limit, listeners) = tokio::join!(
        files(config, settings),
        blocking(Check::MasterKey, move || files::examine_key(&of_key)),
        disk(config),
        blocking(Check::Descriptors, move || open_files::examine(&of_limit)),
        blocking(Check::Listeners, move || listeners::examine(&of_listeners)),
    );
    let addresses = Outcome::done(Check::Addresses, addresses::findings(&config.testmo));
    vec![files, key, disk, limit, addresses, listeners]
}

async fn at_the_broker(config: &Config) -> Broker {
    let mut broker = broker::examine(&config.amqp).await;
    broker.outcomes.push(match broker.is_connected {
        true => broker_limits::examine(config).await,
        false => Outcome::skipped(Check::Limits, broker::NO_CONNECTION),
    });
    broker
}

/// Examines the store, and returns the version of its database with the outcomes.
async fn in_the_store(config: &Config, scope: Scope) -> (Vec<Outcome>, Option<String>) {
    let (opened, store, tables) = stored::open(config).await;
    let mut outcomes = vec![opened];
    let why_not = match &store {
        Some(_) => stored::unreadable(&tables),
        None => Some("the store cannot be opened"),
    };
    let version = match &store {
        Some(store) => stored::version(store).await,
        None => None,
    };
    match (&store, why_not) {
        (Some(store), None) => {
            outcomes.push(stored::master_key(config, store).await);
            outcomes.push(stored::retention(config, store).await);
            outcomes.push(stored::clock(store).await);
            outcomes.extend(sample::examine(config, store, scope.tenants).await);
        }
        (_, why) => {
            let checks = [Check::Retention, Check::Clock, Check::Tenants, Check::Testmo];
            outcomes.extend(checks.map(|check| Outcome::skipped(check, why.unwrap_or_default())));
        }
    }
    if scope.before_upgrade {
        outcomes.push(match &store {
            Some(store) => upgrade::examine(store, &tables).await,
            None => Outcome::skipped(Check::Upgrade, "the store cannot be opened"),
        });
    }
    stored::close(store).await;
    (outcomes, version)
}

/// Puts the outcomes of one check together: the master key is examined as a file and against the store.
fn merge(outcomes: &mut Vec<Outcome>) {
    let all = std::mem::take(outcomes);
    for outcome in all {
        match outcomes.iter_mut().find(|known| known.check == outcome.check) {
            Some(known) => {
                known.findings.extend(outcome.findings);
                known.skipped = known.skipped.take().or(outcome.skipped);
            }
            None => outcomes.push(outcome),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn wrong_settings_are_findings_and_every_other_check_says_why_it_was_not_done() {
        let environment = [("COURIER_AMQP__PREFETCH".to_owned(), "many".to_owned())].into();
        let sources = Sources { files: vec![], environment };
        let found = examine(&sources, Scope { before_upgrade: false, tenants: 1 }).await;
        assert!(found.config.is_none() && !found.report.is_healthy());
        let skipped = found.report.outcomes.iter().filter(|outcome| outcome.skipped.is_some()).count();
        assert_eq!((found.report.findings().len(), skipped), (1, WITH_SETTINGS.len()));
    }

    #[test]
    fn the_outcomes_of_one_check_are_put_together() {
        let finding = Finding::error(Check::MasterKey, "a", "b");
        let mut outcomes = vec![
            Outcome::done(Check::MasterKey, vec![]),
            Outcome::done(Check::Disk, vec![]),
            Outcome { skipped: Some("why".into()), ..Outcome::done(Check::MasterKey, vec![finding.clone()]) },
        ];
        merge(&mut outcomes);
        assert_eq!(outcomes.len(), 2);
        assert_eq!(
            (outcomes[0].findings.as_slice(), outcomes[0].skipped.as_deref()),
            ([finding].as_slice(), Some("why"))
        );
    }
}

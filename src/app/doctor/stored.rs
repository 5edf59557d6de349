//! Opens the store to read it, and examines what is in it: its tables, the master key's word, retention and the clock.

use std::time::Duration;

use super::finding::{Check, Finding};
use super::outcome::{Outcome, limited};
use crate::clock::Clock;
use crate::config::Config;
use crate::store::{ConnectionStore, Store, StoreError, StoreHealth, StoreLocation, TablesState};
use crate::tenants::{KeyError, Keyring, MASTER_KEY_FACT};

/// How far pruning may be behind; the alert on it has the same limit.
const LONGEST_LAG: Duration = Duration::from_secs(3_600);
/// How far this machine's clock may differ from the store's, in milliseconds. A worker reports as much at its start.
const CLOCK_TOLERANCE_MS: i64 = 5_000;
/// How long the database may take for what is no check.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens the store, and compares its tables with this version.
pub(super) async fn open(config: &Config) -> (Outcome, Option<Store>, TablesState) {
    let (mut opened, mut tables) = (None, TablesState::default());
    let opening = async {
        let store = match Store::open_to_read(&config.store, Clock::system()).await {
            Ok(store) => store,
            Err(error) => return Outcome::done(Check::Store, vec![of_error(config, &error)]),
        };
        match store.tables_state().await {
            Ok(state) => {
                let findings = of_tables(&state);
                (opened, tables) = (Some(store), state);
                Outcome::done(Check::Store, findings)
            }
            Err(error) => Outcome::done(Check::Store, vec![of_error(config, &error)]),
        }
    };
    let outcome = limited(Check::Store, Duration::ZERO, opening).await;
    (outcome, opened, tables)
}

/// Returns the version of the database, if it shows it in time.
pub(super) async fn version(store: &Store) -> Option<String> {
    tokio::time::timeout(PATIENCE, store.database_version()).await.ok()?.ok()
}

/// Returns why nothing but the tables can be examined, if these are not those of this version.
pub(super) fn unreadable(tables: &TablesState) -> Option<&'static str> {
    (!tables.waiting.is_empty()).then_some("the store's tables are older than this version")
}

fn of_error(config: &Config, error: &StoreError) -> Finding {
    let StoreError::Missing(place) = error else { return Finding::of_store(Check::Store, error) };
    let remedy = match StoreLocation::of(&config.store) {
        StoreLocation::File(_) => "Create it in a folder that exists, or check store.url.",
        StoreLocation::Server(_) => "Create its tables, or check store.url.",
    };
    Finding::error(Check::Store, format!("There is no store at {place}."), remedy).with("testmo-courier init")
}

fn of_tables(tables: &TablesState) -> Vec<Finding> {
    let unknown = (!tables.unknown.is_empty() || tables.is_refused).then(|| {
        let sentence = "The store's tables are those of a newer version.";
        if tables.is_refused {
            return Finding::error(Check::Store, sentence, "Run the version that created them, or a newer one.")
                .with("testmo-courier --version");
        }
        let remedy =
            "Workers of this version may use it, too, while workers are upgraded or go back one after the other.";
        Finding::note(Check::Store, sentence, remedy)
    });
    let waiting = (!tables.waiting.is_empty()).then(|| {
        let names: Vec<&str> = tables.waiting.iter().map(|(_, name)| *name).collect();
        let sentence = format!("The store's tables are older than this version; these migrations wait: {}.", names.join(", "));
        let remedy = "Take a copy of the store. Then start a worker of this version, or run a command that opens the store: \
                      each carries out the migrations.";
        Finding::warning(Check::Store, sentence, remedy).with("testmo-courier tenants list")
    });
    unknown.into_iter().chain(waiting).collect()
}

/// Checks that the master key is the one that the store's API keys are encrypted with.
pub(super) async fn master_key(config: &Config, store: &Store) -> Outcome {
    // A file that cannot be used is found by the check of the files.
    let Ok(keyring) = Keyring::load(&config.keys.master_key_file) else {
        return Outcome::done(Check::MasterKey, Vec::new());
    };
    let checking = async {
        // The tables of an earlier version have none.
        if let Ok(Some(wrapped)) = store.wrapped_master_key().await {
            keyring.learn(&wrapped);
        }
        match store.fact(MASTER_KEY_FACT).await {
            Ok(Some(word)) if !keyring.knows(&word) => {
                let error = KeyError::OtherMasterKey(config.keys.master_key_file.clone());
                Outcome::done(Check::MasterKey, vec![Finding::of_key(Check::MasterKey, &error)])
            }
            Ok(_) => Outcome::done(Check::MasterKey, Vec::new()),
            Err(error) => Outcome::failed(Check::MasterKey, error),
        }
    };
    limited(Check::MasterKey, Duration::ZERO, checking).await
}

/// Finds out how far pruning is behind.
pub(super) async fn retention(config: &Config, store: &Store) -> Outcome {
    let reading = async {
        match store.unpruned_for(config.store.retention).await {
            Ok(behind) => Outcome::done(Check::Retention, of_lag(behind.unwrap_or_default()).into_iter().collect()),
            Err(error) => Outcome::failed(Check::Retention, error),
        }
    };
    limited(Check::Retention, Duration::ZERO, reading).await
}

fn of_lag(behind: Duration) -> Option<Finding> {
    (behind > LONGEST_LAG).then(|| {
        let sentence = format!("Finished batches are kept {} h longer than store.retention.", behind.as_secs() / 3_600);
        let remedy = "Start a worker, which removes them step by step. If one is running, batches of unknown outcome hold them \
                      back, or its store is slow.";
        Finding::warning(Check::Retention, sentence, remedy).with("testmo-courier run")
    })
}

/// Compares this machine's clock with the store's, and with the latest time in the store.
pub(super) async fn clock(store: &Store) -> Outcome {
    let reading = async {
        let ahead = match store.ahead_of(&Clock::system()).await {
            Ok(ahead) => ahead,
            Err(error) => return Outcome::failed(Check::Clock, error),
        };
        match store.clock_lag().await {
            Ok(lag) => {
                let behind = i64::try_from(lag.as_millis()).unwrap_or(i64::MAX);
                Outcome::done(Check::Clock, of_clock(ahead, behind).into_iter().collect())
            }
            Err(error) => Outcome::failed(Check::Clock, error),
        }
    };
    limited(Check::Clock, Duration::ZERO, reading).await
}

/// Decides about a store whose clock is ahead of this machine's, and whose latest time is ahead of its own clock.
fn of_clock(ahead: i64, latest_ahead: i64) -> Option<Finding> {
    let sentence = if ahead.abs() > CLOCK_TOLERANCE_MS {
        let word = if ahead > 0 { "behind" } else { "ahead of" };
        format!("The clock of this machine is {} s {word} the database's.", ahead.abs() / 1_000)
    } else if latest_ahead > CLOCK_TOLERANCE_MS {
        format!("The clock is {} s behind the latest time in the store.", latest_ahead / 1_000)
    } else {
        return None;
    };
    let remedy = "Set the clock, and have it synchronized on this machine and on that of the database.";
    Some(Finding::warning(Check::Clock, sentence, remedy).with("timedatectl set-ntp true"))
}

/// Closes a store that was only read.
pub(super) async fn close(store: Option<Store>) {
    if let Some(store) = store {
        drop(tokio::time::timeout(PATIENCE, store.close()).await);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::{Sources, load};

    #[test]
    fn older_tables_are_a_warning_and_newer_ones_an_error_only_if_they_refuse_this_version() {
        let tables = |waiting: &[(i64, &'static str)], unknown: &[i64], is_refused| {
            let state = TablesState { waiting: waiting.to_vec(), unknown: unknown.to_vec(), is_refused };
            of_tables(&state).iter().map(|finding| finding.severity.name()).collect::<Vec<_>>()
        };
        assert_eq!(tables(&[], &[], false), [""; 0]);
        assert_eq!(tables(&[(40, "sessions")], &[], false), ["warning"]);
        assert_eq!(tables(&[], &[99], false), ["note"], "it only adds to the tables");
        assert_eq!(tables(&[], &[99], true), ["error"]);
        assert_eq!(tables(&[(40, "sessions")], &[99], true), ["error", "warning"]);
        assert_eq!(unreadable(&TablesState::default()), None);
    }

    #[test]
    fn a_missing_store_is_created_and_any_other_error_has_its_own_remedy() {
        let config = load(&Sources::default()).unwrap();
        let missing = of_error(&config, &StoreError::Missing("x.db".into()));
        assert_eq!(missing.command.as_deref(), Some("testmo-courier init"));
        let away = of_error(&config, &StoreError::Away("refused".into()));
        assert_eq!(away.sentence, "The store does not respond (refused).");
        assert!(away.remedy.starts_with("Check that the database runs"), "{away:?}");
        let failed = of_error(&config, &StoreError::Database(Arc::new(sqlx::Error::Protocol("a: b".into()))));
        assert!(failed.sentence.contains("a: b") && failed.remedy.starts_with("Check store.url"), "{failed:?}");
    }

    #[test]
    fn pruning_may_be_an_hour_behind() {
        assert_eq!(of_lag(LONGEST_LAG), None);
        let found = of_lag(LONGEST_LAG * 2 + Duration::from_secs(1)).unwrap();
        assert!(found.sentence.contains("2 h longer"), "{found:?}");
    }

    #[test]
    fn a_clock_may_differ_by_five_seconds() {
        for (ahead, latest, said) in [
            (0, 0, None),
            (5_000, 5_000, None),
            (-5_000, 0, None),
            (6_000, 0, Some("6 s behind the database's")),
            (-6_000, 9_000, Some("6 s ahead of the database's")),
            (0, 9_000, Some("9 s behind the latest time")),
        ] {
            let found = of_clock(ahead, latest).map(|finding| finding.sentence);
            assert_eq!(found.is_some(), said.is_some(), "{ahead} {latest}: {found:?}");
            assert!(found.unwrap_or_default().contains(said.unwrap_or_default()), "{ahead} {latest}");
        }
    }
}

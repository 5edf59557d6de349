//! Examines a sample of the tenants: whether their connections work, as far as is known, and what their Testmo shows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::iter;

use super::super::connections::{Status, StatusLight, statuses};
use super::super::time::now;
use super::super::visible::in_shell;
use super::certificate;
use super::finding::{Check, Finding};
use super::outcome::{Outcome, limited};
use crate::account::Permission;
use crate::batch::Reason;
use crate::batch::verdict::answer::ApiError;
use crate::config::{self, Config};
use crate::store::connections::{ConnectionRow, Verification};
use crate::store::{AccountStore, ConnectionStore, Store, StoreError, StoreHealth};
use crate::tenants::{Keyring, Tenants};
use crate::testmo::{self, AddressPolicy, Greeting, Origin};

/// Among so many tenants the sample is taken.
const MOST_TENANTS: u32 = 10_000;
/// How many Testmo instances are asked at once.
const AT_ONCE: usize = 8;
/// How far Testmo's clock may differ from this machine's, in milliseconds; it shows whole seconds.
const CLOCK_TOLERANCE_MS: i64 = 10_000;

/// Examines up to `most` tenants.
pub(super) async fn examine(config: &Config, store: &Store, most: usize) -> Vec<Outcome> {
    let mut rows = Vec::new();
    let reading = async {
        match sample(store, most).await {
            Ok((sample, states)) => {
                let findings = of_tenants(config, store, &sample, &states).await;
                rows = sample;
                Outcome::done(Check::Tenants, findings)
            }
            Err(error) => Outcome::failed(Check::Tenants, error),
        }
    };
    let tenants = limited(Check::Tenants, Duration::ZERO, reading).await;
    vec![tenants, greetings(config, store, &rows).await]
}

/// Reads connections at even distances in the order of their tenants, so that the same ones are examined each time.
async fn sample(store: &Store, most: usize) -> Result<(Vec<ConnectionRow>, Vec<Status>), StoreError> {
    let tenants = store.connected_tenants(MOST_TENANTS).await?;
    let mut rows = Vec::new();
    for tenant in evenly(&tenants, most) {
        rows.extend(store.connection(tenant).await?);
    }
    let states = statuses(store, &rows).await?;
    Ok((rows, states))
}

fn evenly<T>(all: &[T], most: usize) -> impl Iterator<Item = &T> {
    let step = all.len().div_ceil(most.max(1)).max(1);
    all.iter().step_by(step).take(most)
}

async fn of_tenants(config: &Config, store: &Store, rows: &[ConnectionRow], states: &[Status]) -> Vec<Finding> {
    let keyring = Keyring::load(&config.keys.master_key_file).ok();
    if let (Some(keyring), Ok(Some(wrapped))) = (&keyring, store.wrapped_master_key().await) {
        keyring.learn(&wrapped);
    }
    let tenants =
        keyring.map(|keyring| Tenants::new(Arc::new(store.clone()), keyring, AddressPolicy::new(&config.testmo)));
    let findings = rows.iter().zip(states).filter_map(|(row, status)| {
        let access = tenants.as_ref().map(|tenants| tenants.access(row).map(drop));
        match access {
            Some(Err((reason, detail))) => Some(of_access(row, reason, &detail)),
            Some(Ok(())) | None => of_light(row, status.light),
        }
    });
    findings.collect()
}

fn of_access(row: &ConnectionRow, reason: Reason, detail: &str) -> Finding {
    let sentence = format!("The connection of tenant {} cannot be used: {detail}.", row.tenant);
    Finding::error(Check::Tenants, sentence, reason.remedy())
        .with(format!("testmo-courier tenants show {}", in_shell(row.tenant.as_str())))
}

fn of_light(row: &ConnectionRow, light: StatusLight) -> Option<Finding> {
    let tenant = row.tenant.to_string();
    let shown = in_shell(&tenant);
    match (light, &row.finding) {
        (StatusLight::Green, _) => None,
        (StatusLight::Amber, _) => {
            let sentence = format!("The connection of tenant {tenant} works and needs attention.");
            let finding = Finding::warning(Check::Tenants, sentence, "Read what is known of it, and follow it.");
            Some(finding.with(format!("testmo-courier tenants show {shown}")))
        }
        (StatusLight::Red, Some(Verification::Fails { reason, .. })) => {
            let sentence = format!("The connection of tenant {tenant} does not work ({reason}).");
            let finding = Finding::error(Check::Tenants, sentence, reason.remedy());
            Some(finding.with(format!("testmo-courier tenants show {shown}")))
        }
        (StatusLight::Red, Some(Verification::Works { .. }) | None) => {
            let sentence = format!("The connection of tenant {tenant} does not work, or is not verified.");
            let finding =
                Finding::error(Check::Tenants, sentence, "Verify the connection; the result says what to fix.");
            Some(finding.with(format!("testmo-courier tenants verify {shown}")))
        }
    }
}

/// Connects to the Testmo instances of the sample, without a key and only where an account may be sent requests now.
async fn greetings(config: &Config, store: &Store, rows: &[ConnectionRow]) -> Outcome {
    let more = longest(config.testmo.request_timeout, rows.len());
    let asking = async {
        let origins = match open_origins(&config.testmo, store, rows).await {
            Ok(origins) => origins,
            Err(error) => return Outcome::failed(Check::Testmo, error),
        };
        let greeted: Vec<(Origin, Result<Greeting, ApiError>)> = iter(origins)
            .map(|origin| async move {
                let greeting = testmo::greeting(&config.testmo, &origin).await;
                (origin, greeting)
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        let findings = greeted.iter().flat_map(|(origin, greeting)| of_greeting(origin.as_str(), greeting, now()));
        Outcome::done(Check::Testmo, findings.collect())
    };
    limited(Check::Testmo, more, asking).await
}

/// Returns how long it takes to ask so many instances of which none answers.
fn longest(request_timeout: Duration, instances: usize) -> Duration {
    request_timeout.saturating_mul(u32::try_from(instances.div_ceil(AT_ONCE)).unwrap_or(u32::MAX))
}

/// Returns the origins whose accounts are neither paused by rate limit nor failing.
async fn open_origins(
    config: &config::Testmo,
    store: &Store,
    rows: &[ConnectionRow],
) -> Result<Vec<Origin>, StoreError> {
    let policy = AddressPolicy::new(config);
    let allowed: BTreeMap<&str, Origin> =
        rows.iter().filter_map(|row| Some((row.origin.as_str(), policy.check(&row.origin).ok()?))).collect();
    let mut open = Vec::new();
    for (account, origin) in allowed {
        let throttle = store.throttle(account).await?;
        if matches!(throttle.permission(store.now(), 1), Permission::Granted { .. }) {
            open.push(origin);
        }
    }
    Ok(open)
}

fn of_greeting(origin: &str, greeting: &Result<Greeting, ApiError>, now: i64) -> Vec<Finding> {
    let greeting = match greeting {
        Ok(greeting) => greeting,
        Err(error) => {
            let remedy = "Check the network, the proxy in testmo.proxy and the certificate. Batches wait, and are sent \
                          automatically once Testmo can be reached.";
            let sentence = format!("{origin} cannot be reached: {error}.");
            let finding = Finding::warning(Check::Testmo, sentence, remedy);
            return vec![finding.with(format!("curl -sSI {}", in_shell(origin)))];
        }
    };
    let host = url::Url::parse(origin)
        .ok()
        .and_then(|url| Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?)));
    let expires_at = greeting.certificate.as_deref().and_then(certificate::expires_at);
    let of_certificate =
        host.zip(expires_at).and_then(|(host, at)| certificate::finding(Check::Testmo, &host, at, now));
    of_certificate.into_iter().chain(greeting.ahead_ms.and_then(|ahead| of_clock(origin, ahead))).collect()
}

fn of_clock(origin: &str, ahead: i64) -> Option<Finding> {
    (ahead.abs() > CLOCK_TOLERANCE_MS).then(|| {
        let word = if ahead > 0 { "behind" } else { "ahead of" };
        let sentence = format!("The clock of this machine is {} s {word} the one of {origin}.", ahead.abs() / 1_000);
        let remedy = "Have the clock of this machine synchronized. If it is right, Testmo's is wrong, which the worker copes \
                      with.";
        Finding::warning(Check::Testmo, sentence, remedy).with("timedatectl set-ntp true")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::fixture;

    #[test]
    fn a_sample_is_spread_over_all_tenants_and_is_the_same_each_time() {
        let all: Vec<u32> = (0..10).collect();
        let taken = |most| evenly(&all, most).copied().collect::<Vec<_>>();
        assert_eq!(taken(20), all);
        assert_eq!(taken(10), all);
        assert_eq!(taken(4), [0, 3, 6, 9]);
        assert_eq!(taken(1), [0]);
        assert_eq!(taken(0), [0; 0]);
    }

    #[test]
    fn instances_of_which_none_answers_are_all_waited_for() {
        let second = Duration::from_secs(1);
        assert_eq!([0, 1, AT_ONCE, AT_ONCE + 1].map(|instances| longest(second, instances).as_secs()), [0, 1, 1, 2]);
    }

    #[test]
    fn a_light_that_is_not_green_is_a_finding_with_the_next_command() {
        let fails = Verification::Fails { reason: Reason::KeyRefused, detail: "secret words".into() };
        let row = |finding| ConnectionRow { finding, ..fixture::connection() };
        let found = |row: &ConnectionRow, light| of_light(row, light);
        assert_eq!(found(&row(None), StatusLight::Green), None);
        let amber = found(&row(None), StatusLight::Amber).unwrap();
        assert_eq!(amber.severity.name(), "warning");
        let red = found(&row(Some(fails)), StatusLight::Red).unwrap();
        assert!(red.sentence.contains("(key_refused)") && !red.sentence.contains("secret"), "{red:?}");
        let unverified = found(&row(None), StatusLight::Red).unwrap();
        assert!(unverified.command.unwrap().contains("tenants verify"));
    }

    #[test]
    fn an_instance_that_cannot_be_reached_or_whose_clock_differs_is_a_warning() {
        let now = 1_800_000_000_000;
        let found = |greeting: &Result<Greeting, ApiError>| of_greeting("https://acme.testmo.net", greeting, now).len();
        assert_eq!(found(&Ok(Greeting::default())), 0);
        assert_eq!(found(&Ok(Greeting { certificate: None, ahead_ms: Some(-10_000) })), 0);
        assert_eq!(found(&Ok(Greeting { certificate: None, ahead_ms: Some(-10_001) })), 1);
        assert_eq!(found(&Ok(Greeting { certificate: Some(b"nonsense".to_vec()), ahead_ms: None })), 0);
        assert_eq!(found(&Err(ApiError::UnknownHost)), 1);
    }
}

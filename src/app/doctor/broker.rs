//! Finds out whether the broker lets the worker in, which version it is, and whether it has the topology.

use super::super::time::now;
use super::super::topology::{TopologyReport, check};
use super::certificate;
use super::finding::{Check, Finding};
use super::outcome::{Outcome, limited};
use crate::amqp::{self, ConnectError, Greeting, Mismatch, Problem};
use crate::config::Amqp;

/// The oldest version of RabbitMQ that is supported.
const OLDEST: (u32, u32) = (3, 10);
/// Why checks behind the connection are not done without one.
pub(super) const NO_CONNECTION: &str = "there is no connection to the broker";

/// What was found out about the broker.
#[derive(Debug)]
pub(super) struct Broker {
    /// What the checks found.
    pub(super) outcomes: Vec<Outcome>,
    /// Whether it let the worker in.
    pub(super) is_connected: bool,
    /// How it introduced itself.
    pub(super) greeting: Option<Greeting>,
}

/// Examines the broker.
pub(super) async fn examine(config: &Amqp) -> Broker {
    // What it says before the login helps with a login that fails.
    let greeting = amqp::greeting(config).await.ok();
    let mut is_connected = false;
    let connection = async {
        match amqp::connect_once(config, "doctor").await {
            Ok(link) => {
                link.close().await;
                is_connected = true;
                Outcome::done(Check::Broker, greeting.as_ref().and_then(of_version).into_iter().collect())
            }
            Err(error) => Outcome::done(Check::Broker, vec![of_connection(&error)]),
        }
    };
    let mut outcomes = vec![limited(Check::Broker, config.connect_timeout, connection).await];
    outcomes.push(of_certificate(config, greeting.as_ref()));
    if is_connected {
        let more = config.connect_timeout + config.rpc_timeout;
        outcomes.push(limited(Check::Topology, more, topology(config)).await);
    } else {
        outcomes.push(Outcome::skipped(Check::Topology, NO_CONNECTION));
    }
    Broker { outcomes, is_connected, greeting }
}

async fn topology(config: &Amqp) -> Outcome {
    match check(config).await {
        Ok(report) => Outcome::done(Check::Topology, of_topology(&report)),
        Err(error) => Outcome::failed(Check::Topology, error),
    }
}

fn of_connection(error: &ConnectError) -> Finding {
    Finding::error(Check::Broker, format!("The worker cannot connect to the broker: {error}."), error.remedy())
        .with("testmo-courier topology check")
}

fn of_version(greeting: &Greeting) -> Option<Finding> {
    let version = greeting.version.as_deref()?;
    let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
    let number = (parts.next()??, parts.next()??);
    let is_known = greeting.product.as_deref() == Some("RabbitMQ");
    (is_known && number < OLDEST).then(|| {
        let sentence =
            format!("The broker is RabbitMQ {version}; the oldest supported version is {}.{}.", OLDEST.0, OLDEST.1);
        Finding::warning(Check::Broker, sentence, "Upgrade RabbitMQ.").with("rabbitmqctl version")
    })
}

fn of_certificate(config: &Amqp, greeting: Option<&Greeting>) -> Outcome {
    let url = url::Url::parse(&config.url).ok().filter(|url| url.scheme() == "amqps");
    let Some(url) = url else {
        return Outcome::skipped(Check::BrokerCertificate, "the address of the broker is not amqps");
    };
    let host = format!("{}:{}", url.host_str().unwrap_or_default(), url.port().unwrap_or(5671));
    let expires_at = greeting.and_then(|greeting| certificate::expires_at(greeting.certificate.as_deref()?));
    match expires_at {
        Some(at) => {
            let finding = certificate::finding(Check::BrokerCertificate, &host, at, now());
            Outcome::done(Check::BrokerCertificate, finding.into_iter().collect())
        }
        None => Outcome::skipped(Check::BrokerCertificate, "the certificate of the broker could not be read"),
    }
}

fn of_topology(report: &TopologyReport) -> Vec<Finding> {
    let mismatches = report.mismatches.iter().map(of_mismatch);
    let uncompared = (!report.uncompared.is_empty()).then(|| {
        let sentence = format!("Type and arguments were not compared of: {}.", report.uncompared.join(", "));
        let remedy = "Run the command as a user that has the configure permission, if you want to compare them.";
        Finding::note(Check::Topology, sentence, remedy)
    });
    mismatches.chain(uncompared).collect()
}

fn of_mismatch(mismatch: &Mismatch) -> Finding {
    let (sentence, remedy) = (format!("{mismatch}."), mismatch.remedy());
    match mismatch.problem {
        Problem::Missing => Finding::error(Check::Topology, sentence, remedy).with("testmo-courier topology declare"),
        Problem::Different => Finding::error(Check::Topology, sentence, remedy).with("testmo-courier topology check"),
        Problem::Unknown => Finding::note(Check::Topology, sentence, remedy).with("testmo-courier topology check"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::*;

    #[test]
    fn only_a_version_that_is_too_old_is_a_finding() {
        let found = |product: &str, version: &str| {
            let greeting = Greeting { product: Some(product.into()), version: Some(version.into()), certificate: None };
            of_version(&greeting).is_some()
        };
        for (version, old) in [("3.9.29", true), ("3.10.8", false), ("3.13.7", false), ("4.1.0", false), ("?", false)] {
            assert_eq!(found("RabbitMQ", version), old, "{version}");
        }
        assert!(!found("LavinMQ", "2.0.0"));
        assert_eq!(of_version(&Greeting::default()), None);
    }

    #[test]
    fn what_is_missing_is_declared_and_what_cannot_be_compared_is_a_note() {
        let mismatch = |problem| Mismatch { object: "queue `q`".into(), problem, detail: "403".into() };
        let report = TopologyReport {
            mismatches: vec![mismatch(Problem::Missing), mismatch(Problem::Different), mismatch(Problem::Unknown)],
            uncompared: vec!["queue `r`".into()],
            objects: 4,
        };
        let found = of_topology(&report);
        let severities: Vec<_> = found.iter().map(|finding| finding.severity).collect();
        assert_eq!(severities, [Severity::Error, Severity::Error, Severity::Note, Severity::Note]);
        assert_eq!(found[0].command.as_deref(), Some("testmo-courier topology declare"));
        assert_eq!(of_topology(&TopologyReport { mismatches: vec![], uncompared: vec![], objects: 4 }), []);
    }
}

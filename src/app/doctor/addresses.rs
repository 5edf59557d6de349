//! Finds settings by which an API key may be sent where it should not be.

use std::net::IpAddr;

use url::{Host, Url};

use super::finding::{Check, Finding};
use crate::config::Testmo;

/// Finds addresses that are risky to allow.
pub(super) fn findings(config: &Testmo) -> Vec<Finding> {
    let insecure = config.allowed_insecure_origins.iter().map(|origin| of_insecure(origin));
    let wide = config.allowed_hosts.iter().filter(|pattern| is_wide(pattern)).map(|pattern| {
        let sentence = format!("testmo.allowed_hosts has `{pattern}`, which allows hosts of anybody.");
        Finding::warning(Check::Addresses, sentence, "Name the domain of your Testmo, such as `*.testmo.net`.")
            .with("testmo-courier config show")
    });
    insecure.chain(wide).collect()
}

fn of_insecure(origin: &str) -> Finding {
    let sentence =
        format!("{origin} is in testmo.allowed_insecure_origins: the checks of addresses do not apply to it.");
    let remedy = "Remove it in production, where Testmo has an https address.";
    let finding = match Url::parse(origin) {
        Ok(url) if url.scheme() == "https" || is_local(&url) => Finding::note(Check::Addresses, sentence, remedy),
        Ok(_) | Err(_) => {
            let sentence = format!("API keys are sent to {origin} without TLS.");
            Finding::warning(Check::Addresses, sentence, "Remove it from testmo.allowed_insecure_origins.")
        }
    };
    finding.with("testmo-courier config show")
}

fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

/// Returns whether a pattern allows every name of a top-level domain.
fn is_wide(pattern: &str) -> bool {
    pattern.strip_prefix("*.").is_some_and(|domain| !domain.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::*;

    #[test]
    fn a_key_without_tls_beyond_this_machine_is_a_warning() {
        for (origin, severity) in [
            ("http://127.0.0.1:8080/acme", Severity::Note),
            ("http://[::1]:8080", Severity::Note),
            ("http://localhost:8080", Severity::Note),
            ("https://10.0.0.7", Severity::Note),
            ("http://10.0.0.7", Severity::Warning),
            ("http://testmo.example.com", Severity::Warning),
            ("nonsense", Severity::Warning),
        ] {
            assert_eq!(of_insecure(origin).severity, severity, "{origin}");
        }
    }

    #[test]
    fn only_a_pattern_for_a_whole_top_level_domain_is_wide() {
        for (pattern, wide) in [("*.net", true), ("*.testmo.net", false), ("acme.testmo.net", false), ("net", false)] {
            assert_eq!(is_wide(pattern), wide, "{pattern}");
        }
    }
}

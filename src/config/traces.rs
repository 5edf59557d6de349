//! Defines where spans are sent, and which of them.

use super::reader::Reader;
use crate::trace::export::CAN_EXPORT;

/// `[traces]`
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Traces {
    pub endpoint: Option<String>,
    pub sample_ratio: f64,
}

impl Traces {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        let endpoint = Some(r.text("traces.endpoint")).filter(|endpoint| !endpoint.is_empty());
        if let Some(expected) = endpoint.as_ref().and_then(|endpoint| other_than(endpoint, CAN_EXPORT)) {
            r.problem("traces.endpoint", expected);
        }
        let form = "a number from 0 to 1, such as 0.1";
        let sample_ratio = r.parsed("traces.sample_ratio", form);
        if sample_ratio.is_some_and(|ratio| !(0.0..=1.0).contains(&ratio)) {
            r.problem("traces.sample_ratio", form);
        }
        Self { endpoint, sample_ratio: sample_ratio.unwrap_or(1.0) }
    }
}

/// Returns what an address has to be that cannot be used. It must have no password: `config show` shows it.
fn other_than(endpoint: &str, can_export: bool) -> Option<&'static str> {
    let url = url::Url::parse(endpoint).ok();
    let is_address = url.is_some_and(|url| {
        let has_secret = !url.username().is_empty() || url.password().is_some();
        ["http", "https"].contains(&url.scheme()) && url.has_host() && !has_secret
    });
    match (can_export, is_address) {
        (false, _) => Some("empty: this build cannot send spans, only one with the feature `otlp` can"),
        (true, false) => Some("empty, or an address without a password, such as http://127.0.0.1:4318/v1/traces"),
        (true, true) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigError, Sources, load};

    #[test]
    fn an_address_has_no_password_and_is_refused_by_a_build_that_cannot_use_it() {
        for (endpoint, is_taken) in [
            ("http://127.0.0.1:4318/v1/traces", true),
            ("https://collector.example.com/v1/traces", true),
            ("http://user:secret@collector/v1/traces", false),
            ("http://user@collector/v1/traces", false),
            ("grpc://collector:4317", false),
            ("collector:4318", false),
            ("/v1/traces", false),
        ] {
            assert_eq!(other_than(endpoint, true).is_none(), is_taken, "{endpoint}");
            assert!(other_than(endpoint, false).is_some_and(|expected| expected.contains("otlp")));
        }
    }

    #[test]
    fn a_share_is_from_0_to_1_and_no_address_sends_nothing() {
        let read = |ratio: &str| {
            let environment = [("COURIER_TRACES__SAMPLE_RATIO".to_owned(), ratio.to_owned())].into();
            load(&Sources { files: vec![], environment }).map(|config| config.traces)
        };
        for (ratio, expected) in [("0", 0.0), ("0.25", 0.25), ("1", 1.0)] {
            let traces = read(ratio).unwrap();
            assert_eq!((traces.sample_ratio, traces.endpoint), (expected, None));
        }
        for ratio in ["-0.1", "1.1", "NaN", "all"] {
            let ConfigError(problems) = read(ratio).unwrap_err();
            assert!(problems.len() == 1 && problems[0].contains("a number from 0 to 1"), "{ratio} {problems:?}");
        }
    }
}

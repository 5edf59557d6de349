//! Removes secrets from texts that leave the machine.

use std::collections::BTreeSet;
use std::fs;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::config::Config;

/// What is written in the place of a secret.
const HIDDEN: &str = "***";
/// A shorter secret would be found in ordinary words.
const SHORTEST_SECRET: usize = 4;
/// A word of so many letters and digits may be a key or a token of any kind.
const LONGEST_WORD: usize = 40;
/// How keys of Testmo begin.
const KEY: &str = "testmo_api_";
/// How tokens, links and sessions of this program begin.
const TOKENS: [&str; 3] = ["tc_", "tl_", "ts_"];
/// How long these are at least.
const SHORTEST_TOKEN: usize = 40;

/// The secrets of a configuration.
pub(super) struct Redaction(BTreeSet<String>);

impl Redaction {
    /// Collects the secrets of settings that could be read: passwords in URLs, as they are written and as they are meant, and those in files.
    pub(super) fn of(config: Option<&Config>) -> Self {
        let Some(config) = config else { return Self(BTreeSet::new()) };
        let urls = [config.amqp.url.as_str(), config.store.url.as_str(), config.testmo.proxy.as_str()];
        let in_urls = urls.iter().flat_map(|url| passwords(url));
        let files = [Some(&config.keys.master_key_file), config.admin.proxy_secret_file.as_ref()];
        let in_files =
            files.into_iter().flatten().filter_map(|file| Some(fs::read_to_string(file).ok()?.trim().to_owned()));
        Self(in_urls.chain(in_files).filter(|secret| secret.len() >= SHORTEST_SECRET).collect())
    }

    /// Returns a text without secrets, and without words that may be some.
    pub(super) fn applied(&self, text: &str) -> String {
        // The longest first, as one may be a part of another.
        let mut secrets: Vec<&String> = self.0.iter().collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let known = secrets.into_iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), HIDDEN));
        let (mut shown, mut rest) = (String::with_capacity(known.len()), known.as_str());
        while !rest.is_empty() {
            let end = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            shown.push_str(if is_secret(word) { HIDDEN } else { word });
            let next = behind.find(is_of_word).unwrap_or(behind.len());
            shown.push_str(&behind[..next]);
            rest = &behind[next..];
        }
        shown
    }
}

/// Returns the passwords of a URL; PostgreSQL takes some among the parameters, too.
fn passwords(url: &str) -> Vec<String> {
    let Ok(url) = Url::parse(url) else { return Vec::new() };
    let parameters =
        url.query_pairs().filter(|(name, _)| name.ends_with("password")).map(|(_, value)| value.into_owned());
    let written = url.password().map(str::to_owned);
    let meant = url.password().map(|text| percent_decode_str(text).decode_utf8_lossy().into_owned());
    written.into_iter().chain(meant).chain(parameters).collect()
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+')
}

fn is_secret(word: &str) -> bool {
    let is_mixed = word.contains(|c: char| c.is_ascii_digit()) && word.contains(|c: char| c.is_ascii_alphabetic());
    let is_token = word.len() >= SHORTEST_TOKEN && TOKENS.iter().any(|prefix| word.starts_with(prefix));
    word.starts_with(KEY) || is_token || is_mixed && word.len() >= LONGEST_WORD
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    #[test]
    fn no_password_key_or_token_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        fs::write(&key, "topsecretmasterkey\n").unwrap();
        let environment = [
            ("COURIER_AMQP__URL", "amqp://u:p%40ssword@h/v".to_owned()),
            ("COURIER_STORE__URL", "postgres://h/d?password=hunter2".to_owned()),
            ("COURIER_TESTMO__PROXY", "http://u:proxyword@h:3128".to_owned()),
            ("COURIER_KEYS__MASTER_KEY_FILE", key.display().to_string()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).into();
        let config = load(&Sources { files: vec![], environment }).unwrap();
        let token = format!("tc_{}", "aB3".repeat(15));
        let text = format!(
            "a p%40ssword, p@ssword; hunter2 \"proxyword\" topsecretmasterkey {token} testmo_api_s3cret {} ordinary words",
            "0123456789abcdef".repeat(4)
        );
        let shown = Redaction::of(Some(&config)).applied(&text);
        assert_eq!(shown, "a ***, ***; *** \"***\" *** *** *** *** ordinary words");
    }

    #[test]
    fn names_of_series_and_times_stay() {
        let config = load(&Sources::default()).unwrap();
        let text = "testmo_courier_request_duration_seconds_bucket{le=\"0.5\"} 3\n2026-11-30T22:06:25.123Z tc_build ts";
        assert_eq!(Redaction::of(Some(&config)).applied(text), text);
    }
}

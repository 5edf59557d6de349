//! Reads the store's URL, and hides the passwords in URLs.

use std::fmt;

use super::reader::Reader;

/// What an SQLite store's URL begins with.
const FILE: &str = "sqlite:";
/// The only parameters that such a URL may have: they say what is done anyway.
const ALLOWED: [&str; 2] = ["mode=rw", "mode=rwc"];

pub(super) fn read_store_url(r: &mut Reader<'_>) -> String {
    let url = r.text("store.url");
    let Some((path, parameters)) = file_of(&url) else {
        if !is_server(&url) || url::Url::parse(&url).is_err() {
            r.problem("store.url", "sqlite:FILE, or postgres://USER:PASSWORD@HOST:5432/DATABASE");
        }
        return url;
    };
    let unknown: Vec<String> = parameters
        .split('&')
        .filter(|parameter| !parameter.is_empty() && !ALLOWED.contains(parameter))
        .map(|parameter| format!("`{}`", parameter.split('=').next().unwrap_or(parameter)))
        .collect();
    if path.trim_matches('/').is_empty() {
        r.problem("store.url", "sqlite:FILE, or postgres://USER:PASSWORD@HOST:5432/DATABASE");
    } else if path == ":memory:" {
        r.problem("store.url", "sqlite:FILE: what is in memory would not outlive the process");
    } else if !unknown.is_empty() {
        let unknown = unknown.join(", ");
        r.problem(
            "store.url",
            &format!("sqlite:FILE, which has no parameter {unknown}: leave out what follows the `?`"),
        );
    }
    url
}

/// Returns the path and the parameters of an SQLite store's URL.
pub(super) fn file_of(url: &str) -> Option<(&str, &str)> {
    let path = url.strip_prefix(FILE)?;
    let path = path.strip_prefix("//").unwrap_or(path);
    Some(path.split_once('?').unwrap_or((path, "")))
}

/// Whether a store's URL names a database on a server.
pub(super) fn is_server(url: &str) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme))
}

/// A URL that may contain a password, which it does not print.
#[derive(Clone)]
pub struct SecretUrl(String);

impl SecretUrl {
    pub(super) fn new(url: String) -> Self {
        Self(url)
    }

    /// Returns the URL with its password; empty if there is none.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { f.write_str(&redacted(&self.0)) }
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Returns a URL with its passwords, if any, replaced by stars; PostgreSQL takes some among the parameters, too.
pub fn redacted(url: &str) -> String {
    let Ok(mut parsed) = url::Url::parse(url) else { return "***".into() };
    if parsed.password().is_some() && parsed.set_password(Some("***")).is_err() {
        return "***".into();
    }
    if parsed.query_pairs().any(|(name, _)| name.ends_with("password")) {
        let pairs: Vec<(String, String)> = parsed.query_pairs().into_owned().collect();
        let shown = |(name, value): (String, String)| {
            let value = if name.ends_with("password") { "***".to_owned() } else { value };
            (name, value)
        };
        parsed.query_pairs_mut().clear().extend_pairs(pairs.into_iter().map(shown));
    }
    parsed.into()
}

//! Takes URLs apart, and hides the passwords in them.

use std::fmt;

/// What an SQLite store's URL begins with.
const FILE: &str = "sqlite:";

/// Returns the path and the parameters of an SQLite store's URL.
pub(super) fn file_of(url: &str) -> Option<(&str, &str)> {
    let path = url.strip_prefix(FILE)?;
    let path = path.strip_prefix("//").unwrap_or(path);
    Some(path.split_once('?').unwrap_or((path, "")))
}

/// Returns whether a URL holds a password, before the host or, as PostgreSQL takes it, too, among the parameters.
pub(super) fn has_password(url: &url::Url) -> bool {
    url.password().is_some() || has_password_parameter(url)
}

fn has_password_parameter(url: &url::Url) -> bool {
    url.query_pairs().any(|(name, _)| name.ends_with("password"))
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
    if has_password_parameter(&parsed) {
        let pairs: Vec<(String, String)> = parsed.query_pairs().into_owned().collect();
        let shown = |(name, value): (String, String)| {
            let value = if name.ends_with("password") { "***".to_owned() } else { value };
            (name, value)
        };
        parsed.query_pairs_mut().clear().extend_pairs(pairs.into_iter().map(shown));
    }
    parsed.into()
}

//! Reads and writes the cookies of the console.

use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HeaderValue};

/// The name of the cookie with the secret of a session, where it travels with TLS: browsers take it from this host alone.
const SECURE_SESSION: &str = "__Host-courier-session";
/// The same on the machine itself.
const LOCAL_SESSION: &str = "courier-session";
/// The name of the cookie with what the next page says once.
const NOTICE: &str = "courier-notice";

/// Returns the secret of the session that a request names.
pub(super) fn session(headers: &HeaderMap) -> Option<String> {
    [SECURE_SESSION, LOCAL_SESSION].into_iter().find_map(|name| value(headers, name))
}

/// Returns what the next page is to say, as it was written.
pub(super) fn notice(headers: &HeaderMap) -> Option<String> {
    value(headers, NOTICE)
}

fn value(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(COOKIE).iter().filter_map(|header| header.to_str().ok());
    let mut pairs = all.flat_map(|header| header.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value.to_owned()).filter(|value| !value.is_empty())
}

/// Writes the cookie of a session; without a secret, the browser forgets it.
pub(super) fn set_session(secret: Option<&str>, is_secure: bool) -> Option<HeaderValue> {
    set(if is_secure { SECURE_SESSION } else { LOCAL_SESSION }, secret, is_secure, "")
}

/// Writes the cookie with what the next page says; without a text, the browser forgets it.
pub(super) fn set_notice(text: Option<&str>, is_secure: bool) -> Option<HeaderValue> {
    set(NOTICE, text, is_secure, "; Max-Age=60")
}

fn set(name: &str, value: Option<&str>, is_secure: bool, life: &str) -> Option<HeaderValue> {
    let secure = if is_secure { "; Secure" } else { "" };
    let life = if value.is_some() { life } else { "; Max-Age=0" };
    let cookie = format!("{name}={}; Path=/; HttpOnly; SameSite=Strict{secure}{life}", value.unwrap_or_default());
    HeaderValue::from_str(&cookie).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_read_among_others_and_written_strictly() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=b; courier-session=ts_x; courier-notice="));
        headers.append(COOKIE, HeaderValue::from_static("__Host-courier-session=ts_y"));
        assert_eq!(session(&headers).as_deref(), Some("ts_y"), "the one that only this host can set");
        assert_eq!(notice(&headers), None);
        let local = set_session(Some("ts_x"), false).unwrap();
        assert_eq!(local, "courier-session=ts_x; Path=/; HttpOnly; SameSite=Strict");
        let secure = set_session(None, true).unwrap();
        assert_eq!(secure, "__Host-courier-session=; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=0");
    }
}

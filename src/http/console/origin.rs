//! Decides whether a request that changes something was sent by a page of the console itself.

use axum::http::HeaderMap;
use axum::http::header::{HOST, HeaderName, ORIGIN};
use url::{Host, Url};

use super::super::admin::problem::{Code, Problem};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// How a request reached the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reached {
    /// The origins of the pages that may send it.
    origins: Vec<String>,
    /// Whether cookies are only sent with TLS.
    pub(super) is_secure: bool,
    /// Whether a secret may be entered: on this machine, or with TLS.
    pub(super) is_safe: bool,
}

impl Reached {
    /// Finds out from the headers of a request and the configured address.
    pub(super) fn of(headers: &HeaderMap, public_url: &str) -> Self {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let own = Url::parse(&format!("http://{host}")).ok().filter(is_loopback);
        let public = Url::parse(public_url).ok();
        let is_public_tls = public.as_ref().is_some_and(|url| url.scheme() == "https");
        let written = |url: &Url| url.origin().ascii_serialization();
        let origins: Vec<String> = [own.as_ref(), public.as_ref()].into_iter().flatten().map(written).collect();
        // A proxy on this machine may name the local host where the browser names the public one.
        let sent_by = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
        let is_local = own.as_ref().is_some_and(|own| sent_by.is_none_or(|origin| origin == written(own)));
        Self { origins, is_secure: is_public_tls && !is_local, is_safe: is_local || is_public_tls }
    }

    /// Checks that a request was sent by a page of the console.
    ///
    /// # Errors
    /// When it was sent by a page of another site, or nothing says by which.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let (site, origin) = (text(&SEC_FETCH_SITE), text(&ORIGIN));
        let is_own_origin = origin.map(|origin| self.origins.iter().any(|own| own == origin));
        match (site, is_own_origin) {
            (Some("same-origin"), Some(true) | None) | (None, Some(true)) => Ok(()),
            _ => Err(Problem::new(Code::ForeignOrigin, "The request was not sent by a page of this console.")
                .remedy("Open the page again under the address in admin.public_url, and repeat what you did.")),
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const PUBLIC: &str = "https://courier.example.com";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    fn is_own(public_url: &str, pairs: &[(&'static str, &str)]) -> bool {
        let headers = headers(pairs);
        Reached::of(&headers, public_url).check(&headers).is_ok()
    }

    #[test]
    fn a_request_is_taken_from_a_page_of_the_console_alone() {
        let (local, public) = (("host", "127.0.0.1:9465"), ("host", "courier.example.com"));
        let own = ("origin", "http://127.0.0.1:9465");
        for (public_url, pairs, expected) in [
            ("", &[local, own][..], true),
            ("", &[local, ("sec-fetch-site", "same-origin")], true),
            ("", &[local, own, ("sec-fetch-site", "same-origin")], true),
            ("", &[local], false),
            ("", &[local, own, ("sec-fetch-site", "cross-site")], false),
            ("", &[local, own, ("sec-fetch-site", "same-site")], false),
            ("", &[local, own, ("sec-fetch-site", "none")], false),
            ("", &[local, ("origin", "null"), ("sec-fetch-site", "same-origin")], false),
            ("", &[local, ("origin", "http://127.0.0.1:9466")], false),
            ("", &[local, ("origin", "https://127.0.0.1:9465")], false),
            ("", &[local, ("origin", "http://evil.example")], false),
            ("", &[("host", "evil.example"), ("origin", "http://evil.example")], false),
            ("", &[("host", "10.0.0.7:9465"), ("origin", "http://10.0.0.7:9465")], false),
            (PUBLIC, &[public, ("origin", PUBLIC)], true),
            (PUBLIC, &[local, ("origin", PUBLIC)], true),
            (PUBLIC, &[public, ("origin", "http://courier.example.com")], false),
            (PUBLIC, &[public, ("origin", "https://courier.example.com.evil.example")], false),
            (PUBLIC, &[public, ("origin", "")], false),
        ] {
            assert_eq!(is_own(public_url, pairs), expected, "{public_url} {pairs:?}");
        }
    }

    #[test]
    fn a_secret_is_entered_on_this_machine_or_with_tls() {
        for (public_url, pairs, is_safe, is_secure) in [
            ("", &[("host", "localhost:9465")][..], true, false),
            ("", &[("host", "[::1]:9465")], true, false),
            ("", &[("host", "10.0.0.7:9465")], false, false),
            (PUBLIC, &[("host", "courier.example.com")], true, true),
            (PUBLIC, &[("host", "127.0.0.1:9465"), ("origin", PUBLIC)], true, true),
            (PUBLIC, &[("host", "127.0.0.1:9465"), ("origin", "http://127.0.0.1:9465")], true, false),
            ("http://courier.example.com", &[("host", "courier.example.com")], false, false),
        ] {
            let reached = Reached::of(&headers(pairs), public_url);
            assert_eq!((reached.is_safe, reached.is_secure), (is_safe, is_secure), "{public_url} {pairs:?}");
        }
    }
}

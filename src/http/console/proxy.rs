//! Recognizes people whom an allowed proxy has logged in, such as one for single sign-on.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName};
use sha2::{Digest, Sha256};

use crate::app::access::Caller;
use crate::app::actor::{Actor, Face, Role};
use crate::config;

/// The header with the secret that the proxy shares with the console.
const SECRET: HeaderName = HeaderName::from_static("x-courier-proxy-secret");
/// The header in which proxies add the address that a request came from, at the end.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The fewest characters of the secret.
const SHORTEST_SECRET: usize = 16;

/// Proxies that log people in.
#[derive(Clone, Debug)]
pub(super) struct Proxies {
    addresses: Vec<IpAddr>,
    /// The SHA-256 of the secret, so that a comparison reveals nothing of it.
    secret: [u8; 32],
    user: HeaderName,
    /// The role of people whose role no header names.
    role: Role,
    /// The header that names the role of a person.
    role_header: Option<HeaderName>,
}

impl Proxies {
    /// Returns the proxies that are configured; none if there are none, or their secret cannot be used: nobody is then logged in by
    /// a proxy.
    pub(super) fn of(admin: &config::Admin) -> Option<Self> {
        let file = admin.proxy_secret_file.as_ref().filter(|_| !admin.proxies.is_empty())?;
        let secret = match std::fs::read_to_string(file) {
            Ok(text) if text.trim().len() >= SHORTEST_SECRET => text,
            Ok(_) => {
                tracing::error!(file = %file.display(), "the secret of the proxies is shorter than {SHORTEST_SECRET} characters");
                return None;
            }
            Err(error) => {
                tracing::error!(%error, file = %file.display(), "the secret of the proxies cannot be read");
                return None;
            }
        };
        Some(Self {
            addresses: admin.proxies.clone(),
            secret: Sha256::digest(secret.trim().as_bytes()).into(),
            user: admin.proxy_user_header.parse().ok()?,
            role: admin.proxy_role.parse().ok()?,
            role_header: admin.proxy_role_header.as_ref().map(|header| header.parse()).transpose().ok()?,
        })
    }

    /// Returns who sends a request by the word of an allowed proxy.
    pub(super) fn caller(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<Caller> {
        let secret: [u8; 32] = Sha256::digest(only(headers, &SECRET)?.as_bytes()).into();
        if !self.addresses.contains(&peer?) || secret != self.secret {
            return None;
        }
        let name = only(headers, &self.user).map(str::trim).filter(|name| !name.is_empty())?;
        Some(Caller { actor: Actor::new(name, self.role_in(headers)?, Face::Console), tenant: None })
    }

    /// Returns the role that an allowed proxy gives to a person, or the configured one if its header is absent. What is not exactly
    /// one role gives none, so that a mistake in the proxy logs nobody in with a role that was not meant.
    fn role_in(&self, headers: &HeaderMap) -> Option<Role> {
        let Some(header) = self.role_header.as_ref().filter(|header| headers.contains_key(*header)) else {
            return Some(self.role);
        };
        let role = only(headers, header).and_then(|word| word.trim().parse().ok());
        if role.is_none() {
            tracing::warn!(%header, "a proxy has sent a role that does not exist, and nobody is logged in by it");
        }
        role
    }

    /// Returns the address that a request came from: for an allowed proxy, the one that it has added.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let added = headers.get_all(FORWARDED_FOR).iter().next_back().and_then(|value| value.to_str().ok());
        let client = added.and_then(|added| added.rsplit(',').next()?.trim().parse().ok());
        client.filter(|_| self.addresses.contains(&peer)).unwrap_or(peer)
    }
}

/// Returns the value of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        (Some(_), Some(_)) | (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const WORD: &str = "a secret of the proxy";

    fn proxies() -> (Proxies, tempfile::TempDir) {
        proxies_with(None)
    }

    /// Returns proxies that send roles in a header.
    fn proxies_with(role_header: Option<&str>) -> (Proxies, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        std::fs::write(&file, format!("{WORD}\n")).unwrap();
        let admin = config::Admin {
            listen: None,
            public_url: String::new(),
            hosts: Vec::new(),
            frame_ancestors: Vec::new(),
            proxies: vec!["10.0.0.7".parse().unwrap()],
            proxy_secret_file: Some(file),
            proxy_user_header: "x-forwarded-user".into(),
            proxy_role: "operator".into(),
            proxy_role_header: role_header.map(str::to_owned),
        };
        (Proxies::of(&admin).unwrap(), dir)
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn only_an_allowed_proxy_with_its_secret_names_a_person() {
        let (proxies, _dir) = proxies();
        let (user, word) = (("x-forwarded-user", "anna@example.com"), ("x-courier-proxy-secret", WORD));
        let own = "10.0.0.7".parse().ok();
        let caller = proxies.caller(own, &headers(&[user, word])).unwrap();
        assert_eq!((caller.actor.name(), caller.actor.role, caller.tenant), ("anna@example.com", Role::Operator, None));
        for (peer, pairs) in [
            (own, &[user][..]),
            (own, &[word]),
            (own, &[user, ("x-courier-proxy-secret", "another secret")]),
            (own, &[user, word, word]),
            (own, &[user, user, word]),
            (own, &[("x-forwarded-user", " "), word]),
            ("10.0.0.8".parse().ok(), &[user, word]),
            (None, &[user, word]),
        ] {
            assert!(proxies.caller(peer, &headers(pairs)).is_none(), "{peer:?} {pairs:?}");
        }
    }

    #[test]
    fn an_allowed_proxy_may_name_a_role_that_exists_and_nobody_else_may() {
        let (proxies, _dir) = proxies_with(Some("x-courier-role"));
        let (user, word) = (("x-forwarded-user", "anna"), ("x-courier-proxy-secret", WORD));
        let role = |peer: &str, pairs: &[(&'static str, &'static str)]| {
            let all = [&[user][..], pairs].concat();
            proxies.caller(peer.parse().ok(), &headers(&all)).map(|caller| caller.actor.role)
        };
        let named = |name| ("x-courier-role", name);
        for (name, given) in [("viewer", Role::Viewer), (" operator ", Role::Operator), ("admin", Role::Admin)] {
            assert_eq!(role("10.0.0.7", &[word, named(name)]), Some(given));
        }
        assert_eq!(role("10.0.0.7", &[word]), Some(Role::Operator), "without the header, the configured role applies");
        for wrong in ["", "owner", "Admin", "viewer,admin", "viewer admin"] {
            assert_eq!(role("10.0.0.7", &[word, named(wrong)]), None, "{wrong:?}");
        }
        assert_eq!(role("10.0.0.7", &[word, named("viewer"), named("admin")]), None);
        for (peer, pairs) in [
            ("10.0.0.7", &[named("admin")][..]),
            ("10.0.0.7", &[named("admin"), ("x-courier-proxy-secret", "another secret")]),
            ("10.0.0.8", &[word, named("admin")]),
        ] {
            assert_eq!(role(peer, pairs), None, "{peer} {pairs:?}");
        }
        let (without, _dir) = self::proxies();
        let forged = headers(&[user, word, named("admin")]);
        let caller = without.caller("10.0.0.7".parse().ok(), &forged).unwrap();
        assert_eq!(caller.actor.role, Role::Operator, "a header that is not configured means nothing");
    }

    #[test]
    fn the_address_that_an_allowed_proxy_added_counts_and_no_other() {
        let (proxies, _dir) = proxies();
        let forwarded = headers(&[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "2.2.2.2, 3.3.3.3")]);
        let client = |peer: &str, headers: &HeaderMap| proxies.client(peer.parse().unwrap(), headers).to_string();
        assert_eq!(client("10.0.0.7", &forwarded), "3.3.3.3");
        assert_eq!(client("10.0.0.8", &forwarded), "10.0.0.8");
        assert_eq!(client("10.0.0.7", &headers(&[("x-forwarded-for", "unknown")])), "10.0.0.7");
    }
}

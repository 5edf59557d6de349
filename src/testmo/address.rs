//! Decides, before anything is dialled, whether a tenant's key may be sent to an address that the tenant typed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::config;

/// A checked origin: `https://host`, or exactly one that the operator has listed as insecure.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    text: String,
    insecure: bool,
}

/// The hosts and origins that the operator allows.
#[derive(Clone, Debug)]
pub struct AddressPolicy {
    allowed_hosts: Vec<String>,
    insecure_origins: Vec<String>,
}

/// The reason why an address is refused, as a sentence for the person who typed it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AddressRefused(pub String);

impl Origin {
    /// Returns the canonical text, without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns whether the operator listed this origin as insecure: no TLS and private addresses are then allowed.
    pub fn is_insecure(&self) -> bool {
        self.insecure
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl AddressPolicy {
    /// Returns the policy that allows these hosts alone.
    #[cfg(test)]
    pub(super) fn of_hosts(hosts: &[&str]) -> Self {
        Self { allowed_hosts: hosts.iter().map(|host| (*host).to_owned()).collect(), insecure_origins: Vec::new() }
    }

    /// Builds the policy from the configuration.
    pub fn new(config: &config::Testmo) -> Self {
        let canonical = |text: &String| text.trim_end_matches('/').to_owned();
        Self {
            allowed_hosts: config.allowed_hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            insecure_origins: config.allowed_insecure_origins.iter().map(canonical).collect(),
        }
    }

    /// Returns the domains in which every name is allowed.
    pub(super) fn suffixes(&self) -> impl Iterator<Item = &str> {
        self.allowed_hosts.iter().filter_map(|pattern| pattern.strip_prefix("*."))
    }

    /// Checks a base URL.
    ///
    /// # Errors
    /// When the address is not allowed; the error says why.
    pub fn check(&self, base_url: &str) -> Result<Origin, AddressRefused> {
        let typed = base_url.trim().trim_end_matches('/');
        if self.insecure_origins.iter().any(|origin| origin == typed) {
            return Ok(Origin { text: typed.to_owned(), insecure: true });
        }
        let refuse =
            |why: &str| Err(AddressRefused(format!("{why}; the base URL has the form https://<name>.testmo.net")));
        let Ok(url) = Url::parse(typed) else { return refuse("the base URL is not a web address") };
        if url.scheme() != "https" {
            return refuse("the base URL does not start with https://");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("the base URL contains a user name or password");
        }
        if url.port().is_some() {
            return refuse("the base URL contains a port");
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return refuse("the base URL contains something after the host name");
        }
        match url.host() {
            Some(Host::Domain(host)) if self.allowed_hosts.iter().any(|pattern| fits(pattern, host)) => {
                Ok(Origin { text: format!("https://{host}"), insecure: false })
            }
            Some(Host::Domain(_)) => refuse("the host is not listed in testmo.allowed_hosts"),
            Some(Host::Ipv4(_) | Host::Ipv6(_)) => refuse("the base URL contains an IP address instead of a host name"),
            None => refuse("the base URL contains no host name"),
        }
    }
}

/// Returns whether a host fits a pattern in which a leading `*` stands for exactly one label.
fn fits(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        None => pattern == host,
        Some(rest) => host.strip_suffix(rest).and_then(|start| start.strip_suffix('.')).is_some_and(is_label),
    }
}

/// Returns whether a text can be one label of a host name: letters, digits and hyphens inside, at most 63 in all.
pub(super) fn is_label(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (1..=63).contains(&text.len()) && text.chars().all(is_part) && !text.starts_with('-') && !text.ends_with('-')
}

/// Returns whether an address belongs to the public internet: it is not private, local or reserved, nor a form that
/// leads to such an address.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let reserved = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19));
    !reserved
}

/// Returns whether an address lies in 2000::/3, the only range assigned to the public, and outside its transition and
/// documentation prefixes, which can lead elsewhere.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    let global = s[0] & 0xe000 == 0x2000;
    let teredo_orchid_benchmark = s[0] == 0x2001 && s[1] < 0x0200;
    let documentation = (s[0] == 0x2001 && s[1] == 0x0db8) || (s[0] == 0x3fff && s[1] < 0x1000);
    let six_to_four = s[0] == 0x2002;
    global && !teredo_orchid_benchmark && !documentation && !six_to_four
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> AddressPolicy {
        AddressPolicy {
            allowed_hosts: vec!["*.testmo.net".into(), "qa.example.com".into()],
            insecure_origins: vec!["http://127.0.0.1:8080/acme".into()],
        }
    }

    #[test]
    fn what_a_tenant_may_type() {
        for (typed, canonical) in [
            ("https://acme.testmo.net", "https://acme.testmo.net"),
            (" https://ACME.testmo.net/ ", "https://acme.testmo.net"),
            ("https://acme.testmo.net:443", "https://acme.testmo.net"),
            ("https://qa.example.com", "https://qa.example.com"),
            ("http://127.0.0.1:8080/acme/", "http://127.0.0.1:8080/acme"),
        ] {
            assert_eq!(policy().check(typed).map(|o| o.text), Ok(canonical.to_owned()), "{typed}");
        }
    }

    #[test]
    fn what_a_tenant_may_not_type() {
        for typed in [
            "acme",
            "http://acme.testmo.net",
            "https://testmo.net",
            "https://a.b.testmo.net",
            "https://.testmo.net",
            "https://eviltestmo.net",
            "https://acme.testmo.net.evil.com",
            "https://acme.testmo.net@evil.com",
            "https://user:pw@acme.testmo.net",
            "https://acme.testmo.net:8443",
            "https://acme*.testmo.net",
            "https://-acme.testmo.net",
            "https://acme-.testmo.net",
            "https://ac_me.testmo.net",
            "https://acme.testmo.net.",
            "https://acme.testmo.net/api/v1",
            "https://acme.testmo.net?x",
            "https://acme.testmo.net#x",
            "https://127.0.0.1",
            "https://[::1]",
            "https://0x7f000001",
            "https://2130706433",
            "http://127.0.0.1:8080/other",
            "http://127.0.0.1:8080",
            "http://127.0.0.1:8080/acme/../other",
            "ftp://acme.testmo.net",
            "",
        ] {
            assert!(policy().check(typed).is_err(), "{typed}");
        }
        let of = |letters| policy().check(&format!("https://{}.testmo.net", "a".repeat(letters)));
        assert!(of(63).is_ok() && of(64).is_err());
    }

    #[test]
    fn only_public_addresses_are_dialled() {
        for text in ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "2a00:1450::1"] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "192.0.0.8",
            "198.18.0.1",
            "192.88.99.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001::1",
            "2001:db8::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }
}

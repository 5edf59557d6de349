//! Decides whether a request names a host under which the API is reached: a page of another site cannot name one.

use std::net::SocketAddr;

use axum::http::HeaderMap;
use axum::http::header::HOST;

use super::problem::{Code, Problem};
use crate::config;

/// The hosts under which the API is reached.
#[derive(Clone, Debug)]
pub(in crate::http) struct Hosts(Vec<String>);

impl Hosts {
    /// Returns the hosts of an API that listens on an address.
    pub(in crate::http) fn of(admin: &config::Admin, listen: SocketAddr) -> Self {
        let mut hosts = admin.hosts.clone();
        hosts.extend(admin.public_host());
        hosts.push(listen.ip().to_string());
        hosts.extend(listen.ip().is_loopback().then(|| "localhost".to_owned()));
        Self(hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect())
    }

    /// Checks the host of a request, whatever its port.
    pub(in crate::http) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let mut named = headers.get_all(HOST).iter();
        let (Some(host), None) = (named.next(), named.next()) else {
            return Err(Problem::parameter(Code::InvalidHeader, "Host", "The request has to name one host."));
        };
        let host = host.to_str().map(without_port).unwrap_or_default().to_ascii_lowercase();
        if self.0.contains(&host) {
            return Ok(());
        }
        Err(Problem::parameter(Code::Misdirected, "Host", "The API is not reached under this host.")
            .remedy("Use the host of admin.public_url, or add this one to admin.hosts."))
    }
}

/// Returns a host without its port, and an IPv6 address without its brackets.
fn without_port(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn check(listen: &str, hosts: &[&str]) -> Result<(), Code> {
        let admin = config::Admin {
            listen: None,
            public_url: "https://Courier.example.com".into(),
            hosts: vec!["courier.internal".into()],
            frame_ancestors: Vec::new(),
            proxies: Vec::new(),
            proxy_secret_file: None,
            proxy_user_header: String::new(),
            proxy_role: String::new(),
            proxy_role_header: None,
        };
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_str(host).unwrap());
        }
        Hosts::of(&admin, listen.parse().unwrap()).check(&headers).map_err(|problem| problem.code)
    }

    #[test]
    fn a_host_is_one_that_was_configured() {
        let (loopback, open) = ("127.0.0.1:9465", "10.0.0.7:9465");
        for (listen, host, is_known) in [
            (loopback, "127.0.0.1:9465", true),
            (loopback, "localhost:1", true),
            (loopback, "courier.example.com", true),
            (loopback, "COURIER.internal:443", true),
            ("[::1]:9465", "[::1]:9465", true),
            (open, "10.0.0.7", true),
            (open, "localhost", false),
            (loopback, "evil.example", false),
            (loopback, "127.0.0.1.evil.example", false),
            (loopback, "", false),
        ] {
            assert_eq!(check(listen, &[host]), if is_known { Ok(()) } else { Err(Code::Misdirected) }, "{host}");
        }
        assert_eq!(check(loopback, &[]), Err(Code::InvalidHeader));
        assert_eq!(check(loopback, &["localhost", "evil.example"]), Err(Code::InvalidHeader));
    }
}

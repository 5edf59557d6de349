//! Defines the settings of the API.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::reader::Reader;

/// `[admin]`
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Admin {
    pub listen: Option<SocketAddr>,
    pub public_url: String,
    pub hosts: Vec<String>,
    pub frame_ancestors: Vec<String>,
    pub proxies: Vec<IpAddr>,
    pub proxy_secret_file: Option<PathBuf>,
    pub proxy_user_header: String,
    pub proxy_role: String,
    pub proxy_role_header: Option<String>,
}

impl Admin {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        let listen = match r.text("admin.listen").as_str() {
            "" => None,
            _ => r.parsed("admin.listen", "empty, or an address and port, such as 127.0.0.1:9465"),
        };
        let public_url = r.text("admin.public_url");
        if !public_url.is_empty() && origin_of(&public_url).is_none() {
            r.problem("admin.public_url", "empty, or an address such as https://courier.example.com");
        }
        let hosts = r.list("admin.hosts");
        if hosts.iter().any(|host| host.is_empty() || host.contains(['/', ' ', '*'])) {
            r.problem("admin.hosts", "a list of host names, such as [\"courier.example.com\"]");
        }
        let frame_ancestors = r.list("admin.frame_ancestors");
        if frame_ancestors.iter().any(|origin| !is_https_origin(origin)) {
            r.problem("admin.frame_ancestors", "a list of https origins, such as [\"https://suite.example.com\"]");
        }
        let (mut proxies, named) = (Vec::new(), r.list("admin.proxies"));
        for address in named {
            match address.parse() {
                Ok(address) => proxies.push(address),
                Err(_) => r.problem("admin.proxies", "a list of IP addresses, such as [\"10.0.0.7\"]"),
            }
        }
        let proxy_secret_file = Some(r.text("admin.proxy_secret_file")).filter(|file| !file.is_empty());
        if !proxies.is_empty() && proxy_secret_file.is_none() {
            r.problem("admin.proxy_secret_file", "a file with the secret that the proxies in admin.proxies send");
        }
        let proxy_user_header = r.text("admin.proxy_user_header").to_ascii_lowercase();
        if !is_header(&proxy_user_header) {
            r.problem("admin.proxy_user_header", "the name of a header, such as x-forwarded-user");
        }
        let proxy_role_header = r.text("admin.proxy_role_header").to_ascii_lowercase();
        let proxy_role_header = Some(proxy_role_header).filter(|header| !header.is_empty());
        if proxy_role_header.as_deref().is_some_and(|header| !is_header(header) || header == proxy_user_header) {
            r.problem("admin.proxy_role_header", "empty, or the name of a header of its own, such as x-courier-role");
        }
        let proxy_role = r.text("admin.proxy_role");
        if !["viewer", "operator", "admin"].contains(&proxy_role.as_str()) {
            r.problem("admin.proxy_role", "viewer, operator or admin");
        }
        let proxy_secret_file = proxy_secret_file.map(PathBuf::from);
        Self {
            listen,
            public_url,
            hosts,
            frame_ancestors,
            proxies,
            proxy_secret_file,
            proxy_user_header,
            proxy_role,
            proxy_role_header,
        }
    }

    /// Returns the host of the address at which people and programs reach it.
    pub fn public_host(&self) -> Option<String> {
        origin_of(&self.public_url)?.host_str().map(str::to_owned)
    }

    /// Returns a sentence if the API can be reached without TLS.
    pub(super) fn contradiction(&self) -> Option<String> {
        let is_open = self.listen.is_some_and(|address| !address.ip().is_loopback());
        (is_open && !self.public_url.starts_with("https://")).then(|| {
            "`admin.listen` can be reached from other machines, so `admin.public_url` has to be the https address of the \
             proxy before it"
                .into()
        })
    }
}

/// Returns whether a text can be the name of a header.
fn is_header(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// Returns a URL that names an origin and nothing below it.
fn origin_of(text: &str) -> Option<url::Url> {
    let url = url::Url::parse(text).ok()?;
    let is_origin = matches!(url.scheme(), "https" | "http") && url.has_host() && url.path() == "/";
    (is_origin && url.query().is_none() && url.fragment().is_none() && url.username().is_empty()).then_some(url)
}

/// Returns whether a text is an origin that a content security policy can name.
fn is_https_origin(text: &str) -> bool {
    origin_of(text).is_some_and(|url| url.scheme() == "https" && url.origin().ascii_serialization() == text)
}

//! Reads the address of a Testmo instance the way people type or copy it.

use url::{Host, Url};

use super::address::{AddressPolicy, AddressRefused, Origin, is_label};

/// An address as a person typed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedAddress {
    /// The checked origin.
    pub origin: Origin,
    /// The project that the rest of the address names.
    pub project: Option<u64>,
    /// The folder that it names.
    pub folder: Option<u64>,
}

impl AddressPolicy {
    /// Reads an address that was typed or copied from a browser: without a scheme, with a dot after the host, or of a page
    /// in Testmo, whose project and folder are then named.
    ///
    /// # Errors
    /// When the address is not allowed; the error says why, and which address may have been meant.
    pub fn read(&self, typed: &str) -> Result<TypedAddress, AddressRefused> {
        let typed = unquoted(typed);
        let refused = match self.check(typed) {
            Ok(origin) => return Ok(TypedAddress { origin, project: None, folder: None }),
            Err(refused) => refused,
        };
        let whole = if typed.contains("://") { typed.to_owned() } else { format!("https://{typed}") };
        let Ok(url) = Url::parse(&whole) else { return Err(refused) };
        let has_credentials = !url.username().is_empty() || url.password().is_some();
        let Some(Host::Domain(host)) = url.host() else { return Err(refused) };
        if has_credentials || url.port().is_some() || !matches!(url.scheme(), "https" | "http") {
            return Err(refused);
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        match self.check(&format!("https://{host}")) {
            Ok(origin) if url.scheme() == "https" => {
                Ok(TypedAddress { origin, project: project_of(&url), folder: folder_of(&url) })
            }
            Ok(origin) => Err(meant(&refused, &origin)),
            Err(refused) => Err(self.similar(host).map_or(refused.clone(), |origin| meant(&refused, &origin))),
        }
    }

    /// Returns the allowed address that was probably meant by a host: one with another top-level domain, or the name alone.
    fn similar(&self, host: &str) -> Option<Origin> {
        let (label, rest) = host.split_once('.').unwrap_or((host, ""));
        let name = |domain: &str| domain.rsplit_once('.').map_or(domain.to_owned(), |(name, _)| name.to_owned());
        let is_similar = |suffix: &&str| rest.is_empty() || name(rest) == name(suffix) || rest == name(suffix);
        // Words that belong to an address, but are nobody's name.
        let is_name = is_label(label) && !["www", "http", "https"].contains(&label);
        let suffix = self.suffixes().find(is_similar).filter(|_| is_name)?;
        self.check(&format!("https://{label}.{suffix}")).ok()
    }
}

fn meant(refused: &AddressRefused, origin: &Origin) -> AddressRefused {
    AddressRefused(format!("{refused}. Did you mean {origin}?"))
}

/// Returns a text without the blanks and quotes that were copied with it.
pub fn unquoted(text: &str) -> &str {
    let text = text.trim();
    let pairs = [('"', '"'), ('\'', '\''), ('`', '`'), ('<', '>'), ('“', '”'), ('„', '“')];
    let inside = pairs.iter().find_map(|(open, close)| text.strip_prefix(*open)?.strip_suffix(*close));
    inside.map_or(text, str::trim)
}

/// Returns an address for people, without a user name and password that it may contain.
pub fn without_credentials(typed: &str) -> String {
    let Some((credentials, rest)) = typed.rsplit_once('@') else { return typed.to_owned() };
    let scheme = credentials.split_once("://").map_or(String::new(), |(scheme, _)| format!("{scheme}://"));
    format!("{scheme}…@{rest}")
}

/// Returns the number after the word `projects` or `repositories` in a path.
fn project_of(url: &Url) -> Option<u64> {
    let mut parts = url.path_segments()?.skip_while(|part| !matches!(*part, "projects" | "repositories")).skip(1);
    parts.find(|part| *part != "view")?.parse().ok().filter(|id| *id > 0)
}

/// Returns the folder that the page of a repository shows.
fn folder_of(url: &Url) -> Option<u64> {
    let (_, id) = url.query_pairs().find(|(name, _)| name == "group_id")?;
    id.parse().ok().filter(|id| *id > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    fn policy() -> AddressPolicy {
        AddressPolicy::new(&load(&Sources::default()).unwrap().testmo)
    }

    #[test]
    fn an_address_is_read_the_way_people_type_it() {
        for (typed, project, folder) in [
            ("https://acme.testmo.net", None, None),
            ("acme.testmo.net", None, None),
            (" \"https://ACME.testmo.net/\" ", None, None),
            ("https://acme.testmo.net.", None, None),
            ("acme.testmo.net./", None, None),
            ("https://acme.testmo.net/projects/view/3", Some(3), None),
            ("https://acme.testmo.net/repositories/3?group_id=428&case_id=9", Some(3), Some(428)),
            ("https://acme.testmo.net/api/v1/projects/12/cases", Some(12), None),
            ("https://acme.testmo.net/repositories/x?group_id=", None, None),
            ("https://acme.testmo.net/#top", None, None),
        ] {
            let read = policy().read(typed).unwrap_or_else(|refused| panic!("{typed}: {refused}"));
            assert_eq!(read.origin.as_str(), "https://acme.testmo.net", "{typed}");
            assert_eq!((read.project, read.folder), (project, folder), "{typed}");
        }
    }

    #[test]
    fn an_address_that_is_nearly_right_is_refused_with_the_one_that_was_meant() {
        for typed in [
            "https://acme.testmo.com",
            "acme.testmo.io/projects/view/3",
            "acme",
            "acme.testmo",
            "http://acme.testmo.net",
        ] {
            let refused = policy().read(typed).unwrap_err().0;
            assert!(refused.ends_with("Did you mean https://acme.testmo.net?"), "{typed}: {refused}");
        }
    }

    #[test]
    fn an_address_that_leads_elsewhere_is_refused_without_a_guess() {
        for typed in [
            "https://acme.testmo.net.evil.com",
            "https://acme.testmo.net@evil.com",
            "https://user:pw@acme.testmo.net",
            "user:pw@acme.testmo.net",
            "https://acme.testmo.net:8443",
            "https://acme*.testmo.net",
            "https://-acme.testmo.net",
            "https://a.b.testmo.net",
            "ftp://acme.testmo.net",
            "https://10.0.0.1",
            "two words",
            "",
        ] {
            let refused = policy().read(typed).unwrap_err().0;
            assert!(!refused.contains("Did you mean"), "{typed}: {refused}");
        }
    }

    #[test]
    fn credentials_in_an_address_are_not_shown() {
        for (typed, shown) in [
            ("https://user:pw@acme.testmo.net/x", "https://…@acme.testmo.net/x"),
            ("user:pw@acme.testmo.net", "…@acme.testmo.net"),
            ("https://user:p@w@acme.testmo.net", "https://…@acme.testmo.net"),
            ("https:user:pw@acme.testmo.net", "…@acme.testmo.net"),
            ("https://acme.testmo.com", "https://acme.testmo.com"),
        ] {
            assert_eq!(without_credentials(typed), shown);
        }
    }
}

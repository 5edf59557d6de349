//! Reads where the tenants' connections are entered.

use std::path::PathBuf;
use std::time::Duration;

use super::reader::Reader;

/// `[tenants]`
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Tenants {
    /// The directory in which connections are entered; none if they are entered in the store.
    pub directory: Option<PathBuf>,
    pub poll_interval: Duration,
    pub removal_delay: Duration,
}

impl Tenants {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        Self {
            directory: read_directory(r),
            poll_interval: r.time("tenants.poll_interval", Duration::from_millis(1)..=Duration::from_secs(3_600)),
            removal_delay: r.time("tenants.removal_delay", Duration::ZERO..=Duration::from_secs(86_400)),
        }
    }
}

fn read_directory(r: &mut Reader<'_>) -> Option<PathBuf> {
    let (source, directory) = (r.text("tenants.source"), r.text("tenants.directory"));
    match (source.as_str(), directory.is_empty()) {
        ("store", true) => {}
        ("directory", false) => return Some(directory.into()),
        ("store", false) => {
            r.mistake("`tenants.directory` is set: set `tenants.source` to directory, or leave both out".into());
        }
        ("directory", true) => {
            r.problem(
                "tenants.directory",
                "set where `tenants.source` is directory: name the directory with the files",
            );
        }
        _ => r.problem("tenants.source", "store or directory"),
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::config::{Sources, load};

    #[test]
    fn a_directory_is_named_exactly_where_connections_come_from_one() {
        let with = |source: &str, directory: &str| {
            let named =
                [("SOURCE", source), ("DIRECTORY", directory)].into_iter().filter(|(_, value)| !value.is_empty());
            let environment = named.map(|(key, value)| (format!("COURIER_TENANTS__{key}"), value.to_owned())).collect();
            load(&Sources { environment, ..Sources::default() })
                .map(|config| config.tenants.directory)
                .map_err(|error| error.to_string())
        };
        assert_eq!((with("", ""), with("store", "")), (Ok(None), Ok(None)));
        assert_eq!(with("directory", "/t"), Ok(Some("/t".into())));
        assert!(with("directory", "").unwrap_err().contains("`tenants.directory` has to be set"));
        assert!(with("", "/t").unwrap_err().contains("set `tenants.source` to directory"));
        assert!(with("vault", "/t").unwrap_err().contains("`tenants.source` has to be store or directory"));
    }
}

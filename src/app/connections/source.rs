//! Refuses changes of connections that are kept in files, and names the file to change.

use std::path::{Path, PathBuf};

use crate::batch::TenantId;
use crate::config::Tenants;

/// The endings of the names of files, each after the name of a tenant.
pub(super) const ENDINGS: [&str; 2] = ["toml", "json"];

/// The connection of a tenant is kept in a file, so it is changed there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection of {tenant} is kept in the file {}; nothing was changed", .file.display())]
pub struct KeptInFile {
    /// The tenant.
    pub tenant: TenantId,
    /// The file.
    pub file: PathBuf,
    /// What to do with it.
    pub remedy: &'static str,
}

/// Checks that connections are entered in the store.
pub(super) fn require_in_store(settings: &Tenants, tenant: &TenantId) -> Result<(), KeptInFile> {
    let Some(directory) = &settings.directory else { return Ok(()) };
    let (file, remedy) = match present(directory, tenant) {
        Some(file) => (file, "Change the file where it comes from: a running worker takes the change over."),
        None => {
            let remedy =
                "The file is not there yet: create it where the others come from, and a running worker takes it over.";
            (directory.join(format!("{tenant}.{}", ENDINGS[0])), remedy)
        }
    };
    Err(KeptInFile { tenant: tenant.clone(), file, remedy })
}

/// Checks that a tenant has no file from which its connection would come back.
pub(super) fn require_no_file(settings: &Tenants, tenant: &TenantId) -> Result<(), KeptInFile> {
    let file = settings.directory.as_ref().and_then(|directory| present(directory, tenant));
    let remedy = "Delete the file where it comes from: a running worker then removes the connection.";
    file.map_or(Ok(()), |file| Err(KeptInFile { tenant: tenant.clone(), file, remedy }))
}

/// Returns the file of a tenant, if there is one. One that this user cannot see counts, too.
fn present(directory: &Path, tenant: &TenantId) -> Option<PathBuf> {
    ENDINGS
        .iter()
        .map(|ending| directory.join(format!("{tenant}.{ending}")))
        .find(|file| file.try_exists().unwrap_or(true))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_file_to_change_is_the_one_that_is_there_and_only_that_one_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let of = |directory| Tenants { directory, poll_interval: Duration::ZERO, removal_delay: Duration::ZERO };
        let (none, settings) = (of(None), of(Some(folder.path().to_owned())));
        let acme: TenantId = "acme".parse().unwrap();
        assert_eq!((require_in_store(&none, &acme), require_no_file(&none, &acme)), (Ok(()), Ok(())));
        let named = |result: Result<(), KeptInFile>| {
            result.err().map(|error| error.file.file_name().unwrap().to_str().unwrap().to_owned())
        };
        assert_eq!(named(require_in_store(&settings, &acme)).as_deref(), Some("acme.toml"));
        assert_eq!(named(require_no_file(&settings, &acme)), None);
        assert!(require_in_store(&settings, &acme).unwrap_err().remedy.contains("create it"));
        std::fs::write(folder.path().join("acme.json"), "{}").unwrap();
        for refused in [require_in_store(&settings, &acme), require_no_file(&settings, &acme)] {
            assert_eq!(named(refused).as_deref(), Some("acme.json"));
        }
    }
}

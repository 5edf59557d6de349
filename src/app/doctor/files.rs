//! Finds files with secrets that other users of the machine can read or change, and files that this user cannot use.

use std::io;
use std::path::{Path, PathBuf};

use super::super::connections::directory::{BrokenFile, UNREADABLE, broken};
use super::super::master_key::{MasterKeyFile, master_key_file};
use super::super::store_file::{StoreFile, store_file};
use super::super::visible::in_shell;
use super::finding::{Check, Finding};
use crate::config::Config;
use crate::private_file;
use crate::store::StoreLocation;

/// A file that other users of the machine can read or change, and the command that closes it to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OpenFile {
    file: PathBuf,
    command: String,
}

/// Finds what is wrong with the files of a configuration, which was read from `settings`.
pub(super) fn examine(config: &Config, settings: &[PathBuf]) -> Vec<Finding> {
    let mut found = of_store(&store_file(config));
    found.extend(open_files(config, settings).iter().map(of_open_file));
    if let Some(directory) = &config.tenants.directory {
        found.extend(of_tenant_files(directory, broken(directory)));
    }
    found
}

/// Finds what is wrong with the file of the master key. Whether it is the key of the store is another check.
pub(super) fn examine_key(config: &Config) -> Vec<Finding> {
    let has_store = !matches!(store_file(config), StoreFile::Missing(_) | StoreFile::NoFolder { .. });
    of_key(&master_key_file(config), &config.keys.master_key_file, has_store)
}

fn open_files(config: &Config, settings: &[PathBuf]) -> Vec<OpenFile> {
    let store = match StoreLocation::of(&config.store) {
        StoreLocation::File(file) => Some(file),
        StoreLocation::Server(_) => None,
    };
    let with_secrets = settings.iter().filter(|file| holds_secret(config, file)).cloned();
    let files = store.into_iter().chain([config.keys.master_key_file.clone()]).chain(with_secrets);
    files.filter_map(|file| Some(OpenFile { command: private_file::remedy_if_open(&file)?, file })).collect()
}

/// Returns whether a file of settings holds a URL with a password that is in force.
fn holds_secret(config: &Config, file: &Path) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let has_password = |url: &&str| url::Url::parse(url).is_ok_and(|url| url.password().is_some());
    let urls = [config.amqp.url.as_str(), config.store.url.as_str(), config.testmo.proxy.as_str()];
    urls.iter().filter(|url| has_password(url)).any(|url| text.contains(url))
}

fn of_open_file(open: &OpenFile) -> Finding {
    let sentence =
        format!("Other users of this machine can read or change {}, which holds secrets.", open.file.display());
    Finding::warning(Check::Files, sentence, "Close the file to them.").with(open.command.clone())
}

/// What a broken file said before stays in force, and so do all connections if the directory cannot be read.
fn of_tenant_files(directory: &Path, read: io::Result<Vec<BrokenFile>>) -> Vec<Finding> {
    let unreadable = |error: io::Error| {
        let sentence = format!("The directory of tenants {} cannot be read ({error}).", directory.display());
        vec![Finding::error(Check::Files, sentence, UNREADABLE)]
    };
    let of_file = |BrokenFile { file, problem, remedy }: BrokenFile| {
        let sentence = format!("The file {} cannot be used: {problem}.", directory.join(file).display());
        Finding::error(Check::Files, sentence, remedy)
    };
    read.map_or_else(unreadable, |files| files.into_iter().map(of_file).collect())
}

/// Whether there is a store is found when it is opened.
fn of_store(file: &StoreFile) -> Vec<Finding> {
    match file {
        StoreFile::Usable(_) | StoreFile::Server | StoreFile::NoFolder { .. } | StoreFile::Missing(_) => Vec::new(),
        StoreFile::FolderUnusable(error) => vec![Finding::of_store(Check::Files, error)],
        StoreFile::Unusable(file, error) => {
            let sentence = format!("The store's file {} cannot be read and written ({error}).", file.display());
            let remedy =
                "Run the command as the worker's user, make that user the owner of the file, or check store.url.";
            vec![
                Finding::error(Check::Files, sentence, remedy)
                    .with(format!("ls -l {}", in_shell(&file.display().to_string()))),
            ]
        }
    }
}

fn of_key(key: &MasterKeyFile, file: &Path, has_store: bool) -> Vec<Finding> {
    let missing = || format!("There is no master key at {}.", file.display());
    match key {
        MasterKeyFile::Usable { .. } => Vec::new(),
        MasterKeyFile::Missing if has_store => {
            let remedy = "Restore the file that `testmo-courier init` created, or check keys.master_key_file.";
            vec![Finding::error(Check::MasterKey, missing(), remedy)]
        }
        MasterKeyFile::Missing => {
            vec![
                Finding::error(Check::MasterKey, missing(), "Create it together with the store.")
                    .with("testmo-courier init"),
            ]
        }
        MasterKeyFile::Unusable(error) => vec![Finding::of_key(Check::MasterKey, error)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenants::KeyError;

    #[test]
    fn only_a_file_that_cannot_be_used_is_a_finding() {
        let file = PathBuf::from("/d/x.db");
        for (state, found) in [
            (StoreFile::Usable(file.clone()), 0),
            (StoreFile::Server, 0),
            (StoreFile::Missing(file.clone()), 0),
            (StoreFile::NoFolder { file: file.clone(), folder: "/d".into() }, 0),
            (StoreFile::Unusable(file, io::ErrorKind::PermissionDenied.into()), 1),
        ] {
            assert_eq!(of_store(&state).len(), found, "{state:?}");
        }
    }

    #[test]
    fn a_missing_key_is_restored_beside_a_store_and_created_without_one() {
        let file = Path::new("/d/x.key");
        assert_eq!(of_key(&MasterKeyFile::Usable { remedy: None }, file, true), []);
        assert!(of_key(&MasterKeyFile::Missing, file, true)[0].remedy.starts_with("Restore"));
        let created = &of_key(&MasterKeyFile::Missing, file, false)[0];
        assert_eq!(created.command.as_deref(), Some("testmo-courier init"));
        let wrong = &of_key(&MasterKeyFile::Unusable(KeyError::NotAKey(file.into())), file, true)[0];
        assert!(wrong.remedy.starts_with("Restore"), "{wrong:?}");
    }

    #[test]
    fn a_broken_file_of_a_tenant_and_a_directory_that_is_gone_are_errors() {
        let file = BrokenFile { file: "acme.toml".into(), problem: "line 1".into(), remedy: "Correct it.".into() };
        let found = of_tenant_files(Path::new("/t"), Ok(vec![file]));
        assert_eq!(found[0].sentence, "The file /t/acme.toml cannot be used: line 1.");
        assert_eq!(of_tenant_files(Path::new("/t"), Ok(vec![])), []);
        let gone = of_tenant_files(Path::new("/t"), Err(io::ErrorKind::NotFound.into()));
        assert!(gone[0].sentence.starts_with("The directory of tenants /t cannot be read"), "{gone:?}");
    }
}

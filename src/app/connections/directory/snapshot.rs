//! Reads every file of a directory, as they belong together.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::super::source::ENDINGS;
use super::entry::{Entry, entry};
use super::file::{FileFault, Form};
use super::stamps::{KnownFiles, Stamps};
use crate::batch::TenantId;

/// The link that Kubernetes replaces to change all files of a mounted secret at once.
const PRESENT: &str = "..data";

/// The files of a directory.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// What each tenant's file says, or what is wrong with it.
    pub(super) tenants: BTreeMap<TenantId, (String, Result<Found, FileFault>)>,
    /// Files that belong to no tenant.
    pub(super) strays: Vec<(String, FileFault)>,
}

/// What a tenant's file says.
#[derive(Debug)]
pub(super) enum Found {
    /// The same as when it was read before.
    Unchanged,
    /// This, with what shows later whether it has changed.
    Read(Box<Entry>, Stamps),
}

/// How often a directory is read whose files are replaced while they are read.
const MOST_READS: usize = 5;

/// Reads a directory, except files that are known to be unchanged. Files whose names begin with a dot, or end otherwise than those of tenants, are none of tenants.
///
/// # Errors
/// When the directory cannot be read.
pub(super) fn snapshot(directory: &Path, known: &KnownFiles) -> io::Result<Snapshot> {
    // Read through the link, files of two states would be mixed while it is replaced.
    let present = || fs::canonicalize(directory.join(PRESENT)).ok().filter(|present| present.is_dir());
    let mut before = present();
    for _ in 1..MOST_READS {
        let found = files(directory, before.as_deref().unwrap_or(directory), known);
        let after = present();
        if after == before {
            return found;
        }
        before = after;
    }
    files(directory, before.as_deref().unwrap_or(directory), known)
}

fn files(directory: &Path, folder: &Path, known: &KnownFiles) -> io::Result<Snapshot> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let mut found = Snapshot::default();
    for name in names.iter().filter(|name| !name.starts_with('.')) {
        let Some((tenant, ending)) = name.rsplit_once('.').filter(|(_, ending)| ENDINGS.contains(ending)) else {
            continue;
        };
        let Ok(tenant) = tenant.parse::<TenantId>() else {
            let remedy = "Name it TENANT.toml, or begin its name with a dot if it is none of a tenant.";
            found.strays.push((name.clone(), FileFault::whole("the name begins with no tenant's id", remedy)));
            continue;
        };
        let form = if ending == ENDINGS[0] { Form::Toml } else { Form::Json };
        let read = match found.tenants.remove(&tenant) {
            Some((other, _)) => Err(FileFault::whole(format!("there is also {other}"), "Delete one of the two.")),
            None => {
                let file = folder.join(name);
                match known.get(&tenant).filter(|known| known.is_unchanged(&file)) {
                    Some(_) => Ok(Found::Unchanged),
                    None => entry(directory, &file, form).map(|(entry, stamps)| Found::Read(Box::new(entry), stamps)),
                }
            }
        };
        found.tenants.insert(tenant, (name.clone(), read));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use secrecy::ExposeSecret;

    use super::*;

    fn write(folder: &Path, name: &str, text: &str, mode: u32) {
        fs::write(folder.join(name), text).unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn connection(key: &str) -> String {
        format!("base_url = \"https://a.testmo.net\"\nproject_id = 3\nfolder_id = 428\n{key}\n")
    }

    fn key_of(found: &Found) -> String {
        let Found::Read(entry, _) = found else { panic!("{found:?}") };
        entry.key.expose_secret().to_owned()
    }

    #[test]
    fn each_file_is_one_tenant_and_what_is_wrong_with_one_concerns_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        let key = connection("api_key = \"k\"");
        for (name, text, mode) in [
            ("acme.toml", key.as_str(), 0o640),
            ("open.toml", &key, 0o644),
            ("birch.toml", &connection("api_key_file = \"birch.key\""), 0o644),
            ("birch.key", "of-birch\n", 0o600),
            ("lost.toml", &connection("api_key_file = \"none.key\""), 0o644),
            ("swapped.toml", &connection("api_key_file = \"s3cret\""), 0o644),
            ("piped.toml", &connection("api_key_file = \"piped.key\""), 0o644),
            ("twice.toml", &key, 0o600),
            ("twice.json", "{}", 0o600),
            (".hidden.toml", "", 0o600),
            ("README", "", 0o600),
            ("no tenant.toml", "", 0o600),
        ] {
            write(here, name, text, mode);
        }
        fs::create_dir(here.join("folder.toml")).unwrap();
        for pipe in ["pipe.toml", "piped.key"] {
            assert!(std::process::Command::new("mkfifo").arg(here.join(pipe)).status().unwrap().success());
        }
        let found = snapshot(here, &KnownFiles::new()).unwrap();
        let of = |tenant: &str| {
            let (_, read) = &found.tenants[&tenant.parse::<TenantId>().unwrap()];
            read.as_ref().map(key_of).map_err(ToString::to_string)
        };
        assert_eq!((of("acme"), of("birch")), (Ok("k".into()), Ok("of-birch".into())));
        assert!(of("open").unwrap_err().contains("other users of this machine"));
        assert!(of("lost").unwrap_err().contains("`api_key_file` names a file that cannot be found"));
        assert!(!of("swapped").unwrap_err().contains("s3cret"), "the key in place of its file is not repeated");
        assert!(of("folder").unwrap_err().contains("is no file"));
        assert!(of("pipe").unwrap_err().contains("is no file"));
        assert!(of("piped").unwrap_err().contains("names no file"));
        assert_eq!(of("twice"), Err("there is also twice.json".into()));
        assert_eq!((found.tenants.len(), found.strays.len()), (9, 1));
        assert!(snapshot(&here.join("none"), &KnownFiles::new()).is_err());
    }

    #[test]
    fn a_mounted_secret_is_read_through_its_link() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        let key_of_acme = || {
            let found = snapshot(here, &KnownFiles::new()).unwrap();
            let (name, read) = &found.tenants[&"acme".parse::<TenantId>().unwrap()];
            assert_eq!((found.tenants.len(), name.as_str()), (1, "acme.toml"));
            key_of(read.as_ref().unwrap())
        };
        for (state, key) in [("..1", "first"), ("..2", "second")] {
            fs::create_dir(here.join(state)).unwrap();
            write(&here.join(state), "acme.toml", &connection("api_key_file = \"acme.key\""), 0o440);
            write(&here.join(state), "acme.key", key, 0o440);
            symlink(state, here.join("..new")).unwrap();
            fs::rename(here.join("..new"), here.join("..data")).unwrap();
            if state == "..1" {
                symlink("..data/acme.toml", here.join("acme.toml")).unwrap();
                symlink("..data/acme.key", here.join("acme.key")).unwrap();
            }
            assert_eq!(key_of_acme(), key);
        }
    }

    #[test]
    fn a_path_that_leaves_the_directory_begins_at_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let (here, state) = (folder.path().join("tenants"), folder.path().join("tenants/..1"));
        fs::create_dir_all(&state).unwrap();
        fs::create_dir(folder.path().join("keys")).unwrap();
        write(folder.path(), "keys/acme", "of-acme", 0o440);
        write(&state, "acme.toml", &connection("api_key_file = \"../keys/acme\""), 0o444);
        symlink("..1", here.join("..data")).unwrap();
        let found = snapshot(&here, &KnownFiles::new()).unwrap();
        let (_, read) = &found.tenants[&"acme".parse::<TenantId>().unwrap()];
        assert_eq!(key_of(read.as_ref().unwrap()), "of-acme");
    }
}

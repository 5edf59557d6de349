//! Reads every file of a directory, as they belong together.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use jiff::civil::Date;
use secrecy::{ExposeSecret, SecretString};

use super::super::set::clean_key;
use super::super::source::ENDINGS;
use super::file::{FileFault, Form, Written, WrittenKey, read};
use crate::batch::render::mapping_spec::MappingSpec;
use crate::batch::{TenantId, json_of};
use crate::config::secret_in;
use crate::private_file;

/// The link that Kubernetes replaces to change all files of a mounted secret at once.
const PRESENT: &str = "..data";
/// The most bytes of a file.
const LONGEST: u64 = 1_000_000;

/// The files of a directory.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// What each tenant's file says, or what is wrong with it.
    pub(super) tenants: BTreeMap<TenantId, (String, Result<Entry, FileFault>)>,
    /// Files that belong to no tenant.
    pub(super) strays: Vec<(String, FileFault)>,
}

/// A connection, as a file says.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) base_url: String,
    pub(super) project: u64,
    pub(super) folder: u64,
    pub(super) expires: Option<Date>,
    pub(super) mapping: MappingSpec,
    pub(super) key: SecretString,
}

impl Entry {
    /// Returns all that the file says as one text, which holds the API key.
    pub(super) fn content(&self) -> String {
        let expires = self.expires.map(|day| day.to_string());
        json_of(&(&self.base_url, self.project, self.folder, expires, &self.mapping, self.key.expose_secret()))
    }
}

/// How often a directory is read whose files are replaced while they are read.
const MOST_READS: usize = 5;

/// Reads a directory. Files whose names begin with a dot, or end otherwise than those of tenants, are none of tenants.
///
/// # Errors
/// When the directory cannot be read.
pub(super) fn snapshot(directory: &Path) -> io::Result<Snapshot> {
    // Read through the link, files of two states would be mixed while it is replaced.
    let present = || fs::canonicalize(directory.join(PRESENT)).ok().filter(|present| present.is_dir());
    let mut before = present();
    for _ in 1..MOST_READS {
        let found = files(before.as_deref().unwrap_or(directory));
        let after = present();
        if after == before {
            return found;
        }
        before = after;
    }
    files(before.as_deref().unwrap_or(directory))
}

fn files(folder: &Path) -> io::Result<Snapshot> {
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
            None => entry(folder, name, form),
        };
        found.tenants.insert(tenant, (name.clone(), read));
    }
    Ok(found)
}

fn entry(folder: &Path, name: &str, form: Form) -> Result<Entry, FileFault> {
    let file = folder.join(name);
    let unreadable =
        |error: io::Error| FileFault::whole(format!("cannot be read ({error})"), "Let this user read the file.");
    if fs::metadata(&file).map_err(unreadable)?.len() > LONGEST {
        return Err(FileFault::whole(
            format!("is longer than {LONGEST} bytes"),
            "Write one tenant's connection into it.",
        ));
    }
    let bytes = fs::read(&file).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|_| FileFault::whole("is no text in UTF-8", "Write it in UTF-8."))?;
    let Written { base_url, project, folder: target, key, expires, mapping } = read(&text, form)?;
    let key = match key {
        WrittenKey::Here(key) => match private_file::remedy_if_open(&file) {
            None => key,
            Some(remedy) => {
                let problem = "holds an API key, and other users of this machine can read or change it";
                return Err(FileFault::whole(problem, format!("Run `{remedy}`, or mount it with the mode 0440.")));
            }
        },
        WrittenKey::InFile(named) => key_in(folder, &named)?,
    };
    if key.expose_secret().is_empty() {
        return Err(FileFault::of("api_key", "is empty", "Write the API key."));
    }
    Ok(Entry { base_url, project, folder: target, expires, mapping, key })
}

/// Reads the API key in a file of its own; a relative path begins at the file that names it.
fn key_in(folder: &Path, named: &Path) -> Result<SecretString, FileFault> {
    let wrong = |problem: String| {
        let (problem, remedy) = problem.split_once("; ").map_or((problem.as_str(), "correct the file"), |both| both);
        FileFault::of("api_key_file", format!("names {}, which {problem}", named.display()), format!("Then: {remedy}."))
    };
    secret_in(&folder.join(named)).map(|text| clean_key(&text)).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn write(folder: &Path, name: &str, text: &str, mode: u32) {
        fs::write(folder.join(name), text).unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn connection(key: &str) -> String {
        format!("base_url = \"https://a.testmo.net\"\nproject_id = 3\nfolder_id = 428\n{key}\n")
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
            ("twice.toml", &key, 0o600),
            ("twice.json", "{}", 0o600),
            (".hidden.toml", "", 0o600),
            ("README", "", 0o600),
            ("no tenant.toml", "", 0o600),
        ] {
            write(here, name, text, mode);
        }
        let found = snapshot(here).unwrap();
        let of = |tenant: &str| {
            let (_, read) = &found.tenants[&tenant.parse::<TenantId>().unwrap()];
            read.as_ref().map(|entry| entry.key.expose_secret().to_owned()).map_err(ToString::to_string)
        };
        assert_eq!((of("acme"), of("birch")), (Ok("k".into()), Ok("of-birch".into())));
        assert!(of("open").unwrap_err().contains("other users of this machine"));
        assert!(of("lost").unwrap_err().contains("names none.key, which cannot be read"));
        assert_eq!(of("twice"), Err("there is also twice.json".into()));
        assert_eq!((found.tenants.len(), found.strays.len()), (5, 1));
        assert!(snapshot(&here.join("none")).is_err());
    }

    #[test]
    fn a_mounted_secret_is_read_through_its_link() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        let key_of_acme = || {
            let found = snapshot(here).unwrap();
            let (name, read) = &found.tenants[&"acme".parse::<TenantId>().unwrap()];
            assert_eq!((found.tenants.len(), name.as_str()), (1, "acme.toml"));
            read.as_ref().unwrap().key.expose_secret().to_owned()
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
}

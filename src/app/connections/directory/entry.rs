//! Reads the file of one tenant, with the API key in a file of its own.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use jiff::civil::Date;
use secrecy::{ExposeSecret, SecretString};

use super::super::set::clean_key;
use super::file::{FileFault, Form, Written, WrittenKey, read};
use super::stamps::Stamps;
use crate::batch::json_of;
use crate::batch::render::mapping_spec::MappingSpec;
use crate::config::secret_in;
use crate::private_file;

/// The most bytes of a file.
const LONGEST: u64 = 1_000_000;

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

/// Reads the file of a tenant, and the file that it names. A relative path begins at the file that names it.
pub(super) fn entry(directory: &Path, file: &Path, form: Form) -> Result<(Entry, Stamps), FileFault> {
    let unreadable =
        |error: io::Error| FileFault::whole(format!("cannot be read ({error})"), "Let this user read the file.");
    let found = fs::metadata(file).map_err(unreadable)?;
    // To read a pipe would wait for somebody who writes.
    if !found.is_file() {
        return Err(FileFault::whole("is no file", "Write the tenant's connection into a file of this name."));
    }
    if found.len() > LONGEST {
        return Err(FileFault::whole(
            format!("is longer than {LONGEST} bytes"),
            "Write one tenant's connection into it.",
        ));
    }
    let mut stamps = Stamps::of(file, &found);
    let bytes = fs::read(file).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|_| FileFault::whole("is no text in UTF-8", "Write it in UTF-8."))?;
    let Written { base_url, project, folder, key, expires, mapping } = read(&text, form)?;
    let key = match key {
        WrittenKey::Here(key) => match private_file::remedy_if_open(file) {
            None => key,
            Some(remedy) => {
                let problem = "holds an API key, and other users of this machine can read or change it";
                return Err(FileFault::whole(problem, format!("Run `{remedy}`, or mount it with the mode 0440.")));
            }
        },
        WrittenKey::InFile(named) => key_in(beside(directory, file, &named), &mut stamps)?,
    };
    if key.expose_secret().is_empty() {
        return Err(FileFault::of("api_key", "is empty", "Write the API key."));
    }
    Ok((Entry { base_url, project, folder, expires, mapping, key }, stamps))
}

/// Returns where a file is that another one names. A path that leaves the directory begins at the directory, and not at the folder
/// that its link leads to.
fn beside(directory: &Path, file: &Path, named: &Path) -> PathBuf {
    let leaves = named.components().any(|part| part == Component::ParentDir);
    file.parent().filter(|_| !leaves).unwrap_or(directory).join(named)
}

/// Reads the API key in a file of its own. What is named but is not there may be the key itself, so it is not repeated.
fn key_in(file: PathBuf, stamps: &mut Stamps) -> Result<SecretString, FileFault> {
    let of = |problem: &str, remedy: &str| FileFault::of("api_key_file", problem, remedy);
    match fs::metadata(&file) {
        Ok(found) if found.is_file() => stamps.add(&file, &found),
        Ok(_) => return Err(of("names no file", "Name the file with the API key.")),
        Err(error) => {
            let problem = format!("names a file that cannot be found ({error})");
            return Err(of(&problem, "Name the file with the API key: beside this one, or by its whole path."));
        }
    }
    let wrong = |problem: String| {
        let (problem, remedy) = problem.split_once("; ").map_or((problem.as_str(), "correct the file"), |both| both);
        of(&format!("names {}, which {problem}", file.display()), &format!("Then: {remedy}."))
    };
    secret_in(&file).map(|text| clean_key(&text)).map_err(wrong)
}

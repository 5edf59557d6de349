//! Writes the file of a new master key, and puts it into the place of the present one, which is kept.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::error::RotationError;
use crate::private_file;
use crate::tenants::{KeyError, MasterKey};

/// The files of the present and of the new master key.
pub(super) struct KeyFiles {
    present: PathBuf,
    next: PathBuf,
    /// Whether the new file lies beside the present one, and is put into its place.
    is_beside: bool,
}

/// What became of the file of the master key.
#[derive(Debug)]
pub enum FileAfter {
    /// It holds the new key.
    Replaced {
        /// The file that the former key is kept in.
        former: PathBuf,
    },
    /// It holds the former key, and a person has to replace it.
    Left {
        /// The file with the new key.
        new: PathBuf,
        /// Why it could not be put into place, if that was to be done.
        error: Option<io::Error>,
    },
}

impl KeyFiles {
    pub(super) fn of(present: &Path, next: Option<&Path>) -> Self {
        let beside = || with_ending(present, "new");
        Self { present: present.into(), next: next.map_or_else(beside, Path::to_path_buf), is_beside: next.is_none() }
    }

    pub(super) fn next_file(&self) -> &Path {
        &self.next
    }

    /// Returns the new key: the one in its file, or one that is made now.
    pub(super) fn next(&self) -> Result<MasterKey, RotationError> {
        match MasterKey::load(&self.next) {
            Err(KeyError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let made = MasterKey::generate();
                self.write(&made, &self.next).map_err(|source| self.not_written(source))?;
                Ok(made)
            }
            loaded => Ok(loaded?),
        }
    }

    /// Writes the new key into its file, unless it is there already.
    pub(super) fn keep(&self, next: &MasterKey) -> Result<(), RotationError> {
        match MasterKey::load(&self.next) {
            Ok(there) if there.id() == next.id() => Ok(()),
            Ok(_) => Err(RotationError::OtherKey { file: self.next.clone(), to: next.id().into() }),
            Err(KeyError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.write(next, &self.next).map_err(|source| self.not_written(source))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Puts the file of the new key into the place of the present one, and keeps that one under another name.
    /// The word of the former key ends that name.
    pub(super) fn put_in_place(&self, present: &MasterKey, (from, next): (&str, &MasterKey)) -> FileAfter {
        let former = with_ending(&self.present, from);
        if present.id() == next.id() {
            // An earlier run has done it.
            return FileAfter::Replaced { former };
        }
        if !self.is_beside {
            return FileAfter::Left { new: self.next.clone(), error: None };
        }
        let replaced = match former.exists() {
            true => Ok(()),
            false => self.write(present, &former),
        };
        let renewed = replaced.and_then(|()| self.renew(next));
        match renewed.and_then(|()| replace(&self.next, &self.present)) {
            Ok(()) => FileAfter::Replaced { former },
            Err(error) => FileAfter::Left { new: self.next.clone(), error: Some(error) },
        }
    }

    /// Writes the new key into its file if that holds another one: of two commands that begin at once, each may have made one, and
    /// only one key was stored.
    fn renew(&self, next: &MasterKey) -> io::Result<()> {
        match MasterKey::load(&self.next) {
            Ok(there) if there.id() == next.id() => Ok(()),
            Ok(_) | Err(_) => self.write(next, &self.next),
        }
    }

    /// Writes a key into a new file that is open to the same users as the present one. An interruption leaves no part of it.
    fn write(&self, key: &MasterKey, file: &Path) -> io::Result<()> {
        let part = with_ending(file, "part");
        match fs::remove_file(&part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        key.write(&part)?;
        private_file::open_like(&self.present, &part)?;
        replace(&part, file)
    }

    fn not_written(&self, source: io::Error) -> RotationError {
        RotationError::NewFile { file: self.next.clone(), source }
    }
}

/// Gives a file the name of another one, and has the disk keep that.
fn replace(file: &Path, other: &Path) -> io::Result<()> {
    fs::rename(file, other)?;
    match other.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

fn with_ending(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_that_was_stored_is_put_into_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let (present, next, others) = (MasterKey::create(&file).unwrap(), MasterKey::generate(), MasterKey::generate());
        let files = KeyFiles::of(&file, None);
        files.keep(&next).unwrap();
        fs::remove_file(files.next_file()).unwrap();
        others.write(files.next_file()).unwrap();
        let FileAfter::Replaced { former } = files.put_in_place(&present, (present.id(), &next)) else {
            panic!("it is replaced");
        };
        assert_eq!(MasterKey::load(&file).unwrap().id(), next.id());
        assert_eq!(MasterKey::load(&former).unwrap().id(), present.id());
        assert!(!files.next_file().exists());
    }
}

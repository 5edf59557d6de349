//! Recognizes files that have not changed since they were read, so that of a large directory only what changes is read again.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use crate::batch::TenantId;

/// The files that a connection was read from, each with what the file system said of it before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamps(Vec<(PathBuf, Stamp)>);

/// A file that is written, replaced or opened to others gets another stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    number: u64,
    length: u64,
    /// When the content was last changed, in seconds and nanoseconds.
    modified: (i64, i64),
    /// When the content, the owner or the mode was last changed, likewise.
    changed: (i64, i64),
}

/// What is known of a tenant's file whose content is stored.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// The hash of the content.
    pub(super) digest: String,
    stamps: Stamps,
    /// Whether a later reading has found the same stamps: a file that is written twice in one moment can have the same for both contents.
    is_settled: bool,
}

/// What is known of the files of tenants.
pub(super) type KnownFiles = HashMap<TenantId, Known>;

impl Known {
    /// Notes what was read and is stored.
    pub(super) fn new(digest: String, stamps: Stamps, before: Option<&Self>) -> Self {
        let is_settled = before.is_some_and(|before| before.stamps == stamps);
        Self { digest, stamps, is_settled }
    }

    /// Returns whether reading a tenant's file would give the same again.
    pub(super) fn is_unchanged(&self, file: &Path) -> bool {
        let is_same =
            |(file, stamp): &(PathBuf, Stamp)| fs::metadata(file).is_ok_and(|found| *stamp == Stamp::of(&found));
        self.is_settled
            && self.stamps.0.first().is_some_and(|(own, _)| own == file)
            && self.stamps.0.iter().all(is_same)
    }
}

impl Stamps {
    /// Notes a tenant's file before it is read.
    pub(super) fn of(file: &Path, found: &Metadata) -> Self {
        Self(vec![(file.to_owned(), Stamp::of(found))])
    }

    /// Adds a file that the tenant's file names, before it is read.
    pub(super) fn add(&mut self, file: &Path, found: &Metadata) {
        self.0.push((file.to_owned(), Stamp::of(found)));
    }
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self {
            device: found.dev(),
            number: found.ino(),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn stamps(files: &[&Path]) -> Stamps {
        let mut stamps = Stamps::of(files[0], &fs::metadata(files[0]).unwrap());
        files[1..].iter().for_each(|file| stamps.add(file, &fs::metadata(file).unwrap()));
        stamps
    }

    #[test]
    fn a_file_is_unchanged_once_two_readings_found_it_the_same_and_until_anything_of_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (file, key, link) =
            (folder.path().join("acme.toml"), folder.path().join("key"), folder.path().join("link"));
        fs::write(&file, "a").unwrap();
        fs::write(&key, "k").unwrap();
        symlink("key", &link).unwrap();
        let read = || stamps(&[&file, &link]);
        let known = || {
            let first = Known::new("d".into(), read(), None);
            assert!(!first.is_unchanged(&file), "it may have been written in the moment of the reading");
            Known::new("d".into(), read(), Some(&first))
        };
        let settled = known();
        assert!(settled.is_unchanged(&file) && !settled.is_unchanged(&folder.path().join("acme.json")));
        let changes: [&dyn Fn(); 5] = [
            &|| fs::write(&file, "longer").unwrap(),
            &|| fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap(),
            &|| fs::write(&key, "another").unwrap(),
            &|| {
                fs::write(folder.path().join("next"), "another").unwrap();
                fs::rename(folder.path().join("next"), &key).unwrap();
            },
            &|| fs::remove_file(&key).unwrap(),
        ];
        for (number, change) in changes.iter().enumerate() {
            let settled = known();
            assert!(settled.is_unchanged(&file), "before change {number}");
            change();
            assert!(!settled.is_unchanged(&file), "after change {number}");
        }
    }
}

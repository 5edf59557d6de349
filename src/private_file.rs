//! Keeps files with secrets from the other users of the machine.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use crate::shell::in_shell;

/// Opens a file for writing that only its owner can read, if there is none; leaves alone one that is there.
///
/// # Errors
/// When there is none and it cannot be created; `AlreadyExists` when it is there.
pub(crate) fn create(file: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)
}

/// Returns what a person can do about a file that every user of the machine can read or change, or that its group can
/// change; `None` for any other file. Its group may read it, because that is how a secret is mounted into a container.
pub(crate) fn remedy_if_open(file: &Path) -> Option<String> {
    let mode = mode(file)?;
    (mode & 0o027 != 0).then(|| format!("chmod {:o} {}", mode & 0o740, in_shell(&file.display().to_string())))
}

/// Opens a file to the same users as another one: gives it the owner, the group and the permissions of that one.
///
/// # Errors
/// When this user may not, or one of the files is not there.
#[cfg(unix)]
pub(crate) fn open_like(model: &Path, file: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, chown};
    let (wanted, is) = (std::fs::metadata(model)?, std::fs::metadata(file)?);
    if (wanted.uid(), wanted.gid()) != (is.uid(), is.gid()) {
        chown(file, Some(wanted.uid()), Some(wanted.gid()))?;
    }
    std::fs::set_permissions(file, wanted.permissions())
}

#[cfg(not(unix))]
pub(crate) fn open_like(model: &Path, file: &Path) -> io::Result<()> {
    std::fs::set_permissions(file, std::fs::metadata(model)?.permissions())
}

#[cfg(unix)]
fn mode(file: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    Some(std::fs::metadata(file).ok()?.permissions().mode() & 0o777)
}

#[cfg(not(unix))]
fn mode(_: &Path) -> Option<u32> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_that_others_can_read_or_change_comes_with_the_command_that_closes_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        create(&file).expect("a file");
        let spaced = folder.path().join("a key");
        create(&spaced).expect("a file");
        fs::set_permissions(&spaced, Permissions::from_mode(0o604)).expect("permissions");
        assert_eq!(remedy_if_open(&spaced), Some(format!("chmod 600 '{}'", spaced.display())));
        assert_eq!(remedy_if_open(&file), None);
        assert_eq!(create(&file).map_err(|error| error.kind()).err(), Some(io::ErrorKind::AlreadyExists));
        for (is, becomes) in [(0o644, Some("640")), (0o660, Some("640")), (0o602, Some("600")), (0o440, None)] {
            fs::set_permissions(&file, Permissions::from_mode(is)).expect("permissions");
            let remedy = becomes.map(|mode| format!("chmod {mode} {}", file.display()));
            assert_eq!(remedy_if_open(&file), remedy, "{is:o}");
            if let Some(mode) = becomes {
                let mode = u32::from_str_radix(mode, 8).expect("a mode");
                fs::set_permissions(&file, Permissions::from_mode(mode)).expect("permissions");
                assert_eq!(remedy_if_open(&file), None, "followed literally");
            }
        }
    }
}

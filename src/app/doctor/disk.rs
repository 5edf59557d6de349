//! Finds a disk that is nearly full, and a store that is near its limit.

use std::path::{Path, PathBuf};

use super::super::visible::in_shell;
use super::finding::{Check, Finding};
use crate::config::Config;
use crate::store::StoreLocation;

/// With less room the worker stops soon, in bytes.
const NO_ROOM: u64 = 100_000_000;
/// With less room somebody should act, in bytes.
const LITTLE_ROOM: u64 = 1_000_000_000;
/// From this part of its limit on, in percent, a store is near it.
const NEARLY_FULL: u64 = 90;

/// The room of a store in a file, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Room {
    folder: PathBuf,
    /// What users without special rights may still write.
    free: u64,
    /// The size of the store's file.
    size: u64,
    /// The size up to which it may grow; 0 is no limit.
    limit: u64,
}

/// Finds what is wrong with the disk of the store; nothing for a database on a server.
pub(super) fn examine(config: &Config) -> Vec<Finding> {
    room(config).as_ref().map(findings).unwrap_or_default()
}

fn room(config: &Config) -> Option<Room> {
    let StoreLocation::File(file) = StoreLocation::of(&config.store) else { return None };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
    let disk = rustix::fs::statvfs(&folder).ok()?;
    let size = std::fs::metadata(&file).map_or(0, |file| file.len());
    Some(Room { folder, free: disk.f_bavail.saturating_mul(disk.f_frsize), size, limit: config.store.max_file_bytes })
}

fn findings(room: &Room) -> Vec<Finding> {
    let folder = room.folder.display().to_string();
    let sentence = || format!("The disk of the store has {} MB left.", room.free / 1_000_000);
    let remedy = "Free space on the disk, move the store to a larger one, or lower store.retention.";
    let of_disk = match room.free {
        free if free < NO_ROOM => Some(Finding::error(Check::Disk, sentence(), remedy)),
        free if free < LITTLE_ROOM => Some(Finding::warning(Check::Disk, sentence(), remedy)),
        _ => None,
    };
    let is_near = room.limit > 0 && room.size.saturating_mul(100) >= room.limit.saturating_mul(NEARLY_FULL);
    let of_limit = is_near.then(|| {
        let sentence =
            format!("The store's file has {} of the {} bytes that store.max_file_bytes allows.", room.size, room.limit);
        Finding::warning(Check::Disk, sentence, "Raise store.max_file_bytes, or lower store.retention.")
            .with("testmo-courier config show")
    });
    of_disk.map(|finding| finding.with(format!("df -h {}", in_shell(&folder)))).into_iter().chain(of_limit).collect()
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::*;

    #[test]
    fn a_full_disk_is_an_error_and_little_room_a_warning() {
        for (free, size, limit, found) in [
            (2_000_000_000, 5, 0, vec![]),
            (999_999_999, 5, 0, vec![Severity::Warning]),
            (99_999_999, 5, 0, vec![Severity::Error]),
            (2_000_000_000, 89, 100, vec![]),
            (2_000_000_000, 90, 100, vec![Severity::Warning]),
            (5, 200, 100, vec![Severity::Error, Severity::Warning]),
            (u64::MAX, u64::MAX, u64::MAX, vec![Severity::Warning]),
        ] {
            let room = Room { folder: "/d".into(), free, size, limit };
            let severities: Vec<_> = findings(&room).iter().map(|finding| finding.severity).collect();
            assert_eq!(severities, found, "{room:?}");
        }
    }
}

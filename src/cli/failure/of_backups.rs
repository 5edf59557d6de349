//! Says what went wrong with a backup, a restore or a move of the store.

use testmo_courier::app::backup::restoring::RestoringError;
use testmo_courier::app::backup::{BackupFault, NoBackup};

use super::Failure;

/// What to do where a store is not empty.
pub(crate) const NOT_EMPTY: &str =
    "set store.url to a new file or an empty database, or rename the present file, then run the command again";

impl From<NoBackup> for Failure {
    fn from(error: NoBackup) -> Self {
        match error {
            NoBackup::NotAllowed(error) => error.into(),
            NoBackup::IsTheStore(_) => Self::usage(error, "give the backup a name of its own"),
            NoBackup::Changed => Self::finding(error, "run the command again"),
            NoBackup::File(error) => error.into(),
            NoBackup::Store(error) => error.into(),
        }
    }
}

impl From<RestoringError> for Failure {
    fn from(error: RestoringError) -> Self {
        match error {
            RestoringError::NotAllowed(error) => error.into(),
            RestoringError::Over => {
                Self::usage(error, "give a time until which batches may be published again, or leave --until out")
            }
            RestoringError::NotEmpty { .. } => Self::finding(error, NOT_EMPTY),
            RestoringError::Differs(_) => {
                Self::finding(error, "run the command again; if this comes again, check the disk and the database")
            }
            RestoringError::NoRoom(_) => Self::finding(error, "set TMPDIR to a folder that this user can write"),
            RestoringError::File(error) => error.into(),
            RestoringError::Key(error) => error.into(),
            RestoringError::Store(error) => error.into(),
        }
    }
}

impl From<BackupFault> for Failure {
    fn from(error: BackupFault) -> Self {
        match error {
            BackupFault::Exists(_) => Self::usage(error, "give another name, or add --replace"),
            BackupFault::Busy(_) => Self::usage(error, "wait until it has ended, or give another name"),
            BackupFault::File { .. } => Self::usage(error, "check the path, its permissions, and the room on its disk"),
            BackupFault::NoBackup(_) => Self::usage(error, "give a file that `testmo-courier store backup` wrote"),
            BackupFault::Damaged { .. } => Self::finding(error, "use another backup"),
            BackupFault::Newer { .. } => {
                Self::finding(error, "use that version of the program, or a newer one, for the restore")
            }
        }
    }
}

//! Turns what keeps the master key from being replaced into words and an exit code.

use testmo_courier::app::rotation::RotationError;

use super::Failure;

impl From<RotationError> for Failure {
    fn from(error: RotationError) -> Self {
        match error {
            RotationError::Busy { seconds } => Self::finding(
                error,
                format!("wait until it has ended; if it was interrupted, run the command again after {seconds} s"),
            ),
            RotationError::Lost => Self::finding(error, "wait until it has ended, then run the command again"),
            RotationError::OtherKey { .. } => Self::usage(
                error,
                "Give the file of that key with --new-key; if it is lost, move this file elsewhere: the command writes the \
                 key again, where this machine has the present master key.",
            ),
            RotationError::NotNew(_) => Self::usage(error, "give another file with --new-key, or remove this one"),
            RotationError::NewFile { .. } => Self::usage(
                error,
                "run the command as the owner of the master key file, or name a file that this user can write with \
                 --new-key",
            ),
            RotationError::NothingBegun => {
                Self::finding(error, "run `testmo-courier tenants rotate-master-key` to replace the master key")
            }
            RotationError::NotDone => {
                Self::finding(error, "run `testmo-courier tenants rotate-master-key` first, which continues it")
            }
            RotationError::FormerFile { .. } => {
                Self::finding(error, "put the file of the new key into its place, then run the command again")
            }
            RotationError::NotAllowed(error) => error.into(),
            RotationError::Open(error) => error.into(),
        }
    }
}

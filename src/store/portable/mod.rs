//! Moves the whole content of a store: into a backup, from a backup into an empty store, and from one database to the other.
//!
//! Rows travel as values and not as this program reads them, so that both databases, and stores of earlier versions, have one
//! form. Invariant: until a store is completely filled it is marked, and every other command and every worker refuses it.

mod backup;
mod copy;
mod decode;
mod file_reader;
mod file_writer;
mod format;
pub(super) mod marks;
mod passes;
mod place;
mod restore;
mod rows;
mod sums;
mod tables;

pub use self::backup::{Backup, BackupError, back_up};
pub use self::copy::{Moved, move_to};
pub use self::format::BackupFault;
pub use self::restore::{Contents, FillError, Filled, Target, contents, fill, place_name, target, trial};
pub use self::sums::{Checksum, TableSum};

/// Names the parts that tests of the store use.
#[cfg(test)]
pub(super) mod inside {
    pub(in crate::store) use super::place::Place;
    pub(in crate::store) use super::rows::{Row, insert};
    pub(in crate::store) use super::tables::{Column, LEFT_OUT, MOVED, Table, catalog, drop_all};
}

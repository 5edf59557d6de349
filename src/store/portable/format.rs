//! Describes what a backup file holds besides rows: its first line, its last line, and what can be wrong with it.
//!
//! A backup is a gzip file of JSON lines: a [`Header`], for each run of rows of one table a [`RowsOf`] and the rows as
//! arrays, and an [`End`].

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use super::sums::TableSum;
use super::tables::Table;

/// The version of the format.
pub(super) const FORMAT: u32 = 1;
/// What the first line says to a person who opens the file.
pub(super) const NOTE: &str = "A backup of the store of testmo-courier. It holds messages and, encrypted, the API keys; the \
                               master key that decrypts them is not in it.";

/// The first line of a backup. Times are in milliseconds since 1970 on the store's clock.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::store) struct Header {
    /// What the file is, in words.
    pub(in crate::store) note: String,
    /// The version of the format.
    pub(in crate::store) format: u32,
    /// The version of the program that wrote it.
    pub(in crate::store) program: String,
    /// The number of the newest migration of the store.
    pub(in crate::store) schema: i64,
    /// When the backup began: everything that the store knew then is in it.
    pub(in crate::store) begun_at: i64,
    /// The word that recognizes the master key of its API keys.
    pub(in crate::store) master_key: Option<String>,
    /// Its tables.
    pub(in crate::store) tables: Vec<Table>,
}

/// The last line of a backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::store) struct End {
    /// When the backup ended.
    pub(in crate::store) ended_at: i64,
    /// How many rows of each table it holds, with their checksum.
    pub(in crate::store) tables: BTreeMap<String, TableSum>,
    /// The last number that the database gave in each table that it numbers.
    pub(in crate::store) numbers: BTreeMap<String, i64>,
    /// The SHA-256 of all lines before this one, in hexadecimal digits.
    pub(in crate::store) sha256: String,
}

/// A line that is no row.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// The first one.
    TestmoCourierBackup(Header),
    /// The name of the table of the rows that follow.
    RowsOf(String),
    /// The last one.
    End(End),
}

/// Why a backup file cannot be written or used.
#[derive(Debug, thiserror::Error)]
pub enum BackupFault {
    /// There is a file already.
    #[error("{0} exists already")]
    Exists(String),
    /// Another process writes it.
    #[error("another process is writing {0}")]
    Busy(String),
    /// It cannot be read or written.
    #[error("{file}: {cause}")]
    File {
        /// The file.
        file: String,
        /// What the operating system says.
        cause: io::Error,
    },
    /// It is no backup.
    #[error("{0} is not a backup of a store")]
    NoBackup(String),
    /// It is not what was written.
    #[error("{file} is damaged: {what}")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// A later version of the program wrote it.
    #[error("{file} was written by version {program}, whose stores this version does not know")]
    Newer {
        /// The file.
        file: String,
        /// The version of the program.
        program: String,
    },
}

impl BackupFault {
    pub(super) fn file(file: &std::path::Path, cause: io::Error) -> Self {
        Self::File { file: file.display().to_string(), cause }
    }
}

//! Writes a backup under a temporary name, and gives it its own name once it is whole.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use super::format::{BackupFault, End, Header, Line};
use super::rows::Row;
use super::sums::TableSum;
use crate::batch::json_of;
use crate::private_file;

/// A backup that is being written.
pub(super) struct FileWriter {
    file: PathBuf,
    partial: PathBuf,
    out: GzEncoder<BufWriter<File>>,
    hash: Sha256,
    sums: BTreeMap<String, TableSum>,
    of: Option<String>,
}

impl FileWriter {
    /// Begins a backup. An existing file is kept, unless it may be replaced once the new one is whole.
    pub(super) fn begin(file: &Path, may_replace: bool, header: Header) -> Result<Self, BackupFault> {
        match file.symlink_metadata() {
            Ok(_) if !may_replace => return Err(BackupFault::Exists(file.display().to_string())),
            // A device, or a link to something, has to stay what it is.
            Ok(there) if !there.is_file() => {
                let cause = io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
                return Err(BackupFault::file(file, cause));
            }
            Ok(_) | Err(_) => {}
        }
        let mut partial = file.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let opened = open_partial(&partial)?;
        let sums = header.tables.iter().map(|table| (table.name.clone(), TableSum::default())).collect();
        let out = GzEncoder::new(BufWriter::new(opened), Compression::fast());
        let mut begun = Self { file: file.into(), partial, out, hash: Sha256::new(), sums, of: None };
        begun.line(&json_of(&Line::TestmoCourierBackup(header)))?;
        Ok(begun)
    }

    /// Writes rows of a table.
    pub(super) fn rows(&mut self, table: &str, rows: &[Row]) -> Result<(), BackupFault> {
        if !rows.is_empty() && self.of.as_deref() != Some(table) {
            self.line(&json_of(&Line::RowsOf(table.into())))?;
            self.of = Some(table.into());
        }
        for row in rows {
            let line = json_of(row);
            self.line(&line)?;
            self.sums.entry(table.into()).or_default().add_line(&line);
        }
        Ok(())
    }

    /// Completes the file, and returns how many rows of each table it holds, and how large it is, in bytes.
    pub(super) fn end(
        self,
        ended_at: i64,
        numbers: BTreeMap<String, i64>,
    ) -> Result<(BTreeMap<String, TableSum>, u64), BackupFault> {
        let partial = self.partial.clone();
        let ended = self.completed(ended_at, numbers);
        if ended.is_err() {
            drop(fs::remove_file(partial));
        }
        ended
    }

    fn completed(
        mut self,
        ended_at: i64,
        numbers: BTreeMap<String, i64>,
    ) -> Result<(BTreeMap<String, TableSum>, u64), BackupFault> {
        let sha256 = crate::batch::hex(&self.hash.clone().finalize());
        let end = End { ended_at, tables: self.sums.clone(), numbers, sha256 };
        self.line(&json_of(&Line::End(end)))?;
        let Self { file, partial, out, sums, .. } = self;
        let failed = |cause| BackupFault::file(&partial, cause);
        let written = out.finish().map_err(failed)?.into_inner().map_err(|error| failed(error.into_error()))?;
        written.sync_all().map_err(failed)?;
        let size = written.metadata().map_err(failed)?.len();
        fs::rename(&partial, &file).map_err(failed)?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|cause| BackupFault::file(folder, cause))?;
        Ok((sums, size))
    }

    /// Removes what was written.
    pub(super) fn abandon(self) {
        drop(fs::remove_file(&self.partial));
    }

    fn line(&mut self, line: &str) -> Result<(), BackupFault> {
        self.hash.update(line);
        self.hash.update(b"\n");
        let written = self.out.write_all(line.as_bytes()).and_then(|()| self.out.write_all(b"\n"));
        written.map_err(|cause| BackupFault::file(&self.partial, cause))
    }
}

/// Opens the file under its temporary name and locks it. One that a killed process has left is written again.
fn open_partial(partial: &Path) -> Result<File, BackupFault> {
    let failed = |cause| BackupFault::file(partial, cause);
    let opened = match private_file::create(partial) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => OpenOptions::new().write(true).open(partial),
        other => other,
    };
    let opened = opened.map_err(failed)?;
    match opened.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(BackupFault::Busy(partial.display().to_string())),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    opened.set_len(0).map_err(failed)?;
    Ok(opened)
}

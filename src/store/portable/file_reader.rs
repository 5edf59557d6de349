//! Reads a backup and checks that it is what was written.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;
use sha2::{Digest, Sha256};

use super::format::{BackupFault, End, FORMAT, Header, Line};
use super::rows::{MOST_BYTES, MOST_ROWS, Row, fits};
use super::sums::TableSum;
use super::tables::{MOVED, Table};

/// The most bytes of a line: the largest message, twice, and more.
const LONGEST_LINE: u64 = 1 << 30;

/// A backup that is being read.
pub(super) struct FileReader {
    file: PathBuf,
    lines: BufReader<GzDecoder<BufReader<File>>>,
    hash: Sha256,
    header: Header,
    sums: BTreeMap<String, TableSum>,
    of: Option<usize>,
    /// A line that was read and belongs to what follows.
    ahead: Option<String>,
    end: Option<End>,
}

impl FileReader {
    /// Opens a backup and reads its first line.
    pub(super) fn open(file: &Path, newest: i64) -> Result<Self, BackupFault> {
        let failed = |cause| BackupFault::file(file, cause);
        let opened = File::open(file).map_err(failed)?;
        if opened.metadata().map_err(failed)?.is_dir() {
            return Err(failed(io::Error::from(io::ErrorKind::IsADirectory)));
        }
        let mut lines = BufReader::new(GzDecoder::new(BufReader::new(opened)));
        let no_backup = || BackupFault::NoBackup(file.display().to_string());
        let mut first = String::new();
        let read = (&mut lines).take(LONGEST_LINE).read_line(&mut first);
        read.map_err(|_| no_backup())?;
        let first = first.trim_end_matches('\n');
        let version: FirstLine = serde_json::from_str(first).map_err(|_| no_backup())?;
        let FirstLine { testmo_courier_backup: Versions { format, program, schema } } = version;
        if format > FORMAT || schema > newest {
            return Err(BackupFault::Newer { file: file.display().to_string(), program });
        }
        let damaged = || damaged(file, "its first line is not complete");
        let Ok(Line::TestmoCourierBackup(header)) = serde_json::from_str(first) else { return Err(damaged()) };
        if header.tables.iter().any(|table| !is_sound(table)) {
            return Err(damaged());
        }
        let mut hash = Sha256::new();
        hash.update(first);
        hash.update(b"\n");
        let sums = header.tables.iter().map(|table| (table.name.clone(), TableSum::default())).collect();
        Ok(Self { file: file.into(), lines, hash, header, sums, of: None, ahead: None, end: None })
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the next rows of a table; nothing at the end, once everything is known to be what was written.
    pub(super) fn next(&mut self) -> Result<Option<(Table, Vec<Row>)>, BackupFault> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        loop {
            let line = self.ahead.take().map_or_else(|| self.line(), Ok)?;
            if line.starts_with('[') {
                let row = self.row(&line)?;
                rows.push(row);
                bytes += line.len();
                if rows.len() < MOST_ROWS && i64::try_from(bytes).unwrap_or(i64::MAX) < MOST_BYTES {
                    continue;
                }
            } else if !rows.is_empty() {
                self.ahead = Some(line);
            } else if self.is_end(&line)? {
                return Ok(None);
            }
            if !rows.is_empty() {
                let of = self.of.and_then(|at| self.header.tables.get(at));
                return Ok(of.map(|table| (table.clone(), rows)));
            }
        }
    }

    /// Returns the last line, once everything was read.
    pub(super) fn end(&self) -> Result<&End, BackupFault> {
        self.end.as_ref().ok_or_else(|| self.damaged("it ends too early"))
    }

    fn row(&mut self, line: &str) -> Result<Row, BackupFault> {
        let table = self.of.and_then(|at| self.header.tables.get(at));
        let table = table.ok_or_else(|| self.damaged("it has a row of no table"))?;
        let row: Row = serde_json::from_str(line).map_err(|_| self.damaged("a row cannot be read"))?;
        if !fits(table, &row) {
            return Err(self.damaged(&format!("a row of `{}` does not have its columns", table.name)));
        }
        self.take_in(line);
        let name = &self.header.tables[self.of.unwrap_or_default()].name;
        self.sums.entry(name.clone()).or_default().add_line(line);
        Ok(row)
    }

    /// Takes a line that is no row, and returns whether it is the last one.
    fn is_end(&mut self, line: &str) -> Result<bool, BackupFault> {
        match serde_json::from_str(line) {
            Ok(Line::RowsOf(name)) => {
                self.take_in(line);
                self.of = self.header.tables.iter().position(|table| table.name == name);
                if self.of.is_none() { Err(self.damaged("it has rows of an unknown table")) } else { Ok(false) }
            }
            Ok(Line::End(end)) => {
                self.check_end(&end)?;
                self.end = Some(end);
                Ok(true)
            }
            Ok(Line::TestmoCourierBackup(_)) | Err(_) => Err(self.damaged("a line cannot be read")),
        }
    }

    fn check_end(&mut self, end: &End) -> Result<(), BackupFault> {
        if crate::batch::hex(&self.hash.clone().finalize()) != end.sha256 || self.sums != end.tables {
            return Err(self.damaged("its checksum is another one"));
        }
        // The end of the compressed stream has a checksum of its own, which is only checked when it is read.
        match self.lines.read(&mut [0]).and_then(|more| Ok(more + self.lines.get_mut().get_mut().read(&mut [0])?)) {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.damaged("something follows its end")),
            Err(error) => Err(self.damaged(&error.to_string())),
        }
    }

    fn take_in(&mut self, line: &str) {
        self.hash.update(line);
        self.hash.update(b"\n");
    }

    fn line(&mut self) -> Result<String, BackupFault> {
        let mut line = String::new();
        match (&mut self.lines).take(LONGEST_LINE).read_line(&mut line) {
            Ok(0) => Err(self.damaged("it ends too early")),
            Ok(_) if !line.ends_with('\n') => Err(self.damaged("it ends too early, or a line is too long")),
            Ok(_) => {
                line.pop();
                Ok(line)
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.damaged("it ends too early")),
            Err(error) => Err(self.damaged(&error.to_string())),
        }
    }

    fn damaged(&self, what: &str) -> BackupFault {
        damaged(&self.file, what)
    }
}

/// The part of the first line that every version writes.
#[derive(serde::Deserialize)]
struct FirstLine {
    testmo_courier_backup: Versions,
}

#[derive(serde::Deserialize)]
struct Versions {
    format: u32,
    program: String,
    schema: i64,
}

fn damaged(file: &Path, what: &str) -> BackupFault {
    BackupFault::Damaged { file: file.display().to_string(), what: what.into() }
}

/// Returns whether a table is one that this version moves, with names that a statement can hold.
fn is_sound(table: &Table) -> bool {
    let is_name = |name: &String| name.bytes().all(|byte| byte.is_ascii_lowercase() || b"_0123456789".contains(&byte));
    MOVED.contains(&table.name.as_str())
        && table.columns.iter().all(|column| !column.name.is_empty() && is_name(&column.name))
        && table.key.iter().all(|name| table.kind(name).is_some())
}

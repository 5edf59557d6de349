//! Keeps the draft of an edited message in a file that only its owner can read.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Draft;
use crate::private_file;

/// The file of a draft. It stays until it is removed, so that nothing that was written is lost.
#[derive(Debug)]
pub struct DraftFile {
    path: PathBuf,
}

impl DraftFile {
    /// Writes a draft to a new file in a folder.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(draft: &Draft, folder: &Path) -> io::Result<Self> {
        let name = format!("testmo-courier-{}-{}.json", draft.entry.id, uuid::Uuid::new_v4().simple());
        let path = folder.join(name);
        let mut file = private_file::create(&path)?;
        file.write_all(draft.text().as_bytes())?;
        file.sync_all()?;
        Ok(Self { path })
    }

    /// Returns where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads what the file holds now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        fs::read(&self.path)
    }

    /// Removes the file, once what it holds is stored or not needed.
    pub fn remove(self) {
        // A file that stays is no harm: it is its owner's alone.
        drop(fs::remove_file(self.path));
    }
}

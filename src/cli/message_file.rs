//! Reads messages from files or from the standard input.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use testmo_courier::app::messages::Message;

use super::failure::Failure;

/// A message and where it was read from.
#[derive(Debug)]
pub(super) struct MessageFile {
    /// The name of the file.
    pub(super) name: String,
    /// The message.
    pub(super) message: Message,
}

/// Reads every file.
pub(super) fn read_all(files: &[PathBuf]) -> Result<Vec<MessageFile>, Failure> {
    let message = |file: &PathBuf| {
        let body = read(file)?;
        let name = if is_stdin(file) { "standard input".into() } else { file.display().to_string() };
        Ok(MessageFile { name, message: Message::of(body) })
    };
    files.iter().map(message).collect()
}

/// Reads a file with one batch, or the standard input.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    bytes(file).map_err(|error| {
        Failure::usage(format!("{} cannot be read ({error})", file.display()), "name files with one batch each")
    })
}

fn bytes(file: &Path) -> io::Result<Vec<u8>> {
    if !is_stdin(file) {
        return fs::read(file);
    }
    let mut body = Vec::new();
    io::stdin().read_to_end(&mut body)?;
    Ok(body)
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

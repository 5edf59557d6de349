//! Looks whether a worker could use its master key, without opening the store.

use std::io;

use crate::config::Config;
use crate::private_file;
use crate::tenants::{KeyError, Keyring};

/// The state of the master key's file.
#[derive(Debug)]
pub enum MasterKeyFile {
    /// It holds a master key.
    Usable {
        /// The command that closes the file to others, if other users of the machine can read or change it.
        remedy: Option<String>,
    },
    /// There is no file yet.
    Missing,
    /// It cannot be used.
    Unusable(KeyError),
}

/// Looks at the file of the master key. Whether it is the key of the store is not checked.
pub fn master_key_file(config: &Config) -> MasterKeyFile {
    let file = &config.keys.master_key_file;
    match Keyring::load(file) {
        Ok(_) => MasterKeyFile::Usable { remedy: private_file::remedy_if_open(file) },
        Err(KeyError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => MasterKeyFile::Missing,
        Err(error) => MasterKeyFile::Unusable(error),
    }
}

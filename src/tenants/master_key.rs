//! Reads, makes and keeps one master key, which encrypts the tenants' API keys and, while it is replaced, its successor.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use aes_gcm::aead::{Aead, AeadCore, KeyInit, OsRng, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use secrecy::zeroize::Zeroizing;
use sha2::{Digest, Sha256};

use crate::batch::hex;
use crate::private_file;
use crate::store::connections::SealedKey;

/// The bytes of a nonce.
const NONCE: usize = 12;

/// A master key.
#[derive(Clone)]
pub struct MasterKey {
    id: String,
    cipher: Aes256Gcm,
    digest: [u8; 32],
    bytes: Zeroizing<[u8; 32]>,
}

/// The reason why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or created.
    #[error(
        "the master key file {path} cannot be used ({source}): restore the file that `testmo-courier init` created, or \
         check keys.master_key_file"
    )]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file holds something else.
    #[error(
        "{0} does not hold a master key (64 hexadecimal digits): restore the file that `testmo-courier init` created"
    )]
    NotAKey(PathBuf),
    /// The store's keys were encrypted with another master key.
    #[error("the master key in {0} is not the one that encrypts the store's API keys: restore that master key file")]
    OtherMasterKey(PathBuf),
    /// The key was encrypted with a master key that this process does not know.
    #[error(
        "the stored API key is encrypted with another master key: put the present master key file into place, and restart"
    )]
    UnknownMasterKey,
    /// The key was entered for another tenant or origin.
    #[error("the API key was entered for another base URL: enter the API key again for this one")]
    BoundElsewhere,
    /// The ciphertext was changed.
    #[error("the stored API key cannot be decrypted: enter the API key again")]
    Broken,
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MasterKey({})", self.id)
    }
}

impl MasterKey {
    /// Makes a master key in a new file that only its owner can read.
    ///
    /// # Errors
    /// When the file exists already, or cannot be written.
    pub fn create(path: &Path) -> Result<Self, KeyError> {
        let made = Self::generate();
        made.write(path).map_err(|source| KeyError::File { path: path.into(), source })?;
        Ok(made)
    }

    /// Makes a master key that no file holds yet.
    pub fn generate() -> Self {
        Self::of(Zeroizing::new(Aes256Gcm::generate_key(OsRng).into()))
    }

    /// Reads the master key in a file.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold a master key.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let text = fs::read_to_string(path).map_err(|source| KeyError::File { path: path.into(), source })?;
        let text = Zeroizing::new(text);
        Ok(Self::of(from_hex(text.trim()).ok_or_else(|| KeyError::NotAKey(path.into()))?))
    }

    /// Writes the master key into a new file that only its owner can read.
    ///
    /// # Errors
    /// When the file exists already, or cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = private_file::create(path)?;
        let text = Zeroizing::new(format!("{}\n", hex(self.bytes.as_slice())));
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all())
    }

    /// Returns the word by which a store recognizes the master key; it reveals nothing of the key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Encrypts another master key, which is to replace this one.
    ///
    /// # Errors
    /// Never in practice: the cipher refuses only texts of many gigabytes.
    pub fn wrap(&self, next: &Self) -> Result<SealedKey, KeyError> {
        self.seal(next.bytes.as_slice(), binding_of(&next.id))
    }

    /// Decrypts the master key that replaces this one.
    pub(super) fn unwrapped(&self, wrapped: &SealedKey, id: &str) -> Option<Self> {
        let bytes = self.open(wrapped).ok().filter(|_| wrapped.bound_to == binding_of(id))?;
        let next = Self::of(Zeroizing::new(bytes.as_slice().try_into().ok()?));
        (next.id == id).then_some(next)
    }

    /// Returns a hash that only holders of the master key can compute, as 64 hexadecimal digits.
    pub(super) fn digest_of(&self, of: &[u8]) -> String {
        keyed(self.digest, of)
    }

    pub(super) fn seal(&self, text: &[u8], bound_to: String) -> Result<SealedKey, KeyError> {
        let nonce = Aes256Gcm::generate_nonce(&mut OsRng);
        let payload = Payload { msg: text, aad: bound_to.as_bytes() };
        let ciphertext = self.cipher.encrypt(&nonce, payload).map_err(|_| KeyError::Broken)?;
        Ok(SealedKey { nonce: nonce.to_vec(), ciphertext, bound_to, key_id: self.id.clone() })
    }

    pub(super) fn open(&self, sealed: &SealedKey) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        if sealed.nonce.len() != NONCE {
            return Err(KeyError::Broken);
        }
        let payload = Payload { msg: &sealed.ciphertext, aad: sealed.bound_to.as_bytes() };
        let text = self.cipher.decrypt(Nonce::from_slice(&sealed.nonce), payload);
        text.map(Zeroizing::new).map_err(|_| KeyError::Broken)
    }

    fn of(bytes: Zeroizing<[u8; 32]>) -> Self {
        let mut hash = Sha256::new_with_prefix(b"testmo-courier digests\0");
        hash.update(bytes.as_slice());
        let digest = hash.finalize().into();
        let id = keyed(digest, b"check")[..16].to_owned();
        Self { id, cipher: Aes256Gcm::new(bytes.as_slice().into()), digest, bytes }
    }
}

fn keyed(digest: [u8; 32], of: &[u8]) -> String {
    let mut hash = Sha256::new_with_prefix(digest);
    hash.update(of);
    hex(&hash.finalize())
}

fn binding_of(id: &str) -> String {
    // No tenant has a blank in its id, so nothing of a tenant is bound to this.
    format!("master key {id}")
}

fn from_hex(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let digits = text.as_bytes();
    let mut key = Zeroizing::new([0; 32]);
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_key_is_read_back_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        let made = MasterKey::create(&path).unwrap();
        assert_eq!(MasterKey::load(&path).unwrap().id(), made.id());
        assert!(matches!(MasterKey::create(&path), Err(KeyError::File { .. })));
        fs::write(&path, "x").unwrap();
        assert!(matches!(MasterKey::load(&path), Err(KeyError::NotAKey(_))));
        assert!(matches!(MasterKey::load(&dir.path().join("none")), Err(KeyError::File { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_key_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        MasterKey::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_next_master_key_is_encrypted_with_the_present_one_alone() {
        let dir = tempfile::tempdir().unwrap();
        let [present, next, other] = ["a", "b", "c"].map(|name| MasterKey::create(&dir.path().join(name)).unwrap());
        let wrapped = present.wrap(&next).unwrap();
        let read = present.unwrapped(&wrapped, next.id()).unwrap();
        assert_eq!((read.id(), read.bytes.as_slice()), (next.id(), next.bytes.as_slice()));
        assert!(next.unwrapped(&wrapped, next.id()).is_none() && other.unwrapped(&wrapped, next.id()).is_none());
        assert!(present.unwrapped(&wrapped, other.id()).is_none(), "it is bound to the key's id");
        assert!(!format!("{next:?}").contains(&hex(next.bytes.as_slice())));
    }
}

//! Keeps API keys encrypted with the master key, each bound to the tenant and the origin it was entered for.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use aes_gcm::aead::{Aead, AeadCore, KeyInit, OsRng, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::batch::{TenantId, hex};
use crate::private_file;
use crate::store::connections::SealedKey;

/// The name under which a store keeps a word that identifies the master key of its API keys.
pub const MASTER_KEY_FACT: &str = "master_key";

/// The master key.
#[derive(Clone)]
pub struct Keyring {
    cipher: Aes256Gcm,
    digest: [u8; 32],
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
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error(
        "{0} does not hold a master key (64 hexadecimal digits): restore the file that `testmo-courier init` created"
    )]
    NotAKey(PathBuf),
    /// The store's keys were encrypted with another master key.
    #[error("the master key in {0} is not the one that encrypts the store's API keys: restore that master key file")]
    OtherMasterKey(PathBuf),
    /// The key was entered for another tenant or origin.
    #[error("the API key was entered for another base URL: enter the API key again for this one")]
    BoundElsewhere,
    /// The ciphertext was changed.
    #[error("the stored API key cannot be decrypted: enter the API key again")]
    Broken,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyring")
    }
}

impl Keyring {
    /// Makes a master key in a new file that only its owner can read.
    ///
    /// # Errors
    /// When the file exists already, or cannot be written.
    pub fn create(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::File { path: path.into(), source };
        let key = Zeroizing::new(<[u8; 32]>::from(Aes256Gcm::generate_key(OsRng)));
        let mut file = private_file::create(path).map_err(failed)?;
        let text = Zeroizing::new(format!("{}\n", hex(key.as_slice())));
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        Ok(Self::of(&key))
    }

    /// Reads the master key.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold a master key.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let text = fs::read_to_string(path).map_err(|source| KeyError::File { path: path.into(), source })?;
        let text = Zeroizing::new(text);
        let key = from_hex(text.trim()).ok_or_else(|| KeyError::NotAKey(path.into()))?;
        Ok(Self::of(&key))
    }

    fn of(key: &Zeroizing<[u8; 32]>) -> Self {
        let mut hash = Sha256::new_with_prefix(b"testmo-courier digests\0");
        hash.update(key.as_slice());
        Self { cipher: Aes256Gcm::new(key.as_slice().into()), digest: hash.finalize().into() }
    }

    /// Returns a word by which a store recognizes the master key; it reveals nothing of the key.
    pub fn check_word(&self) -> String {
        self.keyed_digest(b"check")[..16].to_owned()
    }

    /// Returns a hash that only holders of the master key can compute, as 64 hexadecimal digits.
    pub fn keyed_digest(&self, of: &[u8]) -> String {
        let mut hash = Sha256::new_with_prefix(self.digest);
        hash.update(of);
        hex(&hash.finalize())
    }

    /// Encrypts an API key for a tenant and an origin.
    ///
    /// # Errors
    /// Never in practice: the cipher refuses only texts of many gigabytes.
    pub fn seal(&self, tenant: &TenantId, origin: &str, key: &SecretString) -> Result<SealedKey, KeyError> {
        let nonce = Aes256Gcm::generate_nonce(&mut OsRng);
        let bound_to = binding(tenant, origin);
        let payload = Payload { msg: key.expose_secret().as_bytes(), aad: bound_to.as_bytes() };
        let ciphertext = self.cipher.encrypt(&nonce, payload).map_err(|_| KeyError::Broken)?;
        Ok(SealedKey { nonce: nonce.to_vec(), ciphertext, bound_to })
    }

    /// Decrypts an API key for the tenant and origin that it was entered for.
    ///
    /// # Errors
    /// When it was entered for others, or does not decrypt.
    pub fn open(&self, tenant: &TenantId, origin: &str, sealed: &SealedKey) -> Result<SecretString, KeyError> {
        let bound_to = binding(tenant, origin);
        if sealed.bound_to != bound_to {
            return Err(KeyError::BoundElsewhere);
        }
        if sealed.nonce.len() != 12 {
            return Err(KeyError::Broken);
        }
        let payload = Payload { msg: &sealed.ciphertext, aad: bound_to.as_bytes() };
        let nonce = Nonce::from_slice(&sealed.nonce);
        let text = Zeroizing::new(self.cipher.decrypt(nonce, payload).map_err(|_| KeyError::Broken)?);
        let text = std::str::from_utf8(&text).map_err(|_| KeyError::Broken)?;
        Ok(SecretString::from(text))
    }
}

fn binding(tenant: &TenantId, origin: &str) -> String {
    format!("{tenant}\n{origin}")
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
    fn a_key_is_decrypted_only_for_the_tenant_and_origin_it_was_entered_for() {
        let dir = tempfile::tempdir().unwrap();
        let ring = Keyring::create(&dir.path().join("k")).unwrap();
        let tenant: TenantId = "acme".parse().unwrap();
        let sealed = ring.seal(&tenant, "https://a.testmo.net", &SecretString::from("s3cret")).unwrap();
        assert_eq!(ring.open(&tenant, "https://a.testmo.net", &sealed).unwrap().expose_secret(), "s3cret");
        assert!(ring.open(&tenant, "https://b.testmo.net", &sealed).is_err());
        assert!(ring.open(&"other".parse().unwrap(), "https://a.testmo.net", &sealed).is_err());
        let moved = SealedKey { bound_to: "acme\nhttps://b.testmo.net".into(), ..sealed.clone() };
        assert!(ring.open(&tenant, "https://b.testmo.net", &moved).is_err());
        let other = Keyring::create(&dir.path().join("k2")).unwrap();
        assert!(other.open(&tenant, "https://a.testmo.net", &sealed).is_err());
        assert_ne!(ring.check_word(), other.check_word());
    }

    #[test]
    fn a_master_key_is_read_back_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        let made = Keyring::create(&path).unwrap();
        assert_eq!(Keyring::load(&path).unwrap().check_word(), made.check_word());
        assert!(matches!(Keyring::create(&path), Err(KeyError::File { .. })));
        fs::write(&path, "x").unwrap();
        assert!(matches!(Keyring::load(&path), Err(KeyError::NotAKey(_))));
        assert!(matches!(Keyring::load(&dir.path().join("none")), Err(KeyError::File { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_key_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        Keyring::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

//! Keeps API keys encrypted with the master key, each bound to the tenant and the origin it was entered for.
//!
//! While the master key is replaced, two are known: each API key says by an id with which one it is encrypted.

use std::path::Path;
use std::sync::{Arc, Mutex};

use secrecy::{ExposeSecret, SecretString};

use super::master_key::{KeyError, MasterKey};
use crate::batch::TenantId;
use crate::guard::lock;
use crate::store::connections::SealedKey;
use crate::store::rotation::WrappedKey;
use crate::store::{ConnectionStore, Store, StoreError};

pub use crate::store::rotation::MASTER_KEY_FACT;

/// The master keys that are known. Clones share them, so that what one learns is known to all.
#[derive(Clone)]
pub struct Keyring {
    /// The first one encrypts.
    keys: Arc<Mutex<Vec<MasterKey>>>,
    /// The file of the master key, if it came from one.
    file: Option<Arc<Path>>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyring")
    }
}

impl From<MasterKey> for Keyring {
    fn from(key: MasterKey) -> Self {
        Self { keys: Arc::new(Mutex::new(vec![key])), file: None }
    }
}

/// Reads the master key of a store from a file, and learns the one that replaces it.
///
/// # Errors
/// When the file holds another key than the store's, or one of them cannot be used.
pub async fn open_keyring<E: From<StoreError> + From<KeyError>>(store: &Store, file: &Path) -> Result<Keyring, E> {
    let keyring = Keyring::load(file)?;
    require_key_of::<E>(store, &keyring, file).await.map(|()| keyring)
}

/// Checks that a keyring has the master key with which a store's API keys are encrypted, once it has learned the one that
/// replaces it; a store that knows of none takes any.
///
/// # Errors
/// When it lacks the key, or the store does not answer.
pub async fn require_key_of<E: From<StoreError> + From<KeyError>>(
    store: &Store,
    keyring: &Keyring,
    file: &Path,
) -> Result<(), E> {
    if let Some(wrapped) = store.wrapped_master_key().await? {
        keyring.learn(&wrapped);
    }
    match store.fact(MASTER_KEY_FACT).await? {
        Some(id) if !keyring.knows(&id) => Err(KeyError::OtherMasterKey(file.into()).into()),
        Some(_) | None => Ok(()),
    }
}

impl Keyring {
    /// Makes a master key in a new file that only its owner can read.
    ///
    /// # Errors
    /// When the file exists already, or cannot be written.
    pub fn create(path: &Path) -> Result<Self, KeyError> {
        Ok(MasterKey::create(path)?.into())
    }

    /// Reads the master key.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold a master key.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        Ok(Self { file: Some(path.into()), ..MasterKey::load(path)?.into() })
    }

    /// Returns the word by which a store recognizes the master key that encrypts; it reveals nothing of the key.
    pub fn check_word(&self) -> String {
        self.of_first(|key| key.id().to_owned())
    }

    /// Returns whether the master key with an id is known.
    pub fn knows(&self, id: &str) -> bool {
        lock(&self.keys).iter().any(|key| key.id() == id)
    }

    /// Returns the master key with an id.
    pub fn key(&self, id: &str) -> Option<MasterKey> {
        lock(&self.keys).iter().find(|key| key.id() == id).cloned()
    }

    /// Learns a master key that is encrypted with one that is known, and encrypts with it from now on.
    pub fn learn(&self, wrapped: &WrappedKey) {
        let mut keys = lock(&self.keys);
        let at = keys.iter().position(|key| key.id() == wrapped.to);
        let known = at.map(|at| keys.remove(at));
        let unwrapped = || keys.iter().find_map(|key| key.unwrapped(&wrapped.key, &wrapped.to));
        if let Some(next) = known.or_else(unwrapped) {
            keys.insert(0, next);
        }
    }

    /// Learns the master key with an id if the file holds it by now: once the former key is given up, nothing leads from it to
    /// the present one.
    pub fn learn_from_file(&self, id: &str) {
        let read = self.file.as_deref().and_then(|file| MasterKey::load(file).ok());
        if let Some(key) = read.filter(|key| key.id() == id && !self.knows(id)) {
            lock(&self.keys).insert(0, key);
        }
    }

    /// Returns a hash that only holders of the master key can compute, as 64 hexadecimal digits.
    pub fn keyed_digest(&self, of: &[u8]) -> String {
        self.of_first(|key| key.digest_of(of))
    }

    /// Encrypts an API key for a tenant and an origin.
    ///
    /// # Errors
    /// Never in practice: the cipher refuses only texts of many gigabytes.
    pub fn seal(&self, tenant: &TenantId, origin: &str, key: &SecretString) -> Result<SealedKey, KeyError> {
        let text = key.expose_secret().as_bytes();
        self.of_first(|master| master.seal(text, binding(tenant, origin)))
    }

    /// Encrypts a stored API key again, with another master key.
    ///
    /// # Errors
    /// When it cannot be decrypted.
    pub fn reseal(&self, sealed: &SealedKey, with: &MasterKey) -> Result<SealedKey, KeyError> {
        self.with_each(sealed, |key| with.seal(&key.open(sealed)?, sealed.bound_to.clone()))
    }

    /// Decrypts an API key for the tenant and origin that it was entered for.
    ///
    /// # Errors
    /// When it was entered for others, or does not decrypt.
    pub fn open(&self, tenant: &TenantId, origin: &str, sealed: &SealedKey) -> Result<SecretString, KeyError> {
        if sealed.bound_to != binding(tenant, origin) {
            return Err(KeyError::BoundElsewhere);
        }
        let text = self.with_each(sealed, |key| key.open(sealed))?;
        let text = std::str::from_utf8(&text).map_err(|_| KeyError::Broken)?;
        Ok(SecretString::from(text))
    }

    /// Returns what is made with the master key that a sealed key names, or with another one: an earlier build changes keys
    /// without their ids.
    fn with_each<T>(
        &self,
        sealed: &SealedKey,
        make: impl Fn(&MasterKey) -> Result<T, KeyError>,
    ) -> Result<T, KeyError> {
        let keys = lock(&self.keys).clone();
        let (named, others): (Vec<_>, Vec<_>) = keys.iter().partition(|key| key.id() == sealed.key_id);
        let is_unknown = named.is_empty() && !sealed.key_id.is_empty();
        let made = named.into_iter().chain(others).find_map(|key| make(key).ok());
        made.ok_or(if is_unknown { KeyError::UnknownMasterKey } else { KeyError::Broken })
    }

    /// Uses the master key that encrypts.
    fn of_first<T>(&self, of: impl FnOnce(&MasterKey) -> T) -> T {
        of(&lock(&self.keys)[0])
    }
}

fn binding(tenant: &TenantId, origin: &str) -> String {
    format!("{tenant}\n{origin}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> TenantId {
        "acme".parse().unwrap()
    }

    #[test]
    fn a_key_is_decrypted_only_for_the_tenant_and_origin_it_was_entered_for() {
        let dir = tempfile::tempdir().unwrap();
        let ring = Keyring::create(&dir.path().join("k")).unwrap();
        let sealed = ring.seal(&tenant(), "https://a.testmo.net", &SecretString::from("s3cret")).unwrap();
        assert_eq!(ring.open(&tenant(), "https://a.testmo.net", &sealed).unwrap().expose_secret(), "s3cret");
        assert!(ring.open(&tenant(), "https://b.testmo.net", &sealed).is_err());
        assert!(ring.open(&"other".parse().unwrap(), "https://a.testmo.net", &sealed).is_err());
        let moved = SealedKey { bound_to: "acme\nhttps://b.testmo.net".into(), ..sealed.clone() };
        assert!(ring.open(&tenant(), "https://b.testmo.net", &moved).is_err());
        let other = Keyring::create(&dir.path().join("k2")).unwrap();
        let opened = other.open(&tenant(), "https://a.testmo.net", &sealed);
        assert!(matches!(opened, Err(KeyError::UnknownMasterKey)), "{opened:?}");
        assert_ne!(ring.check_word(), other.check_word());
    }

    #[test]
    fn a_master_key_is_learned_from_its_file_once_that_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let ring = Keyring::create(&file).and_then(|_| Keyring::load(&file)).unwrap();
        let next = MasterKey::generate();
        ring.learn_from_file(next.id());
        assert!(!ring.knows(next.id()));
        std::fs::remove_file(&file).unwrap();
        next.write(&file).unwrap();
        ring.learn_from_file("another");
        assert!(!ring.knows(next.id()));
        ring.learn_from_file(next.id());
        assert_eq!(ring.check_word(), next.id());
    }

    #[test]
    fn a_learned_master_key_encrypts_and_the_former_one_still_decrypts() {
        let (dir, origin) = (tempfile::tempdir().unwrap(), "https://a.testmo.net");
        let [present, next] = ["a", "b"].map(|name| MasterKey::create(&dir.path().join(name)).unwrap());
        let wrapped = WrappedKey { from: present.id().into(), to: next.id().into(), key: present.wrap(&next).unwrap() };
        let (ring, of_next) = (Keyring::from(present.clone()), Keyring::from(next.clone()));
        let shared = ring.clone();
        let before = ring.seal(&tenant(), origin, &SecretString::from("s3cret")).unwrap();
        ring.learn(&wrapped);
        ring.learn(&wrapped);
        assert_eq!((shared.check_word().as_str(), shared.knows(present.id())), (next.id(), true));
        let after = ring.reseal(&before, &next).unwrap();
        assert_eq!((before.key_id.as_str(), after.key_id.as_str()), (present.id(), next.id()));
        for sealed in [&before, &after, &SealedKey { key_id: String::new(), ..before.clone() }] {
            assert_eq!(ring.open(&tenant(), origin, sealed).unwrap().expose_secret(), "s3cret");
        }
        assert_eq!(of_next.open(&tenant(), origin, &after).unwrap().expose_secret(), "s3cret");
        let stranger = Keyring::create(&dir.path().join("c")).unwrap();
        let own = stranger.check_word();
        stranger.learn(&wrapped);
        assert_eq!(stranger.check_word(), own, "it cannot decrypt it");
    }
}

//! Replaces the master key: encrypts every API key again while workers go on, and puts the file of the new key into place.
//!
//! Every step can be interrupted. The new key is in its file before anything is encrypted with it, the store keeps how far the
//! work has come, and the former file is replaced only once nothing is encrypted with the former key any more.

mod error;
mod key_files;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

pub use self::error::RotationError;
pub use self::key_files::FileAfter;
use self::key_files::KeyFiles;
use super::actor::{Actor, Role, require};
use super::context::{OpenError, open_store};
use crate::batch::TenantId;
use crate::config::Config;
use crate::store::audit::{AuditAction, AuditEntry, AuditSubject};
use crate::store::connections::{SealedKey, Successor};
use crate::store::rotation::{MASTER_KEY_FACT, Resealed, RotationEnd, RotationStart, SealedRow, WrappedKey};
use crate::store::{Store, StoreHealth};
use crate::tenants::{KeyError, Keyring, MasterKey, open_keyring};

/// How long nobody else goes on with a rotation after its last step.
const LEASE: Duration = Duration::from_secs(10);
/// How many connections are stored together.
const AT_ONCE: u32 = 100;

/// What a person asks for.
#[derive(Clone, Debug, Default)]
pub struct RotationOrder {
    /// The file with the new key, which is made if it is not there; beside the file of the present key by default.
    pub new_file: Option<PathBuf>,
    /// Why.
    pub reason: Option<String>,
}

/// A master key that was replaced. Keys are named by the words that recognize them.
#[derive(Debug)]
pub struct Rotated {
    /// The former key.
    pub former: String,
    /// The key that every API key is encrypted with now.
    pub present: String,
    /// How many connections this run has encrypted again.
    pub connections: usize,
    /// The tenants whose API keys could be decrypted neither before nor now.
    pub unreadable: BTreeSet<TenantId>,
    /// What became of the file of the master key.
    pub file: FileAfter,
}

/// Encrypts every API key with a new master key, or goes on where an earlier run was interrupted, and puts the file of the new
/// key into place. Workers go on meanwhile and afterwards: until [`finish`], the former key leads to the new one.
///
/// # Errors
/// When the person may not, another rotation is not over, a key's file cannot be used, or the store does not answer.
pub async fn rotate(config: &Config, actor: &Actor, order: &RotationOrder) -> Result<Rotated, RotationError> {
    require(actor, Role::Admin)?;
    let store = open_store(config).await?;
    let rotated = carry_out(&store, &config.keys.master_key_file, actor, order).await;
    store.close().await;
    rotated
}

/// Gives up the former master key, once the file of the new one is in its place; returns the word of the former key.
///
/// # Errors
/// When the person may not, nothing is to be given up, the file holds another key, or the store does not answer.
pub async fn finish(config: &Config, actor: &Actor, reason: Option<&str>) -> Result<String, RotationError> {
    require(actor, Role::Admin)?;
    let store = open_store(config).await?;
    let finished = give_up(&store, &config.keys.master_key_file, actor, reason).await;
    store.close().await;
    finished
}

async fn give_up(store: &Store, file: &Path, actor: &Actor, reason: Option<&str>) -> Result<String, RotationError> {
    let begun = store.rotation().await?.ok_or(RotationError::NothingBegun)?;
    if begun.done_at.is_none() {
        return Err(RotationError::NotDone);
    }
    let WrappedKey { from, to, .. } = begun.wrapped;
    if MasterKey::load(file)?.id() != to {
        return Err(RotationError::FormerFile { file: file.into(), to });
    }
    let entry = entry(actor, reason, (&from, &to), "finished");
    if store.forget_former_key(&to, &[entry]).await? { Ok(from) } else { Err(RotationError::NothingBegun) }
}

async fn carry_out(store: &Store, file: &Path, actor: &Actor, order: &RotationOrder) -> Result<Rotated, RotationError> {
    let keyring = open_keyring::<OpenError>(store, file).await?;
    let present = MasterKey::load(file)?;
    let files = KeyFiles::of(file, order.new_file.as_deref());
    let begun = store.rotation().await?;
    if begun.is_none() {
        // A store from before it kept the word of its key.
        store.keep_fact(MASTER_KEY_FACT, present.id()).await?;
    }
    let unknown = || KeyError::OtherMasterKey(file.into());
    let next = match &begun {
        Some(begun) => keyring.key(&begun.wrapped.to).ok_or_else(unknown)?,
        None => files.next()?,
    };
    let from = begun.map_or_else(|| present.id().to_owned(), |begun| begun.wrapped.from);
    if from == next.id() {
        return Err(RotationError::NotNew(files.next_file().into()));
    }
    if present.id() != next.id() {
        files.keep(&next)?;
    }
    let wrapped = WrappedKey { from: from.clone(), to: next.id().to_owned(), key: present.wrap(&next)? };
    let run = Run { store, keyring, next, holder: Uuid::new_v4().simple().to_string() };
    let entries = ["begun", "done"].map(|state| entry(actor, order.reason.as_deref(), (&from, &wrapped.to), state));
    let (connections, unreadable) = match store.begin_rotation(&wrapped, &run.holder, LEASE, &entries[..1]).await? {
        RotationStart::Begun => run.reseal_all(&entries[1..]).await?,
        RotationStart::Done => Default::default(),
        RotationStart::Busy { left } => return Err(RotationError::Busy { seconds: left.as_secs() + 1 }),
        RotationStart::Other { to } => return Err(RotationError::OtherKey { file: files.next_file().into(), to }),
        RotationStart::Replaced => return Err(unknown().into()),
    };
    let file = files.put_in_place(&present, (&from, &run.next));
    Ok(Rotated { former: from, present: wrapped.to, connections, unreadable, file })
}

fn entry(actor: &Actor, reason: Option<&str>, (from, to): (&str, &str), state: &str) -> AuditEntry {
    let entry = AuditEntry::new(actor, AuditAction::RotateMasterKey, AuditSubject::named("master key"));
    entry.because(reason).change(Some(json!({"key_id": from})), Some(json!({"key_id": to, "rotation": state})))
}

/// A rotation that this process carries out.
struct Run<'a> {
    store: &'a Store,
    keyring: Keyring,
    next: MasterKey,
    holder: String,
}

impl Run<'_> {
    /// Encrypts API keys again until none is left, then makes the new key the store's. Returns how many connections were
    /// stored, and those whose keys could not be decrypted.
    async fn reseal_all(&self, done: &[AuditEntry]) -> Result<(usize, BTreeSet<TenantId>), RotationError> {
        let (mut stored, mut unreadable) = (0, BTreeSet::new());
        loop {
            stored += self.reseal_once(&mut unreadable).await?;
            match self.store.finish_rotation(self.next.id(), (&self.holder, LEASE), done).await? {
                RotationEnd::Done => return Ok((stored, unreadable)),
                // A connection was entered, or changed, meanwhile.
                RotationEnd::NotYet => {}
                RotationEnd::Lost => return Err(RotationError::Lost),
            }
        }
    }

    async fn reseal_once(&self, unreadable: &mut BTreeSet<TenantId>) -> Result<usize, RotationError> {
        let (mut stored, mut after) = (0, None);
        loop {
            let rows = self.store.sealed_otherwise(self.next.id(), after.as_ref(), AT_ONCE).await?;
            let Some(last) = rows.last() else { return Ok(stored) };
            after = Some(last.tenant.clone());
            let resealed: Vec<Resealed> = rows.into_iter().map(|row| self.resealed(row, unreadable)).collect();
            let put = self.store.put_resealed(&resealed, &self.holder, LEASE).await?;
            stored += put.ok_or(RotationError::Lost)?;
        }
    }

    fn resealed(&self, row: SealedRow, unreadable: &mut BTreeSet<TenantId>) -> Resealed {
        let key_id = self.next.id().to_owned();
        let mut again = |key: &SealedKey| {
            self.keyring.reseal(key, &self.next).unwrap_or_else(|_| {
                unreadable.insert(row.tenant.clone());
                SealedKey { key_id: key_id.clone(), ..key.clone() }
            })
        };
        let key = again(&row.key);
        let successor = row.successor.map(|next| {
            // The same key stays as it is encrypted, so that two connections show whether the key is another one.
            let is_same = (&next.key.nonce, &next.key.ciphertext) == (&row.key.nonce, &row.key.ciphertext);
            let key = if is_same { key.clone() } else { again(&next.key) };
            Box::new(Successor { key, ..*next })
        });
        let row = SealedRow { tenant: row.tenant, epoch: row.epoch, key, successor };
        Resealed { row, key_id }
    }
}

//! Examines a backup, and restores it into a store that holds nothing.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::super::actor::{Actor, NotAllowed, Role, require};
use crate::batch::TenantId;
use crate::batch::restored::Restore;
use crate::clock::Clock;
use crate::config::Config;
use crate::store::audit::{AuditAction, AuditEntry, AuditSubject};
use crate::store::connections::ConnectionRow;
use crate::store::portable::{self, BackupFault, Contents, FillError, Filled, Target};
use crate::store::{Store, StoreError, StoreHealth};
use crate::tenants::{KeyError, Keyring, open_keyring};

pub use crate::store::portable::{Contents as BackupContents, Target as RestoreTarget};

/// What was found in a backup, and what a restore would do.
#[derive(Debug)]
pub struct Examined {
    /// What it holds.
    pub contents: Contents,
    /// Where it would be restored.
    pub place: String,
    /// What is there now.
    pub target: Target,
    /// The tenants with connections.
    pub tenants: usize,
    /// The tenants whose API keys the master key does not decrypt.
    pub unreadable_keys: Vec<TenantId>,
}

/// Why a backup cannot be restored, or examined.
#[derive(Debug, thiserror::Error)]
pub enum RestoringError {
    /// The person lacks the role.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// Nothing would be looked up.
    #[error("the time until which batches are looked up is over already")]
    Over,
    /// The store holds something.
    #[error("{place} is not empty: its table `{table}` has rows")]
    NotEmpty {
        /// Which store it is.
        place: String,
        /// A table that has rows.
        table: String,
    },
    /// What was written is not what was read.
    #[error("the table `{0}` has other rows after it was written than before")]
    Differs(String),
    /// There is no room to try the backup.
    #[error("{0}")]
    NoRoom(String),
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] BackupFault),
    /// The master key cannot be used, or is not that of the backup.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<FillError> for RestoringError {
    fn from(error: FillError) -> Self {
        match error {
            FillError::NotEmpty { place, table } => Self::NotEmpty { place, table },
            FillError::Differs(table) => Self::Differs(table),
            FillError::File(error) => Self::File(error),
            FillError::Store(error) => Self::Store(error),
        }
    }
}

/// A folder that is removed at the end.
struct TrialFolder(PathBuf);

impl TrialFolder {
    fn create() -> Result<Self, RestoringError> {
        let folder = std::env::temp_dir().join(format!("testmo-courier-{}", Uuid::now_v7().simple()));
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let failed = |error| RestoringError::NoRoom(format!("{} cannot be created ({error})", folder.display()));
        builder.create(&folder).map_err(failed)?;
        Ok(Self(folder))
    }
}

impl Drop for TrialFolder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Examines a backup: reads all of it, puts it into a temporary store to see whether this version can read every row and the
/// master key decrypts the API keys, and examines the place where it would be restored. Changes nothing there.
///
/// # Errors
/// When the person lacks the role of an admin, or the backup cannot be restored whatever is at that place.
pub async fn check(config: &Config, file: &Path, actor: &Actor) -> Result<Examined, RestoringError> {
    require(actor, Role::Admin)?;
    let contents = portable::contents(file)?;
    let folder = TrialFolder::create()?;
    let trial = portable::trial(&config.store, &folder.0, file).await?;
    let store = Store::open(&trial, false, Clock::system()).await?;
    let keys = keys(&store, &config.keys.master_key_file).await;
    store.close().await;
    let (tenants, unreadable_keys) = keys?;
    let target = portable::target(&config.store).await?;
    Ok(Examined { contents, place: portable::place_name(&config.store), target, tenants, unreadable_keys })
}

/// Returns how many tenants have connections, and those whose keys do not decrypt.
async fn keys(store: &Store, file: &Path) -> Result<(usize, Vec<TenantId>), RestoringError> {
    let keyring = open_keyring::<RestoringError>(store, file).await?;
    let rows = store.connections().await?;
    let fails =
        |row: &&crate::store::connections::ConnectionRow| keyring.open(&row.tenant, &row.origin, &row.key).is_err();
    let unreadable = rows.iter().filter(fails).map(|row| row.tenant.clone()).collect();
    Ok((rows.len(), unreadable))
}

/// Restores a backup into a store that holds nothing, and notes that the store was restored from a copy of the time at which
/// the backup began. Batches that arrive until `until`, in milliseconds since 1970, are looked up; by default for as long as
/// the store keeps batches. If the process ends before, no worker uses the store, and the restore can be repeated.
///
/// # Errors
/// When the person lacks the role of an admin, the backup or the store cannot be used, the store holds something, or the
/// master key is not that of the backup.
pub async fn restore(
    config: &Config,
    file: &Path,
    until: Option<i64>,
    actor: &Actor,
    because: Option<&str>,
) -> Result<(Contents, Restore), RestoringError> {
    require(actor, Role::Admin)?;
    let clock = Clock::system();
    let retention = i64::try_from(config.store.retention.as_millis()).unwrap_or(i64::MAX);
    if until.is_some_and(|until| until <= clock.now()) {
        return Err(RestoringError::Over);
    }
    let contents = portable::contents(file)?;
    require_key(config, &contents)?;
    let until = until.unwrap_or_else(|| clock.now().saturating_add(retention));
    let mut filled = portable::fill(&config.store, file).await?;
    if let Err(error) = usable(&mut filled, config).await {
        filled.leave().await;
        return Err(error);
    }
    let entry = AuditEntry::new(actor, AuditAction::RestoreStore, AuditSubject::named("store")).because(because);
    Ok((contents, filled.note(&clock, until, entry).await?))
}

/// Checks that this version can read what was restored, and that the master key decrypts an API key of it, if there is one.
async fn usable(filled: &mut Filled, config: &Config) -> Result<(), RestoringError> {
    filled.require_readable().await?;
    let keyring = Keyring::load(&config.keys.master_key_file)?;
    let rows = filled.connections().await?;
    // While the master key was being replaced, some may need the other one.
    let opens = |row: &ConnectionRow| keyring.open(&row.tenant, &row.origin, &row.key).is_ok();
    if rows.is_empty() || rows.iter().any(opens) {
        return Ok(());
    }
    Err(KeyError::OtherMasterKey(config.keys.master_key_file.clone()).into())
}

/// Checks that the master key is the one that the backup names. While a backup's master key was being replaced, either of
/// two may be.
fn require_key(config: &Config, contents: &Contents) -> Result<(), RestoringError> {
    let keyring = Keyring::load(&config.keys.master_key_file)?;
    let is_between = contents.tables.get("master_key_rotation").is_some_and(|sum| sum.rows > 0);
    match &contents.master_key {
        Some(id) if !is_between && !keyring.knows(id) => {
            Err(KeyError::OtherMasterKey(config.keys.master_key_file.clone()).into())
        }
        Some(_) | None => Ok(()),
    }
}

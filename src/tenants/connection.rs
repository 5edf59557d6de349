//! Finds the connection of a tenant in the store, decrypts its key, and remembers it for a moment.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::keyring::Keyring;
use super::master_key::KeyError;
use super::verify::Examined;
use crate::batch::message::similar::similar;
use crate::batch::render::kinds::FieldKinds;
use crate::batch::render::mapping::Mapping;
use crate::batch::{Reason, TenantId};
use crate::guard::lock;
use crate::store::audit::AuditEntry;
use crate::store::connections::{ConnectionRow, SealedKey, Verification, WriteOutcome};
use crate::store::{Storage, StoreError};
use crate::testmo::{Access, AddressPolicy};

/// How long a connection is remembered. A claim checks its version, so an outdated one does no harm.
const REMEMBERED: Duration = Duration::from_secs(1);

/// How long it is remembered which tenants have a connection: it is asked for each tenant that has none.
const CONNECTED_REMEMBERED: Duration = Duration::from_secs(10);
/// Among so many tenants one that a message means is searched for.
const MOST_CONNECTED: u32 = 10_000;

/// A verified connection.
#[derive(Debug)]
pub struct Connection {
    /// The tenant.
    pub tenant: TenantId,
    /// A hash of its content.
    pub version: String,
    /// The epoch of its row when it was read: results about the connection are recorded only if the epoch is still the
    /// same.
    pub epoch: u64,
    /// The origin and the key.
    pub access: Access,
    /// The project.
    pub project: u64,
    /// The tenant's folder.
    pub folder: u64,
    /// How cases are rendered for Testmo.
    pub mapping: Mapping,
    /// The custom fields that the project is known to have.
    pub fields: FieldKinds,
}

/// Whether a tenant has a connection that may be used.
#[derive(Clone, Debug)]
pub enum Resolution {
    /// A connection that may be used.
    Ready(Arc<Connection>),
    /// No connection may be used.
    NotReady {
        /// The reason.
        reason: Reason,
        /// The detail of the reason.
        detail: Option<String>,
        /// The version that may not be used, if there is one.
        version: Option<String>,
    },
}

/// The reason why a tenant's connection could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The tenants that have a connection, and when they were read.
type Connected = (Instant, Arc<Vec<TenantId>>);

/// The tenants' connections.
#[derive(Clone, Debug)]
pub struct Tenants {
    store: Arc<dyn Storage>,
    keyring: Keyring,
    policy: AddressPolicy,
    remembered: Arc<Mutex<HashMap<TenantId, (Instant, Resolution)>>>,
    connected: Arc<Mutex<Option<Connected>>>,
}

impl Tenants {
    /// Returns the connections in a store, whose keys are encrypted with `keyring`.
    pub fn new(store: Arc<dyn Storage>, keyring: Keyring, policy: AddressPolicy) -> Self {
        Self { store, keyring, policy, remembered: Arc::default(), connected: Arc::default() }
    }

    /// Reads the connection of a tenant, if one may be used.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn resolve(&self, tenant: &TenantId) -> Result<Resolution, ResolveError> {
        if let Some(resolution) = self.recall(tenant) {
            return Ok(resolution);
        }
        let resolution = match self.store.connection(tenant).await? {
            None => {
                let known = self.connected().await?;
                let meant = similar(tenant, &known).map(|meant| format!("Did you mean `{meant}`?"));
                Resolution::NotReady { reason: Reason::UnknownTenant, detail: meant, version: None }
            }
            Some(row) => {
                self.learn_key_of(&row).await?;
                self.resolution_of(row)
            }
        };
        let mut remembered = lock(&self.remembered);
        remembered.retain(|_, (at, _)| at.elapsed() < REMEMBERED);
        remembered.insert(tenant.clone(), (Instant::now(), resolution.clone()));
        Ok(resolution)
    }

    /// Returns the tenants that have a connection.
    async fn connected(&self) -> Result<Arc<Vec<TenantId>>, StoreError> {
        let remembered = lock(&self.connected).clone();
        if let Some((_, tenants)) = remembered.filter(|(at, _)| at.elapsed() < CONNECTED_REMEMBERED) {
            return Ok(tenants);
        }
        let tenants = Arc::new(self.store.connected_tenants(MOST_CONNECTED).await?);
        *lock(&self.connected) = Some((Instant::now(), tenants.clone()));
        Ok(tenants)
    }

    /// Forgets what is remembered of a tenant, because it has changed.
    pub fn forget(&self, tenant: &TenantId) {
        lock(&self.remembered).remove(tenant);
    }

    /// Forgets that a tenant was not ready, because batches that waited for its connection are due now.
    pub fn forget_unready(&self, tenant: &TenantId) {
        let mut remembered = lock(&self.remembered);
        if matches!(remembered.get(tenant), Some((_, Resolution::NotReady { .. }))) {
            remembered.remove(tenant);
        }
    }

    fn recall(&self, tenant: &TenantId) -> Option<Resolution> {
        let remembered = lock(&self.remembered);
        let (at, resolution) = remembered.get(tenant)?;
        (at.elapsed() < REMEMBERED).then(|| resolution.clone())
    }

    fn resolution_of(&self, row: ConnectionRow) -> Resolution {
        let not_ready = |reason, detail| Resolution::NotReady { reason, detail, version: Some(row.version.clone()) };
        if !row.is_verified() {
            return match &row.finding {
                Some(Verification::Fails { reason, detail }) => not_ready(*reason, Some(detail.clone())),
                Some(Verification::Works { .. }) | None => not_ready(Reason::Unverified, None),
            };
        }
        let Some(mapping) = row.resolved.clone() else {
            return not_ready(Reason::Unverified, Some("the names in the mapping are not resolved yet".into()));
        };
        match self.access(&row) {
            Ok(access) => Resolution::Ready(Arc::new(Connection {
                tenant: row.tenant,
                version: row.version,
                epoch: row.epoch,
                access,
                project: row.project,
                folder: row.folder,
                mapping,
                fields: row.fields,
            })),
            Err((reason, detail)) => not_ready(reason, Some(detail)),
        }
    }

    /// Returns the checked origin of a stored connection and its key.
    ///
    /// # Errors
    /// When the origin is not allowed any more, or the key cannot be decrypted for it.
    pub fn access(&self, row: &ConnectionRow) -> Result<Access, (Reason, String)> {
        let origin = self.policy.check(&row.origin).map_err(|refused| (Reason::AddressRefused, refused.to_string()))?;
        let key = self.keyring.open(&row.tenant, origin.as_str(), &row.key);
        let key = key.map_err(|error: KeyError| (Reason::Unverified, error.to_string()))?;
        Ok(Access { origin, key })
    }

    /// Learns the master key that replaces the former one, if a connection's API key is encrypted with one that is not known:
    /// from the store, or from its file once the former one is given up.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn learn_key_of(&self, row: &ConnectionRow) -> Result<(), StoreError> {
        let keys = [Some(&row.key), row.successor.as_ref().map(|next| &next.key)];
        let is_known = |key: &SealedKey| key.key_id.is_empty() || self.keyring.knows(&key.key_id);
        if keys.into_iter().flatten().all(is_known) {
            return Ok(());
        }
        self.refresh_keys().await?;
        for key in keys.into_iter().flatten().filter(|key| !is_known(key)) {
            self.keyring.learn_from_file(&key.key_id);
        }
        Ok(())
    }

    /// Learns the master key that replaces the former one, if one does, and encrypts with it from now on.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn refresh_keys(&self) -> Result<(), StoreError> {
        if let Some(wrapped) = self.store.wrapped_master_key().await? {
            self.keyring.learn(&wrapped);
        }
        Ok(())
    }

    /// Records the result of verifying a stored connection. If names in its mapping now mean something else, the
    /// connection gets another version. A connection that has changed since `row` was read is not changed. The entries of the
    /// audit, of a person who has asked for it, are stored with the result.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn note(
        &self,
        row: &ConnectionRow,
        examined: &Examined,
        audit: &[AuditEntry],
    ) -> Result<WriteOutcome, StoreError> {
        let Examined { finding, mapping, fields, .. } = examined;
        let other = mapping.as_ref().filter(|mapping| row.resolved.as_ref() != Some(mapping));
        let written = match (other, self.access(row)) {
            (Some(mapping), Ok(access)) => {
                let version = self.version_of(&access, row.project, row.folder, &row.mapping, Some(mapping));
                let successor = row.successor.clone().map(|next| Box::new(next.replacing(&version)));
                let fields = fields.clone().unwrap_or_else(|| row.fields.clone());
                let renewed =
                    ConnectionRow { version, resolved: Some(mapping.clone()), fields, successor, ..row.clone() };
                self.store.set_connection_by(&renewed.judged(finding.clone(), self.store.now()), audit).await?
            }
            (Some(_) | None, _) => {
                if let Some(fields) = fields.as_ref().map(|listed| row.fields.renewed(listed.clone()))
                    && fields != row.fields
                {
                    self.store.note_fields(&row.tenant, &row.version, row.epoch, &fields).await?;
                }
                self.store.record_verification_by((&row.tenant, &row.version, row.epoch), finding, audit).await?
            }
        };
        self.forget(&row.tenant);
        Ok(written)
    }

    pub(super) fn store(&self) -> &dyn Storage {
        &*self.store
    }

    /// Returns the keyring that encrypts the API keys.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Returns which addresses are allowed.
    pub fn policy(&self) -> &AddressPolicy {
        &self.policy
    }
}

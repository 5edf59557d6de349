//! Enters or changes a connection, verifies it and stores it with the result.

mod error;
mod input;

use secrecy::SecretString;

pub use self::error::{KeyNeeded, Part, SetError};
pub use self::input::{ConnectionInput, Expiry, clean_key};
use self::input::{expires_on, target};
use super::super::context::AppContext;
use super::super::time::day_of;
use crate::batch::TenantId;
use crate::batch::render::mapping_spec::MappingSpec;
use crate::store::connections::{ConnectionRow, Verification};
use crate::store::{ConnectionStore, StoreHealth};
use crate::tenants::{Candidate, Entered, Examined};
use crate::testmo::{Access, Origin};

/// A connection that is complete but for its API key.
#[derive(Debug)]
pub struct Prepared {
    tenant: TenantId,
    stored: Option<ConnectionRow>,
    origin: Origin,
    project: u64,
    folder: u64,
    expires_on: Option<String>,
    mapping: MappingSpec,
    new_api_key: bool,
}

/// A connection that is stored.
#[derive(Debug)]
pub struct Saved {
    /// The connection.
    pub row: ConnectionRow,
    /// Whether it works.
    pub finding: Verification,
    /// Labels of required fields that its mapping does not fill.
    pub unfilled: Vec<String>,
    /// Whether another API key was kept before.
    pub replaces_key: bool,
}

/// Completes what is entered with what is stored, and checks it.
///
/// # Errors
/// When it is not complete, or a part of it is refused.
pub async fn prepare(context: &AppContext, input: ConnectionInput) -> Result<Prepared, SetError> {
    let stored = context.store.connection(&input.tenant).await?;
    let today = day_of(context.store.now());
    let (base_url, project, folder) = target(&input, stored.as_ref())?;
    let origin = context.tenants.policy().check(&base_url);
    let origin = origin.map_err(|refused| SetError::Address { base_url, refused })?;
    let expires_on = expires_on(&input, stored.as_ref(), today)?;
    let kept = || stored.as_ref().map(|row| row.mapping.clone()).unwrap_or_default();
    let mapping = input.mapping.unwrap_or_else(kept);
    let ConnectionInput { tenant, new_api_key, .. } = input;
    Ok(Prepared { tenant, stored, origin, project, folder, expires_on, mapping, new_api_key })
}

impl Prepared {
    /// Returns why an API key has to be entered; nothing if the kept one can be used.
    pub fn key_needed(&self) -> Option<KeyNeeded> {
        match &self.stored {
            Some(row) if row.origin != self.origin.as_str() => Some(KeyNeeded::AddressChanged),
            Some(_) if !self.new_api_key => None,
            Some(_) | None => Some(KeyNeeded::NotKept),
        }
    }

    /// Verifies the connection, and stores it with the result; `key` is the API key where one has to be entered.
    ///
    /// # Errors
    /// When the key is missing, the connection was changed in between, or Testmo or the store cannot be used.
    pub async fn save(self, context: &AppContext, key: Option<SecretString>) -> Result<Saved, SetError> {
        let replaces_key = key.is_some() && self.stored.is_some();
        let access = self.access(context, key)?;
        let (tenants, client) = (&context.tenants, context.client()?);
        let (target, mapping) = ((self.project, self.folder), &self.mapping);
        let candidate = Candidate { access: &access, target, mapping, paused_with: None };
        let examined = tenants.examine(&client, candidate).await?;
        let row = self.store(context, &access, &examined).await?;
        let finding = row.finding.clone().unwrap_or(examined.finding);
        Ok(Saved { row, finding, unfilled: examined.unfilled, replaces_key })
    }

    fn access(&self, context: &AppContext, key: Option<SecretString>) -> Result<Access, SetError> {
        match (key, self.key_needed(), &self.stored) {
            (Some(key), _, _) => Ok(Access { origin: self.origin.clone(), key }),
            (None, Some(needed), _) => Err(needed.into()),
            (None, None, Some(row)) => context.tenants.access(row).map_err(|(_, why)| SetError::KeptKey(why)),
            (None, None, None) => Err(KeyNeeded::NotKept.into()),
        }
    }

    /// Stores the connection; what a worker has found out about it in between does not matter.
    async fn store(
        &self,
        context: &AppContext,
        access: &Access,
        examined: &Examined,
    ) -> Result<ConnectionRow, SetError> {
        let store = &context.store;
        let mut stored = self.stored.clone();
        loop {
            let entered = self.entered(stored.as_ref(), access, examined);
            let row = context.tenants.enter(entered)?.judged(examined.finding.clone(), store.now());
            let row = self.with_newer_result(row, stored.as_ref());
            if store.set_connection(&row).await?.is_done() {
                return Ok(row);
            }
            let present = store.connection(&self.tenant).await?;
            let same = present.filter(|row| stored.as_ref().is_some_and(|stored| row.is_entered_as(stored)));
            stored = Some(same.ok_or_else(|| SetError::Changed(self.tenant.clone()))?);
        }
    }

    fn entered(&self, stored: Option<&ConnectionRow>, access: &Access, examined: &Examined) -> Entered {
        // What the names in the mapping stood for holds until Testmo says otherwise.
        let same = stored.filter(|row| row.origin == access.origin.as_str() && row.project == self.project);
        let kept = || same.filter(|row| row.mapping == self.mapping)?.resolved.clone();
        Entered {
            tenant: self.tenant.clone(),
            access: access.clone(),
            expires_on: self.expires_on.clone(),
            project: self.project,
            folder: self.folder,
            mapping: self.mapping.clone(),
            resolved: examined.mapping.clone().or_else(kept),
        }
    }

    /// Takes over the result of a worker that has verified the same content since, and the epoch of what is stored.
    fn with_newer_result(&self, row: ConnectionRow, stored: Option<&ConnectionRow>) -> ConnectionRow {
        let Some(stored) = stored else { return ConnectionRow { epoch: 0, ..row } };
        let checked_before = self.stored.as_ref().and_then(|row| row.checked_at);
        let row = ConnectionRow { epoch: stored.epoch, ..row };
        if stored.version != row.version || stored.checked_at == checked_before {
            return row;
        }
        let ConnectionRow { verified_version, verified_at, checked_at, finding, .. } = stored.clone();
        ConnectionRow { verified_version, verified_at, checked_at, finding, ..row }
    }
}

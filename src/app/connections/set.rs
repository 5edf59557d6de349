//! Enters or changes a connection, verifies it and stores it with the result.

use jiff::civil::Date;
use secrecy::SecretString;

use super::super::context::AppContext;
use super::super::time::{day_of, days_left};
use crate::batch::TenantId;
use crate::batch::render::mapping_spec::MappingSpec;
use crate::store::StoreError;
use crate::store::connections::{ConnectionRow, Verification};
use crate::tenants::{Entered, Examined, KeyError};
use crate::testmo::{Access, AddressRefused, NoClient, Origin};

/// What a person enters; what is left out stays as it is stored.
#[derive(Debug)]
pub struct ConnectionInput {
    /// Whose connection it is.
    pub tenant: TenantId,
    /// The address of the Testmo instance.
    pub base_url: Option<String>,
    /// The id of the project.
    pub project: Option<u64>,
    /// The id of the folder.
    pub folder: Option<u64>,
    /// When the API key expires.
    pub expires: Expiry,
    /// How cases become Testmo's.
    pub mapping: Option<MappingSpec>,
    /// Whether an API key is entered even where one is kept.
    pub new_key: bool,
}

/// What a person says about the day on which the API key expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Nothing: it stays as it is stored.
    Kept,
    /// That the key does not expire, or that it is not known when.
    None,
    /// That it expires on this day.
    On(Date),
}

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
    new_key: bool,
}

/// Why an API key has to be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyNeeded {
    /// A kept key is only ever used for the address that it was entered for.
    #[error("changing the address means entering the API key again")]
    AddressChanged,
    /// No key is kept, or a new one is to be entered.
    #[error("the API key is needed")]
    NotKept,
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

/// A part without which a new connection is not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The address of the Testmo instance.
    BaseUrl,
    /// The project.
    Project,
    /// The folder.
    Folder,
}

/// Why a connection is not stored.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// The tenant is new and its connection is not complete.
    #[error("{tenant} is new and lacks {parts:?}")]
    Incomplete {
        /// The tenant.
        tenant: TenantId,
        /// What is missing.
        parts: Vec<Part>,
    },
    /// API keys are not sent to this address.
    #[error("{base_url} is refused")]
    Address {
        /// The address.
        base_url: String,
        /// Why, and what to do.
        refused: AddressRefused,
    },
    /// The API key expires on a day that is past.
    #[error("the API key would have expired already, on {0}")]
    Expired(String),
    /// The kept API key cannot be used.
    #[error("{0}")]
    KeptKey(String),
    /// An API key has to be entered.
    #[error(transparent)]
    KeyNeeded(#[from] KeyNeeded),
    /// Somebody else has entered another connection in between.
    #[error("the connection of {0} was changed meanwhile, so nothing was saved")]
    Changed(TenantId),
    /// The API key cannot be encrypted.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Testmo cannot be asked.
    #[error(transparent)]
    Client(#[from] NoClient),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
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
    let ConnectionInput { tenant, new_key, .. } = input;
    Ok(Prepared { tenant, stored, origin, project, folder, expires_on, mapping, new_key })
}

/// Returns where cases go: address, project and folder.
fn target(input: &ConnectionInput, stored: Option<&ConnectionRow>) -> Result<(String, u64, u64), SetError> {
    let base_url = input.base_url.clone().or_else(|| stored.map(|row| row.origin.clone()));
    let project = input.project.or(stored.map(|row| row.project));
    let folder = input.folder.or(stored.map(|row| row.folder));
    match (base_url, project, folder) {
        (Some(base_url), Some(project), Some(folder)) => Ok((base_url, project, folder)),
        (base_url, project, folder) => {
            let parts = [
                (Part::BaseUrl, base_url.is_none()),
                (Part::Project, project.is_none()),
                (Part::Folder, folder.is_none()),
            ];
            let parts = parts.iter().filter(|(_, lacks)| *lacks).map(|(part, _)| *part).collect();
            Err(SetError::Incomplete { tenant: input.tenant.clone(), parts })
        }
    }
}

/// Returns the day on which the key expires; one that is past cannot be entered, nor kept for a new key.
fn expires_on(
    input: &ConnectionInput,
    stored: Option<&ConnectionRow>,
    today: Date,
) -> Result<Option<String>, SetError> {
    let (day, is_entered) = match input.expires {
        Expiry::None => return Ok(None),
        Expiry::On(day) => (Some(day.to_string()), true),
        Expiry::Kept => (stored.and_then(|row| row.expires_on.clone()), input.new_key),
    };
    let is_past = day.as_deref().and_then(|day| days_left(day, today)).is_some_and(|days| days < 0);
    match day {
        Some(day) if is_past && is_entered => Err(SetError::Expired(day)),
        day => Ok(day),
    }
}

impl Prepared {
    /// Returns why an API key has to be entered; nothing if the kept one can be used.
    pub fn key_needed(&self) -> Option<KeyNeeded> {
        match &self.stored {
            Some(row) if row.origin != self.origin.as_str() => Some(KeyNeeded::AddressChanged),
            Some(_) if !self.new_key => None,
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
        let examined = tenants.examine(&client, &access, self.project, self.folder, &self.mapping).await?;
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

/// Returns a key without the blanks and line breaks that were copied with it.
pub fn clean_key(text: &str) -> SecretString {
    Entered::clean_key(text)
}

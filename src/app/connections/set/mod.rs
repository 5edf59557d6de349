//! Enters or changes a connection, verifies it and stores it with the result.

mod error;
mod input;
mod key;
mod release;

use jiff::civil::Date;
use secrecy::SecretString;

pub use self::error::{KeyNeeded, Part, SetError};
pub use self::input::{ConnectionInput, Expiry, clean_key};
use self::input::{Target, target};
use self::key::{KeyChoice, KeyInUse};
use self::release::release;
use super::super::actor::{Actor, Role, require};
use super::super::context::AppContext;
use super::super::time::day_of;
use super::entries::{self, KeyChange};
use super::lookup::similar_to;
use super::source::require_in_store;
use crate::batch::TenantId;
use crate::batch::render::mapping_spec::MappingSpec;
pub use crate::store::connections::Difference;
use crate::store::connections::{ConnectionRow, FileSource, Verification};
use crate::store::{ConnectionStore, StoreHealth};
use crate::tenants::{Candidate, Entered, Examined};
use crate::testmo::{Access, Origin, without_credentials};

/// A connection that is complete but for its API key.
#[derive(Debug)]
pub struct Prepared {
    tenant: TenantId,
    stored: Option<ConnectionRow>,
    /// What was entered last, whether or not it is in force.
    latest: Option<ConnectionRow>,
    origin: Origin,
    project: u64,
    folder: u64,
    expires: Expiry,
    mapping: MappingSpec,
    new_api_key: bool,
    unused: Vec<(Part, u64, u64)>,
    carried: Vec<Difference>,
    similar: Option<TenantId>,
    source: Option<FileSource>,
}

/// Whether a connection that was entered is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// It was verified and is in force.
    InForce,
    /// It does not work, and the connection that was verified before stays in force.
    BesideVerified,
    /// It does not work, and no other is in force.
    Unverified,
}

/// A connection that was verified and, unless it was only tried, stored.
#[derive(Debug)]
pub struct Saved {
    /// What is stored for the tenant: the connection, or the one in force with what was entered as its successor.
    pub row: ConnectionRow,
    /// Whether what was entered is used.
    pub force: Force,
    /// Whether what was entered works.
    pub finding: Verification,
    /// Labels of required fields that its mapping does not fill.
    pub unfilled: Vec<String>,
    /// Whether another API key was replaced by one that works.
    pub replaced_key: bool,
    /// Whether the day on which the former key expires was dropped, as it says nothing of the new one.
    pub dropped_expiry: bool,
    /// What of the last change, which was not in force, is part of what was entered.
    pub carried: Vec<Difference>,
    /// Whether it is stored.
    pub is_saved: bool,
}

/// Completes what is entered with what is stored, and checks it.
///
/// # Errors
/// When it is not complete, a part of it is refused, or connections are kept in files and this comes from none.
pub async fn prepare(context: &AppContext, input: ConnectionInput) -> Result<Prepared, SetError> {
    if input.source.is_none() {
        require_in_store(&context.config.tenants, &input.tenant)?;
    }
    let stored = context.store.connection(&input.tenant).await?;
    context.tenants.refresh_keys().await?;
    let latest = stored.as_ref().map(|row| if input.discard_change { in_force(row) } else { latest(row) });
    let similar = if stored.is_none() { similar_to(&context.store, &input.tenant).await? } else { None };
    input.expires.check(day_of(context.store.now()))?;
    let policy = context.tenants.policy();
    let read = |text: &String| {
        policy.read(text).map_err(|refused| SetError::Address { base_url: without_credentials(text), refused })
    };
    let address = input.base_url.as_ref().map(read).transpose()?;
    let carried = carried(&input, stored.as_ref());
    let target = target(&input, address, latest.as_ref(), policy);
    let Target { origin, project, folder, unused } = target.map_err(|error| error.with_meant(similar.as_ref()))?;
    let kept = || latest.as_ref().map(|row| row.mapping.clone()).unwrap_or_default();
    let mapping = input.mapping.unwrap_or_else(kept);
    let ConnectionInput { tenant, new_api_key, expires, source, .. } = input;
    Ok(Prepared {
        tenant,
        stored,
        latest,
        origin,
        project,
        folder,
        expires,
        mapping,
        new_api_key,
        unused,
        carried,
        similar,
        source,
    })
}

/// Drops the change of a connection that is not in force; returns whether there was one.
///
/// # Errors
/// When the person may not, the connection is kept in a file or was changed in between, or the store does not answer.
pub async fn discard_change(context: &AppContext, actor: &Actor, row: &ConnectionRow) -> Result<bool, SetError> {
    require(actor, Role::Admin)?;
    require_in_store(&context.config.tenants, &row.tenant)?;
    if row.successor.is_none() {
        return Ok(false);
    }
    let kept = in_force(row);
    let written = context.store.set_connection_by(&kept, &[entries::discard_change(actor, row, &kept)]).await?;
    if written.is_done() { Ok(true) } else { Err(SetError::Changed(row.tenant.clone())) }
}

/// Returns what of the last change, which is not in force, stays part of what is entered now.
fn carried(input: &ConnectionInput, stored: Option<&ConnectionRow>) -> Vec<Difference> {
    let change = stored.filter(|_| !input.discard_change).and_then(|row| Some((row.successor.as_ref()?, row)));
    let differences = change.map(|(next, row)| next.differences(row)).unwrap_or_default();
    differences.into_iter().filter(|difference| !input.enters(difference.part)).collect()
}

/// Returns what is in force, without a change that is not.
fn in_force(row: &ConnectionRow) -> ConnectionRow {
    ConnectionRow { successor: None, ..row.clone() }
}

/// Returns what was entered last.
fn latest(row: &ConnectionRow) -> ConnectionRow {
    row.successor.as_ref().map_or_else(|| row.clone(), |next| next.in_place_of(row))
}

impl Prepared {
    /// Returns the connection that is stored now, in whose place this one is stored.
    pub fn stored(&self) -> Option<&ConnectionRow> {
        self.stored.as_ref()
    }

    /// Returns why an API key has to be entered; nothing if the kept one can be used.
    pub fn key_needed(&self) -> Option<KeyNeeded> {
        self.key_choice().needed()
    }

    fn key_choice(&self) -> KeyChoice<'_> {
        let (stored, latest) = (self.stored.as_ref(), self.latest.as_ref());
        KeyChoice { stored, latest, origin: &self.origin, expires: self.expires, is_new: self.new_api_key }
    }

    /// Returns whether exactly this connection is stored with this key, and no change of it waits.
    pub(in super::super) fn is_stored_with(&self, context: &AppContext, key: &SecretString) -> bool {
        let Some(row) = self.stored.as_ref().filter(|row| row.successor.is_none()) else { return false };
        let access = Access { origin: self.origin.clone(), key: key.clone() };
        let expires = self.entered_expiry().map(|day| day.to_string());
        (row.project, row.folder, &row.mapping) == (self.project, self.folder, &self.mapping)
            && row.expires_on == expires
            && context.tenants.has_key(row, &access)
    }

    /// Returns the ids that the entered address names, each with the one that is used in its place.
    pub fn unused_ids(&self) -> &[(Part, u64, u64)] {
        &self.unused
    }

    /// Returns what of the last change, which is not in force, is part of what was entered.
    pub fn carried(&self) -> &[Difference] {
        &self.carried
    }

    /// Returns a tenant of a similar name that has a connection, if this one is new.
    pub fn similar(&self) -> Option<&TenantId> {
        self.similar.as_ref()
    }

    /// Returns the day on which the key expires, as it was entered.
    pub fn entered_expiry(&self) -> Option<Date> {
        match self.expires {
            Expiry::On(day) => Some(day),
            Expiry::Kept | Expiry::None => None,
        }
    }

    /// Verifies the connection, and stores it with the result; `key` is the API key where one has to be entered.
    ///
    /// # Errors
    /// When the person may not, the key is missing, the connection was changed in between, or Testmo or the store cannot be used.
    pub async fn save(self, context: &AppContext, actor: &Actor, key: Option<SecretString>) -> Result<Saved, SetError> {
        self.verify(context, actor, key, true).await
    }

    /// Verifies the connection and returns what would be stored; stores nothing.
    ///
    /// # Errors
    /// When the person may not, the key is missing, or Testmo or the store cannot be used.
    pub async fn try_out(
        self,
        context: &AppContext,
        actor: &Actor,
        key: Option<SecretString>,
    ) -> Result<Saved, SetError> {
        self.verify(context, actor, key, false).await
    }

    async fn verify(
        self,
        context: &AppContext,
        actor: &Actor,
        key: Option<SecretString>,
        save: bool,
    ) -> Result<Saved, SetError> {
        require(actor, Role::Admin)?;
        let key = self.key_choice().made(&context.tenants, key)?;
        let (tenants, client) = (&context.tenants, context.client()?);
        let (target, mapping) = ((self.project, self.folder), &self.mapping);
        let origin = key.access.origin.as_str();
        let in_force = self.stored.as_ref().is_some_and(|row| row.has_worked_with(origin, self.project, mapping));
        let candidate = Candidate { access: &key.access, target, mapping, in_force, paused_with: None };
        let examined = tenants.examine(&client, candidate).await?;
        let written = if save {
            let written = self.store(context, actor, &key, &examined).await?;
            release(context, &self.tenant).await?;
            written
        } else {
            self.row(context, self.stored.as_ref(), &key, &examined)?
        };
        let finding = match (&written.successor, &written.finding) {
            (None, Some(finding)) => finding.clone(),
            (Some(_), _) | (None, None) => examined.finding,
        };
        // The store keeps what was verified while Testmo is only unavailable.
        let present = if save { context.store.connection(&self.tenant).await? } else { None };
        let row = present.unwrap_or(written);
        let force = match (&row.successor, row.is_verified()) {
            (Some(_), true) => Force::BesideVerified,
            (None, true) => Force::InForce,
            (Some(_) | None, false) => Force::Unverified,
        };
        let works = matches!(finding, Verification::Works { .. });
        let replaced_key = works && key.replaces_another;
        let (unfilled, dropped_expiry) = (examined.unfilled, key.dropped_expiry);
        let carried = self.carried;
        Ok(Saved { row, force, finding, unfilled, replaced_key, dropped_expiry, carried, is_saved: save })
    }

    /// Stores the connection; what a worker has found out about it in between does not matter.
    async fn store(
        &self,
        context: &AppContext,
        actor: &Actor,
        key: &KeyInUse,
        examined: &Examined,
    ) -> Result<ConnectionRow, SetError> {
        let store = &context.store;
        let mut stored = self.stored.clone();
        loop {
            let row = self.row(context, stored.as_ref(), key, examined)?;
            let entry = entries::set(actor, stored.as_ref(), &row, self.key_change(context, key));
            if store.set_connection_by(&row, &[entry]).await?.is_done() {
                return Ok(row);
            }
            let present = store.connection(&self.tenant).await?;
            let same = present.filter(|row| stored.as_ref().is_some_and(|stored| row.is_entered_as(stored)));
            stored = Some(same.ok_or_else(|| SetError::Changed(self.tenant.clone()))?);
        }
    }

    /// Returns whether the key is another one than was entered last.
    fn key_change(&self, context: &AppContext, key: &KeyInUse) -> KeyChange {
        let last = self.stored.as_ref().map(latest);
        let is_same = last.is_some_and(|row| context.tenants.has_key(&row, &key.access));
        if is_same { KeyChange::Same } else { KeyChange::Changed }
    }

    /// Returns the row to store in place of what is stored.
    fn row(
        &self,
        context: &AppContext,
        stored: Option<&ConnectionRow>,
        key: &KeyInUse,
        examined: &Examined,
    ) -> Result<ConnectionRow, SetError> {
        let candidate = context.tenants.enter(self.entered(key, examined))?;
        let Some(stored) = stored else {
            let row = candidate.judged(examined.finding.clone(), context.store.now());
            return Ok(ConnectionRow { source: self.source.clone(), ..row });
        };
        let row = context.tenants.succeed(stored, candidate, &examined.finding);
        let row = if row.successor.is_some() { row } else { self.with_newer_result(row, stored) };
        Ok(ConnectionRow { source: self.source.clone(), ..row })
    }

    fn entered(&self, key: &KeyInUse, examined: &Examined) -> Entered {
        // What the names in the mapping stood for holds until Testmo says otherwise.
        let is_there = |row: &&ConnectionRow| row.origin == key.access.origin.as_str() && row.project == self.project;
        let same = self.latest.as_ref().filter(is_there);
        let kept = || same.filter(|row| row.mapping == self.mapping)?.resolved.clone();
        Entered {
            tenant: self.tenant.clone(),
            access: key.access.clone(),
            expires_on: key.expires_on.clone(),
            project: self.project,
            folder: self.folder,
            mapping: self.mapping.clone(),
            resolved: examined.mapping.clone().or_else(kept),
            fields: match (&examined.fields, same) {
                (Some(listed), Some(before)) => before.fields.entered_again(listed.clone()),
                (Some(listed), None) => listed.clone(),
                (None, before) => before.map(|row| row.fields.clone()).unwrap_or_default(),
            },
        }
    }

    /// Takes over the result of a worker that has verified the same content since.
    fn with_newer_result(&self, row: ConnectionRow, stored: &ConnectionRow) -> ConnectionRow {
        let checked_before = self.stored.as_ref().and_then(|row| row.checked_at);
        if stored.version != row.version || stored.checked_at == checked_before {
            return row;
        }
        let ConnectionRow { verified_version, verified_at, checked_at, finding, .. } = stored.clone();
        ConnectionRow { verified_version, verified_at, checked_at, finding, ..row }
    }
}

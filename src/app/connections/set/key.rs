//! Decides which API key a connection uses, and on which day that key expires.

use secrecy::SecretString;

use super::error::{KeyNeeded, SetError};
use super::input::Expiry;
use crate::store::connections::ConnectionRow;
use crate::tenants::Tenants;
use crate::testmo::{Access, Origin};

/// What is known of a connection's key before it is entered.
pub(super) struct KeyChoice<'a> {
    /// What is stored.
    pub(super) stored: Option<&'a ConnectionRow>,
    /// What was entered last, whether or not it is in force.
    pub(super) latest: Option<&'a ConnectionRow>,
    pub(super) origin: &'a Origin,
    pub(super) expires: Expiry,
    /// Whether a key is to be entered even where one is kept.
    pub(super) is_new: bool,
}

/// The API key of a connection that is entered.
pub(super) struct KeyInUse {
    pub(super) access: Access,
    /// The day on which it expires, as `YYYY-MM-DD`.
    pub(super) expires_on: Option<String>,
    /// Whether the stored connection has another key.
    pub(super) replaces_another: bool,
    /// Whether a day is stored that belongs to another key.
    pub(super) dropped_expiry: bool,
}

impl KeyChoice<'_> {
    /// Returns why an API key has to be entered; nothing if the kept one can be used.
    pub(super) fn needed(&self) -> Option<KeyNeeded> {
        match self.latest {
            Some(row) if row.origin != self.origin.as_str() => Some(KeyNeeded::AddressChanged),
            Some(_) if !self.is_new => None,
            Some(_) | None => Some(KeyNeeded::NotKept),
        }
    }

    /// Returns the key to use: the one that is entered, or the kept one. Its day is the one that is entered, or the one that
    /// is stored with this very key.
    pub(super) fn made(&self, tenants: &Tenants, entered: Option<SecretString>) -> Result<KeyInUse, SetError> {
        let access = match (entered, self.needed(), self.latest) {
            (Some(key), _, _) => Access { origin: self.origin.clone(), key },
            (None, Some(needed), _) => return Err(needed.into()),
            (None, None, Some(row)) => tenants.access(row).map_err(|(_, why)| SetError::KeptKey(why))?,
            (None, None, None) => return Err(KeyNeeded::NotKept.into()),
        };
        let has_key = |row: &&ConnectionRow| tenants.has_key(row, &access);
        let with_this_key = [self.latest, self.stored].into_iter().flatten().find(has_key);
        let replaces_another = self.stored.is_some_and(|row| !has_key(&row));
        let expires_on = match self.expires {
            Expiry::None => None,
            Expiry::On(day) => Some(day.to_string()),
            Expiry::Kept => with_this_key.and_then(|row| row.expires_on.clone()),
        };
        let has_day = self.latest.is_some_and(|row| row.expires_on.is_some());
        let dropped_expiry = self.expires == Expiry::Kept && with_this_key.is_none() && has_day;
        Ok(KeyInUse { access, expires_on, replaces_another, dropped_expiry })
    }
}

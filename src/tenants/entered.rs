//! Turns the connection that a person entered for a tenant into a row for the store.

use secrecy::{ExposeSecret, SecretString};

use super::connection::Tenants;
use super::master_key::KeyError;
use crate::batch::render::kinds::FieldKinds;
use crate::batch::render::mapping::Mapping;
use crate::batch::render::mapping_spec::MappingSpec;
use crate::batch::{TenantId, json_of};
use crate::store::connections::ConnectionRow;
use crate::testmo::{Access, unquoted};

/// The connection that a person entered for a tenant.
#[derive(Debug)]
pub struct Entered {
    /// The tenant.
    pub tenant: TenantId,
    /// The checked origin and the key.
    pub access: Access,
    /// The day on which the key expires, as `YYYY-MM-DD`.
    pub expires_on: Option<String>,
    /// The project.
    pub project: u64,
    /// The folder.
    pub folder: u64,
    /// How cases are rendered for Testmo, as written by a person.
    pub mapping: MappingSpec,
    /// The mapping by ids and columns, once these are known; no batch is sent before.
    pub resolved: Option<Mapping>,
    /// The custom fields that the project is known to have.
    pub fields: FieldKinds,
}

impl Entered {
    /// Returns a key without what was copied with it: blanks, line breaks, quotes, and the words of a request's header.
    pub fn clean_key(text: &str) -> SecretString {
        let mut key = unquoted(text);
        for word in ["authorization:", "bearer "] {
            if key.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)) {
                key = unquoted(&key[word.len()..]);
            }
        }
        SecretString::from(key)
    }
}

impl Tenants {
    /// Makes a row for the store from an entered connection, with the key encrypted; the row is not yet verified and
    /// has the epoch of a new row.
    ///
    /// # Errors
    /// When the key cannot be encrypted.
    pub fn enter(&self, entered: Entered) -> Result<ConnectionRow, KeyError> {
        let Entered { tenant, access, expires_on, project, folder, mapping, resolved, fields } = entered;
        let version = self.version_of(&access, project, folder, &mapping, resolved.as_ref());
        let key = self.keyring().seal(&tenant, access.origin.as_str(), &access.key)?;
        Ok(ConnectionRow {
            tenant,
            version,
            origin: access.origin.as_str().to_owned(),
            key,
            expires_on,
            project,
            folder,
            mapping,
            resolved,
            verified_version: None,
            verified_at: None,
            checked_at: None,
            finding: None,
            seen: Default::default(),
            fields,
            last_success_at: None,
            refusal: None,
            successor: None,
            probe: None,
            source: None,
            epoch: 0,
        })
    }

    /// Returns the version of a connection: equal for equal content, and revealing nothing of the key.
    ///
    /// The mapping counts by ids and columns, so that a name that now means another id makes another version. Only a
    /// mapping whose names are not known yet counts as it is written.
    pub(super) fn version_of(
        &self,
        access: &Access,
        project: u64,
        folder: u64,
        spec: &MappingSpec,
        resolved: Option<&Mapping>,
    ) -> String {
        let mapping = match resolved {
            Some(resolved) => json_of(resolved),
            None => format!("written {}", json_of(spec)),
        };
        let parts =
            [access.origin.as_str(), access.key.expose_secret(), &project.to_string(), &folder.to_string(), &mapping];
        self.keyring().keyed_digest(parts.join("\0").as_bytes())[..16].to_owned()
    }
}

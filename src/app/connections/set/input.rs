//! Completes what a person enters for a connection with what is stored.

use jiff::civil::Date;
use secrecy::SecretString;

use super::error::{Part, SetError};
use crate::batch::TenantId;
use crate::batch::render::mapping_spec::MappingSpec;
use crate::store::connections::{ConnectionRow, FileSource};
use crate::tenants::Entered;
use crate::testmo::{AddressPolicy, Origin, TypedAddress};

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
    pub new_api_key: bool,
    /// Whether this replaces the last change, which is not in force, in place of adding to it.
    pub discard_change: bool,
    /// The file that says all this, if it comes from one.
    pub source: Option<FileSource>,
}

impl ConnectionInput {
    /// Returns whether a part is entered, so that its former value does not matter.
    pub(super) fn enters(&self, part: Part) -> bool {
        match part {
            Part::BaseUrl => self.base_url.is_some(),
            Part::Project => self.project.is_some(),
            Part::Folder => self.folder.is_some(),
            Part::ApiKey => self.new_api_key || self.base_url.is_some(),
            Part::Expiry => self.expires != Expiry::Kept,
            Part::Mapping => self.mapping.is_some(),
        }
    }
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

/// Returns a key without what was copied with it, such as blanks, quotes and the word `Bearer`.
pub fn clean_key(text: &str) -> SecretString {
    Entered::clean_key(text)
}

/// Returns where cases go: address, project and folder. The ids that a copied address names are only offered, since they may
/// be those of any page of Testmo.
pub(super) fn target(
    input: &ConnectionInput,
    entered: Option<TypedAddress>,
    stored: Option<&ConnectionRow>,
    policy: &AddressPolicy,
) -> Result<Target, SetError> {
    let named = entered.as_ref().map_or((None, None), |address| (address.project, address.folder));
    let address_of = |row: &ConnectionRow| {
        let refused = |refused| SetError::Address { base_url: row.origin.clone(), refused };
        policy.check(&row.origin).map_err(refused)
    };
    let kept = || stored.map(address_of).transpose();
    let origin = entered.map_or_else(kept, |address| Ok(Some(address.origin)))?;
    let project = input.project.or(stored.map(|row| row.project));
    let folder = input.folder.or(stored.map(|row| row.folder));
    match (origin, project, folder) {
        (Some(origin), Some(project), Some(folder)) => {
            let unused = [(Part::Project, named.0, project), (Part::Folder, named.1, folder)];
            let unused = unused.into_iter().filter_map(|(part, named, used)| Some((part, named?, used)));
            Ok(Target { origin, project, folder, unused: unused.filter(|(_, named, used)| named != used).collect() })
        }
        (origin, project, folder) => {
            let parts = [
                (Part::BaseUrl, origin.is_none()),
                (Part::Project, project.is_none()),
                (Part::Folder, folder.is_none()),
            ];
            let parts = parts.iter().filter(|(_, lacks)| *lacks).map(|(part, _)| *part).collect();
            Err(SetError::Incomplete { tenant: input.tenant.clone(), parts, named, meant: None })
        }
    }
}

/// Where cases go.
#[derive(Debug, PartialEq)]
pub(super) struct Target {
    pub(super) origin: Origin,
    pub(super) project: u64,
    pub(super) folder: u64,
    /// The ids that the entered address names beside those that are used.
    pub(super) unused: Vec<(Part, u64, u64)>,
}

impl Expiry {
    /// Checks that the day is not past.
    pub(super) fn check(self, today: Date) -> Result<(), SetError> {
        match self {
            Self::On(day) if day < today => Err(SetError::Expired(day.to_string())),
            Self::On(_) | Self::Kept | Self::None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    fn input(expires: Expiry, new_api_key: bool) -> ConnectionInput {
        ConnectionInput {
            tenant: "acme".parse().unwrap(),
            base_url: Some("https://acme.testmo.net".into()),
            project: None,
            folder: Some(2),
            expires,
            mapping: None,
            new_api_key,
            discard_change: false,
            source: None,
        }
    }

    #[test]
    fn a_new_connection_needs_address_project_and_folder() {
        let policy = AddressPolicy::new(&load(&Sources::default()).unwrap().testmo);
        let address = |text| Some(policy.read(text).unwrap());
        let copied = "acme.testmo.net/repositories/7?group_id=8";
        let Err(SetError::Incomplete { parts, named, .. }) =
            target(&input(Expiry::Kept, true), address(copied), None, &policy)
        else {
            panic!()
        };
        assert_eq!((parts, named), (vec![Part::Project], (Some(7), Some(8))));
        let complete = ConnectionInput { project: Some(1), ..input(Expiry::Kept, true) };
        let found = target(&complete, address(copied), None, &policy).unwrap();
        assert_eq!((found.origin.as_str(), found.project, found.folder), ("https://acme.testmo.net", 1, 2));
        assert_eq!(found.unused, [(Part::Project, 7, 1), (Part::Folder, 8, 2)]);
        assert_eq!(target(&complete, address("acme.testmo.net"), None, &policy).unwrap().unused, []);
    }

    #[test]
    fn a_day_that_is_past_cannot_be_entered() {
        let today: Date = "2026-11-23".parse().unwrap();
        assert!(Expiry::On(today).check(today).is_ok());
        assert!(matches!(Expiry::On(today.yesterday().unwrap()).check(today), Err(SetError::Expired(_))));
        assert!(Expiry::None.check(today).is_ok() && Expiry::Kept.check(today).is_ok());
    }
}

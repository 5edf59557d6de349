//! Completes what a person enters for a connection with what is stored.

use jiff::civil::Date;
use secrecy::SecretString;

use super::error::{Part, SetError};
use crate::batch::TenantId;
use crate::batch::render::mapping_spec::MappingSpec;
use crate::store::connections::ConnectionRow;
use crate::tenants::Entered;

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

/// Returns a key without the blanks and line breaks that were copied with it.
pub fn clean_key(text: &str) -> SecretString {
    Entered::clean_key(text)
}

/// Returns where cases go: address, project and folder.
pub(super) fn target(input: &ConnectionInput, stored: Option<&ConnectionRow>) -> Result<(String, u64, u64), SetError> {
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

    fn input(expires: Expiry, new_api_key: bool) -> ConnectionInput {
        ConnectionInput {
            tenant: "acme".parse().unwrap(),
            base_url: Some("https://acme.testmo.net".into()),
            project: None,
            folder: Some(2),
            expires,
            mapping: None,
            new_api_key,
        }
    }

    #[test]
    fn a_new_connection_needs_address_project_and_folder() {
        let Err(SetError::Incomplete { parts, .. }) = target(&input(Expiry::Kept, true), None) else { panic!() };
        assert_eq!(parts, [Part::Project]);
        let complete = ConnectionInput { project: Some(1), ..input(Expiry::Kept, true) };
        assert_eq!(target(&complete, None).unwrap(), ("https://acme.testmo.net".into(), 1, 2));
    }

    #[test]
    fn a_day_that_is_past_cannot_be_entered() {
        let today: Date = "2026-11-23".parse().unwrap();
        assert!(Expiry::On(today).check(today).is_ok());
        assert!(matches!(Expiry::On(today.yesterday().unwrap()).check(today), Err(SetError::Expired(_))));
        assert!(Expiry::None.check(today).is_ok() && Expiry::Kept.check(today).is_ok());
    }
}

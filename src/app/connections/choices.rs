//! Reads from which projects and folders a connection can choose: what the key's user sees.

use std::time::Duration;

use secrecy::SecretString;

use super::super::actor::{Actor, NotAllowed, Role, require};
use super::super::context::AppContext;
use super::set::KeyNeeded;
use crate::batch::TenantId;
use crate::batch::verdict::answer::ApiError;
use crate::store::connections::ConnectionRow;
use crate::store::{ConnectionStore, StoreError};
use crate::tenants::{NoPermit, path_of};
use crate::testmo::{Access, AddressRefused, NoClient, ReadError, without_credentials};

/// The longest pause that is waited for between two requests.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many projects, or folders, are offered.
const MOST: usize = 1_000;

/// What a connection can choose from, each by its id and its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// The projects.
    pub projects: Vec<(u64, String)>,
    /// The folders of the project that was named, with their paths.
    pub folders: Vec<(u64, String)>,
}

/// Why the choices cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ChoicesError {
    /// No address is entered or stored.
    #[error("the base URL is missing")]
    NoAddress,
    /// API keys are not sent to this address.
    #[error("{base_url} is not allowed")]
    Address {
        /// The address.
        base_url: String,
        /// Why, and what to do.
        refused: AddressRefused,
    },
    /// An API key has to be entered.
    #[error(transparent)]
    KeyNeeded(#[from] KeyNeeded),
    /// The kept API key cannot be used.
    #[error("{0}")]
    KeptKey(String),
    /// Testmo did not answer with a list.
    #[error("Testmo could not be read: {0}")]
    NotRead(String),
    /// The person lacks the role.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// Testmo cannot be asked.
    #[error(transparent)]
    Client(#[from] NoClient),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads what a connection can choose from, with the key that is entered or the kept one; that one is only used for the address
/// that it was entered for.
///
/// # Errors
/// When the person may not, what is entered is not complete, Testmo cannot be read, or the store does not answer.
pub async fn choices(
    context: &AppContext,
    actor: &Actor,
    tenant: &TenantId,
    (base_url, project): (Option<&str>, Option<u64>),
    key: Option<SecretString>,
) -> Result<Choices, ChoicesError> {
    require(actor, Role::Admin)?;
    let stored = context.store.connection(tenant).await?;
    context.tenants.refresh_keys().await?;
    let access = access(context, stored.as_ref(), base_url, key)?;
    let (client, mut permits) = (context.client()?, context.tenants.permits(access.origin.as_str(), PATIENCE));
    let projects = client.projects(&access, &mut permits).await;
    permits.note(failure(&projects)).await?;
    let projects = projects.map_err(not_read)?.into_iter().map(|item| (item.id, item.name));
    let folders = match project {
        None => Vec::new(),
        Some(project) => {
            let folders = client.folders(&access, project, &mut permits).await;
            permits.note(failure(&folders)).await?;
            match folders {
                // A project that is not there has no folders to choose from.
                Err(ReadError::Failed(ApiError::Missing | ApiError::Forbidden)) => Vec::new(),
                listed => listed.map_err(not_read)?,
            }
        }
    };
    let paths = folders.iter().take(MOST).map(|folder| (folder.id, path_of(&folders, folder.id).unwrap_or_default()));
    Ok(Choices { projects: projects.take(MOST).collect(), folders: paths.collect() })
}

fn access(
    context: &AppContext,
    stored: Option<&ConnectionRow>,
    base_url: Option<&str>,
    key: Option<SecretString>,
) -> Result<Access, ChoicesError> {
    let policy = context.tenants.policy();
    let typed = base_url.or(stored.map(|row| row.origin.as_str())).ok_or(ChoicesError::NoAddress)?;
    let refused = |refused| ChoicesError::Address { base_url: without_credentials(typed), refused };
    let origin = policy.read(typed).map_err(refused)?.origin;
    match (key, stored) {
        (Some(key), _) => Ok(Access { origin, key }),
        (None, None) => Err(KeyNeeded::NotKept.into()),
        (None, Some(row)) if row.origin != origin.as_str() => Err(KeyNeeded::AddressChanged.into()),
        (None, Some(row)) => context.tenants.access(row).map_err(|(_, why)| ChoicesError::KeptKey(why)),
    }
}

fn failure<T>(read: &Result<T, ReadError<NoPermit>>) -> Option<&ApiError> {
    match read {
        Err(ReadError::Failed(error)) => Some(error),
        Err(ReadError::NotPermitted(_)) | Ok(_) => None,
    }
}

fn not_read(error: ReadError<NoPermit>) -> ChoicesError {
    match error {
        ReadError::Failed(error) => ChoicesError::NotRead(error.to_string()),
        ReadError::NotPermitted(NoPermit::Pause(_, why)) => ChoicesError::NotRead(why),
        ReadError::NotPermitted(NoPermit::Store(error)) => error.into(),
    }
}

//! Reads pages of a project's cases, each with a permit, and again while Testmo asks for a pause or fails.

use std::time::Duration;

use crate::batch::TenantId;
use crate::batch::verdict::answer::ApiError;
use crate::store::StoreError;
use crate::tenants::{AccountPermits, NoPermit};
use crate::testmo::{Access, Client, ReadPermits, ShownPage, Shows};

/// The longest pause that is waited for between two pages.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);
/// How often a page is requested that Testmo answers with 429, or with a failure.
const MOST_TRIES: usize = 4;

/// Reads from one project.
#[derive(Debug)]
pub(super) struct CasePages<'a> {
    pub(super) client: &'a Client,
    pub(super) access: &'a Access,
    pub(super) project: u64,
    /// Whose connection it is.
    pub(super) tenant: &'a TenantId,
    pub(super) permits: AccountPermits<'a>,
}

/// Why a page cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageError {
    /// Requests to the account are paused.
    #[error("{0}")]
    Paused(String),
    /// Testmo refuses the connection.
    #[error("the connection of tenant {tenant} cannot be used ({why})")]
    NoAccess {
        /// The tenant.
        tenant: TenantId,
        /// The cause.
        why: String,
    },
    /// The page could not be read.
    #[error("{0}")]
    Failed(String),
    /// Testmo refuses the list as it is requested.
    #[error("Testmo refuses to list the cases of the project")]
    Refused,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CasePages<'_> {
    /// Reads a page.
    pub(super) async fn page(&mut self, shows: Shows, query: &str, number: u64) -> Result<ShownPage, PageError> {
        let mut tried = 0;
        loop {
            tried += 1;
            match self.permits.next().await {
                Ok(()) => {}
                Err(NoPermit::Store(error)) => return Err(error.into()),
                Err(NoPermit::Pause(_, why)) => return Err(PageError::Paused(why)),
            }
            let answered = self.client.shown_cases(self.access, self.project, shows, query, number).await;
            self.permits.note(answered.as_ref().err()).await?;
            match answered {
                Ok(page) => return Ok(page),
                Err(ApiError::Invalid(_) | ApiError::Rejected { .. }) => return Err(PageError::Refused),
                // It may be too large.
                Err(ApiError::Unreadable(_)) if shows.less().is_some() => return Err(PageError::Refused),
                Err(error) if denies_access(&error) => {
                    return Err(PageError::NoAccess { tenant: self.tenant.clone(), why: error.to_string() });
                }
                Err(error) if tried == MOST_TRIES || !is_passing(&error) => {
                    return Err(PageError::Failed(error.to_string()));
                }
                Err(_) => {}
            }
        }
    }
}

/// Returns whether Testmo refuses the key, or what the key may see: no later try succeeds until somebody corrects that.
pub(super) fn denies_access(error: &ApiError) -> bool {
    matches!(error, ApiError::KeyRefused | ApiError::Forbidden | ApiError::Missing)
}

/// Returns whether the same request may succeed a moment later.
pub(super) fn is_passing(error: &ApiError) -> bool {
    matches!(error, ApiError::Throttled { .. } | ApiError::Server { .. } | ApiError::Broken(_) | ApiError::TimedOut)
}

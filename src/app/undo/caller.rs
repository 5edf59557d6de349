//! Sends the requests of an undo, each with a permit.

use std::time::Duration;

use super::error::UndoError;
use crate::batch::verdict::answer::ApiError;
use crate::tenants::{AccountPermits, NoPermit};
use crate::testmo::{Access, Client, ReadPermits, ShownCase, ShownPage};

/// The longest pause that is waited for between two requests.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);
/// How often a page is requested that Testmo answers with 429, or with a failure.
const MOST_TRIES: usize = 4;

/// Sends requests to one project.
#[derive(Debug)]
pub(super) struct Caller<'a> {
    pub(super) client: &'a Client,
    pub(super) access: &'a Access,
    pub(super) project: u64,
    pub(super) permits: AccountPermits<'a>,
    /// Whether pages show what people do with each case.
    pub(super) shows_use: bool,
}

impl Caller<'_> {
    /// Waits for a permit.
    ///
    /// # Errors
    /// When there is none, or the store does not answer.
    pub(super) async fn permit(&mut self) -> Result<(), UndoError> {
        match self.permits.next().await {
            Ok(()) => Ok(()),
            Err(NoPermit::Store(error)) => Err(error.into()),
            Err(NoPermit::Pause(_, why)) => Err(UndoError::Paused(why)),
        }
    }

    /// Reads a page, again while Testmo asks for a pause or fails; `None` if Testmo refuses the list as it is requested.
    ///
    /// # Errors
    /// When it cannot be read, there is no permit, or the store does not answer.
    pub(super) async fn page(&mut self, query: &str, number: u64) -> Result<Option<ShownPage>, UndoError> {
        for tried in 1..=MOST_TRIES {
            self.permit().await?;
            let answered = if self.shows_use {
                self.client.shown_cases_in_use(self.access, self.project, query, number).await
            } else {
                self.client.shown_cases(self.access, self.project, query, number).await
            };
            self.permits.note(answered.as_ref().err()).await?;
            match answered {
                Ok(page) => return Ok(Some(page)),
                Err(ApiError::Invalid(_) | ApiError::Rejected { .. }) => return Ok(None),
                Err(error) if tried == MOST_TRIES || !is_passing(&error) => {
                    return Err(UndoError::Failed(error.to_string()));
                }
                Err(_) => {}
            }
        }
        Err(UndoError::Endless)
    }

    /// Sets fields of cases, once; the permit has been taken.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn set(&mut self, body: String) -> Result<Result<Vec<ShownCase>, ApiError>, UndoError> {
        let answered = self.client.update_cases(self.access, self.project, body).await;
        self.permits.note(answered.as_ref().err()).await?;
        Ok(answered)
    }

    /// Deletes cases, once; the permit has been taken.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn delete(&mut self, ids: &[u64]) -> Result<Result<(), ApiError>, UndoError> {
        let answered = self.client.delete_cases(self.access, self.project, ids).await;
        self.permits.note(answered.as_ref().err()).await?;
        Ok(answered)
    }
}

/// Returns whether the same request may succeed a moment later.
pub(super) fn is_passing(error: &ApiError) -> bool {
    matches!(error, ApiError::Throttled { .. } | ApiError::Server { .. } | ApiError::Broken(_) | ApiError::TimedOut)
}

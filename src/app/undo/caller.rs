//! Sends the requests of an undo, each with a permit.

use super::error::UndoError;
use crate::app::case_pages::{CasePages, PageError};
use crate::batch::verdict::answer::{ApiError, CreateResult};
use crate::tenants::NoPermit;
use crate::testmo::{ReadPermits, ShownCase, ShownPage, Shows};

/// Sends requests to one project.
#[derive(Debug)]
pub(super) struct Caller<'a> {
    pub(super) pages: CasePages<'a>,
    /// What pages show of each case.
    pub(super) shows: Shows,
}

impl Caller<'_> {
    /// Waits for a permit.
    ///
    /// # Errors
    /// When there is none, or the store does not answer.
    pub(super) async fn permit(&mut self) -> Result<(), UndoError> {
        match self.pages.permits.next().await {
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
        let mut read = self.pages.page(self.shows, query, number).await;
        // Histories are of use only afterwards.
        if matches!(read, Err(PageError::Refused))
            && let Some(less) = self.shows.less()
        {
            self.shows = less;
            read = self.pages.page(self.shows, query, number).await;
        }
        match read {
            Ok(page) => Ok(Some(page)),
            Err(PageError::Refused) => Ok(None),
            Err(PageError::Paused(why)) => Err(UndoError::Paused(why)),
            Err(PageError::NoAccess { tenant, why }) => Err(UndoError::NoAccess { tenant, why }),
            Err(PageError::Failed(why)) => Err(UndoError::Failed(why)),
            Err(PageError::Store(error)) => Err(error.into()),
        }
    }

    /// Sets fields of cases, once; the permit has been taken.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn set(&mut self, body: String) -> Result<Result<Vec<ShownCase>, ApiError>, UndoError> {
        let answered = self.pages.client.update_cases(self.pages.access, self.pages.project, body).await;
        self.pages.permits.note(answered.as_ref().err()).await?;
        Ok(answered)
    }

    /// Creates a number of cases, once, and returns their ids in order; the permit has been taken.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn create(&mut self, body: String, cases: usize) -> Result<CreateResult, UndoError> {
        let (client, access, project) = (self.pages.client, self.pages.access, self.pages.project);
        let answered = client.create_cases(access, project, body, vec![false; cases]).await.end;
        self.pages.permits.note(answered.as_ref().err()).await?;
        Ok(answered)
    }

    /// Deletes cases, once; the permit has been taken.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn delete(&mut self, ids: &[u64]) -> Result<Result<(), ApiError>, UndoError> {
        let answered = self.pages.client.delete_cases(self.pages.access, self.pages.project, ids).await;
        self.pages.permits.note(answered.as_ref().err()).await?;
        Ok(answered)
    }
}

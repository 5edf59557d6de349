//! Lists cases of a whole project, whatever folder they are in.

use super::calls::{Past, listed_cases, read};
use super::case_list::CaseList;
use super::client::Client;
use super::order::{NEWEST_FIRST, is_refused};
use super::pages::{ReadError, ReadPermits};
use super::transport::Access;
use crate::batch::ledger::reconcile::Row;
use crate::batch::verdict::answer::ApiError;

/// How often a list is read from which rows vanish meanwhile.
const MOST_TRIES: usize = 3;

impl Client {
    /// Reads the cases of a project that carry any of these tags and are not in the past. A Testmo without this filter
    /// ignores it and lists every case.
    ///
    /// # Errors
    /// When a call fails, an answer reports a failure, or there is no permit for a request.
    pub async fn list_tagged_cases<P: ReadPermits>(
        &self,
        access: &Access,
        project: u64,
        past: Past,
        tags: &[String],
        permits: &mut P,
    ) -> Result<CaseList, ReadError<P::Refused>> {
        let tags = tags.join(",");
        let list = format!("/projects/{project}/cases?per_page=100&expands=tags&tags={tags}{NEWEST_FIRST}");
        let mut requests = 0;
        for _ in 0..MOST_TRIES {
            if let Some(cases) = self.list_once(access, &list, past, &mut requests, permits).await? {
                return Ok(CaseList { requests, ..cases });
            }
        }
        let why = "cases disappeared from the project during each of three attempts to list them";
        Err(ApiError::Unreadable(why.into()).into())
    }

    /// Reads a page of the newest cases of a project, or of any where Testmo does not sort.
    ///
    /// # Errors
    /// When a call fails, an answer reports a failure, or there is no permit for a request.
    pub async fn newest_cases<P: ReadPermits>(
        &self,
        access: &Access,
        project: u64,
        permits: &mut P,
    ) -> Result<Vec<Row>, ReadError<P::Refused>> {
        let path = format!("/projects/{project}/cases?per_page=100&expands=tags");
        let sorted = format!("{path}{NEWEST_FIRST}&page=1");
        match self.page_of_cases(access, &sorted, permits).await {
            Err(error) if is_refused(&error) => self.page_of_cases(access, &path, permits).await,
            listed => listed,
        }
    }

    async fn page_of_cases<P: ReadPermits>(
        &self,
        access: &Access,
        path: &str,
        permits: &mut P,
    ) -> Result<Vec<Row>, ReadError<P::Refused>> {
        permits.next().await.map_err(ReadError::NotPermitted)?;
        Ok(read(self.get(access, path).await?, listed_cases).await?.rows)
    }
}

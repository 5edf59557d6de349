//! Reads a project's cases page by page, each with a permit, and takes in what belongs to the expected cases.

use std::collections::HashMap;

use super::error::CompareError;
use super::expected::Expected;
use super::found::Rows;
use crate::app::case_pages::CasePages;
use crate::batch::written::{CaseIdentity, WrittenFields};
use crate::store::{Store, StoreError, WrittenStore};
use crate::testmo::{NEWEST_FIRST, ShownPage, Shows};

/// The most pages of one list.
const MOST_PAGES: u64 = 20_000;

/// Reads from one project.
pub(super) struct Reader<'a> {
    pub(super) store: &'a Store,
    pub(super) pages: CasePages<'a>,
}

/// How a reading went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// Whether cases were removed meanwhile.
    pub(super) has_shrunk: bool,
}

impl Reader<'_> {
    /// Reads the cases with a tag, which may be all cases where Testmo lacks the filter.
    pub(super) async fn read_tag(
        &mut self,
        expected: &Expected,
        tag: &str,
        rows: &mut Rows,
    ) -> Result<Option<Reading>, CompareError> {
        match self.read(expected, &format!("{NEWEST_FIRST}&tags={tag}"), rows).await {
            Ok(reading) => Ok(Some(reading)),
            Err(CompareError::Refused) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads all cases down to the lowest id that is expected; in Testmo's own order to the end.
    pub(super) async fn read_all(&mut self, expected: &Expected, rows: &mut Rows) -> Result<Reading, CompareError> {
        match self.read(expected, NEWEST_FIRST, rows).await {
            Err(CompareError::Refused) => self.read(expected, "", rows).await,
            read => read,
        }
    }

    async fn read(&mut self, expected: &Expected, query: &str, rows: &mut Rows) -> Result<Reading, CompareError> {
        let (mut reading, mut total, mut last, mut descends) = (Reading::default(), None, u64::MAX, true);
        let mut number = 1;
        for _ in 0..MOST_PAGES {
            let page = self.pages.page(Shows::Fields, query, number).await?;
            reading.has_shrunk |= total.is_some_and(|before| page.total.is_some_and(|now| now < before));
            total = page.total.or(total);
            let remembered = self.remembered(expected, &page).await?;
            for row in &page.cases {
                descends &= row.id <= last;
                last = last.min(row.id);
                rows.take(expected, &page, row, remembered.get(&row.id));
            }
            let is_past = descends && expected.lowest.is_some_and(|lowest| last < lowest);
            match page.next_page {
                Some(next) if !is_past => number = next,
                Some(_) | None => return Ok(reading),
            }
        }
        Err(CompareError::Endless)
    }

    /// Returns what is remembered of the expected cases of a page, by id: unless a later batch has written the case again.
    async fn remembered(
        &self,
        expected: &Expected,
        page: &ShownPage,
    ) -> Result<HashMap<u64, WrittenFields>, StoreError> {
        let identity = |id: u64| {
            let (batch, position) = expected.ids.get(&id)?.last()?;
            expected.batches[*batch].identity(*position)
        };
        let wanted: Vec<CaseIdentity> = page.cases.iter().filter_map(|row| identity(row.id)).collect();
        let known = self.store.written(self.pages.tenant, &wanted).await?;
        Ok(known.into_iter().map(|known| (known.case.testmo_id, known.case.fields)).collect())
    }
}

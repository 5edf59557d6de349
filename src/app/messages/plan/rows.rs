//! Reads the rows of cases that earlier batches wrote, where they were written and by the tags of their batches.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::super::preview_error::PreviewError;
use super::known::Known;
use crate::app::case_pages::{CasePages, PageError};
use crate::testmo::{CasesOf, ShownCase, Shows};

/// The most pages of one list, as by the worker.
const MOST_PAGES: u64 = 1_000;

/// Returns the rows of cases by their ids, as far as they are found, and how many requests that took.
pub(super) async fn read_rows<'k>(
    mut pages: CasePages<'_>,
    sought: impl Iterator<Item = &'k Known>,
    shows: Shows,
) -> Result<(HashMap<u64, ShownCase>, usize), PreviewError> {
    let (mut ids, mut folders, mut tags) = (HashSet::new(), BTreeSet::new(), BTreeSet::new());
    for known in sought {
        ids.insert(known.id);
        folders.insert(known.folder);
        tags.extend(known.tag.clone());
    }
    let (mut rows, mut reads) = (HashMap::new(), 0);
    for list in CasesOf::sought(folders, tags.into_iter()) {
        if ids.is_empty() {
            break;
        }
        let (mut number, mut is_unsorted) = (1, false);
        while number <= MOST_PAGES {
            reads += 1;
            let page = match pages.page(shows, &list.query(is_unsorted), number).await {
                Ok(page) => page,
                Err(PageError::Refused) if !is_unsorted => {
                    (number, is_unsorted) = (1, true);
                    continue;
                }
                // A Testmo without the filter: the rows were sought in their folders.
                Err(PageError::Refused) => break,
                Err(PageError::Store(error)) => return Err(error.into()),
                Err(PageError::NoAccess { tenant, why }) => return Err(PreviewError::NoAccess { tenant, why }),
                Err(error) => {
                    return Err(PreviewError::Cases { tenant: pages.tenant.clone(), error: error.to_string() });
                }
            };
            let lowest = ids.iter().min().copied().unwrap_or(u64::MAX);
            let is_past = !is_unsorted && page.cases.last().is_some_and(|last| last.id < lowest);
            for row in page.cases {
                if ids.remove(&row.id) {
                    rows.insert(row.id, row);
                }
            }
            match page.next_page {
                Some(next) if !is_past && !ids.is_empty() => number = next,
                Some(_) | None => break,
            }
        }
    }
    Ok((rows, reads))
}

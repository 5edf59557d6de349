//! Decides which page of which list is read next, to find rows by their ids.

use std::collections::{BTreeSet, VecDeque};

use crate::testmo::{CasesOf, ShownPage};

/// The most pages of one list.
const MOST_PAGES: u64 = 1_000;

/// Lists that are read one after the other.
#[derive(Clone, Debug)]
pub(super) struct Sweep {
    lists: VecDeque<CasesOf>,
    page: u64,
    is_unsorted: bool,
    /// How many cases the list had on the page before.
    total: Option<u64>,
    /// Whether every folder was read to its end, without getting shorter meanwhile.
    is_complete: bool,
}

impl Sweep {
    /// Returns a sweep through the cases with a batch tag, and through folders.
    pub(super) fn new(tag: &str, folders: BTreeSet<u64>) -> Self {
        let lists = [CasesOf::Tags(vec![tag.to_owned()])].into_iter().chain(folders.into_iter().map(CasesOf::Folder));
        Self { lists: lists.collect(), page: 1, is_unsorted: false, total: None, is_complete: true }
    }

    /// Returns what is read next: the query and the page; `None` at the end.
    pub(super) fn next(&self) -> Option<(String, u64)> {
        let query = self.lists.front()?.query(self.is_unsorted);
        Some((query, self.page))
    }

    /// Goes on after Testmo has refused a list: without an order, or with the next list.
    pub(super) fn refused(&mut self) {
        if self.is_unsorted {
            self.is_complete &= matches!(self.lists.front(), Some(CasesOf::Tags(_)));
            self.next_list();
        } else {
            (self.is_unsorted, self.page) = (true, 1);
        }
    }

    /// Goes on after a page. Where rows of it were changed, they may have left the list, so that others have moved to this
    /// page: it is read again. `lowest` is the lowest id that is sought.
    pub(super) fn turn(&mut self, page: &ShownPage, has_changed: bool, lowest: Option<u64>) {
        if has_changed {
            self.total = None;
            return;
        }
        let has_shrunk = self.total.zip(page.total).is_some_and(|(before, now)| now < before);
        self.is_complete &= !has_shrunk;
        self.total = page.total.or(self.total);
        let is_past = !self.is_unsorted && page.cases.last().zip(lowest).is_some_and(|(last, lowest)| last.id < lowest);
        match page.next_page {
            Some(next) if !is_past && lowest.is_some() && next <= MOST_PAGES => self.page = next,
            Some(next) => {
                self.is_complete &= next <= MOST_PAGES;
                self.next_list();
            }
            None => self.next_list(),
        }
    }

    /// Returns whether every folder was read to its end, so that a row that was not seen is in none of them.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    fn next_list(&mut self) {
        self.lists.pop_front();
        (self.page, self.total) = (1, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testmo::NEWEST_FIRST;
    use crate::testmo::ShownCase;

    fn page(ids: &[u64], next_page: Option<u64>, total: Option<u64>) -> ShownPage {
        let case = |id: &u64| ShownCase { id: *id, fields: serde_json::Map::new(), names_all_tags: true };
        ShownPage { cases: ids.iter().map(case).collect(), next_page, total, ..ShownPage::default() }
    }

    fn sweep() -> Sweep {
        Sweep::new("sqai-1", BTreeSet::from([7, 8]))
    }

    fn at(sweep: &Sweep) -> String {
        sweep.next().map_or_else(|| "end".into(), |(query, page)| format!("{query} {page}"))
    }

    #[test]
    fn the_tag_and_then_each_folder_is_read_down_to_the_lowest_id() {
        let mut sweep = sweep();
        assert_eq!(at(&sweep), format!("&tags=sqai-1{NEWEST_FIRST} 1"));
        sweep.turn(&page(&[30, 20], Some(2), None), false, Some(10));
        assert_eq!(at(&sweep), format!("&tags=sqai-1{NEWEST_FIRST} 2"));
        sweep.turn(&page(&[9], Some(3), None), false, Some(10));
        assert_eq!(at(&sweep), format!("&folder_id=7{NEWEST_FIRST} 1"), "what follows is older");
        sweep.turn(&page(&[30], Some(2), None), true, Some(10));
        assert_eq!(at(&sweep), format!("&folder_id=7{NEWEST_FIRST} 1"), "rows may have left the page");
        sweep.turn(&page(&[30], None, None), false, Some(10));
        sweep.turn(&page(&[30], Some(2), None), false, None);
        assert_eq!((at(&sweep), sweep.is_complete()), ("end".into(), true), "nothing is sought any more");
    }

    #[test]
    fn a_list_that_is_refused_is_read_without_an_order_and_then_left_out() {
        let mut sweep = sweep();
        sweep.refused();
        assert_eq!(at(&sweep), "&tags=sqai-1 1");
        sweep.refused();
        assert_eq!((at(&sweep), sweep.is_complete()), ("&folder_id=7 1".into(), true), "folders have every row");
        sweep.turn(&page(&[5], Some(2), None), false, Some(10));
        assert_eq!(at(&sweep), "&folder_id=7 2", "an unsorted list is read to its end");
        sweep.refused();
        assert_eq!((at(&sweep), sweep.is_complete()), ("&folder_id=8 1".into(), false));
    }

    #[test]
    fn a_list_that_gets_shorter_may_have_passed_rows_over() {
        let mut sweep = sweep();
        sweep.turn(&page(&[30], Some(2), Some(5)), false, Some(10));
        sweep.turn(&page(&[20], Some(3), Some(4)), false, Some(10));
        assert!(!sweep.is_complete());
    }
}

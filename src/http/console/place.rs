//! Reads where a page of a list begins, and writes the address of the next one.

use super::super::admin::list_place;
pub(super) use super::super::admin::list_place::{batch_place_text, shelf_place_text};
use super::super::admin::problem::{Code, Problem};
use super::visit::Visit;
use crate::app::batches::BatchPlace;
use crate::app::shelf::Place;

/// How many rows a page of a list has.
pub(super) const PAGE: u32 = 50;

/// Reads the place behind which a page of the shelf begins, or of another list that is ordered by time and number.
pub(super) fn shelf_place(visit: &Visit) -> Result<Option<Place>, Problem> {
    behind(visit, list_place::shelf_place)
}

/// Reads the number behind which a page begins.
pub(super) fn number(visit: &Visit) -> Result<Option<u64>, Problem> {
    behind(visit, list_place::number)
}

/// Reads the place among the batches behind which a page begins.
pub(super) fn batch_place(visit: &Visit) -> Result<Option<BatchPlace>, Problem> {
    behind(visit, list_place::batch_place)
}

fn behind<T>(visit: &Visit, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Problem> {
    visit.query.text("after").map(|text| read(text).ok_or_else(no_place)).transpose()
}

/// Returns the address of the page of the same list behind a place, with the filters that are kept.
pub(super) fn next_page(visit: &Visit, kept: &[&str], place: &str) -> String {
    let path = visit.target.split('?').next().unwrap_or_default();
    format!("{path}?{}", visit.query.query(kept, [("after", place)]))
}

fn no_place() -> Problem {
    Problem::parameter(Code::InvalidParameter, "after", "This is not where a page begins.")
        .remedy("Open the list without it, and go on from there.")
}

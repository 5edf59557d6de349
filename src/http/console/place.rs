//! Reads where a page of a list begins, and writes the address of the next one.

use super::super::admin::problem::{Code, Problem};
use super::visit::Visit;
use crate::app::shelf::Place;

/// How many rows a page of a list has.
pub(super) const PAGE: u32 = 50;

/// Reads the place behind which a page of the shelf begins, or of another list that is ordered by time and number.
pub(super) fn shelf_place(visit: &Visit) -> Result<Option<Place>, Problem> {
    let Some(text) = visit.query.text("after") else { return Ok(None) };
    let read = || {
        let (at, id) = text.split_once('.')?;
        Some((at.parse().ok()?, id.parse().ok()?))
    };
    read().map(Some).ok_or_else(no_place)
}

/// Writes a place on the shelf.
pub(super) fn shelf_place_text((at, id): Place) -> String {
    format!("{at}.{id}")
}

/// Reads the number behind which a page begins.
pub(super) fn number(visit: &Visit) -> Result<Option<u64>, Problem> {
    let Some(text) = visit.query.text("after") else { return Ok(None) };
    text.parse().ok().filter(|number| i64::try_from(*number).is_ok()).map(Some).ok_or_else(no_place)
}

/// Returns the address of the page of the same list behind a place, with the filters that are kept.
pub(super) fn next_page(visit: &Visit, kept: &[&str], place: &str) -> String {
    let path = visit.target.split('?').next().unwrap_or_default();
    format!("{path}?{}", visit.query.query(kept, [("after", place)]))
}

/// Says that a place is none.
pub(super) fn no_place() -> Problem {
    Problem::parameter(Code::InvalidParameter, "after", "This is not where a page begins.")
        .remedy("Open the list without it, and go on from there.")
}

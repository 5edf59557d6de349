//! Reads which page of a list is meant, and shows it with the address of the next one.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::Serialize;

use super::super::admin::list_place;
pub(super) use super::super::admin::list_place::{batch_place_text, shelf_place_text};
use super::super::admin::problem::{Code, Problem};
use super::call::Call;
use super::route::{Kind, Parameter};
use crate::app::batches::BatchPlace;
use crate::app::shelf::Place;

/// How many entries a page has if nothing else is asked for.
const USUAL: u32 = 50;
/// The most entries of a page.
const MOST: u32 = 200;

/// How many entries are wanted.
pub(super) const LIMIT: Parameter = Parameter {
    name: "limit",
    about: "How many entries a page has at most; 50 if it is left out.",
    kind: Kind::Number(1, 200),
};

/// Behind which entry the page begins.
pub(super) const AFTER: Parameter = Parameter {
    name: "after",
    about: "Where the page begins: taken from `next` of the page before.",
    kind: Kind::Text("1764460800000.42"),
};

/// One page of a list.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Page<T> {
    items: Vec<T>,
    /// The path and query of the next page; null if this is the last one.
    next: Option<String>,
}

impl<T> Page<T> {
    /// Shows entries with the address of the page behind a place.
    pub(super) fn of(call: &Call, items: Vec<T>, next: Option<String>) -> Self {
        Self { items, next: next.map(|place| address(&call.target, &place)) }
    }
}

/// Returns the address of the same list behind a place.
fn address(target: &str, place: &str) -> String {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let kept = query.split('&').filter(|part| !part.is_empty() && !part.starts_with("after="));
    let place = format!("after={}", utf8_percent_encode(place, NON_ALPHANUMERIC));
    let query: Vec<&str> = kept.chain([place.as_str()]).collect();
    format!("{path}?{}", query.join("&"))
}

/// Reads how many entries are wanted.
pub(super) fn limit(call: &Call) -> Result<u32, Problem> {
    Ok(call.query::<u32>("limit")?.unwrap_or(USUAL).clamp(1, MOST))
}

/// Reads the place on the shelf behind which a page begins.
pub(super) fn shelf_place(call: &Call) -> Result<Option<Place>, Problem> {
    behind(call, list_place::shelf_place)
}

/// Reads the number behind which a page begins.
pub(super) fn number(call: &Call) -> Result<Option<u64>, Problem> {
    behind(call, list_place::number)
}

/// Reads the place among the batches behind which a page begins.
pub(super) fn batch_place(call: &Call) -> Result<Option<BatchPlace>, Problem> {
    behind(call, list_place::batch_place)
}

fn behind<T>(call: &Call, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Problem> {
    call.query.get("after").map(|text| read(text).ok_or_else(no_place)).transpose()
}

fn no_place() -> Problem {
    Problem::parameter(Code::InvalidParameter, "after", "The value is not one of `next`.")
        .remedy("Use the address in `next` of the page before as it is.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_has_the_same_filter_and_another_place() {
        assert_eq!(address("/api/v1/shelf", "7.1"), "/api/v1/shelf?after=7%2E1");
        let target = "/api/v1/shelf?tenant_id=acme&after=9.9&limit=2";
        assert_eq!(address(target, "7.1/ü"), "/api/v1/shelf?tenant_id=acme&limit=2&after=7%2E1%2F%C3%BC");
    }
}

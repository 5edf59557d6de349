//! Reads which page of a list is requested, and wraps it.

use serde::Serialize;

use super::expands::Expands;
use super::refusal::{Refusal, refused};
use crate::request::Request;
use crate::response::Response;

/// A valid request for one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paging {
    page: usize,
    per_page: usize,
}

#[derive(Serialize)]
struct Envelope<T> {
    page: Option<usize>,
    prev_page: Option<usize>,
    next_page: Option<usize>,
    last_page: Option<usize>,
    per_page: usize,
    total: usize,
    result: Vec<T>,
    expands: Expands,
}

impl Paging {
    /// Reads `page` (from 1) and `per_page` (15, 25, 50 or 100); everything else is 422 (recorded for `per_page`).
    pub(crate) fn of(request: &Request) -> Result<Self, Response> {
        let mut refusal = Refusal::default();
        let per_page = match request.parameter("per_page") {
            None | Some("100") => 100,
            Some("15") => 15,
            Some("25") => 25,
            Some("50") => 50,
            Some(_) => {
                refusal.add("per_page", "The selected page rows is invalid.");
                100
            }
        };
        let page = request.parameter("page").unwrap_or("1").parse().unwrap_or(0);
        if page == 0 {
            refusal.add("page", "The page must be at least 1.");
        }
        refusal.check()?;
        Ok(Self { page, per_page })
    }

    /// Returns the same page of a list whose pages have this many rows, whatever was asked for.
    pub(crate) fn with_rows(self, rows: Option<usize>) -> Self {
        Self { per_page: rows.unwrap_or(self.per_page), ..self }
    }

    /// Returns the rows of this page, out of rows in their final order.
    pub(crate) fn cut<T>(self, rows: impl Iterator<Item = T>) -> Vec<T> {
        let before = (self.page - 1).saturating_mul(self.per_page);
        rows.skip(before).take(self.per_page).collect()
    }

    /// Returns 200 with the envelope; page numbers are null if the whole set is empty.
    pub(crate) fn wrap(self, result: Vec<impl Serialize>, total: usize, expands: Expands) -> Response {
        let last = total.div_ceil(self.per_page);
        let is_filled = total > 0;
        let envelope = Envelope {
            page: is_filled.then_some(self.page),
            prev_page: (is_filled && self.page > 1).then(|| (self.page - 1).min(last)),
            next_page: (self.page < last).then(|| self.page + 1),
            last_page: is_filled.then_some(last),
            per_page: self.per_page,
            total,
            result,
            expands,
        };
        Response::json(200, &envelope)
    }

    /// Returns 200 with this page of rows that are few enough to be collected.
    pub(crate) fn wrap_all<T: Serialize>(self, rows: Vec<T>, expands: Expands) -> Response {
        let total = rows.len();
        self.wrap(self.cut(rows.into_iter()), total, expands)
    }
}

/// The direction of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Ascending,
    Descending,
}

impl Order {
    /// Reads `order`, `asc` or `desc`.
    pub(crate) fn of(request: &Request, default: Self) -> Result<Self, Response> {
        match request.parameter("order") {
            None => Ok(default),
            Some("asc") => Ok(Self::Ascending),
            Some("desc") => Ok(Self::Descending),
            Some(_) => Err(refused("order", "The selected order is invalid.")),
        }
    }

    /// Reverses an ascending list if it must descend.
    pub(crate) fn turn<T>(self, rows: &mut [T]) {
        match self {
            Self::Ascending => {}
            Self::Descending => rows.reverse(),
        }
    }
}

/// Reads `sort`, which must be `table:column` or just `column`, with a known column.
pub(crate) fn sort_column<'a>(
    request: &'a Request,
    table: &str,
    columns: &[&str],
    default: &'static str,
) -> Result<&'a str, Response> {
    let Some(sort) = request.parameter("sort") else { return Ok(default) };
    let column = sort.strip_prefix(table).and_then(|rest| rest.strip_prefix(':')).unwrap_or(sort);
    let known = Some(column).filter(|column| columns.contains(column));
    known.ok_or_else(|| refused("sort", "The selected sort is invalid."))
}

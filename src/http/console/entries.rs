//! Page: the entries of the shelf that match filters.

use askama::Template;

use super::super::admin::problem::Problem;
use super::answer::Answer;
use super::entry_lines::{EntryLine, lines};
use super::frame::Frame;
use super::moment::grouped;
use super::place::{PAGE, next_page, shelf_place, shelf_place_text};
use super::route::Route;
use super::selection::{FILTERS, filter, pairs};
use super::visit::Visit;
use crate::app::Reason;
use crate::app::shelf::{self, Selection, ShelfState};

pub(super) const ROUTES: &[Route] = &[Route {
    id: "entries",
    path: "/failures/entries",
    query: &["tenant", "reason", "state", "group", "since", "until", "message_id", "after"],
    handler: |visit| Box::pin(show(visit)),
    ..Route::SHOW
}];

/// A list of entries.
#[derive(Template)]
#[template(path = "entries.html")]
struct EntriesPage {
    frame: Frame,
    entries: Vec<EntryLine>,
    next: Option<String>,
    /// How many match, with a plus where not all are counted.
    count: String,
    /// The same as the forms say it, where all are counted.
    expected: Option<u64>,
    selection: Vec<(&'static str, String)>,
    query: String,
    texts: [(&'static str, &'static str, String); 5],
    reason: Option<Reason>,
    state: Option<ShelfState>,
    reasons: &'static [Reason],
}

async fn show(visit: Visit) -> Result<Answer, Problem> {
    let (store, filter) = (visit.store(), filter(&visit, &visit.query)?);
    let (rows, next) = shelf::page(store, &filter, shelf_place(&visit)?, PAGE).await?;
    let (counted, is_all) = shelf::extent(store, &filter, rows.len()).await?.counted();
    let written = Selection::Matching(filter.clone()).to_string();
    let options = if written == "--all" { String::new() } else { format!(" {written}") };
    let mut selection = pairs(&visit.query);
    if selection.is_empty() {
        selection.push(("all", "yes".into()));
    }
    let text = |name: &'static str, label: &'static str| (name, label, visit.query.raw(name).to_owned());
    let page = EntriesPage {
        frame: Frame { live: 10, ..visit.frame("/failures", "Entries", format!("testmo-courier shelf list{options}")) },
        entries: lines(store, &rows, visit.now).await?,
        next: next.map(|place| next_page(&visit, &FILTERS, &shelf_place_text(place))),
        count: if is_all { grouped(counted) } else { format!("{}+", grouped(counted)) },
        expected: is_all.then_some(counted),
        query: url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&selection).finish(),
        selection,
        texts: [
            text("tenant", "Tenant"),
            text("group", "Cause"),
            text("since", "Shelved since"),
            text("until", "Shelved before"),
            text("message_id", "message_id"),
        ],
        reason: filter.reason,
        state: filter.state,
        reasons: Reason::ALL,
    };
    Answer::page(200, &page)
}

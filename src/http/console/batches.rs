//! Page: lists batches.

use askama::Template;

use super::super::admin::problem::Problem;
use super::answer::Answer;
use super::frame::Frame;
use super::moment::Moment;
use super::place::{PAGE, batch_place, batch_place_text, next_page};
use super::route::Route;
use super::steps::batch_address;
use super::visit::Visit;
use crate::app::batches::{self, BatchFilter, BatchRecord, BatchState, Tally};
use crate::app::shelf::TimeBound;
use crate::app::visible::in_shell;

/// The names of the filters.
const FILTERS: [&str; 4] = ["tenant", "state", "since", "until"];

pub(super) const ROUTES: &[Route] = &[Route {
    id: "batches",
    path: "/batches",
    query: &["tenant", "state", "since", "until", "after"],
    handler: |visit| Box::pin(list(visit)),
    ..Route::SHOW
}];

/// The batches.
#[derive(Template)]
#[template(path = "batches.html")]
struct Batches {
    frame: Frame,
    rows: Vec<BatchLine>,
    next: Option<String>,
    tenant: String,
    since: String,
    until: String,
    state: Option<BatchState>,
}

/// A batch in a table.
struct BatchLine {
    key: String,
    address: String,
    state: &'static str,
    tone: &'static str,
    cases: usize,
    tally: String,
    first_seen: Moment,
    finished: Option<Moment>,
}

/// Returns how the state of a batch is shown.
pub(super) fn tone(state: BatchState) -> &'static str {
    match state {
        BatchState::Delivered => "good",
        BatchState::Partial => "mixed",
        BatchState::Failed => "bad",
        BatchState::Open | BatchState::Discarded | BatchState::Undone => "",
    }
}

impl BatchLine {
    fn of(record: &BatchRecord, now: i64) -> Self {
        let key = record.key.to_string();
        Self {
            address: batch_address(&key),
            key,
            state: record.state.name(),
            tone: tone(record.state),
            cases: record.cases.len(),
            tally: Tally::of(record).to_string(),
            first_seen: Moment { at: record.first_seen_at, now },
            finished: record.settled_at.map(|at| Moment { at, now }),
        }
    }
}

async fn list(visit: Visit) -> Result<Answer, Problem> {
    let query = &visit.query;
    let at = |bound: TimeBound| bound.at(visit.now);
    let filter = BatchFilter {
        tenant: visit.reach()?.only(query.parsed("tenant")?)?,
        state: query.parsed("state")?,
        since: query.parsed("since")?.map(at),
        until: query.parsed("until")?.map(at),
    };
    let (records, next) = batches::page(visit.store(), &filter, batch_place(&visit)?.as_ref(), PAGE).await?;
    let mut command = "testmo-courier batches list".to_owned();
    for name in FILTERS {
        command.extend(query.text(name).map(|value| format!(" --{name} {}", in_shell(value))));
    }
    let page = Batches {
        frame: Frame { live: 10, ..visit.frame("/batches", "Batches", command) },
        rows: records.iter().map(|record| BatchLine::of(record, visit.now)).collect(),
        next: next.map(|place| next_page(&visit, &FILTERS, &batch_place_text(&place))),
        tenant: query.raw("tenant").to_owned(),
        since: query.raw("since").to_owned(),
        until: query.raw("until").to_owned(),
        state: filter.state,
    };
    Answer::page(200, &page)
}

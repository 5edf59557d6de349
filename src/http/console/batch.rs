//! Page: everything that is known of one batch.

use askama::Template;

use super::super::admin::problem::{Code, Problem};
use super::answer::Answer;
use super::batches::tone;
use super::entry_lines::EntryLine;
use super::filters;
use super::frame::Frame;
use super::moment::Moment;
use super::route::{Route, Scope};
use super::steps::{batch_address, in_path};
use super::visit::Visit;
use crate::app::batches::{self, BatchDetails, BatchRecord, BatchState, DroppedCase, dropped_link, link, testmo_id};
use crate::app::view::{TimelineEntryView, TimelineView, UnderWayView};

/// The value that limits the timeline to what people did.
const PEOPLE: &str = "people";
/// How many cases are shown.
const MOST_CASES: usize = 500;

pub(super) const ROUTES: &[Route] = &[Route {
    id: "batch",
    path: "/batches/{tenant}/{batch}",
    scope: Scope::Path,
    query: &["only"],
    handler: |visit| Box::pin(show(visit)),
    ..Route::SHOW
}];

/// One batch.
#[derive(Template)]
#[template(path = "batch.html")]
struct BatchPage {
    frame: Frame,
    tenant: String,
    tenant_page: String,
    batch: String,
    address: String,
    state: &'static str,
    tone: &'static str,
    tag: String,
    is_tagged: bool,
    revision: Option<u32>,
    first_seen: Option<Moment>,
    finished: Option<Moment>,
    target: Option<String>,
    is_pruned: bool,
    can_be_undone: bool,
    is_undone: bool,
    has_duplicates: bool,
    cases: Vec<CaseLine>,
    all_cases: usize,
    dropped: Vec<DroppedLine>,
    timeline: Vec<TimelineEntryView>,
    /// Whether the timeline has what people did only.
    of_people: bool,
    earlier: u64,
    under_way: Vec<UnderWayView>,
    shelf: Vec<EntryLine>,
    customer: Option<String>,
}

/// A case of a batch.
struct CaseLine {
    key: String,
    state: String,
    tone: &'static str,
    id: Option<u64>,
    link: Option<String>,
    remark: String,
    duplicates: Vec<u64>,
}

/// A case that is not generated any more.
struct DroppedLine {
    id: u64,
    link: String,
    done: &'static str,
    by: Option<String>,
}

impl CaseLine {
    fn of(details: &BatchDetails, record: &BatchRecord, index: usize) -> Self {
        let case = &record.cases[index];
        let id = testmo_id(case);
        let state = details.case_state(record, case);
        Self {
            key: case.key.clone(),
            tone: match state {
                "created" | "adopted" | "updated" | "unchanged" => "good",
                "refused" => "bad",
                "unclear" => "mixed",
                _ => "",
            },
            state: state.replace('_', " "),
            id,
            link: id.and_then(|id| link(record, index, id)),
            remark: BatchDetails::remark(case).unwrap_or_default(),
            duplicates: case.duplicates.clone(),
        }
    }
}

async fn show(visit: Visit) -> Result<Answer, Problem> {
    let key = visit.batch()?;
    let details = batches::show(visit.store(), &key).await?;
    let of_people = of_people(&visit)?;
    let TimelineView { mut entries, dropped_entries, under_way } = TimelineView::of(&details);
    entries.reverse();
    entries.retain(|entry| !of_people || entry.actor.is_some());
    let record = details.record();
    let cases = |record: &BatchRecord| -> Vec<CaseLine> {
        (0..record.cases.len().min(MOST_CASES)).map(|index| CaseLine::of(&details, record, index)).collect()
    };
    let dropped = |record: &BatchRecord| -> Vec<DroppedLine> {
        let line = |case: &DroppedCase| DroppedLine {
            id: case.id,
            link: dropped_link(record, case).unwrap_or_default(),
            done: BatchDetails::removal(case),
            by: case.batch.clone(),
        };
        record.dropped.cases.iter().map(line).collect()
    };
    let target = |record: &BatchRecord| {
        let target = record.target()?;
        Some(format!("{}, project {}, folder {}", target.account, target.project, target.folder))
    };
    let name = key.to_string();
    let is_live = record.is_none_or(|record| record.state == BatchState::Open) || !under_way.is_empty();
    let frame = visit.frame("/batches", name.clone(), format!("testmo-courier batches show {name}"));
    let page = BatchPage {
        frame: Frame { live: if is_live { 3 } else { 30 }, ..frame },
        tenant: key.tenant.to_string(),
        tenant_page: format!("/tenants/{}", in_path(key.tenant.as_str())),
        batch: key.batch.as_str().to_owned(),
        address: batch_address(&name),
        state: record.map_or("no case was sent yet", |record| record.state.name()),
        tone: record.map_or("", |record| tone(record.state)),
        tag: details.batch_tag.clone(),
        is_tagged: details.is_tagged,
        revision: record.map(|record| record.revision).filter(|revision| *revision > 1),
        first_seen: record.filter(|record| BatchDetails::was_sent(record)).map(|record| visit.at(record.first_seen_at)),
        finished: record.and_then(|record| record.settled_at).map(|at| visit.at(at)),
        target: record.and_then(target),
        is_pruned: record.is_some_and(BatchDetails::is_pruned),
        can_be_undone: record.is_some_and(BatchRecord::can_be_undone),
        is_undone: record.is_some_and(|record| record.state == BatchState::Undone),
        has_duplicates: record.is_some_and(|record| record.cases.iter().any(|case| !case.duplicates.is_empty())),
        cases: record.map(cases).unwrap_or_default(),
        all_cases: record.map_or(0, |record| record.cases.len()),
        dropped: record.map(dropped).unwrap_or_default(),
        timeline: entries,
        of_people,
        earlier: dropped_entries,
        under_way,
        shelf: details.shelf.iter().map(|entry| EntryLine::of(entry, &details.pauses, visit.now)).collect(),
        customer: details.for_customer().map(|text| text.to_string()),
    };
    Answer::page(200, &page)
}

/// Reads whether the timeline is to have what people did only.
fn of_people(visit: &Visit) -> Result<bool, Problem> {
    match visit.query.text("only") {
        None => Ok(false),
        Some(PEOPLE) => Ok(true),
        Some(_) => Err(Problem::parameter(Code::InvalidParameter, "only", "A timeline can be limited to `people`.")
            .remedy("Open the page of the batch without it.")),
    }
}

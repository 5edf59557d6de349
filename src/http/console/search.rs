//! Page: finds batches and cases by whatever a customer pastes.

use askama::Template;

use super::super::admin::problem::Problem;
use super::answer::Answer;
use super::batches::tone;
use super::filters;
use super::frame::Frame;
use super::place::next_page;
use super::route::Route;
use super::steps::batch_address;
use super::visit::Visit;
use crate::app::find::{FindError, FindRequest, Found, Hit, Reach, TextPart, find};
use crate::app::visible::in_shell;

/// How many batches a page has.
const PAGE: u32 = 30;

pub(super) const ROUTES: &[Route] = &[Route {
    id: "search",
    path: "/search",
    query: &["text", "after"],
    handler: |visit| Box::pin(show(visit)),
    ..Route::SHOW
}];

/// What was found.
#[derive(Template)]
#[template(path = "search.html")]
struct Search {
    frame: Frame,
    hits: Vec<HitLine>,
    next: Option<String>,
    /// What cannot be found yet, and how the text was compared.
    remarks: Vec<&'static str>,
    wrong: Option<String>,
}

/// A batch that was found.
struct HitLine {
    name: String,
    address: Option<String>,
    state: &'static str,
    tone: &'static str,
    found_by: String,
    entries: Vec<(String, &'static str, &'static str)>,
    cases: Vec<CaseLine>,
}

/// A case that was found.
struct CaseLine {
    name: String,
    testmo_id: Option<u64>,
    link: Option<String>,
}

impl HitLine {
    fn of(hit: &Hit) -> Self {
        let key = hit.key.as_ref().map(ToString::to_string);
        let state = hit.record.as_ref().map(|record| record.state);
        let entry = |entry: &crate::app::find::ShelfHit| {
            let (state, reason) = (entry.state, entry.reason);
            (
                entry.id.to_string(),
                state.map_or("unknown", |state| state.name()),
                reason.map_or("", |reason| reason.title()),
            )
        };
        let case = |case: &crate::app::find::CaseHit| CaseLine {
            name: [case.external_id.as_deref(), case.name.as_deref()]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(" "),
            testmo_id: case.testmo_id,
            link: case.link.clone(),
        };
        let names: Vec<&str> = hit
            .found_by
            .iter()
            .chain(hit.cases.iter().flat_map(|case| &case.found_by))
            .map(|kind| kind.name())
            .collect();
        let mut found_by: Vec<String> = names.into_iter().map(|name| name.replace('_', " ")).collect();
        found_by.dedup();
        Self {
            name: key
                .clone()
                .or_else(|| hit.tenant.as_ref().map(ToString::to_string))
                .unwrap_or_else(|| "unknown".into()),
            address: key.as_deref().map(batch_address),
            state: state.map_or("not sent", |state| state.name()),
            tone: state.map_or("", tone),
            found_by: found_by.join(", "),
            entries: hit.shelf.iter().map(entry).collect(),
            cases: hit.cases.iter().map(case).collect(),
        }
    }
}

async fn show(visit: Visit) -> Result<Answer, Problem> {
    let text = visit.query.raw("text").to_owned();
    let command = format!("testmo-courier find {}", in_shell(text.trim()));
    let frame = Frame { searched: text.clone(), ..visit.frame("", "Search", command) };
    let request = FindRequest {
        text: text.clone(),
        tenant: visit.reach()?.own().cloned(),
        after: visit.query.parsed("after")?,
        limit: PAGE,
    };
    let found = match find(visit.store(), &request).await {
        Ok(found) => found,
        Err(FindError::Text(why)) => {
            let wrong = Some(format!("{why}. Give an id, a name, a key, a tag, or a link to a case in Testmo."));
            let page = Search { frame, hits: Vec::new(), next: None, remarks: Vec::new(), wrong };
            return Answer::page(422, &page);
        }
        Err(FindError::Store(error)) => return Err(error.into()),
    };
    let page = Search {
        frame,
        hits: found.hits.iter().map(HitLine::of).collect(),
        next: found.next.map(|place| next_page(&visit, &["text"], &place.to_string())),
        remarks: remarks(&found),
        wrong: None,
    };
    Answer::page(200, &page)
}

fn remarks(found: &Found) -> Vec<&'static str> {
    let is_whole = matches!(found.needle.text, None | Some(TextPart::Whole(_)));
    let mut remarks = Vec::new();
    match found.reach {
        _ if is_whole => {
            remarks.push("Only whole values were compared: the text is short, or it is a number or a link.")
        }
        Reach::WordBeginnings => remarks.push("The beginnings of words were compared."),
        Reach::AnyPart => {}
    }
    let unsearched = &found.unsearched;
    if unsearched.since.is_some() || unsearched.before.is_some() {
        remarks.push("Some batches that are finished are not searchable yet.");
    }
    if unsearched.shelf {
        remarks.push("Some entries of the shelf are not searchable yet.");
    }
    remarks
}

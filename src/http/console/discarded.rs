//! Pages: lists what was discarded, and puts it back onto the shelf.

use askama::Template;

use super::super::admin::problem::Problem;
use super::answer::Answer;
use super::frame::Frame;
use super::moment::Moment;
use super::notice::Notice;
use super::place::{PAGE, next_page, shelf_place, shelf_place_text};
use super::route::{Route, Scope};
use super::visit::Visit;
use crate::app::plan::batch_label;
use crate::app::restore_entry::{self, Discarded};
use crate::app::shelf::ShelfId;

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "discarded",
        path: "/discarded",
        query: &["tenant", "after"],
        handler: |visit| Box::pin(list(visit)),
        ..Route::SHOW
    },
    Route {
        id: "restoreEntry",
        path: "/discarded/{id}/restore",
        scope: Scope::Discarded,
        form: &["because"],
        handler: |visit| Box::pin(restore(visit)),
        ..Route::ACT
    },
];

/// What was discarded.
#[derive(Template)]
#[template(path = "discarded.html")]
struct DiscardedPage {
    frame: Frame,
    rows: Vec<DiscardedLine>,
    next: Option<String>,
    tenant: String,
}

/// A discarded entry.
struct DiscardedLine {
    id: String,
    batch: String,
    title: &'static str,
    at: Moment,
    by: String,
    because: String,
}

async fn list(visit: Visit) -> Result<Answer, Problem> {
    let tenant = visit.reach()?.only(visit.query.parsed("tenant")?)?;
    let behind = shelf_place(&visit)?.map(|(at, id)| (at, ShelfId(id)));
    let entries = restore_entry::list(visit.store(), &restore_entry::filter(tenant, behind), PAGE).await?;
    let is_full = entries.len() >= usize::try_from(PAGE).unwrap_or(usize::MAX);
    let next = entries.last().filter(|_| is_full);
    let next = next.map(|last| next_page(&visit, &["tenant"], &shelf_place_text((last.at, last.entry.id.0))));
    let line = |discarded: &Discarded| DiscardedLine {
        id: discarded.entry.id.to_string(),
        batch: batch_label(&discarded.entry),
        title: discarded.entry.content.reason.title(),
        at: visit.at(discarded.at),
        by: discarded.by.clone(),
        because: discarded.because.clone().unwrap_or_default(),
    };
    let page = DiscardedPage {
        frame: Frame { live: 10, ..visit.frame("/discarded", "Discarded", "testmo-courier shelf discarded") },
        rows: entries.iter().map(line).collect(),
        next,
        tenant: visit.query.raw("tenant").to_owned(),
    };
    Answer::page(200, &page)
}

async fn restore(visit: Visit) -> Result<Answer, Problem> {
    let id = visit.named.discarded()?;
    let restored = restore_entry::restore(visit.store(), id, visit.actor()?, visit.because()).await?;
    let mut text = "The entry is on the shelf again, as it was.".to_owned();
    if restored.is_reopened {
        text += " Its batch is open again.";
    }
    text += if restored.is_parked { " It is retried automatically." } else { " Replay it to send it." };
    Ok(visit.go(&format!("/entries/{id}"), &Notice::good(text)))
}

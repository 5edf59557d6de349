//! Pages: what is on the shelf by its cause, and one cause.

use askama::Template;

use super::super::admin::problem::Problem;
use super::answer::Answer;
use super::cause::CauseLine;
use super::entry_lines::{EntryLine, lines};
use super::filters;
use super::frame::Frame;
use super::notice::Notice;
use super::place::{PAGE, next_page, shelf_place, shelf_place_text};
use super::route::{Route, Scope};
use super::steps::Way;
use super::visit::Visit;
use crate::app::Reason;
use crate::app::shelf::{self, CauseId, GroupFilter, ShelfFilter, ShelfState, remove_note, write_note};

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "failures",
        path: "/failures",
        query: &["tenant", "reason", "state"],
        handler: |visit| Box::pin(list(visit)),
        ..Route::SHOW
    },
    Route {
        id: "cause",
        path: "/failures/{group}",
        query: &["tenant", "state", "after"],
        handler: |visit| Box::pin(show(visit)),
        ..Route::SHOW
    },
    Route {
        id: "noteCause",
        path: "/failures/{group}/note",
        scope: Scope::All,
        form: &["text"],
        handler: |visit| Box::pin(note(visit)),
        ..Route::ACT
    },
];

/// The causes.
#[derive(Template)]
#[template(path = "failures.html")]
struct Failures {
    frame: Frame,
    causes: Vec<CauseLine>,
    tenant: String,
    reason: Option<Reason>,
    state: Option<ShelfState>,
    reasons: &'static [Reason],
}

/// One cause.
#[derive(Template)]
#[template(path = "cause_page.html")]
struct CausePage {
    frame: Frame,
    cause: Option<CauseLine>,
    group: String,
    tenant: String,
    entries: Vec<EntryLine>,
    next: Option<String>,
}

async fn list(visit: Visit) -> Result<Answer, Problem> {
    let tenant = visit.reach()?.only(visit.query.parsed("tenant")?)?;
    let (reason, state) = (visit.query.parsed("reason")?, visit.query.parsed("state")?);
    let filter = GroupFilter { tenant: tenant.clone(), reason, state };
    let groups = shelf::groups(visit.store(), &filter).await?;
    let mut command = "testmo-courier shelf groups".to_owned();
    command.extend(tenant.iter().map(|tenant| format!(" --tenant {tenant}")));
    command.extend(filter.reason.iter().map(|reason| format!(" --reason {reason}")));
    command.extend(filter.state.iter().map(|state| format!(" --state {}", state.name())));
    let frame = Frame { live: 5, ..visit.frame("/failures", "Failures", command) };
    let page = Failures {
        causes: groups.iter().map(|group| CauseLine::of(group, &frame, visit.now)).collect(),
        tenant: visit.query.raw("tenant").to_owned(),
        reason: filter.reason,
        state: filter.state,
        reasons: Reason::ALL,
        frame,
    };
    Answer::page(200, &page)
}

async fn show(visit: Visit) -> Result<Answer, Problem> {
    let group: CauseId = visit.path("group")?;
    let tenant = visit.reach()?.only(visit.query.parsed("tenant")?)?;
    let (store, state) = (visit.store(), visit.query.parsed("state")?);
    let of_group = GroupFilter { tenant: tenant.clone(), ..GroupFilter::default() };
    let found = shelf::groups(store, &of_group).await?.into_iter().find(|found| found.cause == group);
    let filter = ShelfFilter { cause: Some(group), tenant: tenant.clone(), state, ..ShelfFilter::default() };
    let (rows, next) = shelf::page(store, &filter, shelf_place(&visit)?, PAGE).await?;
    let mut command = format!("testmo-courier shelf list --group {group}");
    command.extend(tenant.iter().map(|tenant| format!(" --tenant {tenant}")));
    let title = found.as_ref().and_then(|found| found.reason).map_or("A cause of failures", |reason| reason.title());
    let frame = Frame { live: 5, ..visit.frame("/failures", title, command) };
    let page = CausePage {
        cause: found.as_ref().map(|found| CauseLine::of(found, &frame, visit.now)),
        group: group.to_string(),
        tenant: visit.query.raw("tenant").to_owned(),
        entries: lines(store, &rows, visit.now).await?,
        next: next.map(|place| next_page(&visit, &["tenant", "state"], &shelf_place_text(place))),
        frame,
    };
    Answer::page(200, &page)
}

async fn note(visit: Visit) -> Result<Answer, Problem> {
    let group: CauseId = visit.path("group")?;
    let notice = match visit.form.text("text") {
        Some(text) => {
            write_note(visit.store(), visit.actor()?, group, text).await?;
            Notice::good("Noted. Everybody who opens this cause sees the note.")
        }
        None => {
            remove_note(visit.store(), visit.actor()?, group).await?;
            Notice::good("The note is removed.")
        }
    };
    Ok(visit.go(&format!("/failures/{group}"), &notice))
}

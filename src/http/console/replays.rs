//! Pages: lists replays, and plans one.

use askama::Template;

use super::super::admin::problem::{Code, Problem};
use super::answer::Answer;
use super::frame::Frame;
use super::moment::Moment;
use super::notice::Notice;
use super::place::{PAGE, next_page, number};
use super::route::{Route, Scope};
use super::selection::selection;
use super::visit::Visit;
use crate::app::plural::counted;
use crate::app::replays::{
    self, LONGEST_NAME, LONGEST_REASON, MOST_PER_MINUTE, PlanSummary, ReplayId, ReplayRequest, ReplayRow, ReplayState,
};

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "replays",
        path: "/replays",
        scope: Scope::All,
        query: &["state", "after"],
        handler: |visit| Box::pin(list(visit)),
        ..Route::SHOW
    },
    Route {
        id: "planReplay",
        path: "/replays",
        scope: Scope::All,
        form: &[
            "all",
            "id",
            "tenant",
            "reason",
            "state",
            "group",
            "since",
            "until",
            "message_id",
            "expected",
            "unchanged",
            "because",
            "name",
            "per_minute",
        ],
        handler: |visit| Box::pin(plan(visit)),
        ..Route::ACT
    },
];

/// The replays.
#[derive(Template)]
#[template(path = "replays.html")]
struct Replays {
    frame: Frame,
    rows: Vec<ReplayLine>,
    state: Option<ReplayState>,
    next: Option<String>,
}

/// A replay in a table.
struct ReplayLine {
    id: i64,
    state: &'static str,
    selection: String,
    name: Option<String>,
    owner: String,
    tried: Option<u64>,
    created: Moment,
    why: Option<String>,
}

impl ReplayLine {
    fn of(row: &ReplayRow, now: i64) -> Self {
        let summary: Option<PlanSummary> = row.summary.as_deref().and_then(|text| serde_json::from_str(text).ok());
        Self {
            id: row.id.0,
            state: row.state.map_or("unknown", ReplayState::name),
            selection: row.selection.clone(),
            name: row.name.clone(),
            owner: row.owner.clone(),
            tried: summary.map(|summary| summary.tried),
            created: Moment { at: row.created_at, now },
            why: row.why.clone(),
        }
    }
}

async fn list(visit: Visit) -> Result<Answer, Problem> {
    let state = visit.query.parsed("state")?;
    let before = number(&visit)?.map(|id| ReplayId(i64::try_from(id).unwrap_or(i64::MAX)));
    let rows = replays::list(visit.store(), state, before, PAGE).await?;
    let is_full = rows.len() >= usize::try_from(PAGE).unwrap_or(usize::MAX);
    let next = rows.last().filter(|_| is_full).map(|row| next_page(&visit, &["state"], &row.id.to_string()));
    let page = Replays {
        frame: Frame { live: 5, ..visit.frame("/replays", "Replays", "testmo-courier replays list") },
        rows: rows.iter().map(|row| ReplayLine::of(row, visit.now)).collect(),
        state,
        next,
    };
    Answer::page(200, &page)
}

async fn plan(visit: Visit) -> Result<Answer, Problem> {
    let form = &visit.form;
    let selection = selection(&visit, form)?;
    for (name, longest) in [("name", LONGEST_NAME), ("because", LONGEST_REASON)] {
        if form.raw(name).chars().count() > longest {
            let why = format!("Write at most {longest} characters.");
            return Err(Problem::parameter(Code::InvalidParameter, name, why));
        }
    }
    let per_minute: Option<u32> = form.parsed("per_minute")?;
    if per_minute.is_some_and(|rate| !(1..=MOST_PER_MINUTE).contains(&rate)) {
        let why = format!("Write a number of batches from 1 to {MOST_PER_MINUTE}.");
        return Err(Problem::parameter(Code::InvalidParameter, "per_minute", why));
    }
    let request = ReplayRequest {
        selection,
        name: form.text("name").map(str::to_owned),
        reason: form.text("because").map(str::to_owned),
        per_minute,
        most: None,
        unchanged_too: form.has("unchanged"),
    };
    let seen: Option<u64> = form.parsed("expected")?;
    let planned = replays::plan(visit.store(), &visit.context().config, visit.actor()?, request).await?;
    let details = replays::show(visit.store(), planned.id).await?;
    let batches = details.summary.as_ref().map_or(0, |summary| summary.batches);
    let notice = match seen {
        Some(seen) if seen != batches => Notice::mixed(format!(
            "Planned, and nothing was sent yet. The selection has {} now; the button said {seen}.",
            counted(usize::try_from(batches).unwrap_or(usize::MAX), "batch", "batches")
        )),
        Some(_) | None => Notice::good("Planned, and nothing was sent yet. Start it when the plan is as you expect."),
    };
    Ok(visit.go(&format!("/replays/{}", planned.id), &notice))
}

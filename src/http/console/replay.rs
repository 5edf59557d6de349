//! Pages: one replay, and what is done with it.

use askama::Template;

use super::super::admin::problem::{Code, Problem};
use super::answer::Answer;
use super::filters;
use super::frame::Frame;
use super::moment::Moment;
use super::notice::Notice;
use super::place::{PAGE, next_page, number};
use super::route::{Route, Scope};
use super::steps::batch_address;
use super::visit::Visit;
use crate::app::replays::{
    self, Forecast, ItemFilter, ItemOutcome, LONGEST_REASON, PartProgress, ReplayAction, ReplayDetails, ReplayId,
    ReplayItem, ReplayState,
};

/// How many parts are shown.
const MOST_PARTS: usize = 30;

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "replay",
        path: "/replays/{replay}",
        scope: Scope::All,
        query: &["outcome", "after"],
        handler: |visit| Box::pin(show(visit)),
        ..Route::SHOW
    },
    Route {
        id: "startReplay",
        path: "/replays/{replay}/start",
        handler: |visit| Box::pin(act(visit, ReplayAction::Start)),
        ..ACT
    },
    Route {
        id: "pauseReplay",
        path: "/replays/{replay}/pause",
        handler: |visit| Box::pin(act(visit, ReplayAction::Pause)),
        ..ACT
    },
    Route {
        id: "resumeReplay",
        path: "/replays/{replay}/resume",
        handler: |visit| Box::pin(act(visit, ReplayAction::Resume)),
        ..ACT
    },
    Route {
        id: "cancelReplay",
        path: "/replays/{replay}/cancel",
        handler: |visit| Box::pin(act(visit, ReplayAction::Cancel)),
        ..ACT
    },
];

/// Changes the state of a replay.
const ACT: Route = Route { scope: Scope::All, form: &["because"], ..Route::ACT };

/// One replay.
#[derive(Template)]
#[template(path = "replay.html")]
struct ReplayPage {
    frame: Frame,
    id: i64,
    state: &'static str,
    is_planned: bool,
    is_running: bool,
    is_paused: bool,
    is_open: bool,
    why: Option<String>,
    name: Option<String>,
    because: Option<String>,
    selection: String,
    owner: String,
    per_minute: Option<u32>,
    unchanged_too: bool,
    created: Moment,
    started: Option<Moment>,
    ended: Option<Moment>,
    summary: Option<Summary>,
    done: u64,
    under_way: u64,
    left: u64,
    outcomes: Vec<(String, u64)>,
    parts: Vec<Part>,
    more_parts: usize,
    outcome: Option<ItemOutcome>,
    items: Vec<Item>,
    next: Option<String>,
    /// The command that replays the same again, if what would be refused again is not tried.
    again: Option<Vec<(&'static str, String)>>,
}

/// What the plan came to.
struct Summary {
    batches: u64,
    tried: u64,
    cases: u64,
    requests: u64,
    time: String,
    forecasts: Vec<(String, u64, &'static str, bool)>,
}

/// A part of a replay: one cause at one account.
struct Part {
    group: Option<String>,
    at: String,
    batches: u64,
    left: u64,
    under_way: u64,
    how: String,
    is_stopped: bool,
}

/// An entry of a replay.
struct Item {
    entry: String,
    batch: String,
    batch_page: Option<String>,
    expected: String,
    outcome: String,
    tone: &'static str,
    reason: String,
    detail: String,
}

async fn show(visit: Visit) -> Result<Answer, Problem> {
    let id: ReplayId = visit.path("replay")?;
    let outcome: Option<ItemOutcome> = visit.query.parsed("outcome")?;
    let details = replays::show(visit.store(), id).await?;
    let filter = ItemFilter { outcome: outcome.map(|outcome| outcome.name().to_owned()), after: number(&visit)? };
    let items = replays::items(visit.store(), id, &filter, PAGE).await?;
    let is_full = items.len() >= usize::try_from(PAGE).unwrap_or(usize::MAX);
    let next = items.last().filter(|_| is_full).map(|item| next_page(&visit, &["outcome"], &item.place.to_string()));
    let row = &details.row;
    let is = |states: &[ReplayState]| row.state.is_some_and(|state| states.contains(&state));
    let is_live = is(&[ReplayState::Planning, ReplayState::Running, ReplayState::Planned, ReplayState::Paused]);
    let frame = visit.frame("/replays", format!("Replay {id}"), format!("testmo-courier replays show {id}"));
    let page = ReplayPage {
        frame: Frame { live: if is_live { 2 } else { 0 }, ..frame },
        id: id.0,
        state: row.state.map_or("unknown", ReplayState::name),
        is_planned: is(&[ReplayState::Planned]),
        is_running: is(&[ReplayState::Running]),
        is_paused: is(&[ReplayState::Paused]),
        is_open: is_live,
        why: row.why.clone(),
        name: row.name.clone(),
        because: row.reason.clone(),
        selection: row.selection.clone(),
        owner: row.owner.clone(),
        per_minute: row.per_minute,
        unchanged_too: row.unchanged_too,
        created: visit.at(row.created_at),
        started: row.started_at.map(|at| visit.at(at)),
        ended: row.ended_at.map(|at| visit.at(at)),
        summary: summary(&details),
        done: details.ended(),
        under_way: details.under_way(),
        left: details.left(),
        outcomes: details.outcomes.clone(),
        more_parts: details.parts.iter().filter(|part| part.batches > 0).count().saturating_sub(MOST_PARTS),
        parts: details.parts.iter().filter(|part| part.batches > 0).take(MOST_PARTS).map(part).collect(),
        outcome,
        again: again(&details, &items),
        items: items.iter().map(item).collect(),
        next,
    };
    Answer::page(200, &page)
}

fn summary(details: &ReplayDetails) -> Option<Summary> {
    let summary = details.summary.as_ref()?;
    let forecast = |count: &replays::ForecastCount| {
        let known = count.forecast.parse::<Forecast>().ok();
        let is_tried = known.is_some_and(|forecast| forecast.is_tried(details.row.unchanged_too));
        (count.forecast.replace('_', " "), count.batches, known.map_or("", meaning), is_tried)
    };
    Some(Summary {
        batches: summary.batches,
        tried: summary.tried,
        cases: summary.cases,
        requests: summary.requests,
        time: time(summary.seconds),
        forecasts: summary.forecasts.iter().map(forecast).collect(),
    })
}

/// Says what is expected of batches.
fn meaning(forecast: Forecast) -> &'static str {
    match forecast {
        Forecast::Ready => "what is missing is created",
        Forecast::AlreadyInTestmo => "every case is there; nothing is sent",
        Forecast::OutcomeUnknown => "cases may be in Testmo, so it is reconciled first",
        Forecast::RefusedAgain => "nothing that this program can see has changed since Testmo refused it",
        Forecast::NotYet => "the connection does not work, the lane is paused, or Testmo asked for a pause",
        Forecast::Impossible => "it cannot be replayed",
    }
}

fn time(seconds: u64) -> String {
    match seconds {
        0..=89 => format!("{seconds} s"),
        90..=5_399 => format!("{} min", (seconds + 30) / 60),
        _ => format!("{} h", (seconds + 1_800) / 3_600),
    }
}

fn part(part: &PartProgress) -> Part {
    let at = part.account.clone().or_else(|| part.tenant.as_ref().map(ToString::to_string));
    Part {
        group: part.cause.map(|cause| cause.to_string()),
        at: at.unwrap_or_else(|| "–".into()),
        batches: part.batches,
        left: part.left(),
        under_way: part.under_way(),
        how: match (&part.why, part.window.is_canary()) {
            (Some(why), _) => why.clone(),
            (None, true) => "a few batches one at a time".into(),
            (None, false) => "as many as succeed".into(),
        },
        is_stopped: part.window.is_stopped(),
    }
}

fn item(item: &ReplayItem) -> Item {
    let batch = [item.tenant.as_deref(), item.batch.as_deref()].map(|part| part.unwrap_or("?")).join("/");
    let tone = match item.outcome.as_deref().and_then(|outcome| outcome.parse::<ItemOutcome>().ok()) {
        Some(ItemOutcome::Delivered | ItemOutcome::AlreadyInTestmo) => "good",
        Some(ItemOutcome::Failed) => "bad",
        Some(ItemOutcome::Partial | ItemOutcome::Parked | ItemOutcome::Changed) => "mixed",
        Some(ItemOutcome::Discarded | ItemOutcome::Skipped) | None => "",
    };
    Item {
        entry: item.entry.to_string(),
        batch_page: (item.tenant.is_some() && item.batch.is_some()).then(|| batch_address(&batch)),
        batch,
        expected: item.forecast.replace('_', " "),
        outcome: item.outcome.as_ref().unwrap_or(&item.state).replace('_', " "),
        tone,
        reason: item.outcome_reason.clone().unwrap_or_else(|| item.reason.clone()),
        detail: item.outcome_detail.clone().or_else(|| item.detail.clone()).unwrap_or_default(),
    }
}

/// Returns the fields that plan the entries again with those that would be refused again, if there are such and all of them are
/// on the page.
fn again(details: &ReplayDetails, items: &[ReplayItem]) -> Option<Vec<(&'static str, String)>> {
    let summary = details.summary.as_ref()?;
    let is_planned = details.row.state == Some(ReplayState::Planned);
    let is_left_out = summary.of(Forecast::RefusedAgain) > 0 && !details.row.unchanged_too;
    let group = details.row.selection.strip_prefix("--group ").filter(|group| !group.contains(' '));
    let mut fields = match group {
        Some(group) => vec![("group", group.to_owned())],
        None if u64::try_from(items.len()) == Ok(summary.batches) => {
            items.iter().map(|item| ("id", item.entry.to_string())).collect()
        }
        None => return None,
    };
    fields.push(("unchanged", "yes".into()));
    (is_planned && is_left_out).then_some(fields)
}

async fn act(visit: Visit, action: ReplayAction) -> Result<Answer, Problem> {
    let id: ReplayId = visit.path("replay")?;
    let because = visit.because();
    if because.is_some_and(|because| because.chars().count() > LONGEST_REASON) {
        let why = format!("Write at most {LONGEST_REASON} characters.");
        return Err(Problem::parameter(Code::InvalidParameter, "because", why));
    }
    replays::act(visit.store(), visit.actor()?, id, action, because).await?;
    let said = match action {
        ReplayAction::Start => "Started. A running worker carries it out, beginning with a few batches one at a time.",
        ReplayAction::Pause => "Paused: nothing more is started. What is under way comes to its end.",
        ReplayAction::Resume => "Resumed, beginning with a few batches one at a time.",
        ReplayAction::Cancel => "Cancelled. What is under way comes to its end; what was not started stays as it is.",
    };
    Ok(visit.go(&format!("/replays/{id}"), &Notice::good(said)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_the_unit_that_fits() {
        for (seconds, written) in [(0, "0 s"), (89, "89 s"), (90, "2 min"), (5_400, "2 h")] {
            assert_eq!(time(seconds), written);
        }
    }
}

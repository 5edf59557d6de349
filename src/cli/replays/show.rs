//! `replays show`: shows a replay, or what became of its batches.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use testmo_courier::app::replays::{
    self, ItemFilter, ItemOutcome, PartProgress, ReplayDetails, ReplayId, ReplayItem, ReplayState,
};
use testmo_courier::app::time::relative;
use testmo_courier::app::view::{ReplayDetailsView, ReplayItemView};
use testmo_courier::app::{Store, store_now};

use super::super::failure::Failure;
use super::super::output::Output;
use super::super::table::{Form, List, counted, facts, is_full, note, shortened};
use super::plan::duration;

/// How many parts are shown.
const PARTS: usize = 20;
/// How many characters of a detail a list shows; `--json` has all of it.
const DETAIL_CHARACTERS: usize = 100;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The number of the replay
    #[arg(value_name = "REPLAY")]
    id: ReplayId,
    /// List its batches instead
    #[arg(long)]
    batches: bool,
    /// List its batches with this outcome instead
    #[arg(long, value_parser = outcomes())]
    outcome: Option<ItemOutcome>,
    /// The maximum number of batches
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Only batches behind this place: the next page
    #[arg(long, value_name = "PLACE")]
    after: Option<u64>,
    #[command(flatten)]
    form: Form,
}

fn outcomes() -> impl TypedValueParser<Value = ItemOutcome> {
    PossibleValuesParser::new(ItemOutcome::ALL.map(ItemOutcome::name)).try_map(|name| name.parse::<ItemOutcome>())
}

pub(crate) async fn execute(arguments: &Arguments, store: &Store, out: &mut Output) -> Result<(), Failure> {
    if arguments.batches || arguments.outcome.is_some() || arguments.after.is_some() {
        return list(arguments, store, out).await;
    }
    let details = replays::show(store, arguments.id).await?;
    if arguments.form.json {
        return out.json(&ReplayDetailsView::from(&details));
    }
    out.text(&text(&details, store_now(store)))
}

async fn list(arguments: &Arguments, store: &Store, out: &mut Output) -> Result<(), Failure> {
    let outcome = arguments.outcome.map(|outcome| outcome.name().to_owned());
    let filter = ItemFilter { outcome, after: arguments.after };
    let items = replays::items(store, arguments.id, &filter, arguments.limit).await?;
    if arguments.form.json {
        out.json(&items.iter().map(ReplayItemView::from).collect::<Vec<_>>())?;
    } else {
        table(&items).write(out, arguments.form.plain, "No batch of the replay matches.")?;
    }
    match items.last().filter(|_| is_full(items.len(), arguments.limit)) {
        Some(last) => note(&format!("there may be more: add --after {}", last.place)),
        None => Ok(()),
    }
}

fn table(items: &[ReplayItem]) -> List {
    let mut list = List::new(&["place", "entry", "batch", "expected", "outcome", "reason", "detail"]);
    for item in items {
        let batch = [item.tenant.as_deref(), item.batch.as_deref()].map(|part| part.unwrap_or("?")).join("/");
        let outcome = item.outcome.clone().unwrap_or_else(|| item.state.clone());
        let detail = item.outcome_detail.as_deref().or(item.detail.as_deref()).unwrap_or_default();
        list.add(vec![
            item.place.to_string(),
            item.entry.to_string(),
            batch,
            item.forecast.clone(),
            outcome,
            item.outcome_reason.clone().unwrap_or_else(|| item.reason.clone()),
            shortened(detail, DETAIL_CHARACTERS),
        ]);
    }
    list
}

/// Describes a replay.
fn text(details: &ReplayDetails, now: i64) -> String {
    let row = &details.row;
    let state = row.state.map_or("in a state that this version does not know", ReplayState::name);
    let state = row.why.as_ref().map_or_else(|| state.to_owned(), |why| format!("{state}: {why}"));
    let mut all = vec![("replay", row.id.to_string()), ("state", state)];
    all.extend(row.name.clone().map(|name| ("name", name)));
    all.push(("selection", row.selection.clone()));
    all.push(("planned", format!("{} by {}", relative(row.created_at, now), row.owner)));
    all.extend(row.reason.clone().map(|reason| ("because", reason)));
    all.extend(row.started_at.map(|at| ("started", relative(at, now))));
    all.extend(row.ended_at.map(|at| ("ended", relative(at, now))));
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let rate = |rate: u32| format!("at most {} per minute", counted(number(rate.into()), "batch", "batches"));
    all.extend(row.per_minute.map(|most| ("rate", rate(most))));
    if let Some(summary) = &details.summary {
        let expected = summary.forecasts.iter().map(|count| format!("{} {}", count.batches, count.forecast));
        all.push(("expected", expected.collect::<Vec<_>>().join(", ")));
        let batches = format!("{} of {}", summary.tried, counted(number(summary.batches), "batch", "batches"));
        let cases = counted(number(summary.cases), "case", "cases");
        let requests = counted(number(summary.requests), "request", "requests");
        all.push(("tried", format!("{batches}, {cases}, about {requests} in {}", duration(summary.seconds))));
    }
    let outcomes = details.outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}"));
    let outcomes = outcomes.collect::<Vec<_>>().join(", ");
    all.push(("outcomes", if outcomes.is_empty() { "none yet".into() } else { outcomes }));
    all.push(("under way", details.under_way().to_string()));
    all.push(("left", details.left().to_string()));
    let mut text = facts(&all);
    text.push_str(&parts(&details.parts));
    if let Some(next) = next(row.id, row.state) {
        text.push_str(&format!("\n{next}\n"));
    }
    text
}

fn parts(parts: &[PartProgress]) -> String {
    let shown: Vec<&PartProgress> = parts.iter().filter(|part| part.batches > 0).collect();
    if shown.is_empty() {
        return String::new();
    }
    let mut list = List::new(&["group", "at", "batches", "left", "under way", "how"]);
    for part in shown.iter().take(PARTS) {
        let at = part.account.clone().or_else(|| part.tenant.as_ref().map(ToString::to_string));
        let how = match (&part.why, part.window.is_canary()) {
            (Some(why), _) => why.clone(),
            (None, true) => "a few batches one at a time".into(),
            (None, false) => "as many as succeed".into(),
        };
        list.add(vec![
            part.cause.map_or_else(|| "-".to_owned(), |cause| cause.to_string()),
            at.unwrap_or_else(|| "-".into()),
            part.batches.to_string(),
            part.left().to_string(),
            part.under_way().to_string(),
            how,
        ]);
    }
    let mut text = format!("\n{}\n", list.columns().join("\n"));
    if shown.len() > PARTS {
        let more = counted(shown.len() - PARTS, "more part", "more parts");
        text.push_str(&format!("and {more}, which --json shows\n"));
    }
    text
}

/// Names the command that shows how a replay goes.
pub(super) fn watched(id: ReplayId) -> String {
    format!("`testmo-courier replays watch {id}` shows how it goes.")
}

/// Names the command that lists what failed.
pub(super) fn what_failed(id: ReplayId) -> String {
    format!("`testmo-courier replays show {id} --outcome failed` lists what failed, and why.")
}

/// Says what comes before batches of a paused replay are edited: resumed, it would leave them alone as changed.
pub(super) fn before_editing(id: ReplayId) -> String {
    format!("To edit or discard its batches, cancel it first: `testmo-courier replays cancel {id}`.")
}

/// Names the command that goes on with a replay.
fn next(id: ReplayId, state: Option<ReplayState>) -> Option<String> {
    let (command, effect) = match state? {
        ReplayState::Planning => ("cancel", "removes the plan, which was cut off"),
        ReplayState::Planned => ("start", "starts it"),
        ReplayState::Running => ("watch", "shows how it goes"),
        ReplayState::Paused => {
            let resume =
                format!("`testmo-courier replays resume {id}` goes on, beginning with a few batches one at a time");
            return Some(format!("{}\n{resume}.\n{}", what_failed(id), before_editing(id)));
        }
        ReplayState::Done | ReplayState::Cancelled => return None,
    };
    Some(format!("`testmo-courier replays {command} {id}` {effect}."))
}

#[cfg(test)]
mod tests {
    use testmo_courier::app::replays::{ForecastCount, PlanSummary, ReplayRow};

    use super::*;

    #[test]
    fn a_replay_reads_like_this() {
        const NOW: i64 = 1_800_000_000_000;
        let row = ReplayRow {
            id: ReplayId(7),
            epoch: 4,
            state: Some(ReplayState::Paused),
            name: Some("after the upgrade".into()),
            reason: Some("their template is back".into()),
            selection: "--group c-5f3a09b2".into(),
            owner: "anna".into(),
            per_minute: Some(60),
            most: None,
            unchanged_too: false,
            why: Some("paused by anna".into()),
            summary: None,
            created_at: NOW - 600_000,
            started_at: Some(NOW - 500_000),
            ended_at: None,
        };
        let forecasts = vec![ForecastCount { forecast: "ready".into(), batches: 36, cases: 360 }];
        let (batches, tried, cases, requests, seconds, parts) = (36, 36, 360, 12, 36, 1);
        let part = PartProgress {
            part: 0,
            cause: "c-5f3a09b2".parse().ok(),
            account: Some("https://acme.testmo.net".into()),
            tenant: None,
            batches: 36,
            started: 3,
            counted: 2,
            passed: 1,
            window: Default::default(),
            why: None,
        };
        let details = ReplayDetails {
            row,
            summary: Some(PlanSummary { batches, tried, cases, requests, seconds, parts, forecasts }),
            parts: vec![part],
            outcomes: vec![("changed".into(), 1), ("delivered".into(), 2)],
        };
        let item = ReplayItem {
            place: 3,
            entry: "0000001a".parse().unwrap(),
            tenant: Some("acme".into()),
            batch: Some("b-1".into()),
            reason: "case_refused".into(),
            cases: 10,
            forecast: "ready".into(),
            detail: None,
            state: "counted".into(),
            outcome: Some("failed".into()),
            outcome_reason: Some("case_refused".into()),
            outcome_detail: Some("case #1: tags.0: is too long".into()),
            started_at: None,
            ended_at: None,
        };
        let waiting = ReplayItem {
            outcome: None,
            outcome_reason: None,
            outcome_detail: None,
            state: "waiting".into(),
            ..item.clone()
        };
        let shown = format!("{}\n{}", text(&details, NOW), table(&[item, waiting]).columns().join("\n"));
        insta::assert_snapshot!(shown);
    }
}

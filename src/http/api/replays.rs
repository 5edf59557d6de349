//! Routes: plans replays, shows how they go, and starts, pauses, resumes and cancels them.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::admin::problem::{Code, Problem};
use super::call::Call;
use super::page::{AFTER, LIMIT, Page, limit, number};
use super::reply::Reply;
use super::route::{Answer, Body, Kind, Parameter, Route, Scope};
use super::selection::{SelectionBody, selection};
use crate::app::replays::{
    self, ItemFilter, ItemOutcome, LONGEST_NAME, LONGEST_REASON, MOST_PER_MINUTE, ReplayAction, ReplayId,
    ReplayRequest, ReplayState,
};
use crate::app::view::{ReplayDetailsView, ReplayItemView, ReplayView};

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "listReplays",
        path: "/api/v1/replays",
        about: "Lists replays, the newest first.",
        scope: Scope::All,
        query: &[
            Parameter { name: "state", about: "Only replays in this state.", kind: Kind::Word(states) },
            LIMIT,
            AFTER,
        ],
        answers: &[(200, Answer::Json(|g| g.subschema_for::<Page<ReplayView>>()))],
        handler: |call| Box::pin(list(call)),
        ..Route::READ
    },
    Route {
        id: "planReplay",
        path: "/api/v1/replays",
        about: "Plans a replay: freezes what is selected, and says what is to be expected of each batch. Nothing is sent until \
                it is started.",
        scope: Scope::All,
        body: Body::Json(|g| g.subschema_for::<PlanBody>()),
        answers: &[(201, Answer::Json(|g| g.subschema_for::<ReplayDetailsView>()))],
        refusals: &[404],
        handler: |call| Box::pin(plan(call)),
        ..Route::CHANGE
    },
    Route {
        id: "getReplay",
        path: "/api/v1/replays/{replay}",
        about: "Shows a replay: its plan, its parts, and how many batches have each outcome.",
        scope: Scope::All,
        answers: &[(200, Answer::Json(|g| g.subschema_for::<ReplayDetailsView>()))],
        handler: |call| Box::pin(show(call)),
        ..Route::READ
    },
    Route {
        id: "listReplayBatches",
        path: "/api/v1/replays/{replay}/batches",
        about: "Lists the batches of a replay in their order, with what was expected and what became of them.",
        scope: Scope::All,
        query: &[
            Parameter { name: "outcome", about: "Only batches with this outcome.", kind: Kind::Word(outcomes) },
            LIMIT,
            AFTER,
        ],
        answers: &[(200, Answer::Json(|g| g.subschema_for::<Page<ReplayItemView>>()))],
        handler: |call| Box::pin(batches(call)),
        ..Route::READ
    },
    Route {
        id: "startReplay",
        path: "/api/v1/replays/{replay}/start",
        about: "Starts a replay that was planned; a worker carries it out, beginning with a few batches one at a time.",
        handler: |call| Box::pin(act(call, ReplayAction::Start)),
        ..ACT
    },
    Route {
        id: "pauseReplay",
        path: "/api/v1/replays/{replay}/pause",
        about: "Starts no more batches of a replay for now. What is under way comes to its end.",
        handler: |call| Box::pin(act(call, ReplayAction::Pause)),
        ..ACT
    },
    Route {
        id: "resumeReplay",
        path: "/api/v1/replays/{replay}/resume",
        about: "Goes on with a paused replay, beginning with a few batches one at a time.",
        handler: |call| Box::pin(act(call, ReplayAction::Resume)),
        ..ACT
    },
    Route {
        id: "cancelReplay",
        path: "/api/v1/replays/{replay}/cancel",
        about: "Ends a replay. What is under way comes to its end; what was not started stays as it is.",
        handler: |call| Box::pin(act(call, ReplayAction::Cancel)),
        ..ACT
    },
];

/// Changes the state of a replay.
const ACT: Route = Route {
    scope: Scope::All,
    body: Body::Json(|g| g.subschema_for::<ActBody>()),
    answers: &[(200, Answer::Json(|g| g.subschema_for::<ReplayView>()))],
    ..Route::CHANGE
};

/// Which entries are replayed, and how.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PlanBody {
    /// Ids as the list of the shelf shows them, batches as TENANT/BATCH, or the first 12 digits of a message's hash.
    #[serde(default)]
    ids: Option<Vec<String>>,
    /// What the entries have in common, in place of ids.
    #[serde(default)]
    selection: Option<SelectionBody>,
    /// What the replay is called.
    #[serde(default)]
    #[schemars(length(max = LONGEST_NAME))]
    name: Option<String>,
    /// Why, for the audit.
    #[serde(default)]
    #[schemars(length(max = LONGEST_REASON))]
    reason: Option<String>,
    /// How many batches may be started in a minute.
    #[serde(default)]
    #[schemars(range(min = 1, max = MOST_PER_MINUTE))]
    per_minute: Option<u32>,
    /// How many batches are replayed at most, the oldest first.
    #[serde(default)]
    #[schemars(range(min = 1))]
    limit: Option<u32>,
    /// Whether what would be refused again is replayed, too, such as after a change in Testmo.
    #[serde(default)]
    unchanged_too: bool,
}

/// Why a replay is changed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ActBody {
    /// Why, for the audit.
    #[serde(default)]
    #[schemars(length(max = LONGEST_REASON))]
    reason: Option<String>,
}

fn states() -> Vec<&'static str> {
    ReplayState::ALL.map(ReplayState::name).into()
}

fn outcomes() -> Vec<&'static str> {
    ItemOutcome::ALL.map(ItemOutcome::name).into()
}

async fn list(call: Call) -> Result<Reply, Problem> {
    let (most, before) = (limit(&call)?, number(&call)?);
    let before = before.map(|id| ReplayId(i64::try_from(id).unwrap_or(i64::MAX)));
    let rows = replays::list(call.store(), call.query("state")?, before, most).await?;
    let is_full = rows.len() >= usize::try_from(most).unwrap_or(usize::MAX);
    let next = rows.last().filter(|_| is_full).map(|row| row.id.to_string());
    Reply::json(200, &Page::of(&call, rows.iter().map(ReplayView::from).collect(), next))
}

async fn plan(call: Call) -> Result<Reply, Problem> {
    let body: PlanBody = call.json()?;
    let selection = selection(&call, body.ids.as_deref(), body.selection.as_ref())?;
    let PlanBody { name, reason, per_minute, limit: most, unchanged_too, .. } = body;
    short_enough(name.as_deref(), LONGEST_NAME, "/name")?;
    short_enough(reason.as_deref(), LONGEST_REASON, "/reason")?;
    if per_minute.is_some_and(|rate| !(1..=MOST_PER_MINUTE).contains(&rate)) {
        let why = format!("Write a number of batches from 1 to {MOST_PER_MINUTE}, or null.");
        return Err(Problem::new(Code::InvalidBody, why).at("/per_minute"));
    }
    if most == Some(0) {
        return Err(Problem::new(Code::InvalidBody, "Write a number of batches from 1, or null.").at("/limit"));
    }
    let request = ReplayRequest { selection, name, reason, per_minute, most, unchanged_too };
    let planned = replays::plan(call.store(), &call.context().config, call.actor(), request).await?;
    let details = replays::show(call.store(), planned.id).await?;
    Reply::json(201, &ReplayDetailsView::from(&details))
}

/// Checks the length of a text, which is kept and shown with the replay.
fn short_enough(text: Option<&str>, most: usize, at: &str) -> Result<(), Problem> {
    match text.filter(|text| text.chars().count() > most) {
        Some(_) => Err(Problem::new(Code::InvalidBody, format!("Write at most {most} characters.")).at(at)),
        None => Ok(()),
    }
}

async fn show(call: Call) -> Result<Reply, Problem> {
    let details = replays::show(call.store(), call.path("replay")?).await?;
    Reply::json(200, &ReplayDetailsView::from(&details))
}

async fn batches(call: Call) -> Result<Reply, Problem> {
    let (id, most): (ReplayId, u32) = (call.path("replay")?, limit(&call)?);
    let outcome = call.query::<ItemOutcome>("outcome")?.map(|outcome| outcome.name().to_owned());
    let filter = ItemFilter { outcome, after: number(&call)? };
    let items = replays::items(call.store(), id, &filter, most).await?;
    let is_full = items.len() >= usize::try_from(most).unwrap_or(usize::MAX);
    let next = items.last().filter(|_| is_full).map(|item| item.place.to_string());
    Reply::json(200, &Page::of(&call, items.iter().map(ReplayItemView::from).collect(), next))
}

async fn act(call: Call, action: ReplayAction) -> Result<Reply, Problem> {
    let (id, ActBody { reason }) = (call.path("replay")?, call.json()?);
    short_enough(reason.as_deref(), LONGEST_REASON, "/reason")?;
    let row = replays::act(call.store(), call.actor(), id, action, reason.as_deref()).await?;
    Reply::json(200, &ReplayView::from(&row))
}

//! Shows replays and their entries to programs.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::replays::{Forecast, PartProgress, PlanSummary, ReplayDetails, ReplayItem, ReplayRow};
use super::super::time::rfc3339;

/// A replay.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ReplayView {
    id: i64,
    state: &'static str,
    why: Option<String>,
    name: Option<String>,
    reason: Option<String>,
    selection: String,
    owner: String,
    per_minute: Option<u32>,
    limit: Option<u32>,
    unchanged_too: bool,
    created_at: Option<String>,
    started_at: Option<String>,
    ended_at: Option<String>,
    plan: Option<PlanSummary>,
}

/// A replay with how it goes.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ReplayDetailsView {
    #[serde(flatten)]
    replay: ReplayView,
    left: u64,
    under_way: u64,
    outcomes: Vec<OutcomeView>,
    parts: Vec<PartView>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct OutcomeView {
    outcome: String,
    batches: u64,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct PartView {
    group: Option<String>,
    account: Option<String>,
    tenant_id: Option<String>,
    batches: u64,
    left: u64,
    under_way: u64,
    in_canary: bool,
    stopped: bool,
    why: Option<String>,
}

/// An entry of a replay.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ReplayItemView {
    place: u64,
    entry: String,
    tenant_id: Option<String>,
    batch_id: Option<String>,
    reason: String,
    cases: u64,
    forecast: String,
    forecast_detail: Option<String>,
    state: String,
    outcome: Option<String>,
    outcome_reason: Option<String>,
    outcome_detail: Option<String>,
    started_at: Option<String>,
    ended_at: Option<String>,
}

/// A replay that was just planned, with its entries.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PlannedReplayView {
    #[serde(flatten)]
    replay: ReplayDetailsView,
    /// What the replay tries.
    replayed: Vec<ReplayItemView>,
    /// What it does not try, and why.
    skipped: Vec<ReplayItemView>,
}

impl PlannedReplayView {
    /// Shows a replay with the entries of its plan.
    pub fn of(details: &ReplayDetails, items: &[ReplayItem]) -> Self {
        let (replayed, skipped): (Vec<&ReplayItem>, Vec<&ReplayItem>) = items.iter().partition(|item| {
            item.forecast.parse::<Forecast>().is_ok_and(|forecast| forecast.is_tried(details.row.unchanged_too))
        });
        let shown = |items: Vec<&ReplayItem>| items.into_iter().map(ReplayItemView::from).collect();
        Self { replay: details.into(), replayed: shown(replayed), skipped: shown(skipped) }
    }
}

impl From<&ReplayRow> for ReplayView {
    fn from(row: &ReplayRow) -> Self {
        Self {
            id: row.id.0,
            state: row.state.map_or("unknown", |state| state.name()),
            why: row.why.clone(),
            name: row.name.clone(),
            reason: row.reason.clone(),
            selection: row.selection.clone(),
            owner: row.owner.clone(),
            per_minute: row.per_minute,
            limit: row.most,
            unchanged_too: row.unchanged_too,
            created_at: rfc3339(row.created_at),
            started_at: row.started_at.and_then(rfc3339),
            ended_at: row.ended_at.and_then(rfc3339),
            plan: row.summary.as_deref().and_then(|text| serde_json::from_str(text).ok()),
        }
    }
}

impl From<&ReplayDetails> for ReplayDetailsView {
    fn from(details: &ReplayDetails) -> Self {
        let outcome = |(outcome, batches): &(String, u64)| OutcomeView { outcome: outcome.clone(), batches: *batches };
        Self {
            replay: ReplayView::from(&details.row),
            left: details.left(),
            under_way: details.under_way(),
            outcomes: details.outcomes.iter().map(outcome).collect(),
            parts: details.parts.iter().map(PartView::from).collect(),
        }
    }
}

impl From<&PartProgress> for PartView {
    fn from(part: &PartProgress) -> Self {
        Self {
            group: part.cause.map(|cause| cause.to_string()),
            account: part.account.clone(),
            tenant_id: part.tenant.as_ref().map(ToString::to_string),
            batches: part.batches,
            left: part.left(),
            under_way: part.under_way(),
            in_canary: part.window.is_canary(),
            stopped: part.window.is_stopped(),
            why: part.why.clone(),
        }
    }
}

impl From<&ReplayItem> for ReplayItemView {
    fn from(item: &ReplayItem) -> Self {
        Self {
            place: item.place,
            entry: item.entry.to_string(),
            tenant_id: item.tenant.clone(),
            batch_id: item.batch.clone(),
            reason: item.reason.clone(),
            cases: item.cases,
            forecast: item.forecast.clone(),
            forecast_detail: item.detail.clone(),
            state: if item.state == "counted" { "ended".into() } else { item.state.clone() },
            outcome: item.outcome.clone(),
            outcome_reason: item.outcome_reason.clone(),
            outcome_detail: item.outcome_detail.clone(),
            started_at: item.started_at.and_then(rfc3339),
            ended_at: item.ended_at.and_then(rfc3339),
        }
    }
}

//! Shows to programs what is ordered for lanes.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::lanes::{Closure, Ordered};
use super::super::time::rfc3339;
use crate::store::accounts::LaneOverride;

/// Every override in force.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LaneOverridesView {
    overrides: Vec<LaneOverrideView>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct LaneOverrideView {
    lane: String,
    paused: bool,
    limit: Option<u32>,
}

impl LaneOverridesView {
    /// Shows overrides.
    pub fn of(overrides: &[LaneOverride]) -> Self {
        Self { overrides: overrides.iter().map(LaneOverrideView::of).collect() }
    }
}

impl LaneOverrideView {
    fn of(order: &LaneOverride) -> Self {
        Self { lane: order.lane.name().to_owned(), paused: order.paused, limit: order.most }
    }
}

/// What was ordered for a lane, and what follows.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LaneOrderedView {
    #[serde(flatten)]
    order: LaneOverrideView,
    /// Whether a pause that Testmo had asked for was ended.
    opened: bool,
    /// How many batches wait on the shelf for the tenants of a lane that was resumed.
    waiting_batches: Option<usize>,
    /// What keeps batches of the lane from being sent although the lane is not paused.
    closed: Vec<ClosureView>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct ClosureView {
    /// `rate_limit`, `testmo_failing`, `paused` or `connection`.
    cause: &'static str,
    lane: String,
    until: Option<String>,
}

impl LaneOrderedView {
    /// Shows an order.
    pub fn of(ordered: &Ordered) -> Self {
        Self {
            order: LaneOverrideView::of(&ordered.order),
            opened: ordered.opened,
            waiting_batches: ordered.waiting.map(|waiting| waiting.batches),
            closed: ordered.closed.iter().map(closure).collect(),
        }
    }
}

fn closure(closure: &Closure) -> ClosureView {
    let (cause, lane, until) = match closure {
        Closure::RateLimited(account, until) => ("rate_limit", account.clone(), Some(*until)),
        Closure::Failing(account, until) => ("testmo_failing", account.clone(), Some(*until)),
        Closure::Paused(lane) => ("paused", lane.name().to_owned(), None),
        Closure::Unverified(tenant) => ("connection", tenant.to_string(), None),
    };
    ClosureView { cause, lane, until: until.and_then(rfc3339) }
}

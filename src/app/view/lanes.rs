//! Shows to programs what is ordered for lanes.

use serde::Serialize;

use crate::store::accounts::LaneOverride;

/// Every override in force.
#[derive(Clone, Debug, Serialize)]
pub struct LaneOverridesView {
    overrides: Vec<LaneOverrideView>,
}

#[derive(Clone, Debug, Serialize)]
struct LaneOverrideView {
    lane: String,
    paused: bool,
    limit: Option<u32>,
}

impl LaneOverridesView {
    /// Shows overrides.
    pub fn of(overrides: &[LaneOverride]) -> Self {
        let view = |order: &LaneOverride| LaneOverrideView {
            lane: order.lane.name().to_owned(),
            paused: order.paused,
            limit: order.most,
        };
        Self { overrides: overrides.iter().map(view).collect() }
    }
}

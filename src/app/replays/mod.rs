//! Plans replays, starts, pauses and cancels them, and shows how they go.

mod control;
mod error;
mod estimate;
mod expected;
mod facts;
mod plan;
mod read;
mod store;
mod summary;

pub use self::control::{ReplayAction, act};
pub use self::error::ReplayError;
pub use self::plan::{LONGEST_NAME, LONGEST_REASON, MOST_PER_MINUTE, Planned, ReplayRequest, plan, plan_and_start};
pub use self::read::{ReplayDetails, all_items, items, list, show};
pub use self::store::PlanStore;
pub use self::summary::{ForecastCount, PlanSummary};
pub use crate::batch::replay::{Forecast, ItemOutcome};
pub use crate::store::replays::{ItemFilter, PartProgress, ReplayId, ReplayItem, ReplayRow, ReplayState};

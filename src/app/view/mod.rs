//! Gives each thing that is shown one serializable shape, for `--json`, the API and templates.

mod audit;
mod batch;
mod batch_details;
mod connection;
mod group;
mod lanes;
mod message;
mod plan;
mod preview;
mod probe;
mod probed;
mod replay;
mod shelf;
mod timeline;
mod verified;
mod waits;

pub use self::audit::{AuditPageView, difference};
pub use self::batch::BatchView;
pub use self::batch_details::BatchDetailsView;
pub use self::connection::ConnectionView;
pub use self::group::GroupView;
pub use self::lanes::LaneOverridesView;
pub use self::message::MessageView;
pub use self::plan::PlanOutcomeView;
pub use self::preview::PreviewView;
pub use self::probe::{ProbeReport, ProbeView};
pub use self::probed::ProbedView;
pub use self::replay::{ReplayDetailsView, ReplayItemView, ReplayView};
pub use self::shelf::{ShelfEntryView, ShelvedMessageView, due};
pub use self::timeline::{CandidateView, TimelineEntryView, TimelineView, UnderWayView};
pub use self::verified::{SavedView, VerifiedView};
pub use self::waits::{WaitsView, sent_when};

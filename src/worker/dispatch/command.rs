//! Defines the commands that the dispatcher carries out.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::in_flight::AckTarget;
use crate::amqp::Generation;
use crate::batch::TenantId;
use crate::store::accounts::LaneOverride;
use crate::store::shelf::DueTenant;
use crate::worker::model::{ActiveBatch, Disposition, WorkKey};

/// A request to the dispatcher.
pub(in crate::worker) enum DispatcherCommand {
    /// Work on a batch, and acknowledge it where it came from.
    Work(Box<ActiveBatch>, Box<AckTarget>),
    /// Forget the deliveries of a session with the broker that is over.
    Lost(Generation),
    /// Apply what people have set for lanes.
    Override(Vec<LaneOverride>),
    /// End the pause of accounts that the store said to be open, at this time.
    Reopen(Vec<Arc<str>>, Instant),
    /// Return how much room there is for what each of these tenants has on the shelf.
    RoomFor(Vec<DueTenant>, oneshot::Sender<Vec<(TenantId, u32)>>),
    /// Carry out what became of a batch that was worked on in the background.
    Dispose(Box<ActiveBatch>, Disposition),
    /// Give a batch back that was lost to a panic.
    GiveBack(WorkKey),
}

/// A request for a picture of the lanes, as JSON.
pub type View = oneshot::Sender<serde_json::Value>;

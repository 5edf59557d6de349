//! Holds what every step of a worker needs, without behaviour of its own.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::{Notify, mpsc};

use super::live::Live;
use super::model::{Backlogs, SlowTrials, Troubles};
use super::room::ReadingRoom;
use super::stop::Stop;
use super::turns::Turns;
use super::workload::Workload;
use crate::batch::restored::Restored;
use crate::clock::Clock;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::store::Storage;
use crate::store::outbox::OutboxEvent;
use crate::tenants::Tenants;
use crate::testmo::Client;
use crate::trace::Spans;

/// A worker's configuration and neighbours.
pub(super) struct WorkerContext {
    /// The configuration of the start.
    pub(super) config: Config,
    /// The settings that can differ from it by now.
    pub(super) live: Live,
    pub(super) store: Arc<dyn Storage>,
    pub(super) tenants: Tenants,
    pub(super) client: Client,
    pub(super) metrics: Metrics,
    pub(super) clock: Clock,
    /// Where pieces of work on batches are recorded.
    pub(super) spans: Spans,
    /// What is known of restores of the store from older copies.
    pub(super) restored: Restored,
    pub(super) stop: Stop,
    pub(super) workload: Workload,
    /// The name of this worker in claims and leases.
    pub(super) holder: String,
    /// Who may work on a message.
    pub(super) turns: Turns,
    /// The memory for large messages that are being read.
    pub(super) reading: ReadingRoom,
    /// Accounts in which suspects take long.
    pub(super) slow_trials: SlowTrials,
    /// Accounts that fail.
    pub(super) troubles: Troubles,
    /// Batches of each tenant that wait on the shelf for room.
    pub(super) backlogs: Backlogs,
    /// How many batches were taken that no replay has started: replays give way to them.
    pub(super) others: AtomicU64,
    /// Notified when there is room for batches from the shelf.
    pub(super) shelf_wanted: Arc<Notify>,
    /// Notified when a batch that a replay has started has an outcome.
    pub(super) replay_wanted: Arc<Notify>,
    /// Notified when events were stored that any worker may publish.
    pub(super) outbox_wanted: Arc<Notify>,
    /// Takes events that were stored for this worker to publish.
    pub(super) fresh_events: mpsc::Sender<OutboxEvent>,
}

//! Defines the actions of one run, with their times.

use std::time::Duration;

use crate::batches::Batch;
use crate::generations::{self, Generations};
use crate::orders::Order;
use crate::poison::Poison;

/// The names of the tenants, each with its own Testmo account.
pub(crate) const TENANTS: [&str; 3] = ["amber", "birch", "cedar"];

/// How long a quorum queue on a single node must exist before the node may be killed: it loses confirmed messages if
/// the node is killed sooner after the declaration.
pub(crate) const QUEUE_SETTLES: Duration = Duration::from_secs(2);

/// The actions of one run with their times, in order.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) form: Form,
    pub(crate) batches: Vec<Batch>,
    pub(crate) generations: Generations,
    /// Where each worker crashes in its first life.
    pub(crate) crashes: Vec<Option<Crash>>,
    /// How long a 429 asks to wait, for each tenant's account.
    pub(crate) waits: [Wait; TENANTS.len()],
    /// Whether a batch of a failing account becomes dead within seconds, and not within a day.
    pub(crate) gives_up: bool,
    /// How many batches the previous program delivers before the present one opens the store; none where that begins.
    pub(crate) first: usize,
    pub(crate) actions: Vec<(Duration, Action)>,
}

/// One of the two programs of a rolling upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Previous,
    Present,
}

/// The kind of a plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    /// One worker on SQLite, or several on PostgreSQL.
    pub(crate) replicas: usize,
    /// Whether the plan is short.
    pub(crate) short: bool,
    /// Whether Testmo commits after the settle time.
    pub(crate) late: bool,
}

/// Something that is done to the workers or one of their neighbours.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Publish a batch, perhaps one that was published before.
    Publish { batch: usize },
    /// Publish a message that cannot be processed.
    PublishPoison { poison: Poison },
    /// Kill a worker by SIGKILL and start it again after a while, perhaps with an order to crash.
    Kill { worker: usize, away: Duration, then: Option<Crash> },
    /// Send SIGTERM to a worker, wait for its end, and start it again.
    Restart { worker: usize, then: Option<Crash> },
    /// Send SIGTERM to a worker, wait for its end, and start it in another version.
    Switch { worker: usize, to: Version },
    /// Send SIGSTOP to a worker, and SIGCONT after a while.
    Pause { worker: usize, away: Duration },
    /// Close every connection of the broker.
    CloseConnections,
    /// Kill the broker by SIGKILL, and start it again.
    KillBroker,
    /// End the database, cleanly or by SIGKILL, and start it again.
    RestartStore { cleanly: bool },
    /// Break every connection between the workers and a neighbour, and also new ones for a while.
    Cut { link: Link, away: Duration },
    /// Let nothing pass between the workers and a neighbour for a while.
    Stall { link: Link, away: Duration },
    /// Make Testmo misbehave a number of times.
    Misbehave { tenant: usize, on: Call, how: Misbehaviour, times: u32 },
    /// Revoke a key; after a while the key works again, and a person verifies it.
    RevokeKey { tenant: usize, away: Duration },
    /// Have Testmo refuse every name for a while, so that batches become dead whose cause is fixed later.
    RefuseNames { tenant: usize, away: Duration },
    /// End the worker that carries a replay out by SIGKILL, as soon as one does.
    KillHolder { away: Duration },
    /// Do something with generations.
    Generation(generations::Event),
    /// Have a person give an order.
    Order { person: usize, order: Order },
}

/// An order to crash at a point of a batch's path, and at which passing of the point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Crash {
    pub(crate) point: &'static str,
    pub(crate) passing: u32,
}

impl Plan {
    /// Returns whether people replay what is dead. Plans with late commits have duplicates, which replays only hide.
    pub(crate) fn has_replays(&self) -> bool {
        !self.form.late
    }
}

/// A connection that goes through a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Broker,
    Testmo,
    Store,
}

/// The calls that Testmo answers badly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Create,
    Reconcile,
    NewFolder,
    ListFolders,
    Change,
}

/// What Testmo does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misbehaviour {
    Error { status: u16, after_commit: bool },
    Throttle,
    Late { ms: u64, commit_late: bool },
    CutBefore,
    CutAfter,
    HalfAnswer,
    Garbage,
    DropLast,
}

/// What a 429 says about the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Seconds(u64),
    Date(u64),
    /// Nothing, so that the worker waits as long as Testmo's documentation asks for.
    Untold,
}

impl Wait {
    /// Returns the shortest time for which the account must not be used.
    pub(crate) fn at_least(self) -> Duration {
        match self {
            Self::Seconds(seconds) => Duration::from_secs(seconds),
            // A date has no fractions of seconds.
            Self::Date(seconds) => Duration::from_secs(seconds.saturating_sub(1)),
            Self::Untold => Duration::from_secs(60),
        }
    }
}

//! What happens in one run? A list of actions with their times.

use std::time::Duration;

use crate::batches::Batch;

/// The names of the tenants, each with a Testmo account of its own.
pub(crate) const TENANTS: [&str; 3] = ["amber", "birch", "cedar"];

/// A quorum queue on a single node loses confirmed messages when that node is killed sooner after the declaration.
pub(crate) const QUEUE_SETTLES: Duration = Duration::from_secs(2);

/// The actions of one run with their times, in order.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) form: Form,
    pub(crate) batches: Vec<Batch>,
    /// Where each worker crashes in its first life.
    pub(crate) orders: Vec<Option<Crash>>,
    /// What 429 says of the wait, for each tenant's account.
    pub(crate) waits: [Wait; TENANTS.len()],
    pub(crate) actions: Vec<(Duration, Action)>,
}

/// What kind of plan it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    /// One worker on SQLite, or several on PostgreSQL.
    pub(crate) replicas: usize,
    /// Whether it is over soon.
    pub(crate) short: bool,
    /// Whether Testmo commits later than the settle time allows.
    pub(crate) late: bool,
}

/// Something that is done to the workers or one of their neighbours.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Publish a batch, perhaps one that was published before.
    Publish { batch: usize },
    /// kill -9 and start again after a while, perhaps with the order to crash.
    Kill { worker: usize, away: Duration, then: Option<Crash> },
    /// SIGTERM, wait for the end, start again.
    Restart { worker: usize, then: Option<Crash> },
    /// SIGSTOP, and SIGCONT after a while.
    Pause { worker: usize, away: Duration },
    /// The broker closes every connection.
    CloseConnections,
    /// kill -9 of the broker, and start it again.
    KillBroker,
    /// The database ends, cleanly or by kill -9, and starts again.
    RestartStore { cleanly: bool },
    /// Every connection between the workers and a neighbour breaks, and new ones too for a while.
    Cut { link: Link, away: Duration },
    /// Nothing passes between the workers and a neighbour for a while.
    Stall { link: Link, away: Duration },
    /// Testmo misbehaves some times.
    Misbehave { tenant: usize, on: Call, how: Misbehaviour, times: u32 },
    /// A key is revoked, and after a while works again, and is verified by a person.
    RevokeKey { tenant: usize, away: Duration },
}

/// An order to crash: at which passing of which point of a batch's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Crash {
    pub(crate) point: &'static str,
    pub(crate) passing: u32,
}

/// A connection that goes through a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Broker,
    Testmo,
    Store,
}

/// Which calls Testmo answers badly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Create,
    Reconcile,
    NewFolder,
    ListFolders,
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

/// What a 429 says of the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Seconds(u64),
    Date(u64),
    /// Nothing, so that the worker waits as long as Testmo's documentation asks for.
    Untold,
}

impl Wait {
    /// How long an account has to be left alone at least.
    pub(crate) fn at_least(self) -> Duration {
        match self {
            Self::Seconds(seconds) => Duration::from_secs(seconds),
            // A date has no fractions of seconds.
            Self::Date(seconds) => Duration::from_secs(seconds.saturating_sub(1)),
            Self::Untold => Duration::from_secs(60),
        }
    }
}

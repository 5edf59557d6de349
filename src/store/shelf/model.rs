//! The values that go onto the shelf and come from it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::replays::{ItemStart, ReplayId};
use crate::batch::{BatchId, BatchKey, Reason, TenantId};
use crate::trace::TraceContext;

/// The name under which [`Shelving::headers`] holds the bytes of a content header that could not be read, in hexadecimal
/// digits. No publisher's header is kept under this name.
pub const RAW_HEADERS: &str = "raw_headers_hex";

/// What is put onto the shelf.
#[derive(Clone, Debug)]
pub struct Shelving {
    /// What it is: a batch by tenant, id and fingerprint, or unreadable bytes by their hash.
    pub identity: ShelfIdentity,
    /// Why it is there.
    pub reason: Reason,
    /// More about the reason.
    pub detail: Option<String>,
    /// What it waits for.
    pub until: ShelvedUntil,
    /// The account it goes to, where known.
    pub account: Option<String>,
    /// The connection version that failed, where one was used.
    pub connection: Option<String>,
    /// How often it was parked while failing.
    pub parks: u32,
    /// Since when it has been failing, in milliseconds on the store's clock.
    pub failing_since: Option<i64>,
    /// When it first arrived, likewise; it comes back in this order.
    pub arrived_at: i64,
    /// When it was published, in milliseconds since 1970, where known.
    pub published_at: Option<i64>,
    /// Its headers, of those that are kept.
    pub headers: BTreeMap<String, String>,
    /// The message's bytes.
    pub body: Arc<Vec<u8>>,
}

impl Shelving {
    /// Returns the trace that its message named.
    pub fn trace(&self) -> Option<TraceContext> {
        TraceContext::of_headers(&self.headers)
    }

    /// Whether a connection was found at fault with this batch in hand: of what waits for the connection, it goes last.
    pub fn goes_last(&self) -> bool {
        self.until == ShelvedUntil::Connection && self.parks > 0
    }

    /// The version of the connection that Testmo refused values of with this batch in hand.
    pub fn blamed_connection(&self) -> Option<&str> {
        self.connection.as_deref().filter(|_| self.parks > 0 && self.reason == Reason::ConnectionRejected)
    }
}

/// What makes two shelvings the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShelfIdentity {
    /// A batch that could be read.
    Batch(BatchKey, String),
    /// Bytes whose batch must not be touched: unreadable, in conflict; with what is known of whose they are.
    Raw(String, Option<TenantId>, Option<BatchId>),
}

impl ShelfIdentity {
    /// Returns the tenant and the batch id, as far as they are known.
    pub fn names(&self) -> (Option<&TenantId>, Option<&BatchId>) {
        match self {
            Self::Batch(key, _) => (Some(&key.tenant), Some(&key.batch)),
            Self::Raw(_, tenant, batch) => (tenant.as_ref(), batch.as_ref()),
        }
    }
}

impl std::fmt::Display for ShelfIdentity {
    /// Writes it as it is stored.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Batch(key, fingerprint) => write!(f, "{key}/{fingerprint}"),
            Self::Raw(hash, ..) => write!(f, "raw:{hash}"),
        }
    }
}

/// What a shelved batch waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShelvedUntil {
    /// A time from now.
    After(Duration),
    /// A verified connection other than the one that failed, or that one verified again.
    Connection,
    /// An operator.
    Person,
}

/// A batch on the shelf.
#[derive(Clone, Debug)]
pub struct Shelved {
    /// Its id on the shelf.
    pub id: ShelfId,
    /// Counts how often it was put or taken.
    pub generation: i64,
    /// Whether it is retried automatically.
    pub state: ShelfState,
    /// Everything that was put.
    pub content: Shelving,
    /// When it is due, in milliseconds on the store's clock.
    pub due_at: i64,
    /// When it was put there, likewise.
    pub shelved_at: i64,
    /// Whether a worker has it in hand.
    pub leased: bool,
    /// How often a person has changed it.
    pub person_epoch: i64,
    /// The replay that has it under way.
    pub replay: Option<ReplayId>,
    /// How many cases its message has, as far as they are counted.
    pub cases: Option<u64>,
}

impl Shelved {
    /// Whose it is, as far as known.
    pub fn tenant(&self) -> Option<&TenantId> {
        self.content.identity.names().0
    }
}

/// An id on the shelf: printed as eight hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShelfId(pub i64);

impl std::fmt::Display for ShelfId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl std::str::FromStr for ShelfId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        i64::from_str_radix(text, 16).map(Self).map_err(|_| format!("`{text}` is not an id as printed by `shelf list`"))
    }
}

/// Whether something on the shelf is retried automatically.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShelfState {
    /// It does, when it is due.
    Parked,
    /// Only when someone replays it.
    Dead,
}

impl ShelfState {
    /// Every state.
    pub const ALL: [Self; 2] = [Self::Parked, Self::Dead];

    /// Returns the word that is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parked => "parked",
            Self::Dead => "dead",
        }
    }
}

impl std::str::FromStr for ShelfState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "parked" => Ok(Self::Parked),
            "dead" => Ok(Self::Dead),
            _ => Err(format!("`{text}` is neither parked nor dead")),
        }
    }
}

/// A tenant with parked batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueTenant {
    /// The tenant.
    pub tenant: TenantId,
    /// The account of its present connection.
    pub account: Option<String>,
    /// Whether some of them are due.
    pub is_due: bool,
    /// Whether some of them wait for room to be tried for the first time, so that newer ones have to queue behind them.
    pub is_shed: bool,
}

/// How many are on the shelf for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShelfCount {
    /// Whether they are retried automatically.
    pub state: ShelfState,
    /// Why they are there; `None` for every reason that this version does not know.
    pub reason: Option<Reason>,
    /// How many.
    pub count: i64,
}

/// Since when batches have been on the shelf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShelfAges {
    /// The oldest batch for each state and reason, ordered by them.
    pub oldest: Vec<ShelfAge>,
    /// Since when the batch fails that has been failing for longest because Testmo fails, in milliseconds on the store's
    /// clock, if one does.
    pub failing_since: Option<i64>,
}

/// The oldest batch that is on the shelf for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShelfAge {
    /// Whether it is retried automatically.
    pub state: ShelfState,
    /// Why it is there; `None` for every reason that this version does not know.
    pub reason: Option<Reason>,
    /// When it first arrived, in milliseconds on the store's clock.
    pub since: i64,
}

/// An operator's request for a row, carried out only if no worker has leased it and it is as the operator saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorAction {
    /// Which row.
    pub id: ShelfId,
    /// Its generation.
    pub generation: i64,
    /// The request.
    pub action: Action,
    /// The batch that the message turned out to be, where that was not known when it was shelved: batches are retried by
    /// tenant.
    pub batch: Option<BatchKey>,
    /// The place in a replay that is started by it; the entry then has to be as it was planned.
    pub item: Option<ItemStart>,
}

/// What an operator can request for a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Retry it now, with all its attempts.
    Replay,
    /// Remove it from the shelf.
    Discard,
}

/// An edited message, stored only if neither a worker nor a replay has its row in hand, the row is as the person saw it, and no
/// other row has the same message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditedMessage {
    /// Which row.
    pub id: ShelfId,
    /// Its generation.
    pub generation: i64,
    /// What the message is now.
    pub identity: ShelfIdentity,
    /// The headers that still hold.
    pub headers: BTreeMap<String, String>,
    /// The bytes of the message.
    pub body: Arc<Vec<u8>>,
}

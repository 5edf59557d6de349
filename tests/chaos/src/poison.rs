//! Publishes messages that cannot be processed, and knows their rows on the shelf.

use fastrand::Rng;
use testmo_courier::batch::Reason;
use testmo_courier::store::shelf::{ShelfState, Shelved};
use testmo_hostile::{RawPublisher, entry, nested, short, text};

use crate::batches::Batch;
use crate::plan::{Action, Plan, TENANTS};

/// The first number of a batch whose message has unreadable headers; no batch of a plan has it.
const FIRST: usize = 1_000;
/// The flag of the property `message_id`.
const MESSAGE_ID: u16 = 1 << 7;

/// A message that cannot be processed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Poison {
    kind: Kind,
    number: usize,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// One header is larger than the frames that the worker agrees to.
    LargeHeader,
    /// Tables in tables, deeper than a parser's stack.
    DeepTables,
    /// Arrays in arrays, as deep as fits into a frame.
    DeepArrays,
    /// The name of a header is not UTF-8.
    HeaderName,
    /// A property is not UTF-8.
    Property,
    /// The body is no JSON.
    NotJson,
    /// The body is JSON, and no batch.
    NoBatch,
}

const KINDS: [Kind; 7] = [
    Kind::LargeHeader,
    Kind::DeepTables,
    Kind::DeepArrays,
    Kind::HeaderName,
    Kind::Property,
    Kind::NotJson,
    Kind::NoBatch,
];

impl Poison {
    /// Draws a kind; the numbers of a plan's messages differ.
    pub(crate) fn draw(rng: &mut Rng, number: usize) -> Self {
        Self { kind: KINDS[rng.usize(..KINDS.len())], number }
    }

    /// Publishes the message, and waits until it is stored; an error is the broker's own words.
    pub(crate) fn publish(self, port: u16, vhost: &str, exchange: &str) -> Result<(), String> {
        let mut raw = RawPublisher::connect(port, vhost)?;
        let body = self.body();
        let table = match self.kind {
            Kind::LargeHeader => entry(b"x-exception-stacktrace", &text(&[b'x'; 16_500])),
            Kind::DeepTables => entry(b"d", &nested(3_200, b'F')),
            Kind::DeepArrays => entry(b"d", &nested(26_000, b'A')),
            Kind::HeaderName => entry(b"x-\xff", &text(b"value")),
            Kind::Property => return raw.publish(exchange, b"batch", MESSAGE_ID, &short(b"\xff\xfe"), &body),
            Kind::NotJson | Kind::NoBatch => Vec::new(),
        };
        raw.with_headers(exchange, &table, &body)
    }

    fn body(self) -> Vec<u8> {
        let number = FIRST + self.number;
        match self.kind {
            Kind::NotJson => format!("{{poison {number}").into_bytes(),
            Kind::NoBatch => format!("[\"poison\", {number}]").into_bytes(),
            Kind::LargeHeader | Kind::DeepTables | Kind::DeepArrays | Kind::HeaderName | Kind::Property => {
                self.batch().body()
            }
        }
    }

    /// Returns the batch that the body is, if its headers are what is wrong with the message.
    fn batch(self) -> Batch {
        let number = FIRST + self.number;
        Batch { tenant: TENANTS[0], number, cases: 2, refused: None, folder: &[], own: None }
    }

    /// Returns whether the message stays on the shelf in any case. One with unreadable headers can be replayed.
    fn is_no_batch(self) -> bool {
        matches!(self.kind, Kind::NotJson | Kind::NoBatch)
    }

    /// Returns the reason for which the message is dead.
    fn reason(self) -> Reason {
        match self.kind {
            Kind::NotJson => Reason::NotJson,
            Kind::NoBatch => Reason::InvalidMessage,
            Kind::LargeHeader | Kind::DeepTables | Kind::DeepArrays | Kind::HeaderName | Kind::Property => {
                Reason::UnreadableHeaders
            }
        }
    }

    /// Returns whether a row is this message, dead for its reason.
    fn is_dead_as(self, row: &Shelved) -> bool {
        row.state == ShelfState::Dead && row.content.reason == self.reason() && *row.content.body == self.body()
    }
}

/// Returns the messages of a plan that cannot be processed.
fn of(plan: &Plan) -> impl Iterator<Item = Poison> {
    plan.actions.iter().filter_map(|(_, action)| match action {
        Action::PublishPoison { poison } => Some(*poison),
        Action::Publish { .. }
        | Action::Kill { .. }
        | Action::Restart { .. }
        | Action::Switch { .. }
        | Action::Pause { .. }
        | Action::CloseConnections
        | Action::KillBroker
        | Action::RestartStore { .. }
        | Action::Cut { .. }
        | Action::Stall { .. }
        | Action::Misbehave { .. }
        | Action::RevokeKey { .. }
        | Action::RefuseNames { .. }
        | Action::KillHolder { .. }
        | Action::Generation(_)
        | Action::Order { .. } => None,
    })
}

/// Returns the batches of messages whose headers are unreadable; people replay them in the end.
pub(crate) fn batches(plan: &Plan) -> Vec<Batch> {
    of(plan).filter(|poison| !poison.is_no_batch()).map(Poison::batch).collect()
}

/// Returns whether a row is a message that is no batch, and dead for its reason.
pub(crate) fn is_expected(plan: &Plan, row: &Shelved) -> bool {
    of(plan).any(|poison| poison.is_no_batch() && poison.is_dead_as(row))
}

/// Returns the messages that are no batches and are not on the shelf exactly once.
pub(crate) fn missing(plan: &Plan, shelf: &[Shelved]) -> Vec<String> {
    let is_missing = |poison: &Poison| shelf.iter().filter(|row| poison.is_dead_as(row)).count() != 1;
    let lasting = of(plan).filter(|poison| poison.is_no_batch());
    lasting.filter(is_missing).map(|poison| format!("{poison:?} is not on the shelf once")).collect()
}

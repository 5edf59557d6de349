//! The values in which batches are claimed, changed and read.

use std::time::Duration;

use super::super::UnreadableRow;
use super::super::accounts::{AccountObservation, Pause};
use super::super::audit::AuditEntry;
use super::super::history::HistoryEntry;
use super::super::outbox::OutboxEvent;
use super::super::shelf::{EditedMessage, OperatorAction, ShelfId, Shelving};
use super::super::undos::UndoStep;
use crate::batch::event::Event;
use crate::batch::ledger::{BatchRecord, Target};
use crate::batch::written::{CaseIdentity, WrittenCase};
use crate::batch::{BatchKey, TenantId};

/// A record as it is to be stored, and the epoch that has to be stored before.
#[derive(Clone, Debug)]
pub struct RecordUpdate {
    /// The record as it is to be.
    pub record: BatchRecord,
    /// The epoch it started from; 0 for a batch that is not stored yet.
    pub from_epoch: u64,
}

/// A request to send one push.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Id of the push.
    pub push: String,
    /// Whose connection it uses.
    pub tenant: TenantId,
    /// The version of that connection, which has to be the current, verified one.
    pub connection: String,
    /// The account it sends to.
    pub account: String,
    /// How many requests at once are configured for that.
    pub ceiling: u32,
    /// Who sends.
    pub holder: String,
    /// How long the claim holds.
    pub lease: Duration,
    /// The records of its batches, with the cases claimed.
    pub batches: Vec<RecordUpdate>,
}

/// The answer to a [`Claim`]; times are milliseconds on the store's clock.
#[derive(Clone, Debug)]
pub enum ClaimOutcome {
    /// Granted, with the permit for one request, but for what is named.
    Granted {
        /// When.
        at: i64,
        /// How many concurrent requests the account allows.
        limit: u32,
        /// What ids of cases the ledger knows of the account.
        ids: KnownIds,
        /// Batches that are not as the claim believes, and are not part of it.
        stale: Vec<StoredBatch>,
        /// Batches that another claim of the same moment got, and are not part of it.
        contested: Vec<BatchKey>,
        /// Batches whose records cannot be read, and are not part of it.
        unreadable: Vec<(BatchKey, UnreadableRow)>,
    },
    /// The account allows no more concurrent requests.
    Full {
        /// How many it allows.
        limit: u32,
    },
    /// The account takes nothing yet: a rate-limit pause lasts, or its circuit breaker is open.
    Wait(Pause),
    /// The circuit breaker is open, and the claimant alone may probe whether the account works again.
    Probe,
    /// An operator has paused the account or the tenant.
    Paused,
    /// The connection is not the current, verified one.
    ConnectionChanged,
    /// What is known of the account, or of every batch, cannot be read.
    Unreadable(UnreadableRow),
    /// None of the batches is as the claim believes.
    Stale {
        /// How they are.
        stored: Vec<StoredBatch>,
        /// When this was answered.
        now: i64,
    },
}

/// What is known of the ids of an account's cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownIds {
    /// The highest that came of an accepted answer or was found in Testmo.
    pub highest: Option<u64>,
    /// Whether ids were seen not to ascend as cases are created.
    pub disordered: bool,
}

impl KnownIds {
    /// Returns the id that the next request's cases are above, if ids ascend.
    pub fn floor(self) -> Option<u64> {
        self.highest.filter(|_| !self.disordered)
    }
}

/// A record as it is stored.
#[derive(Clone, Debug)]
pub struct StoredBatch {
    /// The record.
    pub record: BatchRecord,
    /// When its open push was claimed.
    pub claimed_at: Option<i64>,
    /// Until when its open push belongs to its holder.
    pub lease_until: Option<i64>,
}

/// What is known of a push as a whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PushMembers {
    /// Whether one of its cases is known to be created: then all of them were.
    pub committed: bool,
    /// Records of the batches whose open push it still is.
    pub waiting: Vec<BatchRecord>,
}

/// A change of what is kept of the cases of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowStep {
    /// The batch.
    pub batch: BatchKey,
    /// What is kept of each claim, by the epoch of the record that claimed the cases; `None` removes it.
    pub claims: Vec<(u64, Option<Vec<u8>>)>,
}

/// How a push ended, for its history.
#[derive(Clone, Debug)]
pub struct PushEnded {
    /// Id of the push.
    pub push: String,
    /// What was received: a status, or the class of what came instead.
    pub answer: String,
    /// What was received in words, if it was no success.
    pub detail: Option<String>,
    /// The lowest and highest id that came of it.
    pub ids: Option<(u64, u64)>,
}

/// A push that the ledger had forgotten, as the store was restored from an older copy: its cases were found in Testmo.
#[derive(Clone, Debug)]
pub struct PushFound {
    /// A new id for it.
    pub push: String,
    /// The batch whose cases it created.
    pub batch: BatchKey,
    /// The version of the connection over which they were found.
    pub connection: String,
    /// Where they were sent.
    pub target: Target,
    /// Who found them.
    pub holder: String,
    /// How many were found.
    pub cases: usize,
}

/// One atomic change: all of it is stored, or, where the record's epoch is another, none of it.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// The batch as it is to be.
    pub batch: Option<RecordUpdate>,
    /// A push of the batch that was found, and is not stored yet.
    pub found: Option<PushFound>,
    /// A push that ended.
    pub ended: Option<PushEnded>,
    /// What goes onto the shelf.
    pub shelve: Option<Shelving>,
    /// A batch that must not be open; if it is, nothing of the change is stored.
    pub unless_open: Option<BatchKey>,
    /// What comes off the shelf: id and generation.
    pub unshelve: Option<(i64, i64)>,
    /// An operator's action on a row of the shelf; if it cannot be carried out, nothing of the change is stored.
    pub operator_action: Option<OperatorAction>,
    /// Whether an entry that is discarded is not kept, so that its space is free at once.
    pub forget: bool,
    /// A message on the shelf as a person edited it; likewise.
    pub edit: Option<EditedMessage>,
    /// A discarded entry that a person puts back onto the shelf; likewise.
    pub restore: Option<ShelfId>,
    /// What a person changes by it.
    pub audit: Vec<AuditEntry>,
    /// What happened to the batch, or to the batch that is shelved, beside what the change itself says of that.
    pub history: Vec<HistoryEntry>,
    /// Events to be published.
    pub events: Vec<Event>,
    /// For how long its events belong to the caller to publish; without it they are due at once.
    pub owner_grace: Option<Duration>,
    /// What a request observed of its account; stored even if the rest of the change is not.
    pub observation: Option<AccountObservation>,
    /// A tenant for whom something arrived.
    pub success: Option<TenantId>,
    /// What was written into Testmo and is remembered.
    pub written: Vec<WrittenCase>,
    /// What Testmo showed of cases whose fields the change claims, compressed.
    pub former: Option<Vec<u8>>,
    /// What is kept of cases from before they are written, until it is checked whether an edit was overwritten.
    pub window: Option<WindowStep>,
    /// A step of an undo of the batch.
    pub undo: Option<UndoStep>,
    /// What is no longer remembered of written cases, as far as it is remembered of these ids.
    pub forgotten: Vec<(CaseIdentity, u64)>,
    /// For how much longer the batch's open push or write belongs to its holder, once that knows more than when it claimed it.
    pub lease: Option<Duration>,
}

/// The answer to a [`Commit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// All of it is stored; with those of its events that were not stored before.
    Done(Vec<OutboxEvent>),
    /// None of it: the batch, or the row of the shelf that an operator saw, has changed since.
    Fenced,
}

impl CommitOutcome {
    /// Whether all of it is stored.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

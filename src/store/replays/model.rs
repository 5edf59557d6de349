//! The values in which replays are planned, carried out and read.

use std::str::FromStr;

use super::super::audit::AuditEntry;
use super::super::shelf::ShelfId;
use super::started::ReplayId;
use crate::batch::cause::CauseId;
use crate::batch::replay::{Forecast, ItemOutcome, Window};
use crate::batch::{BatchId, Reason, TenantId};

/// How far a replay has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplayState {
    /// Its plan is being made; one that stays so was cut off.
    Planning,
    /// Its plan is complete; nothing is started.
    Planned,
    /// A worker carries it out.
    Running,
    /// Nothing more is started, by the order of a person or because too much failed again.
    Paused,
    /// Every entry has an outcome.
    Done,
    /// A person ended it; what was not started stays as it is.
    Cancelled,
}

impl ReplayState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Planning, Self::Planned, Self::Running, Self::Paused, Self::Done, Self::Cancelled];

    /// Returns the word that is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Planning => "planning",
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns whether nothing changes any more.
    pub fn is_over(self) -> bool {
        match self {
            Self::Done | Self::Cancelled => true,
            Self::Planning | Self::Planned | Self::Running | Self::Paused => false,
        }
    }
}

impl FromStr for ReplayState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let state = Self::ALL.into_iter().find(|state| state.name() == text);
        state.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("`{text}` is not a state of a replay; the states are {names}")
        })
    }
}

/// A replay whose plan begins.
#[derive(Clone, Debug)]
pub struct NewReplay {
    /// What a person calls it.
    pub name: Option<String>,
    /// Why a person replays.
    pub reason: Option<String>,
    /// What was selected, in words.
    pub selection: String,
    /// Who plans it.
    pub owner: String,
    /// How many batches may be started in a minute.
    pub per_minute: Option<u32>,
    /// How many batches are covered at most.
    pub most: Option<u32>,
    /// Whether what would be refused again is tried, too.
    pub unchanged_too: bool,
}

/// A part of a plan.
#[derive(Clone, Debug)]
pub struct NewPart {
    /// Its number in the replay.
    pub part: u32,
    /// The cause of the failures, where known.
    pub cause: Option<CauseId>,
    /// The account, where known.
    pub account: Option<String>,
    /// The tenant, where no account is known.
    pub tenant: Option<TenantId>,
    /// How many batches were added to it.
    pub batches: u64,
}

/// An entry of a plan.
#[derive(Clone, Debug)]
pub struct NewItem {
    /// Its place in the replay.
    pub place: u64,
    /// The part that it belongs to.
    pub part: u32,
    /// The entry of the shelf.
    pub entry: ShelfId,
    /// What the entry is: a batch with its fingerprint, or a message by its hash.
    pub identity: String,
    /// How often a person had changed the entry.
    pub person_epoch: i64,
    /// Whose it is, as far as known.
    pub tenant: Option<TenantId>,
    /// The batch, as far as known.
    pub batch: Option<BatchId>,
    /// Why it is on the shelf.
    pub reason: Reason,
    /// How many cases would be sent.
    pub cases: u64,
    /// What is to be expected.
    pub forecast: Forecast,
    /// Why that is expected.
    pub detail: Option<String>,
    /// What becomes of it at once: nothing is tried.
    pub outcome: Option<ItemOutcome>,
}

/// A replay that a worker holds.
#[derive(Clone, Debug)]
pub struct RunningReplay {
    /// Which one.
    pub id: ReplayId,
    /// What people have done with it.
    pub epoch: i64,
    /// Who planned it.
    pub owner: String,
    /// How many batches may be started in a minute.
    pub per_minute: Option<u32>,
    /// Its parts that are not finished; `None` if they are as its holder knows them.
    pub parts: Option<Vec<PartProgress>>,
}

/// How far a part of a replay has come.
#[derive(Clone, Debug, PartialEq)]
pub struct PartProgress {
    /// Its number in the replay.
    pub part: u32,
    /// The cause of the failures, where known.
    pub cause: Option<CauseId>,
    /// The account, where known.
    pub account: Option<String>,
    /// The tenant, where no account is known.
    pub tenant: Option<TenantId>,
    /// How many batches it has.
    pub batches: u64,
    /// How many were started.
    pub started: u64,
    /// How many of those have an outcome that was counted.
    pub counted: u64,
    /// How many were passed over.
    pub passed: u64,
    /// What the outcomes say.
    pub window: Window,
    /// Why it stopped, if it did.
    pub why: Option<String>,
}

impl PartProgress {
    /// Returns how many batches are started and have no counted outcome.
    pub fn under_way(&self) -> u64 {
        self.started.saturating_sub(self.counted)
    }

    /// Returns how many batches are still to be started.
    pub fn left(&self) -> u64 {
        self.batches.saturating_sub(self.started + self.passed)
    }
}

/// An entry that is still to be started.
#[derive(Clone, Debug, PartialEq)]
pub struct WaitingItem {
    /// Its place in the replay.
    pub place: u64,
    /// The entry of the shelf.
    pub entry: ShelfId,
    /// What the entry was when it was planned.
    pub identity: String,
    /// How often a person had changed it then.
    pub person_epoch: i64,
}

/// An entry whose outcome is known.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedItem {
    /// Its place in the replay.
    pub place: u64,
    /// The part that it belongs to.
    pub part: u32,
    /// The outcome.
    pub outcome: ItemOutcome,
    /// The reason for which it is on the shelf again.
    pub reason: Option<String>,
}

/// The end of an entry that was not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemEnd {
    /// Its place in the replay.
    pub place: u64,
    /// The outcome.
    pub outcome: ItemOutcome,
    /// More about it.
    pub detail: Option<String>,
}

/// What the worker that holds a replay has decided.
#[derive(Clone, Debug)]
pub struct ReplayStep {
    /// The replay.
    pub replay: ReplayId,
    /// The epoch that was read.
    pub epoch: i64,
    /// Who holds it.
    pub holder: String,
    /// Parts as they are now: what was counted, passed over and stopped. How many were started is kept by the starts.
    pub parts: Vec<PartProgress>,
    /// The places of entries whose outcome was counted.
    pub counted: Vec<u64>,
    /// Entries that are passed over.
    pub passed: Vec<ItemEnd>,
    /// The state that the replay has now, with the reason, if it changes.
    pub state: Option<(ReplayState, Option<String>)>,
    /// What is kept of a change of state.
    pub audit: Vec<AuditEntry>,
}

/// What a person changes about a replay.
#[derive(Clone, Debug)]
pub struct ReplayChange {
    /// The replay.
    pub replay: ReplayId,
    /// The epoch that the person saw.
    pub epoch: i64,
    /// The state that it gets.
    pub state: ReplayState,
    /// Why it has that state.
    pub why: Option<String>,
    /// The summary of the plan, as JSON, if the plan is complete now.
    pub summary: Option<String>,
    /// Whether each part begins again with a canary.
    pub begins_again: bool,
    /// What is kept of the change.
    pub audit: Option<AuditEntry>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for state in ReplayState::ALL {
            assert_eq!(state.name().parse(), Ok(state));
        }
        assert_eq!("7".parse(), Ok(ReplayId(7)));
        for wrong in ["0", "-1", "x"] {
            assert!(wrong.parse::<ReplayId>().unwrap_err().contains("replays list"), "{wrong}");
        }
        let over: Vec<ReplayState> = ReplayState::ALL.into_iter().filter(|state| state.is_over()).collect();
        assert_eq!(over, [ReplayState::Done, ReplayState::Cancelled]);
    }
}

//! Defines the parts of a batch's record: its state, its cases, their target and the open push.

use serde::{Deserialize, Serialize};

use super::{Change, Repeat, Suspicion};
use crate::batch::verdict::answer::FieldRefusal;
use crate::batch::verdict::reason::Reason;

/// The state of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchState {
    /// Some cases are still to be sent, or an outcome is unknown.
    Open,
    /// Every case is in Testmo, or nothing is to be done for it.
    Delivered,
    /// Some cases are in Testmo; the others will not be created.
    Partial,
    /// No case is in Testmo, and none will be created.
    Failed,
    /// A person gave the batch up.
    Discarded,
    /// A person had the cases of the batch removed.
    Undone,
}

/// The place where cases are created.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The canonical origin of the account.
    pub account: String,
    /// The id of the project.
    pub project: u64,
    /// The id of the folder.
    pub folder: u64,
}

impl Target {
    /// Returns whether another target is in the same account and project.
    pub fn is_beside(&self, other: &Self) -> bool {
        self.account == other.account && self.project == other.project
    }
}

/// One case of a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseRecord {
    /// The key of the case within the batch.
    #[serde(rename = "k")]
    pub key: String,
    /// The state of the case.
    #[serde(rename = "s")]
    pub state: CaseState,
    /// Whether the outcome of an earlier push of the case is unknown, so that each further try reconciles first.
    #[serde(rename = "d", default, skip_serializing_if = "std::ops::Not::not")]
    pub unclear: bool,
    /// The index of the case's target in [`BatchRecord::targets`](super::BatchRecord::targets).
    #[serde(rename = "t", default, skip_serializing_if = "is_zero")]
    pub target: usize,
    /// Ids of the rows in Testmo that duplicate the case: those of a request that was carried out after it was given
    /// up.
    #[serde(rename = "x", default, skip_serializing_if = "Vec::is_empty")]
    pub duplicates: Vec<u64>,
    /// What is known of the case if its requests were answered with a status that leaves their outcome unknown.
    #[serde(rename = "q", default, skip_serializing_if = "Option::is_none")]
    pub suspicion: Option<Box<Suspicion>>,
    /// The case that an earlier batch wrote into Testmo for the same identity, as of the last claim.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Box<PreviousCase>>,
}

/// A case in Testmo that an earlier batch wrote for the same identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviousCase {
    /// The id of the batch, if the ledger still has it.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// The id of the case in Testmo.
    #[serde(rename = "i")]
    pub id: u64,
    /// The id of the folder that the case was created in.
    #[serde(rename = "f")]
    pub folder: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// The state of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseState {
    /// The case is still to be pushed.
    Waiting,
    /// The case is part of the open push.
    Claimed,
    /// The case is in Testmo: an answer gave its id.
    Created(u64),
    /// The case is in Testmo: reconciliation found it after an unknown outcome.
    Adopted(u64),
    /// An earlier batch wrote the case, and this batch creates none for it.
    Repeated(Box<Repeat>),
    /// Testmo refused the case, and it is not sent again automatically.
    Refused(Box<Refusal>),
    /// The case may have been created but is not found in Testmo, and only a person has it sent again: either its
    /// request was carried out, or its requests keep being answered with a status that leaves their outcome unknown.
    Lost,
}

/// Why a case was refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// The reason.
    pub reason: Reason,
    /// What Testmo reported about the case.
    pub said: Vec<FieldRefusal>,
}

/// A push that was claimed and whose outcome is not known for every case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenPush {
    /// The id of the push.
    pub id: String,
    /// The version of the connection that the push uses.
    pub connection: String,
    /// The tag on the push's cases of this batch, unless the tenant has switched the tag off.
    pub batch_tag: Option<String>,
    /// Whether at least one case of the push is known to be created.
    pub committed: bool,
}

impl CaseState {
    /// Returns whether nothing more is sent for the case: it is in Testmo, as the batch created it or as an earlier one did.
    pub fn is_settled(&self) -> bool {
        match self {
            Self::Created(_) | Self::Adopted(_) => true,
            Self::Repeated(repeat) => repeat.change != Change::Writing,
            Self::Waiting | Self::Claimed | Self::Refused(_) | Self::Lost => false,
        }
    }

    /// Returns what the batch did with a case of an earlier one, if it is one.
    pub fn repeat(&self) -> Option<&Repeat> {
        if let Self::Repeated(repeat) = self { Some(repeat) } else { None }
    }

    /// Returns why Testmo refused the case, if it did.
    pub fn refusal(&self) -> Option<&Refusal> {
        if let Self::Refused(refusal) = self { Some(refusal) } else { None }
    }

    /// Returns whether the case was refused for its faults, so that sending it can never help.
    pub fn is_invalid(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.reason == Reason::CaseInvalid)
    }
}

impl BatchState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Open, Self::Delivered, Self::Partial, Self::Failed, Self::Discarded, Self::Undone];

    /// Returns the name of the state in the store and in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Delivered => "delivered",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Discarded => "discarded",
            Self::Undone => "undone",
        }
    }
}

impl std::str::FromStr for BatchState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|state| state.name() == text);
        found.ok_or_else(|| format!("`{text}` is not a batch state"))
    }
}

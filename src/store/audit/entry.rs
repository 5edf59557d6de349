//! The values in which a person's change is kept.

use std::fmt;
use std::str::FromStr;

use super::super::actor::Actor;
use super::super::shelf::ShelfId;
use crate::batch::{BatchKey, TenantId};
use crate::trace::{TraceContext, TraceId};

/// The most characters of a reason that are kept.
const LONGEST_REASON: usize = 500;
/// The most bytes of the state before, and of the state after, that are kept.
const LONGEST_STATE: usize = 8_000;

/// What a person did.
macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident => $word:literal,)*) => {
        /// What a person did.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum AuditAction {
            $($(#[$doc])* $name,)*
        }

        impl AuditAction {
            /// Every action.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the word that is stored and shown.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

actions! {
    /// A connection was entered or changed.
    SetConnection => "connection.set",
    /// A change of a connection that was not in force was dropped.
    DiscardConnectionChange => "connection.discard_change",
    /// A connection was verified.
    VerifyConnection => "connection.verify",
    /// A connection was probed with a case of its own.
    ProbeConnection => "connection.probe",
    /// A tenant was removed.
    RemoveTenant => "tenant.remove",
    /// Lanes were paused.
    PauseLane => "lane.pause",
    /// The pause of lanes was ended.
    ResumeLane => "lane.resume",
    /// The limits of a lane were changed.
    SetLane => "lane.set",
    /// An entry of the shelf was replayed.
    ReplayEntry => "shelf.replay",
    /// An entry of the shelf was discarded.
    DiscardEntry => "shelf.discard",
    /// A discarded entry was restored.
    RestoreEntry => "shelf.restore",
    /// The message of an entry was edited.
    EditEntry => "shelf.edit",
    /// Candidates of a case of unknown outcome were adopted or refused.
    DecideCandidates => "shelf.decide_candidates",
    /// A note on a cause was written.
    NoteCause => "cause.note",
    /// A replay was planned.
    PlanReplay => "replay.plan",
    /// A replay was started.
    StartReplay => "replay.start",
    /// A replay was paused.
    PauseReplay => "replay.pause",
    /// A replay was resumed.
    ResumeReplay => "replay.resume",
    /// A replay was cancelled.
    CancelReplay => "replay.cancel",
    /// A replay came to its end.
    EndReplay => "replay.end",
    /// A message was published.
    PublishMessage => "message.publish",
    /// A token was created.
    CreateToken => "token.create",
    /// A token was revoked.
    RevokeToken => "token.revoke",
    /// A link for a tenant was created.
    CreateLink => "link.create",
    /// A link for a tenant was revoked.
    RevokeLink => "link.revoke",
    /// What a batch did was taken back.
    UndoBatch => "batch.undo",
    /// An undo of a batch was taken back.
    RestoreBatch => "batch.restore",
    /// Rows that requests created late were removed.
    RemoveDuplicates => "batch.remove_duplicates",
    /// The store was declared to be restored from a copy.
    RestoreStore => "store.restored_at",
    /// The store was moved to another place.
    MoveStore => "store.move",
    /// The master key was replaced.
    RotateMasterKey => "master_key.rotate",
}

impl FromStr for AuditAction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let action = Self::ALL.iter().copied().find(|action| action.name() == text);
        action.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|action| action.name()).collect();
            format!("`{text}` is not an action; the actions are {}", names.join(", "))
        })
    }
}

/// What an action was done to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditSubject {
    /// Whose it is, if it is a tenant's.
    pub tenant: Option<TenantId>,
    /// The batch, if it is one.
    pub batch: Option<crate::batch::BatchId>,
    /// What it is, in words: `shelf 0000002a`, `lane https://acme.testmo.net`, `replay 7`.
    pub name: String,
    /// The trace of the batch, if its message named one.
    pub trace: Option<TraceId>,
}

impl AuditSubject {
    /// Names a tenant.
    pub fn tenant(tenant: &TenantId) -> Self {
        Self { tenant: Some(tenant.clone()), ..Self::named(format_args!("tenant {tenant}")) }
    }

    /// Names an entry of the shelf, its tenant, and its batch, as far as they are known.
    pub fn entry(id: ShelfId, batch: Option<&BatchKey>, tenant: Option<&TenantId>) -> Self {
        let tenant = batch.map(|key| &key.tenant).or(tenant).cloned();
        Self { tenant, batch: batch.map(|key| key.batch.clone()), ..Self::named(format_args!("shelf {id}")) }
    }

    /// Names a batch.
    pub fn batch(key: &BatchKey) -> Self {
        let (tenant, batch) = (Some(key.tenant.clone()), Some(key.batch.clone()));
        Self { tenant, batch, ..Self::named(format_args!("batch {key}")) }
    }

    /// Names something that belongs to no tenant.
    pub fn named(name: impl fmt::Display) -> Self {
        Self { name: name.to_string(), ..Self::default() }
    }

    /// Adds the trace of the batch.
    #[must_use]
    pub fn traced(self, trace: Option<&TraceContext>) -> Self {
        Self { trace: trace.map(TraceContext::trace_id), ..self }
    }
}

/// A change that a person makes, as it is kept. It holds nothing secret: states are written by those who know what is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Who.
    pub actor: Actor,
    /// What was done.
    pub action: AuditAction,
    /// To what.
    pub subject: AuditSubject,
    /// Why, in the person's words.
    pub reason: Option<String>,
    /// How it was before, as JSON.
    pub before: Option<serde_json::Value>,
    /// How it was after, as JSON.
    pub after: Option<serde_json::Value>,
}

impl AuditEntry {
    /// Describes an action without a reason and without states.
    pub fn new(actor: &Actor, action: AuditAction, subject: AuditSubject) -> Self {
        Self { actor: actor.clone(), action, subject, reason: None, before: None, after: None }
    }

    /// Adds the reason; a blank one counts as none.
    #[must_use]
    pub fn because(self, reason: Option<&str>) -> Self {
        let reason = reason.map(str::trim).filter(|reason| !reason.is_empty());
        Self { reason: reason.map(|reason| reason.chars().take(LONGEST_REASON).collect()), ..self }
    }

    /// Adds how it was before and after.
    #[must_use]
    pub fn change(self, before: Option<serde_json::Value>, after: Option<serde_json::Value>) -> Self {
        Self { before, after, ..self }
    }
}

/// Returns a state as it is stored; one that is too long is replaced by its size.
pub(super) fn stored_state(state: &serde_json::Value) -> String {
    let text = state.to_string();
    if text.len() <= LONGEST_STATE {
        return text;
    }
    serde_json::json!({"too_long_to_keep": true, "bytes": text.len()}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::actor::{Face, Role};

    #[test]
    fn every_action_has_a_word_of_its_own() {
        let words: std::collections::BTreeSet<&str> = AuditAction::ALL.iter().map(|action| action.name()).collect();
        assert_eq!(words.len(), AuditAction::ALL.len());
        for action in AuditAction::ALL {
            assert_eq!(action.name().parse(), Ok(*action));
        }
        assert!("shelf.eat".parse::<AuditAction>().unwrap_err().contains("shelf.discard"));
    }

    #[test]
    fn reasons_and_states_are_bounded() {
        let anna = Actor::new("anna", Role::Operator, Face::CommandLine);
        let entry = AuditEntry::new(&anna, AuditAction::DiscardEntry, AuditSubject::entry(ShelfId(42), None, None));
        assert_eq!(entry.subject.name, "shelf 0000002a");
        assert_eq!(entry.clone().because(Some("  ")).reason, None);
        assert_eq!(entry.because(Some(&"x".repeat(2_000))).reason.map(|reason| reason.len()), Some(LONGEST_REASON));
        assert_eq!(stored_state(&serde_json::json!({"a": 1})), r#"{"a":1}"#);
        assert!(stored_state(&serde_json::json!("x".repeat(LONGEST_STATE))).contains("too_long_to_keep"));
    }
}

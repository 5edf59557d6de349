//! Reads events as far as people need them.

use serde::Deserialize;

use crate::batch::event::{
    CONNECTION_FAILED, CONNECTION_RESTORED, DEFERRED, DUPLICATED, KEY_EXPIRED, KEY_EXPIRING, OVERWRITTEN, UNDONE,
};
use crate::batch::verdict::reason::Class;
use crate::batch::{BatchKey, Reason};

/// What an event says, as far as people need it; a part that it lacks is empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ReceivedEvent {
    /// Whose batch or connection it is about.
    pub tenant_id: Option<String>,
    /// The batch.
    pub batch_id: Option<String>,
    /// The hash of a message that is not a batch, or not the one that its id belongs to.
    pub message_hash: Option<String>,
    /// The word for what happened.
    pub outcome: String,
    /// The code of the reason.
    pub reason: Option<String>,
    /// The cause in words.
    pub cause: Option<String>,
    /// What to do.
    pub remedy: Option<String>,
    /// More about the cause.
    pub detail: Option<String>,
    /// The faults of a message.
    pub faults: Vec<ReceivedFault>,
    /// The cases.
    pub cases: Vec<ReceivedCase>,
    /// How many batches go out again.
    pub batches: Option<usize>,
    /// The day on which an API key expires.
    pub expires_on: Option<String>,
    /// The days until then.
    pub days_left: Option<usize>,
}

/// A case of a batch, as an event says it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ReceivedCase {
    /// Its position in the batch, from 1.
    pub position: u64,
    /// Its name.
    pub name: Option<String>,
    /// The generator's key.
    pub external_id: Option<String>,
    /// The word for what happened.
    pub outcome: String,
    /// The word for what was done with a case that exists.
    pub change: String,
    /// Why an undo has left it.
    pub left_detail: Option<String>,
    /// Its address in Testmo.
    pub link: Option<String>,
    /// The code of the reason.
    pub reason: Option<String>,
    /// What to do.
    pub remedy: Option<String>,
    /// What Testmo said about its fields.
    pub said: Vec<FieldMessage>,
    /// The address of a duplicate of it.
    pub duplicate_link: Option<String>,
}

/// What Testmo said about a field.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct FieldMessage {
    /// The field.
    pub field: String,
    /// What Testmo said.
    pub message: String,
}

/// A fault of a message.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ReceivedFault {
    /// The place in the message, as a JSON pointer.
    pub pointer: String,
    /// The position of the case that it is in, from 1.
    pub case: Option<u64>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "type")]
    kind: String,
    data: ReceivedEvent,
}

/// Returns the word for events that announce no outcome.
fn word_of(kind: &str) -> &'static str {
    match kind {
        DEFERRED => "deferred",
        DUPLICATED => "duplicated",
        OVERWRITTEN => "overwritten",
        // Of an undo the event has the outcome.
        UNDONE => "cleaned",
        CONNECTION_FAILED => "stopped",
        CONNECTION_RESTORED => "restored",
        KEY_EXPIRING => "expiring",
        KEY_EXPIRED => "expired",
        _ => "",
    }
}

impl ReceivedCase {
    /// Returns whether it is in Testmo.
    pub fn arrived(&self) -> bool {
        matches!(self.outcome.as_str(), "created" | "adopted")
    }
}

impl ReceivedEvent {
    /// Reads an event's body; `None` when it is not an event of this program.
    pub fn read(body: &[u8]) -> Option<Self> {
        let Envelope { kind, mut data } = serde_json::from_slice(body).ok()?;
        if data.outcome.is_empty() {
            data.outcome = word_of(&kind).to_owned();
        }
        // An undo has no outcomes of cases.
        for case in data.cases.iter_mut().filter(|case| case.outcome.is_empty()) {
            case.outcome.clone_from(&case.change);
        }
        Some(data)
    }

    /// Returns whether no further event of its batch is to be expected.
    pub fn is_final(&self) -> bool {
        [DEFERRED, DUPLICATED, OVERWRITTEN, UNDONE].iter().all(|kind| self.outcome != word_of(kind))
    }

    /// Returns whether its batch waits until a person corrects the connection, resumes a lane or decides.
    pub fn awaits_person(&self) -> bool {
        let reason = self.reason.as_ref().and_then(|code| code.parse::<Reason>().ok());
        let is_persons = |reason: Reason| match reason.class() {
            Class::Connection | Class::Person => true,
            Class::Account | Class::Message | Class::Case => reason == Reason::Paused,
        };
        self.outcome == word_of(DEFERRED) && reason.is_some_and(is_persons)
    }

    /// Returns the batch that it is about, if that is known.
    pub fn key(&self) -> Option<BatchKey> {
        format!("{}/{}", self.tenant_id.as_ref()?, self.batch_id.as_ref()?).parse().ok()
    }

    /// Returns whether every case is in Testmo.
    pub fn is_delivered(&self) -> bool {
        self.outcome == "delivered"
    }

    /// Returns whether it reports duplicates, and no outcome.
    pub fn reports_duplicates(&self) -> bool {
        self.outcome == word_of(DUPLICATED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_waits_awaits_a_person_unless_it_is_retried_automatically() {
        for (kind, reason, awaits) in [
            (DEFERRED, "key_refused", true),
            (DEFERRED, "unknown_tenant", true),
            (DEFERRED, "paused", true),
            (DEFERRED, "throttled", false),
            (DEFERRED, "of a later version", false),
            (CONNECTION_FAILED, "key_refused", false),
        ] {
            let event = serde_json::json!({"type": kind, "data": {"reason": reason}}).to_string();
            assert_eq!(ReceivedEvent::read(event.as_bytes()).unwrap().awaits_person(), awaits, "{kind} {reason}");
        }
    }

    #[test]
    fn an_undo_is_final_and_the_removal_of_duplicates_is_not() {
        let read = |data: serde_json::Value| {
            let event = serde_json::json!({"type": UNDONE, "data": data}).to_string();
            ReceivedEvent::read(event.as_bytes()).unwrap()
        };
        let undone = read(serde_json::json!({"outcome": "undone", "cases": [{"position": 1, "change": "retired"}]}));
        assert_eq!((undone.is_final(), undone.cases[0].outcome.as_str()), (true, "retired"));
        let cleaned = read(serde_json::json!({"cases": []}));
        assert_eq!((cleaned.is_final(), cleaned.outcome.as_str()), (false, "cleaned"));
    }

    #[test]
    fn a_message_that_is_not_an_event_is_not_read() {
        assert!(ReceivedEvent::read(b"hello").is_none());
        assert!(ReceivedEvent::read(b"{}").is_none());
    }
}

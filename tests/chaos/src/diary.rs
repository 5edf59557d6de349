//! Keeps what the command line has answered to people, to be compared with what is stored in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

/// The answers to every person; clones share them.
#[derive(Clone, Default)]
pub(crate) struct Diary(Arc<Mutex<Answers>>);

/// What was answered.
#[derive(Clone, Default)]
pub(crate) struct Answers {
    /// How often an action is known to be stored, by person, action and subject.
    pub(crate) stored: BTreeMap<(&'static str, &'static str, String), u64>,
    /// How often it is not known whether an action was stored, by person and action.
    pub(crate) unknown: BTreeMap<(&'static str, &'static str), u64>,
    /// What each replay covers, as it was printed when it was planned.
    pub(crate) frozen: BTreeMap<i64, Frozen>,
    /// The places that were started when the cancellation of a replay had been acknowledged.
    pub(crate) cancelled: BTreeMap<i64, BTreeSet<u64>>,
}

/// What a replay covers: place and batch of each entry, and the places of those that it tries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frozen {
    pub(crate) entries: BTreeMap<u64, String>,
    pub(crate) tried: BTreeSet<u64>,
}

impl Frozen {
    /// Reads what a planned replay prints.
    pub(crate) fn of(planned: &Value) -> Self {
        let mut frozen = Self::default();
        for (list, is_tried) in [("replayed", true), ("skipped", false)] {
            for item in planned[list].as_array().into_iter().flatten() {
                let place = item["place"].as_u64().unwrap_or(u64::MAX);
                frozen.entries.insert(place, subject_of(item));
                if is_tried {
                    frozen.tried.insert(place);
                }
            }
        }
        frozen
    }
}

/// Names the batch of an entry of a replay.
pub(crate) fn subject_of(item: &Value) -> String {
    let part = |name: &str| item[name].as_str().unwrap_or("?").to_owned();
    format!("{}/{}", part("tenant_id"), part("batch_id"))
}

impl Diary {
    /// Notes that an action was answered as stored.
    pub(crate) fn stored(&self, person: &'static str, action: &'static str, subject: String) {
        self.with(|answers| *answers.stored.entry((person, action, subject)).or_default() += 1);
    }

    /// Notes that an action may have been stored.
    pub(crate) fn unknown(&self, person: &'static str, action: &'static str) {
        self.with(|answers| *answers.unknown.entry((person, action)).or_default() += 1);
    }

    /// Notes what a replay covers.
    pub(crate) fn froze(&self, replay: i64, frozen: Frozen) {
        self.with(|answers| drop(answers.frozen.insert(replay, frozen)));
    }

    /// Notes what had been started when a cancellation was acknowledged.
    pub(crate) fn cancelled(&self, replay: i64, started: BTreeSet<u64>) {
        self.with(|answers| drop(answers.cancelled.insert(replay, started)));
    }

    pub(crate) fn answers(&self) -> Answers {
        self.with(|answers| answers.clone())
    }

    fn with<T>(&self, change: impl FnOnce(&mut Answers) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

//! Defines what is kept of cases from before they were written, until it is checked what was overwritten.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::entries::known_entries;
use super::reading::moment_of;
use crate::batch::packed::{packed, unpacked};

/// The cases of one claim, with where they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Windows {
    /// The account.
    pub account: String,
    /// The project.
    pub project: u64,
    /// The cases.
    pub cases: Vec<WindowCase>,
}

/// A case of which fields are about to be written, or have been.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowCase {
    /// The id of the case in Testmo.
    pub id: u64,
    /// What the request sets, by column.
    #[serde(rename = "s")]
    sent: Map<String, Value>,
    /// The entries of its history that were shown before, by their fingerprints.
    #[serde(rename = "k")]
    known: Vec<u64>,
    /// Whether Testmo answered that the request was carried out.
    #[serde(rename = "a", default, skip_serializing_if = "std::ops::Not::not")]
    is_answered: bool,
    /// Whether the request takes back what the batch did: the record of the batch says nothing of it.
    #[serde(rename = "u", default, skip_serializing_if = "std::ops::Not::not")]
    is_of_undo: bool,
    /// When the case was changed, as the answer shows it.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    written_at: Option<String>,
}

/// A case that is due for the check.
#[derive(Clone, Debug, PartialEq)]
pub struct DueWindow {
    /// The case.
    pub case: WindowCase,
    /// The entries that were known before a later request of the batch changed the case; `None` if there was none.
    pub until: Option<Vec<u64>>,
}

impl Windows {
    /// Returns what is stored.
    pub fn packed(&self) -> Vec<u8> {
        packed(self)
    }

    /// Reads what was stored; `None` if this version cannot read it.
    pub fn read(body: &[u8]) -> Option<Self> {
        unpacked(body)
    }
}

impl WindowCase {
    /// Returns what is kept of a case that a row shows and of which these fields are about to be written; `None` if the row does
    /// not show its history. A history has at least the creation of the case: an empty one says nothing.
    pub fn open<'a>(
        id: u64,
        sent: impl Iterator<Item = (&'a String, &'a Value)>,
        shown: &Map<String, Value>,
    ) -> Option<Self> {
        let known = known_entries(shown).filter(|known| !known.is_empty())?;
        let sent = sent.map(|(column, value)| (column.clone(), value.clone())).collect();
        Some(Self { id, sent, known, is_answered: false, is_of_undo: false, written_at: None })
    }

    /// Returns it as a case of a request that takes back what the batch did.
    #[must_use]
    pub fn of_undo(self) -> Self {
        Self { is_of_undo: true, ..self }
    }

    /// Notes that the request was carried out, by the case as the answer shows it.
    pub fn answered(&mut self, shown: &Map<String, Value>) {
        self.is_answered = true;
        self.written_at = shown.get("updated_at").and_then(Value::as_str).and_then(moment_of);
    }

    /// Returns what the request sets, by column.
    pub(super) fn sent(&self) -> &Map<String, Value> {
        &self.sent
    }

    /// Returns the entries that were shown before, by their fingerprints.
    pub(super) fn known(&self) -> &[u64] {
        &self.known
    }

    /// Returns whether Testmo answered that the request was carried out.
    pub(super) fn is_answered(&self) -> bool {
        self.is_answered
    }

    /// Returns whether the request takes back what the batch did.
    pub(super) fn is_of_undo(&self) -> bool {
        self.is_of_undo
    }

    /// Returns when the case was changed, as the answer showed it.
    pub(super) fn written_at(&self) -> Option<&str> {
        self.written_at.as_deref()
    }
}

/// Returns the cases of claims, given in the order of the claims, that are due for the check.
///
/// A case that was claimed again although no answer said that it had been written had not been written before.
pub fn due_windows(claims: impl IntoIterator<Item = Windows>) -> Vec<DueWindow> {
    let mut due: Vec<DueWindow> = Vec::new();
    let mut last: HashMap<u64, usize> = HashMap::new();
    for case in claims.into_iter().flat_map(|windows| windows.cases) {
        match last.get(&case.id).copied() {
            Some(place) if !due[place].case.is_answered => due[place] = DueWindow { case, until: None },
            before => {
                if let Some(place) = before {
                    due[place].until = Some(case.known.clone());
                }
                last.insert(case.id, due.len());
                due.push(DueWindow { case, until: None });
            }
        }
    }
    due
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::written::fixture::object;

    fn opened(id: u64, history: Value) -> Option<WindowCase> {
        let sent = object(json!({"name": "b"}));
        WindowCase::open(id, sent.iter(), &object(json!({"id": id, "history": history})))
    }

    fn claim(cases: Vec<WindowCase>) -> Windows {
        Windows { account: "https://acme.testmo.net".into(), project: 3, cases }
    }

    #[test]
    fn only_a_case_whose_history_is_shown_is_kept_and_it_is_read_back() {
        assert_eq!(opened(5, json!([])), None);
        assert_eq!(opened(5, json!(null)), None);
        assert_eq!(opened(5, json!({"1": "created"})), None);
        let sent = object(json!({"name": "b"}));
        assert_eq!(WindowCase::open(5, sent.iter(), &object(json!({"id": 5}))), None);
        let mut case = opened(5, json!([{"id": 1}])).unwrap();
        case.answered(&object(json!({"updated_at": "2026-07-29T12:48:28.450217Z"})));
        let windows = claim(vec![case]);
        assert_eq!(Windows::read(&windows.packed()), Some(windows.clone()));
        assert_eq!(windows.cases[0].written_at(), Some("2026-07-29 12:48:28.450217"));
        assert_eq!(Windows::read(b"rubbish"), None);
    }

    #[test]
    fn of_two_claims_of_a_case_the_first_counts_only_if_it_was_answered() {
        let (before, later) = (opened(5, json!([1])).unwrap(), opened(5, json!([1, 2])).unwrap());
        let mut answered = before.clone();
        answered.answered(&Map::new());
        let other = opened(6, json!([9])).unwrap();
        let due = due_windows([claim(vec![before, other.clone()]), claim(vec![later.clone()])]);
        let last = DueWindow { case: later.clone(), until: None };
        assert_eq!(due, [last.clone(), DueWindow { case: other, until: None }]);
        let due = due_windows([claim(vec![answered.clone()]), claim(vec![later.clone()])]);
        let first = DueWindow { case: answered, until: Some(later.known().to_vec()) };
        assert_eq!(due, [first, last]);
    }
}

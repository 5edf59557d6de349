//! Keeps the history of cases: an entry for the creation of a case, and one for each change.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::account::Account;
use super::cases::Case;
use crate::time::Time;

/// The user of changes that nobody made over the API.
const SOMEBODY: u64 = 99;

/// How lists show the history of a case. That they can is documented; the form of the entries is recorded nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HistoryForm {
    /// An empty list, whatever happened.
    Empty,
    /// The key is absent.
    Absent,
    /// An entry for each field, newest first.
    Fields,
    /// An entry for each request, oldest first, with its changes in a list.
    Requests,
    /// The ids of such entries; the entries themselves are beside the rows, as tags are.
    Joined,
    /// Texts for people, with no key that names a field.
    Prose,
}

/// A change of a case, or its creation.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryEntry {
    id: u64,
    at: Time,
    by: u64,
    /// The columns that changed, each with both contents; empty for a creation.
    changes: Vec<(String, Value, Value)>,
}

impl Account {
    /// Changes a case as a person does in Testmo's pages. Returns whether the case exists.
    pub(crate) fn change_by_person(&mut self, id: u64, change: impl FnOnce(&mut Case), now: Time) -> bool {
        let Some(before) = self.cases.get(id).cloned() else { return false };
        self.cases.update(id, change);
        self.note_change(&before, SOMEBODY, now);
        true
    }

    /// Adds what changed since to the history of a case, if anything did.
    pub(crate) fn note_change(&mut self, before: &Case, user: u64, now: Time) {
        let Some(case) = self.cases.get(before.id) else { return };
        let (old, new) = (self.contents(before), self.contents(case));
        let columns: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let content = |of: &Map<String, Value>, column: &String| of.get(column).cloned().unwrap_or_default();
        let both = columns.into_iter().map(|column| (column.clone(), content(&old, column), content(&new, column)));
        let changes: Vec<_> = both.filter(|(_, old, new)| old != new).collect();
        if !changes.is_empty() {
            self.add_to_history(before.id, user, now, changes);
        }
    }

    pub(crate) fn add_to_history(&mut self, id: u64, by: u64, at: Time, changes: Vec<(String, Value, Value)>) {
        // Each field has an id of its own, should entries be shown by field.
        let first = self.last_ids.history + 1;
        self.last_ids.history += changes.len().max(1) as u64;
        self.cases.update(id, |case| case.history.push(HistoryEntry { id: first, at, by, changes }));
    }

    /// Returns the history of a case as a row shows it; `None` if rows have none.
    pub(crate) fn shown_history(&self, case: &Case) -> Option<Vec<Value>> {
        let entries = case.history.iter();
        match self.settings.history {
            HistoryForm::Empty => Some(Vec::new()),
            HistoryForm::Absent => None,
            HistoryForm::Fields => Some(entries.rev().flat_map(HistoryEntry::by_field).collect()),
            HistoryForm::Requests => Some(entries.map(HistoryEntry::by_request).collect()),
            HistoryForm::Joined => Some(entries.map(|entry| entry.id.into()).collect()),
            HistoryForm::Prose => Some(entries.map(HistoryEntry::in_prose).collect()),
        }
    }

    /// Returns the entries that are beside the rows of a page.
    pub(crate) fn joined_history(&self, page: &[&Case]) -> Vec<Value> {
        let entries = page.iter().flat_map(|case| &case.history);
        if self.settings.history == HistoryForm::Joined {
            entries.map(HistoryEntry::by_request).collect()
        } else {
            Vec::new()
        }
    }

    fn contents(&self, case: &Case) -> Map<String, Value> {
        let tags: Vec<&str> = case.tags.iter().map(|id| self.tags.name(*id)).collect();
        let mut contents = case.custom.clone();
        for (column, content) in [
            ("name", json!(case.name)),
            ("folder_id", json!(case.folder_id)),
            ("state_id", json!(case.state_id)),
            ("status_id", json!(case.status_id)),
            ("estimate", json!(case.estimate)),
            ("tags", json!(tags)),
        ] {
            contents.insert(column.to_owned(), content);
        }
        contents
    }
}

impl HistoryEntry {
    fn by_field(&self) -> Vec<Value> {
        let (at, by) = (self.at.of_case(), self.by);
        if self.changes.is_empty() {
            return vec![json!({"id": self.id, "created_at": at, "user_id": by, "event": "created"})];
        }
        let entry = |(number, (column, old, new)): (usize, &(String, Value, Value))| {
            let id = self.id + number as u64;
            json!({"id": id, "created_at": at, "user_id": by, "field": column, "old": old, "new": new})
        };
        self.changes.iter().enumerate().map(entry).rev().collect()
    }

    fn by_request(&self) -> Value {
        let change =
            |(column, old, new): &(String, Value, Value)| json!({"column_name": column, "from": old, "to": new});
        let changes: Vec<Value> = self.changes.iter().map(change).collect();
        json!({"id": self.id, "created_at": self.at.of_case(), "user": {"id": self.by}, "changes": changes})
    }

    fn in_prose(&self) -> Value {
        let columns: Vec<&str> = self.changes.iter().map(|(column, ..)| column.as_str()).collect();
        let log = if columns.is_empty() { "created".to_owned() } else { format!("edited {}", columns.join(", ")) };
        json!({"id": self.id, "logged": self.at.of_project(), "who": self.by, "log": log})
    }
}

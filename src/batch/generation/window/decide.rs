//! Decides which edits by people a request overwrote, by the history of its case.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::entries::{NewEntries, new_entries};
use super::model::DueWindow;
use super::reading::{FieldChange, author, changes, is_later, is_same_moment, moment, moment_of};
use crate::batch::written::{is_nothing, is_same};

/// The most characters that are kept of a content or of an entry.
const LONGEST: usize = 2_000;
/// The most edits of one case that are reported.
const MOST_OF_CASE: usize = 20;

/// An edit that a request overwrote, or may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overwritten {
    /// The id of the case in Testmo.
    pub id: u64,
    /// The folder of the case, if Testmo shows it.
    pub folder: Option<u64>,
    /// Whether the entry of the history names a field that the request wrote, and is certainly older than the request.
    pub is_certain: bool,
    /// The columns that the request wrote: the one that the entry names, or all if it names none.
    pub fields: Vec<String>,
    /// What the request wrote; of several fields as JSON. At most 2,000 characters, as all contents.
    pub written: String,
    /// What the person had written, if the entry says that.
    pub lost: Option<String>,
    /// The entry as JSON, if it is not understood.
    pub entry: Option<String>,
}

/// Returns which edits by people a request overwrote, by the case as a list with histories shows it now.
///
/// `is_recorded` says that the record of the batch has the case as written. Of a request whose answer was lost, and of which
/// nothing is recorded, the row decides. The request itself made one of the new entries, so that a single one says nothing.
pub fn overwritten(due: &DueWindow, is_recorded: bool, row: &Map<String, Value>) -> Vec<Overwritten> {
    let case = &due.case;
    let Some(Value::Array(shown)) = row.get("history") else { return Vec::new() };
    let is_carried_out = case.is_answered() || (is_recorded && !case.is_of_undo());
    if !is_carried_out && !is_shown(case.sent(), row) {
        return Vec::new();
    }
    let Some(mut new) = new_entries(case.known(), due.until.as_deref(), shown) else { return Vec::new() };
    // What came after the answer is no concern of this request: a later one may have written the same.
    if let Some(written_at) = case.written_at() {
        new.entries.retain(|entry| moment(entry).is_none_or(|moment| !is_later(&moment, written_at)));
    }
    if new.entries.len() < 2 {
        return Vec::new();
    }
    let Some(own) = own_entries(due, &new, row) else { return Vec::new() };
    let last = own.iter().rposition(|is_own| *is_own).filter(|_| new.is_ordered);
    let others = new.entries.iter().zip(&own).enumerate();
    let others = others.filter(|(at, (_, is_own))| !**is_own && last.is_none_or(|last| *at < last));
    let found = others.flat_map(|(_, (entry, _))| of_entry(due, last.is_some(), entry, row));
    found.take(MOST_OF_CASE).collect()
}

/// Returns whether a row shows every field as it was sent. Tags may have been added since.
fn is_shown(sent: &Map<String, Value>, row: &Map<String, Value>) -> bool {
    let is_there = |(column, value): (&String, &Value)| match row.get(column) {
        Some(shown) => is_same(column, value, shown),
        None => is_nothing(value),
    };
    sent.iter().filter(|(column, _)| *column != "tags").all(is_there)
}

/// Returns for each new entry whether the request made it: it sets what was sent, or was made when the answer says so. One
/// request may make several entries: those of the same person and time, or of the same person where an entry says neither when it
/// was made nor what it changed.
///
/// Where nothing shows which ones they are, the newest one counts, if the case has not changed since the answer. Returns `None` if
/// it may have: the newest entry may be that of a later generation then.
fn own_entries(due: &DueWindow, new: &NewEntries<'_>, row: &Map<String, Value>) -> Option<Vec<bool>> {
    let entries = &new.entries;
    let mark = |is_own: &dyn Fn(&Value) -> bool| entries.iter().map(|entry| is_own(entry)).collect::<Vec<bool>>();
    let mut own = mark(&|entry| sets_what_was_sent(due, entry, row));
    if let Some(written_at) = due.case.written_at().filter(|_| !own.contains(&true)) {
        own = mark(&|entry| moment(entry).is_some_and(|moment| is_same_moment(&moment, written_at)));
    }
    if !own.contains(&true) {
        if !is_last_change(due, row) {
            return None;
        }
        if let Some(newest) = own.last_mut().filter(|_| new.is_ordered) {
            *newest = true;
        }
    }
    let maker = |entry: &Value| {
        let at = moment(entry);
        let is_told_apart = at.is_some() || changes(entry).is_none();
        author(entry).filter(|_| is_told_apart).map(|by| (at, by))
    };
    let makers: Vec<_> =
        entries.iter().zip(&own).filter(|(_, is_own)| **is_own).filter_map(|(entry, _)| maker(entry)).collect();
    let is_by_them = |entry: &Value| maker(entry).is_some_and(|maker| makers.contains(&maker));
    Some(entries.iter().zip(own).map(|(entry, is_own)| is_own || is_by_them(entry)).collect())
}

/// Returns whether a row shows that nobody has changed the case since the request was answered.
fn is_last_change(due: &DueWindow, row: &Map<String, Value>) -> bool {
    let changed_at = row.get("updated_at").and_then(Value::as_str).and_then(moment_of);
    changed_at
        .zip(due.case.written_at())
        .is_some_and(|(changed_at, written_at)| is_same_moment(&changed_at, written_at))
}

fn sets_what_was_sent(due: &DueWindow, entry: &Value, row: &Map<String, Value>) -> bool {
    let is_sent = |change: &FieldChange<'_>| {
        let column = column(change.field, due.case.sent(), row);
        let sent = column.and_then(|column| Some((column, due.case.sent().get(column)?)));
        sent.zip(change.new).is_some_and(|((column, sent), new)| is_same(column, sent, new))
    };
    changes(entry).is_some_and(|changes| changes.iter().all(is_sent))
}

/// Returns what an entry of somebody else says was overwritten.
fn of_entry(due: &DueWindow, is_older: bool, entry: &Value, row: &Map<String, Value>) -> Vec<Overwritten> {
    let sent = due.case.sent();
    let (id, folder) = (due.case.id, row.get("folder_id").and_then(Value::as_u64));
    let possibly = || Overwritten {
        id,
        folder,
        is_certain: false,
        fields: sent.keys().cloned().collect::<BTreeSet<_>>().into_iter().collect(),
        written: cut(&Value::Object(sent.clone()).to_string()),
        lost: None,
        entry: Some(cut(&entry.to_string())),
    };
    let Some(changes) = changes(entry) else { return vec![possibly()] };
    if changes.iter().any(|change| column(change.field, sent, row).is_none()) {
        return vec![possibly()];
    }
    let of_change = |change: &FieldChange<'_>| {
        let column = column(change.field, sent, row)?;
        let written = sent.get(column)?;
        // Nothing is lost where both wrote the same.
        let is_lost = change.new.is_none_or(|new| !is_same(column, written, new));
        is_lost.then(|| Overwritten {
            id,
            folder,
            is_certain: is_older,
            fields: vec![column.to_owned()],
            written: content(written),
            lost: change.new.map(content),
            entry: change.new.is_none().then(|| cut(&entry.to_string())),
        })
    };
    changes.iter().filter_map(of_change).collect()
}

/// Returns the column that a history means by the name of a field, if the case has one.
fn column<'a>(field: &str, sent: &'a Map<String, Value>, row: &'a Map<String, Value>) -> Option<&'a str> {
    let name = folded(field);
    sent.keys().chain(row.keys()).map(String::as_str).find(|column| folded(column) == name)
}

/// Returns a name without what distinguishes the name of a column from what people read.
fn folded(name: &str) -> String {
    let name = name.trim().to_lowercase();
    let name = name.strip_prefix("custom_").unwrap_or(&name);
    let name = name.strip_suffix("_id").unwrap_or(name);
    name.chars().filter(|c| c.is_alphanumeric()).collect()
}

fn content(value: &Value) -> String {
    match value {
        Value::String(text) => cut(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => cut(&value.to_string()),
    }
}

/// Cuts a text, whose lines stay as they are: a person may want to enter it again.
fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests;

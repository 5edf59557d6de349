//! Decides what becomes of a case that a later generation of its source does not have any more.

use serde_json::{Map, Value};

use super::carried::carried;
use super::compare::Change as Fields;
use super::decide::Row;
use super::ours::is_ours;
use super::removal::Removal;
use crate::batch::ledger::DropChange;
use crate::batch::written::{Since, WrittenFields, is_nothing, is_same};

/// What becomes of such a case.
#[derive(Clone, Debug, PartialEq)]
pub enum Gone {
    /// Nothing is written. It may have been before.
    Done(DropChange),
    /// These fields are written.
    Write(Box<Fields>),
    /// It is deleted.
    Delete,
}

/// Returns whether a case was retired before, by what was written last: it is left alone from then on.
pub fn is_retired(removal: Removal, written: &WrittenFields) -> bool {
    let fields = removal.fields();
    !fields.is_empty() && fields.iter().all(|(column, id)| written.is_written(column, id))
}

/// Decides what becomes of a case. `is_writing` says that a request that retires or deletes it has an unknown outcome;
/// `required` are the columns that every request has to fill.
pub fn decide_dropped<'a>(
    row: &Row<'_>,
    removal: Removal,
    is_writing: bool,
    required: impl Iterator<Item = &'a str>,
) -> Gone {
    let mut fields = removal.fields();
    let is_there =
        |(column, id): (&String, &Value)| row.shown.get(column).is_some_and(|shown| is_same(column, id, shown));
    let has_name = || row.shown.get("name").and_then(|name| row.written.since("name", name)) == Some(Since::Untouched);
    if is_writing && !fields.is_empty() && fields.iter().all(is_there) && has_name() {
        return Gone::Done(DropChange::Retired);
    }
    if !is_ours(row.written, row.tag, row.shown) {
        return Gone::Done(DropChange::NotFound);
    }
    match removal {
        Removal::Leave => Gone::Done(DropChange::Left),
        Removal::Retire { .. } if is_touched(row) => Gone::Done(DropChange::Edited),
        Removal::Retire { .. } => {
            fields.retain(|column, id| !is_there((column, &*id)));
            if fields.is_empty() {
                return Gone::Done(DropChange::Retired);
            }
            match carried(required, &fields, row.shown) {
                Ok(carried) => Gone::Write(Box::new(Fields { fields, carried, kept: Vec::new() })),
                Err(_) => Gone::Done(DropChange::Unreadable),
            }
        }
        Removal::Delete if is_touched(row) => Gone::Done(DropChange::Edited),
        Removal::Delete if is_used(row.shown) => Gone::Done(DropChange::Used),
        Removal::Delete => Gone::Delete,
    }
}

/// Returns whether somebody has changed a case since it was written, or may have. What was never written counts if it is a
/// text or a list; not if it is an option, as Testmo fills these with the project's defaults.
fn is_touched(row: &Row<'_>) -> bool {
    let mut known = 0;
    for (column, shown) in row.shown {
        match row.written.since(column, shown) {
            Some(Since::Untouched) => known += 1,
            Some(Since::Touched | Since::Unknown) => return true,
            None if is_nothing(shown) || !is_content(column) => {}
            None if shown.is_string() || shown.is_array() => return true,
            None => {}
        }
    }
    // Columns that Testmo never shows say nothing; any other that it does not show may have been changed.
    let hidden = ["issues", "automation_links"].iter().filter(|column| row.written.has(column)).count();
    known + hidden < row.written.count()
}

fn is_content(column: &str) -> bool {
    column.starts_with("custom_") || ["estimate", "tags", "issues"].contains(&column)
}

/// Returns whether people have commented a case, worked on it, or linked automation to it, or may have: what Testmo does not
/// show counts. A history begins with the creation of the case.
fn is_used(shown: &Map<String, Value>) -> bool {
    let count = |column: &str| shown.get(column).and_then(Value::as_array).map(Vec::len);
    let is_automated =
        shown.get("has_automation").is_some_and(|flag| !matches!(flag, Value::Bool(false) | Value::Null) && *flag != 0);
    is_automated
        || count("comments") != Some(0)
        || count("automation_links") != Some(0)
        || count("history").is_none_or(|entries| entries > 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::batch_tag;

    const RETIRE: Removal = Removal::Retire { state: Some(9), folder: Some(8) };

    fn tag() -> String {
        batch_tag(&"acme/b-1".parse().unwrap())
    }

    fn written() -> WrittenFields {
        let entry = json!({"name": "a", "state_id": 1, "custom_note": "<p>n</p>", "tags": [tag()]});
        WrittenFields::of_entry(&entry.to_string(), 7)
    }

    /// Returns the row as it was written, with changes; `null` removes a column.
    fn shown(changes: &Value) -> Map<String, Value> {
        let row = json!({"id": 5, "name": "a", "state_id": 1, "folder_id": 7, "custom_note": "n", "tags": [tag()],
            "custom_other": null, "custom_option": {"id": 1, "name": "Low"}, "estimate": null, "created_by": 3,
            "has_automation": false, "comments": [], "history": [], "automation_links": []});
        let mut row = row.as_object().cloned().unwrap_or_default();
        for (column, value) in changes.as_object().into_iter().flatten() {
            match value.is_null() {
                true => drop(row.remove(column)),
                false => drop(row.insert(column.clone(), value.clone())),
            }
        }
        row
    }

    fn decided(removal: Removal, changes: &Value, is_writing: bool, required: &[&str]) -> Gone {
        let (written, tag, shown) = (written(), tag(), shown(changes));
        let row = Row { written: &written, tag: Some(&tag), shown: &shown };
        decide_dropped(&row, removal, is_writing, required.iter().copied())
    }

    #[test]
    fn only_a_case_that_nobody_touched_is_retired() {
        let done = Gone::Done;
        for (changes, expected) in [
            (json!({"name": "b"}), done(DropChange::Edited)),
            (json!({"state_id": 2}), done(DropChange::Edited)),
            (json!({"folder_id": 3}), done(DropChange::Edited)),
            (json!({"custom_note": null}), done(DropChange::Edited)),
            (json!({"custom_other": "mine"}), done(DropChange::Edited)),
            (json!({"tags": [tag(), "mine"]}), done(DropChange::Edited)),
            (json!({"tags": ["mine"]}), done(DropChange::NotFound)),
            (json!({"tags": null}), done(DropChange::Edited)),
        ] {
            assert_eq!(decided(RETIRE, &changes, false, &[]), expected, "{changes}");
        }
        let Gone::Write(fields) = decided(RETIRE, &json!({}), false, &["custom_option"]) else { panic!() };
        assert_eq!(Value::Object(fields.fields), json!({"state_id": 9, "folder_id": 8}));
        assert_eq!(Value::Object(fields.carried), json!({"custom_option": 1}));
        assert_eq!(decided(RETIRE, &json!({}), false, &["custom_other"]), done(DropChange::Unreadable));
        let state = Removal::Retire { state: Some(9), folder: None };
        let Gone::Write(fields) = decided(state, &json!({}), false, &[]) else { panic!() };
        assert_eq!(Value::Object(fields.fields), json!({"state_id": 9}));
        assert_eq!(decided(Removal::Leave, &json!({"name": "b"}), false, &[]), done(DropChange::Left));
    }

    #[test]
    fn only_a_case_that_nobody_touched_or_used_is_deleted() {
        assert_eq!(decided(Removal::Delete, &json!({}), false, &[]), Gone::Delete);
        for (changes, expected) in [
            (json!({"name": "b"}), DropChange::Edited),
            (json!({"comments": [4]}), DropChange::Used),
            (json!({"comments": null}), DropChange::Used),
            (json!({"history": [1, 2]}), DropChange::Used),
            (json!({"history": null}), DropChange::Used),
            (json!({"automation_links": [1]}), DropChange::Used),
            (json!({"has_automation": true}), DropChange::Used),
            (json!({"has_automation": 1}), DropChange::Used),
        ] {
            assert_eq!(decided(Removal::Delete, &changes, false, &[]), Gone::Done(expected), "{changes}");
        }
        let once = json!({"history": [1], "has_automation": 0});
        assert_eq!(decided(Removal::Delete, &once, false, &[]), Gone::Delete, "its creation");
    }

    #[test]
    fn a_request_of_unknown_outcome_is_known_by_the_row() {
        let retired = json!({"state_id": 9, "folder_id": 8});
        assert_eq!(decided(RETIRE, &retired, true, &[]), Gone::Done(DropChange::Retired));
        assert_eq!(decided(RETIRE, &retired, false, &[]), Gone::Done(DropChange::Edited), "by a person");
        assert!(matches!(decided(RETIRE, &json!({}), true, &[]), Gone::Write(_)));
        let other = json!({"state_id": 9, "folder_id": 8, "name": "b"});
        assert_eq!(decided(RETIRE, &other, true, &[]), Gone::Done(DropChange::Edited));
    }

    #[test]
    fn a_case_that_was_retired_is_left_alone_from_then_on() {
        let retired = WrittenFields::of_entry(r#"{"name": "a", "state_id": 9}"#, 8);
        assert!(is_retired(RETIRE, &retired) && !is_retired(RETIRE, &written()));
        assert!(!is_retired(Removal::Leave, &retired) && !is_retired(Removal::Delete, &retired));
    }
}

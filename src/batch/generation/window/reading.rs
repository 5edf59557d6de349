//! Reads entries of a case's history. Their form is documented nowhere, so that every usual one is understood, and nothing is
//! guessed of any other.

use serde_json::{Map, Value};

/// Keys under which an entry may name a field.
const FIELD: [&str; 5] = ["field", "column_name", "column", "field_name", "name"];
/// Keys under which it may have the content of the field before.
const OLD: [&str; 5] = ["old", "from", "before", "old_value", "previous"];
/// Keys under which it may have the content of the field afterwards.
const NEW: [&str; 5] = ["new", "to", "after", "new_value", "value"];
/// Keys under which it may list several changes.
const CHANGES: [&str; 4] = ["changes", "fields", "items", "details"];
/// Keys under which it may say when it happened.
const AT: [&str; 6] = ["created_at", "at", "date", "time", "timestamp", "updated_at"];
/// Keys under which it may say who did it.
const BY: [&str; 5] = ["created_by", "user_id", "user", "author", "updated_by"];

/// How many characters of a moment name its second.
const TO_THE_SECOND: usize = "2026-07-29 12:48:28".len();

/// A change of one field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct FieldChange<'a> {
    /// The field, as the entry names it.
    pub(super) field: &'a str,
    /// Its content afterwards, if the entry says that.
    pub(super) new: Option<&'a Value>,
}

/// Returns which fields an entry changed; `None` if it does not say that in a known form.
pub(super) fn changes(entry: &Value) -> Option<Vec<FieldChange<'_>>> {
    let entry = entry.as_object()?;
    if let Some(change) = change(entry) {
        return Some(vec![change]);
    }
    let listed = first(entry, &CHANGES)?;
    let changes: Vec<FieldChange<'_>> = match listed {
        Value::Array(items) => items.iter().map(|item| change(item.as_object()?)).collect::<Option<_>>()?,
        Value::Object(members) => members.iter().map(of_member).collect::<Option<_>>()?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
    };
    (!changes.is_empty()).then_some(changes)
}

/// Returns when an entry was made, in a form that sorts; `None` if it does not say that.
pub(super) fn moment(entry: &Value) -> Option<String> {
    moment_of(first(entry.as_object()?, &AT)?.as_str()?)
}

/// Returns a time as Testmo writes it, with or without a `T` and a `Z`, in a form that sorts.
pub(super) fn moment_of(text: &str) -> Option<String> {
    let text = text.trim().trim_end_matches('Z').replacen('T', " ", 1);
    let is_digit = |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    let is_time = text.len() >= TO_THE_SECOND && text.is_ascii() && (0..4).chain(17..19).all(is_digit);
    is_time.then_some(text)
}

/// Returns whether two moments may be one: one of them may be written with fewer digits.
pub(super) fn is_same_moment(one: &str, other: &str) -> bool {
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    let (one, other) = (trimmed(one), trimmed(other));
    one == other
        || (one.len().min(other.len()) == TO_THE_SECOND && (one.starts_with(&other) || other.starts_with(&one)))
}

/// Returns whether a moment is certainly later than another one.
pub(super) fn is_later(one: &str, other: &str) -> bool {
    !is_same_moment(one, other) && one > other
}

/// Returns who made an entry, as the entry writes it.
pub(super) fn author(entry: &Value) -> Option<String> {
    let by = first(entry.as_object()?, &BY)?;
    Some(by.get("id").unwrap_or(by).to_string())
}

fn change(of: &Map<String, Value>) -> Option<FieldChange<'_>> {
    let field = first(of, &FIELD)?.as_str().filter(|field| !field.trim().is_empty())?;
    let new = first(of, &NEW);
    (new.is_some() || first(of, &OLD).is_some()).then_some(FieldChange { field, new })
}

/// Reads a change that stands under the name of its field: both contents by name or in order.
fn of_member<'a>((field, change): (&'a String, &'a Value)) -> Option<FieldChange<'a>> {
    match change {
        Value::Object(both) if first(both, &NEW).is_some() || first(both, &OLD).is_some() => {
            Some(FieldChange { field, new: first(both, &NEW) })
        }
        Value::Array(both) if both.len() == 2 => Some(FieldChange { field, new: both.get(1) }),
        Value::Object(_) | Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn first<'a>(of: &'a Map<String, Value>, keys: &[&str]) -> Option<&'a Value> {
    keys.iter().find_map(|key| of.get(*key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn usual_forms_of_a_change_are_understood_and_no_other() {
        let read = |entry: Value| {
            let changes = changes(&entry)?;
            Some(changes.iter().map(|change| json!([change.field, change.new])).collect::<Vec<_>>())
        };
        for (entry, expected) in [
            (json!({"id": 1, "field": "name", "old": "a", "new": "b"}), Some(vec![json!(["name", "b"])])),
            (json!({"column_name": "custom_a", "from": 1, "to": 2}), Some(vec![json!(["custom_a", 2])])),
            (json!({"name": "State", "before": "x", "after": null}), Some(vec![json!(["State", null])])),
            (json!({"field": "name", "value": "b"}), Some(vec![json!(["name", "b"])])),
            (json!({"field": "name", "old": "a"}), Some(vec![json!(["name", null])])),
            (
                json!({"changes": [{"field": "a", "new": 1}, {"column": "b", "old": 1, "new": 2}]}),
                Some(vec![json!(["a", 1]), json!(["b", 2])]),
            ),
            (
                json!({"changes": {"a": {"old": 1, "new": 2}, "b": [3, 4]}}),
                Some(vec![json!(["a", 2]), json!(["b", 4])]),
            ),
            (json!({"changes": [{"field": "a", "new": 1}, {"x": 1}]}), None),
            (json!({"changes": {"a": 1}}), None),
            (json!({"changes": []}), None),
            (json!({"name": "Ann", "id": 3}), None),
            (json!({"field": 7, "new": 1}), None),
            (json!({"what": "updated"}), None),
            (json!(41), None),
            (json!("changed"), None),
        ] {
            assert_eq!(read(entry.clone()), expected, "{entry}");
        }
    }

    #[test]
    fn moments_sort_and_may_have_fewer_digits() {
        assert_eq!(moment_of("2026-07-29T12:48:28Z").as_deref(), Some("2026-07-29 12:48:28"));
        for text in ["", "yesterday", "2 minutes ago, or so", "1785329308450"] {
            assert_eq!(moment_of(text), None, "{text}");
        }
        let second = "2026-07-29 12:48:28";
        for (one, other, expected) in [
            (second, "2026-07-29 12:48:28.45", true),
            ("2026-07-29 12:48:28.450000", "2026-07-29 12:48:28.45", true),
            ("2026-07-29 12:48:28.45", "2026-07-29 12:48:28.46", false),
            ("2026-07-29 12:48:28.4", "2026-07-29 12:48:28.46", false),
            (second, "2026-07-29 12:48:29", false),
        ] {
            assert_eq!((is_same_moment(one, other), is_same_moment(other, one)), (expected, expected), "{one} {other}");
        }
        assert_eq!(moment(&json!({"created_at": "2026-07-29T12:48:28Z"})).as_deref(), Some(second));
        let users = [json!({"user_id": 3}), json!({"user": {"id": 3, "name": "Ann"}}), json!({"by": 3})];
        assert_eq!(users.map(|entry| author(&entry)), [Some("3".into()), Some("3".into()), None]);
    }
}

//! Decides whether a row of Testmo is the case that was written, and not another one that has got its id.

use serde_json::{Map, Value};

use crate::batch::written::{Since, WrittenFields, is_same};

/// Returns whether a row with the id of a case is this case: it has the batch tag that was written, or every field is what
/// Testmo showed after the case was written. `tag` is the batch tag of the batch that wrote it, where the batch is known.
pub(in crate::batch) fn is_ours(written: &WrittenFields, tag: Option<&str>, row: &Map<String, Value>) -> bool {
    is_ours_apart(written, tag, row, &Map::new())
}

/// Returns the same of a row of which some columns were perhaps changed by a request of ours: they are left out. A name that was
/// changed has to be there as it was sent, unless the row has the batch tag: no other case would have it.
pub(in crate::batch) fn is_ours_apart(
    written: &WrittenFields,
    tag: Option<&str>,
    row: &Map<String, Value>,
    changed: &Map<String, Value>,
) -> bool {
    let mut tags = row.get("tags").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    if tags.any(|shown| Some(shown) == tag || written.is_batch_tag(shown)) {
        return true;
    }
    let has_name = row.get("name").is_some_and(|shown| match changed.get("name") {
        Some(name) => is_same("name", name, shown),
        None => written.has("name"),
    });
    let others = row.iter().filter(|(column, _)| !changed.contains_key(*column));
    let mut known = others.filter_map(|(column, value)| written.since(column, value));
    has_name && known.all(|since| since == Since::Untouched)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::batch_tag;

    #[test]
    fn a_row_is_ours_by_its_batch_tag_or_if_nothing_of_it_was_touched() {
        let tag = batch_tag(&"acme/b-1".parse().unwrap());
        let other = batch_tag(&"acme/b-2".parse().unwrap());
        let written = WrittenFields::of_entry(&json!({"name": "a", "tags": [tag], "custom_note": "b"}).to_string(), 7);
        let older = WrittenFields::of_entry(r#"{"name": "a", "custom_note": "b"}"#, 7);
        let is = |written: &WrittenFields, known: Option<&str>, row: Value| {
            is_ours(written, known, row.as_object().unwrap())
        };
        assert!(is(&written, None, json!({"name": "x", "tags": ["y", tag]})));
        assert!(is(&older, Some(&tag), json!({"name": "x", "tags": [tag]})));
        assert!(is(&older, None, json!({"name": "a", "folder_id": 7, "custom_note": "<p>b</p>", "tags": []})));
        assert!(!is(&written, Some(&tag), json!({"name": "x", "tags": [other]})), "another batch has this id now");
        assert!(!is(&written, None, json!({"name": "a", "tags": [], "custom_note": "b"})), "its tag was removed");
        assert!(!is(&older, None, json!({"name": "a", "custom_note": "c"})));
        assert!(!is(&older, None, json!({"id": 5})), "a row that shows nothing");
    }

    #[test]
    fn what_a_request_of_ours_changed_does_not_hide_the_case() {
        let written = WrittenFields::of_entry(r#"{"name": "a", "state_id": 1, "custom_note": "b", "tags": ["x"]}"#, 7);
        let is = |row: Value, changed: Value| {
            is_ours_apart(&written, None, row.as_object().unwrap(), changed.as_object().unwrap())
        };
        let retired = json!({"name": "a", "state_id": 5, "custom_note": "b", "tags": ["x"]});
        assert!(is(retired.clone(), json!({"state_id": 5})));
        assert!(!is(retired.clone(), json!({"custom_note": "b"})), "the state was changed by somebody else");
        assert!(is(json!({"name": "a", "state_id": 1, "tags": ["y"]}), json!({"tags": ["y"]})));
        assert!(is(json!({"name": "z", "state_id": 1, "custom_note": "b"}), json!({"name": "z"})));
        assert!(!is(json!({"name": "y", "state_id": 1, "custom_note": "b"}), json!({"name": "z"})), "another name");
        assert!(!is(json!({"name": "z", "state_id": 2, "custom_note": "b"}), json!({"name": "z"})));
    }
}

//! Decides whether a row of Testmo is the case that was written, and not another one that has got its id.

use serde_json::{Map, Value};

use crate::batch::written::{Since, WrittenFields};

/// Returns whether a row with the id of a case is this case: it has the batch tag that was written, or every field is what
/// Testmo showed after the case was written. `tag` is the batch tag of the batch that wrote it, where the batch is known.
pub(super) fn is_ours(written: &WrittenFields, tag: Option<&str>, row: &Map<String, Value>) -> bool {
    let mut tags = row.get("tags").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    if tags.any(|shown| Some(shown) == tag || written.is_batch_tag(shown)) {
        return true;
    }
    let mut known = row.iter().filter_map(|(column, value)| written.since(column, value));
    written.has("name") && row.contains_key("name") && known.all(|since| since == Since::Untouched)
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
}

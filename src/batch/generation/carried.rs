//! Finds the fields that a request has to send as they are, because every request has to fill them.

use serde_json::{Map, Value};

use super::as_sent::as_sent;
use crate::batch::written::is_nothing;

/// Returns the required columns that a request does not set, with what Testmo shows of them in the form in which it is sent.
///
/// # Errors
/// The first column that is required and not shown with content: the case cannot be updated safely.
pub(in crate::batch) fn carried<'a>(
    required: impl Iterator<Item = &'a str>,
    fields: &Map<String, Value>,
    shown: &Map<String, Value>,
) -> Result<Map<String, Value>, String> {
    let mut carried = Map::new();
    for column in required.filter(|column| !fields.contains_key(*column)) {
        match shown.get(column).filter(|shown| !is_nothing(shown)) {
            Some(shown) => drop(carried.insert(column.to_owned(), as_sent(shown))),
            None => return Err(column.to_owned()),
        }
    }
    Ok(carried)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn required_fields_are_sent_as_they_are_shown_and_none_is_invented() {
        let object = |value: Value| value.as_object().cloned().unwrap_or_default();
        let shown = object(json!({"name": "a", "custom_a": {"id": 3, "name": "High"}, "custom_b": "<p></p>"}));
        let fields = object(json!({"state_id": 5}));
        let of = |required: &[&str]| carried(required.iter().copied(), &fields, &shown).map(Value::Object);
        assert_eq!(of(&[]), Ok(json!({})));
        assert_eq!(of(&["custom_a", "state_id"]), Ok(json!({"custom_a": 3})));
        assert_eq!(of(&["custom_a", "custom_b"]), Err("custom_b".into()), "it has no content");
        assert_eq!(of(&["custom_c"]), Err("custom_c".into()), "it is not shown");
    }
}

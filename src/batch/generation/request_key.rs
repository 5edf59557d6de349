//! Decides which cases can be written in one request.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::compare::Change;

/// Returns by what cases are grouped: those with the same key get the same values, and have the same template.
pub fn request_key(fields: &Change, shown: &Map<String, Value>) -> String {
    let template = shown.get("template_id").map(Value::to_string).unwrap_or_default();
    format!("{template} {} {}", json!(fields.fields), json!(fields.carried))
}

/// Counts the requests for cases with these keys, if one request takes up to `most` of them.
pub fn count_requests<K: Ord>(keys: impl IntoIterator<Item = K>, most: usize) -> usize {
    let mut groups: BTreeMap<K, usize> = BTreeMap::new();
    for key in keys {
        *groups.entry(key).or_default() += 1;
    }
    groups.values().map(|count| count.div_ceil(most)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_that_get_the_same_share_a_request() {
        let object = |value: Value| value.as_object().cloned().unwrap_or_default();
        let key = |fields: Value, carried: Value, shown: Value| {
            let change = Change { fields: object(fields), carried: object(carried), kept: Vec::new() };
            request_key(&change, &object(shown))
        };
        let own = key(json!({"name": "a"}), json!({"custom_a": 1}), json!({"template_id": 2, "name": "x"}));
        let same = key(json!({"name": "a"}), json!({"custom_a": 1}), json!({"template_id": 2, "name": "y"}));
        assert_eq!(own, same);
        for other in [
            key(json!({"name": "b"}), json!({"custom_a": 1}), json!({"template_id": 2})),
            key(json!({"name": "a"}), json!({"custom_a": 2}), json!({"template_id": 2})),
            key(json!({"name": "a"}), json!({"custom_a": 1}), json!({"template_id": 3})),
        ] {
            assert_ne!(own, other);
        }
        for (keys, expected) in [(vec![], 0), (vec![1; 100], 1), (vec![1; 101], 2), (vec![1, 2, 1, 3], 3)] {
            assert_eq!(count_requests(keys, 100), expected);
        }
    }
}

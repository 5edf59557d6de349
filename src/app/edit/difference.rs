//! Compares two JSON values place by place.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// A place at which two values differ.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Change {
    /// The place, as a JSON pointer.
    pub pointer: String,
    /// The value there before; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The value there after; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// Returns the places at which two values differ, in the order of the first one: the smallest parts that explain the
/// difference.
pub(super) fn difference(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare(String::new(), Some(before), Some(after), &mut changes);
    changes
}

fn compare(pointer: String, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<Change>) {
    match (before, after) {
        (Some(Value::Object(was)), Some(Value::Object(is))) => {
            let new = is.keys().filter(|key| !was.contains_key(*key));
            for key in was.keys().chain(new) {
                compare(format!("{pointer}/{}", token(key)), was.get(key), is.get(key), changes);
            }
        }
        (Some(Value::Array(was)), Some(Value::Array(is))) => {
            for at in 0..was.len().max(is.len()) {
                compare(format!("{pointer}/{at}"), was.get(at), is.get(at), changes);
            }
        }
        (before, after) if before == after => {}
        (before, after) => changes.push(Change { pointer, before: before.cloned(), after: after.cloned() }),
    }
}

/// Writes a key as a part of a JSON pointer.
fn token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn said(before: &Value, after: &Value) -> Vec<String> {
        let text = |value: &Option<Value>| value.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        difference(before, after)
            .iter()
            .map(|change| format!("{} {} {}", change.pointer, text(&change.before), text(&change.after)))
            .collect()
    }

    #[test]
    fn the_smallest_parts_that_differ_are_named() {
        let before = json!({"a": {"x": 1, "y/z": [1, 2, 3]}, "b": "t", "c": null});
        let table = [
            (before.clone(), vec![]),
            (json!({"c": null, "b": "t", "a": {"y/z": [1, 2, 3], "x": 1}}), vec![]),
            (json!({"a": {"x": 2, "y/z": [1, 2, 3]}, "b": "t", "c": null}), vec!["/a/x 1 2"]),
            (json!({"a": {"x": 1, "y/z": [1, 9]}, "b": "t", "c": null}), vec!["/a/y~1z/1 2 9", "/a/y~1z/2 3 -"]),
            (json!({"a": 5, "b": "t"}), vec![r#"/a {"x":1,"y/z":[1,2,3]} 5"#, "/c null -"]),
            (json!({"a": {"x": 1, "y/z": [1, 2, 3]}, "b": "t", "c": null, "d": []}), vec!["/d - []"]),
        ];
        for (after, expected) in table {
            assert_eq!(said(&before, &after), expected, "{after}");
        }
        assert_eq!(said(&json!(1), &json!("1")), [r#" 1 "1""#]);
    }

    /// Carries out changes as they are described.
    fn apply(mut value: Value, changes: &[Change]) -> Value {
        // From the end, so that entries which go from the end of a list do not move others.
        let (gone, there): (Vec<&Change>, Vec<&Change>) = changes.iter().partition(|change| change.after.is_none());
        for change in there.into_iter().chain(gone.into_iter().rev()) {
            let Some((parent, last)) = change.pointer.rsplit_once('/') else { return change.after.clone().unwrap() };
            let last = last.replace("~1", "/").replace("~0", "~");
            match (value.pointer_mut(parent).unwrap(), &change.after) {
                (Value::Object(object), Some(after)) => drop(object.insert(last, after.clone())),
                (Value::Object(object), None) => drop(object.remove(&last)),
                (Value::Array(list), after) => {
                    let at: usize = last.parse().unwrap();
                    match after {
                        Some(after) if at < list.len() => list[at] = after.clone(),
                        Some(after) => list.push(after.clone()),
                        None => drop(list.remove(at)),
                    }
                }
                (other, _) => panic!("{other}"),
            }
        }
        value
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(Value::Null), (0..4_i64).prop_map(Value::from), "[a~/]{0,2}".prop_map(Value::from)];
        leaf.prop_recursive(3, 20, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[ab~/]{1,2}", inner), 0..4)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_named_is_the_whole_difference(before in json_value(), after in json_value()) {
            let changes = difference(&before, &after);
            prop_assert_eq!(changes.is_empty(), before == after);
            prop_assert_eq!(apply(before, &changes), after);
        }
    }
}

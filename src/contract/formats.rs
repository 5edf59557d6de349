//! Removes what schemas say about formats that common validators and code generators do not know.

use serde_json::Value;

/// The formats of JSON Schema that code generators know.
const STANDARD: [&str; 2] = ["date-time", "date"];

/// Removes every format: strict validators refuse a schema with any format whose check has not been added to them. The
/// schemas have patterns in their place.
pub(super) fn remove_all(schema: &mut Value) {
    retain(schema, &|_| false);
}

/// Removes formats of Rust's types, such as `uint64`.
pub(super) fn keep_standard(schema: &mut Value) {
    retain(schema, &|format| STANDARD.contains(&format));
}

fn retain(schema: &mut Value, is_kept: &dyn Fn(&str) -> bool) {
    match schema {
        Value::Object(members) => {
            // A property of this name would be an object.
            if members.get("format").and_then(Value::as_str).is_some_and(|format| !is_kept(format)) {
                members.shift_remove("format");
            }
            members.values_mut().for_each(|member| retain(member, is_kept));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| retain(item, is_kept)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

//! Rewrites schemas into forms that common validators and code generators understand.

use serde_json::{Map, Value, json};

/// The formats of JSON Schema that code generators know.
const STANDARD: [&str; 2] = ["date-time", "date"];

/// A note in a schema that names no dialect.
pub(super) const DIALECTS: &str = "Means the same in every draft of JSON Schema from 07 to 2020-12, so it names none with $schema: many validators \
     and code generators accept one draft only.";

/// Removes every format: strict validators refuse a schema with any format whose check has not been added to them. The
/// schemas have patterns in their place.
pub(super) fn remove_formats(schema: &mut Value) {
    retain(schema, &|_| false);
}

/// Removes formats of Rust's types, such as `uint64`.
pub(super) fn keep_standard_formats(schema: &mut Value) {
    retain(schema, &|format| STANDARD.contains(&format));
}

fn retain(schema: &mut Value, is_kept: &dyn Fn(&str) -> bool) {
    walk(schema, &|members| {
        // A property of this name would be an object.
        if members.get("format").and_then(Value::as_str).is_some_and(|format| !is_kept(format)) {
            members.shift_remove("format");
        }
    });
}

/// Gives every constant and every `enum` its type, and writes a choice of words as an `enum`: code generators make numbers with a fraction
/// or untyped values otherwise.
pub(super) fn name_types(schema: &mut Value) {
    walk(schema, &|members| {
        if !members.contains_key("type") {
            let first = members.get("enum").and_then(|words| words.get(0));
            let constant = match members.get("const").or(first) {
                Some(Value::String(_)) => Some("string"),
                Some(Value::Number(_)) => Some("integer"),
                _ => None,
            };
            members.extend(constant.map(|constant| ("type".to_owned(), json!(constant))));
        }
        if let Some((words, meanings)) = members.get("oneOf").and_then(words_of) {
            members.shift_remove("oneOf");
            let description = members.get("description").and_then(Value::as_str).unwrap_or_default();
            let description = [description, &meanings].join("\n\n");
            members.insert("type".into(), json!("string"));
            members.insert("enum".into(), json!(words));
            members.insert("description".into(), json!(description.trim_start()));
        }
    });
}

/// Returns the words of a choice, and what each of them means as lines of text, if the choice is between words only.
fn words_of(one_of: &Value) -> Option<(Vec<String>, String)> {
    let mut words = Vec::new();
    let mut meanings = Vec::new();
    for word in one_of.as_array()? {
        let text = word.get("const")?.as_str()?;
        words.push(text.to_owned());
        let meaning = word.get("description").and_then(Value::as_str).map(|meaning| meaning.replace('\n', " "));
        meanings.extend(meaning.map(|meaning| format!("- `{text}`: {meaning}")));
    }
    Some((words, meanings.join("\n")))
}

/// Gives every definition its name as a title, by which code generators name their types.
pub(super) fn name_definitions(definitions: &mut Map<String, Value>) {
    for (name, definition) in definitions {
        if let Value::Object(members) = definition {
            members.entry("title").or_insert_with(|| json!(name));
        }
    }
}

fn walk(schema: &mut Value, change: &dyn Fn(&mut Map<String, Value>)) {
    match schema {
        Value::Object(members) => {
            change(members);
            members.values_mut().for_each(|member| walk(member, change));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

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

/// Writes each definition that a property names beside `null` into this property, and removes definitions that nothing
/// names any more. A validator then says what is wrong inside of the value, instead of that none of two schemas fits.
pub(super) fn inline_optional(schema: &mut Value) {
    let definitions = schema["$defs"].clone();
    walk(schema, &|members| {
        let optional = members.get("anyOf").and_then(name_beside_null).and_then(|name| definitions[name].as_object());
        let Some(definition) = optional else { return };
        members.shift_remove("anyOf");
        for (key, value) in definition {
            let value = match (key.as_str(), value) {
                ("type", kind) => json!([kind, "null"]),
                ("enum", Value::Array(words)) => words.iter().cloned().chain([Value::Null]).collect(),
                _ => value.clone(),
            };
            members.entry(key).or_insert(value);
        }
    });
    let text = schema.to_string();
    if let Some(definitions) = schema["$defs"].as_object_mut() {
        definitions.retain(|name, _| text.contains(&format!("\"#/$defs/{name}\"")));
    }
}

/// Returns the name of a definition that is an alternative of `null`.
fn name_beside_null(any_of: &Value) -> Option<&str> {
    let [named, null] = any_of.as_array()?.as_slice() else { return None };
    let is_null = null["type"] == "null";
    named["$ref"].as_str()?.strip_prefix("#/$defs/").filter(|_| is_null)
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

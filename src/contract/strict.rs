//! Rewrites the schema of batches for structured output of language models, which accepts few keywords.
//!
//! Every object lists all of its keys as required, an optional key takes `null`, and nothing but its keys is allowed. Limits
//! that are not accepted as keywords are in the descriptions.

use serde_json::{Map, Value, json};

use super::message::{EXACT_LINE, LINE, MOMENT, TEXT};

/// Returns the JSON Schema of batches that structured output of language models accepts: each instance that keeps the
/// limits in its descriptions is a batch. It has no `fields` and no `folder_id`.
pub fn strict_batch_schema() -> Value {
    let schema = super::batch_schema();
    let Value::Object(members) = &schema else { return schema };
    let mut strict = strict(members);
    if let Some((_, other)) = exclusive(members) {
        remove(&mut strict, &other);
    }
    let definitions: Map<String, Value> =
        members["$defs"].as_object().into_iter().flatten().map(|(name, d)| (name.clone(), definition(d))).collect();
    strict.insert("$defs".into(), Value::Object(definitions));
    Value::Object(strict)
}

/// Rewrites a definition. One with two keys that exclude each other becomes a choice between two objects; the first keys of
/// these differ, as OpenAI requires.
fn definition(schema: &Value) -> Value {
    let Some(members) = schema.as_object() else { return schema.clone() };
    let strict = strict(members);
    let Some((one, other)) = exclusive(members) else { return Value::Object(strict) };
    let choices = [(&one, &other), (&other, &one)].map(|(given, absent)| without(&strict, given, absent));
    json!({"anyOf": choices})
}

/// Returns the two keys of an object of which only one may be given.
fn exclusive(members: &Map<String, Value>) -> Option<(String, String)> {
    let keys = members.get("if")?.get("required")?;
    Some((keys[0].as_str()?.to_owned(), keys[1].as_str()?.to_owned()))
}

/// Returns an object in which one key comes first and another is always `null`.
fn without(strict: &Map<String, Value>, first: &str, absent: &str) -> Value {
    let mut object = strict.clone();
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        properties.insert(absent.into(), json!({"type": "null"}));
        if let Some(property) = properties.shift_remove(first) {
            properties.shift_insert(0, first.into(), property);
        }
    }
    list_required(&mut object);
    Value::Object(object)
}

fn remove(object: &mut Map<String, Value>, key: &str) {
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        properties.shift_remove(key);
    }
    list_required(object);
}

fn list_required(object: &mut Map<String, Value>) {
    let keys: Option<Vec<String>> =
        object.get("properties").and_then(Value::as_object).map(|properties| properties.keys().cloned().collect());
    object.extend(keys.map(|keys| ("required".to_owned(), json!(keys))));
}

/// Rewrites one schema and those inside of it.
fn strict(members: &Map<String, Value>) -> Map<String, Value> {
    let mut strict = Map::new();
    let mut keep = |key: &str, value: Option<Value>| strict.extend(value.map(|value| (key.to_owned(), value)));
    if let Some(reference) = members.get("$ref") {
        // Nothing may stand beside a reference.
        keep("$ref", Some(reference.clone()));
        return strict;
    }
    let inner =
        |schema: &Value| schema.as_object().map_or_else(|| schema.clone(), |members| self::strict(members).into());
    keep("type", members.get("type").cloned());
    keep("description", described(members));
    keep("enum", members.get("enum").cloned().or_else(|| members.get("const").map(|constant| json!([constant]))));
    match members.get("pattern").and_then(Value::as_str) {
        None | Some(TEXT) => {}
        Some(MOMENT) => keep("format", Some(json!("date-time"))),
        Some(LINE | EXACT_LINE) => keep("pattern", Some(json!(r"^\S.*$"))),
        Some(simple) => keep("pattern", Some(json!(simple))),
    }
    keep("minItems", members.get("minItems").filter(|least| **least == 1).cloned());
    keep("items", members.get("items").map(inner));
    keep("anyOf", members.get("anyOf").and_then(Value::as_array).map(|of| of.iter().map(inner).collect()));
    if let Some(properties) = members.get("properties").and_then(Value::as_object) {
        let known = properties.iter().filter(|(_, property)| property["additionalProperties"] != true);
        keep("properties", Some(known.map(|(key, property)| (key.clone(), inner(property))).collect()));
        keep("additionalProperties", Some(json!(false)));
        list_required(&mut strict);
    }
    strict
}

/// Returns the description with the limits that no keyword may state.
fn described(members: &Map<String, Value>) -> Option<Value> {
    let number = |key: &str| members.get(key).and_then(Value::as_u64);
    let limits = [
        number("maxLength").map(|most| format!("At most {most} characters.")),
        number("maxItems").map(|most| format!("At most {most} entries.")),
        number("minimum").map(|least| format!("At least {least}.")),
    ];
    let description = members.get("description").and_then(Value::as_str).map(|text| text.replace('\n', " "));
    let parts: Vec<String> = description.into_iter().chain(limits.into_iter().flatten()).collect();
    (!parts.is_empty()).then(|| json!(parts.join(" ")))
}

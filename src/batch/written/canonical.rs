//! Writes the value of a field in one form, however it was written or Testmo shows it.
//!
//! A tag is its name in lower case, a truth is 1 or 0, and an object that is named by its id is this id. Objects that are
//! parts of a field, such as steps, count by their content: their ids, their numbers and empty parts do not. Lists of
//! numbers and texts are sets.

use serde_json::{Map, Value};

/// Appends the canonical form of a column's value. No two different forms read the same.
pub(super) fn write(to: &mut Vec<u8>, column: &str, value: &Value) {
    match (column, value) {
        ("name", Value::String(name)) => text(to, name.trim()),
        ("tags", Value::Array(tags)) => list(to, tags.iter().map(|tag| Value::String(tag_name(tag))).collect()),
        _ => any(to, value),
    }
}

/// Returns the name of a tag, which is written as a name and shown as an object.
fn tag_name(tag: &Value) -> String {
    let name = tag.get("name").unwrap_or(tag);
    name.as_str().map_or_else(|| name.to_string(), |name| name.trim().to_lowercase())
}

fn any(to: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => to.push(b'n'),
        Value::Bool(truth) => part(to, b'i', if *truth { "1" } else { "0" }),
        Value::Number(number) => match number.as_f64() {
            // 3.0 is the number 3.
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => {
                part(to, b'i', &format!("{float:.0}"));
            }
            Some(_) | None => part(to, b'i', &number.to_string()),
        },
        Value::String(string) => text(to, string),
        Value::Array(items) => list(to, items.clone()),
        Value::Object(members) => object(to, members),
    }
}

fn text(to: &mut Vec<u8>, text: &str) {
    part(to, b's', text);
}

fn part(to: &mut Vec<u8>, kind: u8, text: &str) {
    to.push(kind);
    to.extend((text.len() as u64).to_be_bytes());
    to.extend(text.as_bytes());
}

fn list(to: &mut Vec<u8>, items: Vec<Value>) {
    let form = |item: &Value| {
        let mut form = Vec::new();
        any(&mut form, item);
        form
    };
    let mut forms: Vec<Vec<u8>> = items.iter().map(form).collect();
    if forms.iter().all(|form| matches!(form.first(), Some(b'i' | b's'))) {
        forms.sort_unstable();
        forms.dedup();
    }
    to.push(b'[');
    to.extend((forms.len() as u64).to_be_bytes());
    forms.iter().for_each(|form| to.extend(form));
}

fn object(to: &mut Vec<u8>, members: &Map<String, Value>) {
    let is_reference = |key: &String| ["id", "name", "value", "label"].contains(&key.as_str());
    if let Some(id) = members.get("id").filter(|_| members.keys().all(is_reference)) {
        return any(to, id);
    }
    let counts =
        |(key, value): &(&String, &Value)| !value.is_null() && !["id", "display_order"].contains(&key.as_str());
    let mut members: Vec<(&String, &Value)> = members.iter().filter(counts).collect();
    members.sort_unstable_by_key(|(key, _)| *key);
    to.push(b'{');
    to.extend((members.len() as u64).to_be_bytes());
    for (key, value) in members {
        text(to, key);
        any(to, value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn form(column: &str, value: &Value) -> Vec<u8> {
        let mut form = Vec::new();
        write(&mut form, column, value);
        form
    }

    #[test]
    fn a_value_is_the_same_as_testmo_shows_it() {
        let step = |more: Value| {
            let mut step = json!({"text1": "a", "text3": "b"});
            step.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!([step])
        };
        for (column, written, shown) in [
            ("name", json!("Sign in"), json!(" Sign in ")),
            ("tags", json!(["Smoke", "b"]), json!([{"tag_id": 2, "name": "b"}, {"tag_id": 1, "name": "smoke"}])),
            ("custom_areas", json!([12, 3]), json!([{"id": 3, "name": "x"}, {"id": 12, "name": "y"}])),
            ("custom_risk", json!(3), json!({"id": 3, "name": "high"})),
            ("custom_flag", json!(true), json!(1)),
            ("custom_size", json!(3), json!(3.0)),
            ("custom_steps", step(json!({"display_order": 1})), step(json!({"id": 7, "text2": null}))),
        ] {
            assert_eq!(form(column, &written), form(column, &shown), "{column}");
        }
    }

    #[test]
    fn different_values_differ() {
        let values = [
            json!(null),
            json!(""),
            json!("a"),
            json!("a "),
            json!(0),
            json!(1),
            json!("1"),
            json!([]),
            json!([1]),
            json!([1, 2]),
            json!([[1], 2]),
            json!([1, [2]]),
            json!({}),
            json!({"a": 1}),
            json!({"a": "1"}),
            json!([{"text1": "a"}, {"text1": "b"}]),
            json!([{"text1": "b"}, {"text1": "a"}]),
            json!(1.5),
            json!(["ab", "c"]),
            json!(["a", "bc"]),
            json!({"text1": "a", "text2": "b"}),
        ];
        for (at, one) in values.iter().enumerate() {
            for other in &values[at + 1..] {
                assert_ne!(form("custom_x", one), form("custom_x", other), "{one} {other}");
            }
        }
    }
}

//! Writes the value of a field in one form, however it was written or Testmo shows it.
//!
//! A tag is its name in lower case, a truth is 1 or 0, and an object that is named by its id is this id. Objects that are
//! parts of a field, such as steps, count by their content: their ids, their places and empty parts do not. Lists of
//! numbers and texts are sets. Texts are written as they are, or as rich text that an editor may save again.

use serde_json::{Map, Value};

use super::markup::folded;

/// Members of a part, such as a step, that say where it is, which is no content.
const OF_PLACE: [&str; 4] = ["id", "case_id", "column_name", "display_order"];

/// How texts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Texts {
    /// As they are.
    Exact,
    /// As rich text, in a form that stays the same when an editor saves it again. What shows nothing is nothing.
    Folded,
}

/// Appends the canonical form of a column's value. No two different forms read the same.
pub(super) fn write(to: &mut Vec<u8>, column: &str, value: &Value, texts: Texts) {
    match (column, value) {
        ("name", Value::String(name)) => text(to, name.trim()),
        ("tags", Value::Array(tags)) => {
            list(to, tags.iter().map(|tag| Value::String(tag_name(tag))).collect(), Texts::Exact);
        }
        (_, value) if texts == Texts::Folded && is_nothing(value) => any(to, &Value::Null, texts),
        _ => any(to, value, texts),
    }
}

/// Returns whether two values of a column have the same content, however Testmo or an editor writes it.
pub fn is_same(column: &str, one: &Value, other: &Value) -> bool {
    let form = |value: &Value| {
        let mut form = Vec::new();
        write(&mut form, column, value, Texts::Folded);
        form
    };
    form(one) == form(other)
}

/// Returns whether a field has no content: Testmo shows that in several ways.
pub fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => folded(text).is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

/// Returns the name of a tag, which is written as a name and shown as an object.
pub(super) fn tag_name(tag: &Value) -> String {
    let name = tag.get("name").unwrap_or(tag);
    name.as_str().map_or_else(|| name.to_string(), |name| name.trim().to_lowercase())
}

fn any(to: &mut Vec<u8>, value: &Value, texts: Texts) {
    match value {
        Value::Null => to.push(b'n'),
        Value::Bool(truth) => part(to, b'i', if *truth { b"1" } else { b"0" }),
        Value::Number(number) => match number.as_f64() {
            // 3.0 is the number 3.
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => {
                part(to, b'i', format!("{float:.0}").as_bytes());
            }
            Some(_) | None => part(to, b'i', number.to_string().as_bytes()),
        },
        Value::String(string) if texts == Texts::Folded => part(to, b's', &folded(string)),
        Value::String(string) => text(to, string),
        Value::Array(items) => list(to, items.clone(), texts),
        Value::Object(members) => object(to, members, texts),
    }
}

fn text(to: &mut Vec<u8>, text: &str) {
    part(to, b's', text.as_bytes());
}

fn part(to: &mut Vec<u8>, kind: u8, content: &[u8]) {
    to.push(kind);
    to.extend((content.len() as u64).to_be_bytes());
    to.extend(content);
}

fn list(to: &mut Vec<u8>, items: Vec<Value>, texts: Texts) {
    let form = |item: &Value| {
        let mut form = Vec::new();
        any(&mut form, item, texts);
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

fn object(to: &mut Vec<u8>, members: &Map<String, Value>, texts: Texts) {
    let is_reference = |key: &String| ["id", "name", "value", "label"].contains(&key.as_str());
    if let Some(id) = members.get("id").filter(|_| members.keys().all(is_reference)) {
        return any(to, id, texts);
    }
    let is_empty = |value: &Value| if texts == Texts::Folded { is_nothing(value) } else { value.is_null() };
    let counts = |(key, value): &(&String, &Value)| !is_empty(value) && !OF_PLACE.contains(&key.as_str());
    let mut members: Vec<(&String, &Value)> = members.iter().filter(counts).collect();
    members.sort_unstable_by_key(|(key, _)| *key);
    to.push(b'{');
    to.extend((members.len() as u64).to_be_bytes());
    for (key, value) in members {
        text(to, key);
        any(to, value, texts);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn form(column: &str, value: &Value, texts: Texts) -> Vec<u8> {
        let mut form = Vec::new();
        write(&mut form, column, value, texts);
        form
    }

    const BOTH: [Texts; 2] = [Texts::Exact, Texts::Folded];

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
            (
                "custom_steps",
                step(json!({"display_order": 1})),
                step(json!({"id": 7, "case_id": 5, "column_name": "custom_steps", "text2": null})),
            ),
        ] {
            for texts in BOTH {
                assert_eq!(form(column, &written, texts), form(column, &shown, texts), "{column}");
            }
        }
    }

    #[test]
    fn a_text_that_an_editor_saves_again_is_the_same_only_if_texts_are_folded() {
        for (column, written, saved) in [
            ("custom_note", json!("a & b"), json!("<p>a &amp; b</p>")),
            ("custom_note", json!(""), json!(null)),
            ("custom_note", json!("<p></p>"), json!("")),
            ("custom_steps", json!([]), json!(null)),
            ("custom_steps", json!([{"text1": "a", "text2": ""}]), json!([{"text1": "<p>a</p>", "text2": null}])),
            ("custom_areas", json!(["a"]), json!(["<p>a</p>"])),
        ] {
            let [exact, folded] = BOTH.map(|texts| form(column, &written, texts) == form(column, &saved, texts));
            assert_eq!((exact, folded), (false, true), "{written} {saved}");
        }
        let [a, b] = [json!("a"), json!("<p>a</p>")].map(|name| form("name", &name, Texts::Folded));
        assert_ne!(a, b, "a name is no rich text");
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
                assert_ne!(form("custom_x", one, Texts::Exact), form("custom_x", other, Texts::Exact), "{one} {other}");
            }
        }
    }
}

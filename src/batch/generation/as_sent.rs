//! Turns the content of a field, as Testmo shows it, into the form in which it is sent.

use serde_json::{Map, Value};

/// The parts of a step that are sent.
const TEXTS: [&str; 4] = ["text1", "text2", "text3", "text4"];

/// Returns what has to be sent so that a field keeps its content.
pub(in crate::batch) fn as_sent(shown: &Value) -> Value {
    match shown {
        Value::Array(items) if items.iter().any(is_step) => items.iter().enumerate().map(step).collect(),
        Value::Array(items) => items.iter().map(option).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => option(shown),
    }
}

fn is_step(item: &Value) -> bool {
    TEXTS.iter().any(|text| item.get(text).is_some())
}

fn step((index, shown): (usize, &Value)) -> Value {
    let text = |text: &&str| Some(((*text).to_owned(), shown.get(text).filter(|text| !text.is_null())?.clone()));
    let mut step: Map<String, Value> = TEXTS.iter().filter_map(text).collect();
    step.insert("display_order".into(), (index + 1).into());
    Value::Object(step)
}

/// Returns the id of an option that is shown with its name; anything else stays as it is.
fn option(shown: &Value) -> Value {
    let is_option = shown.get("name").is_some() || shown.get("value").is_some() || shown.get("label").is_some();
    shown.get("id").filter(|_| is_option).unwrap_or(shown).clone()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_shown_is_sent_as_it_was_written() {
        for (shown, sent) in [
            (json!("<p>a</p>"), json!("<p>a</p>")),
            (json!(3), json!(3)),
            (json!({"id": 3, "name": "High"}), json!(3)),
            (json!([{"id": 3, "name": "a"}, {"id": 4, "name": "b"}]), json!([3, 4])),
            (json!([5, 6]), json!([5, 6])),
            (json!([]), json!([])),
            (
                json!([{"id": 9, "case_id": 1, "display_order": 4, "text1": "a", "text2": null, "text3": "b"}, {"text1": ""}]),
                json!([{"text1": "a", "text3": "b", "display_order": 1}, {"text1": "", "display_order": 2}]),
            ),
        ] {
            assert_eq!(as_sent(&shown), sent, "{shown}");
        }
    }
}

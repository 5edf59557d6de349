//! Does Testmo's answer show the cases as they were sent? A difference is no failure, but somebody should hear of it.
//!
//! Compared is what is recorded to come back as it went: the name but for blanks at its ends, the folder, the state,
//! the tags in lower case and in any order, and how many steps there are. What an answer leaves out says nothing.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::batch::answer::EchoDifference;

type Entry = Map<String, Value>;

#[derive(Deserialize)]
struct Request {
    cases: Vec<Entry>,
}

/// Every difference between the cases of a request and the entries of its answer, which are paired by index.
pub(super) fn differences(request: &str, echoed: &[Value]) -> Vec<EchoDifference> {
    let sent = serde_json::from_str::<Request>(request).map(|request| request.cases).unwrap_or_default();
    let pairs = sent.iter().zip(echoed.iter().map(Value::as_object)).enumerate();
    pairs
        .filter_map(|(index, (sent, echoed))| Some((index, sent, echoed?)))
        .flat_map(|(index, sent, echoed)| parts(sent, echoed).map(move |part| EchoDifference { index, part }))
        .collect()
}

fn parts<'a>(sent: &'a Entry, echoed: &'a Entry) -> impl Iterator<Item = &'static str> + 'a {
    let differs = |part: &'static str| match part {
        "name" => both(sent, echoed, "name", |name| name.as_str().map(str::trim)),
        "folder" => both(sent, echoed, "folder_id", Value::as_u64),
        "state" => both(sent, echoed, "state_id", Value::as_u64),
        "tags" => both(sent, echoed, "tags", tags),
        // Which column holds the steps is the tenant's to say; they are what is sent as a list of objects.
        _ => sent.keys().any(|key| both(sent, echoed, key, steps)),
    };
    EchoDifference::PARTS.into_iter().filter(move |part| differs(part))
}

/// Whether a field is in both, can be read in both, and is not the same.
fn both<'a, T: PartialEq>(
    sent: &'a Entry,
    echoed: &'a Entry,
    key: &str,
    read: impl Fn(&'a Value) -> Option<T>,
) -> bool {
    let pair = sent.get(key).and_then(&read).zip(echoed.get(key).and_then(&read));
    pair.is_some_and(|(sent, echoed)| sent != echoed)
}

/// Tags are sent as names and come back as objects.
fn tags(value: &Value) -> Option<BTreeSet<String>> {
    let name = |tag: &Value| tag.as_str().or_else(|| tag.get("name")?.as_str()).map(|name| name.trim().to_lowercase());
    value.as_array()?.iter().map(name).collect()
}

fn steps(value: &Value) -> Option<usize> {
    let list = value.as_array()?;
    list.iter().all(|step| step.get("text1").is_some()).then_some(list.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sent() -> Value {
        json!({"name": " Sign in ", "folder_id": 7, "state_id": 4, "tags": ["Smoke", "sqai-1"], "estimate": 60,
               "custom_steps": [{"text1": "a"}, {"text1": "b"}], "custom_areas": [1, 2]})
    }

    fn told(echoed: Value) -> Vec<(usize, &'static str)> {
        let request = json!({"cases": [sent(), sent()]}).to_string();
        differences(&request, &[sent(), echoed]).into_iter().map(|found| (found.index, found.part)).collect()
    }

    #[test]
    fn what_testmo_folds_and_adds_is_no_difference() {
        let echoed = json!({"id": 1, "name": "Sign in", "folder_id": 7, "state_id": 4, "custom_areas": [2],
            "tags": [{"tag_id": 9, "name": "sqai-1"}, {"tag_id": 8, "name": "smoke"}], "estimate": null,
            "custom_steps": [{"id": 5, "text1": "a", "text2": null}, {"id": 6, "text1": "b"}]});
        assert_eq!(told(echoed), []);
        assert_eq!(told(json!({"id": 1})), [], "what is left out says nothing");
        assert_eq!(told(json!("?")), []);
    }

    #[test]
    fn each_part_that_differs_is_named() {
        for (key, value, part) in [
            ("name", json!("Sign out"), "name"),
            ("folder_id", json!(8), "folder"),
            ("state_id", json!(1), "state"),
            ("tags", json!([{"tag_id": 9, "name": "sqai-1"}]), "tags"),
            ("tags", json!([]), "tags"),
            ("custom_steps", json!([{"text1": "a"}]), "steps"),
            ("custom_steps", json!([]), "steps"),
        ] {
            let mut echoed = sent();
            echoed[key] = value;
            assert_eq!(told(echoed), [(1, part)], "{key}");
        }
    }

    #[test]
    fn an_answer_in_another_order_differs_in_its_names() {
        let case = |name: &str| json!({"name": name});
        let request = json!({"cases": [case("a"), case("b"), case("c")]}).to_string();
        let found = differences(&request, &[case("c"), case("b"), case("a")]);
        assert_eq!(found.iter().map(|found| found.index).collect::<Vec<_>>(), [0, 2]);
    }
}

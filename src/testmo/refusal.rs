//! Reads what Testmo refused, and keeps a bounded part of it.
//!
//! A body can have tens of thousands of errors. Each is read where it lies, and only what is kept is copied.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::batch::verdict::answer::{FieldRefusal, MOST_SAID, Refusals};

/// The most cases of a request. What is said of others is not about a case.
const MOST_CASES: usize = 100;
/// The most bytes that are kept of one case, or of a whole request, beyond the first text.
const MOST_BYTES: usize = 4_000;
/// The most characters that are kept of a text from Testmo.
const LONGEST_WORDS: usize = 500;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    message: &'a RawValue,
    #[serde(borrow)]
    errors: Option<&'a RawValue>,
}

/// Returns what a body refuses, if it has the form of Testmo's refusals: a JSON object with a `message`. A 422 also has
/// a map of `errors`, with a key for each refused field: `cases.N.field`, or a key that names no case.
pub(super) fn refusals(body: &[u8]) -> Option<Refusals> {
    // A structure is read from a JSON array, too.
    let is_object = body.trim_ascii_start().starts_with(b"{");
    let body: Body<'_> = serde_json::from_slice(body).ok().filter(|_| is_object)?;
    let message = text(body.message)?;
    let errors = body.errors.filter(|errors| errors.get().starts_with('{'));
    let mut refusals =
        errors.and_then(|errors| serde_json::from_str::<Errors>(errors.get()).ok()).unwrap_or_default().0;
    if refusals == Refusals::default() {
        refusals.whole.push(FieldRefusal { field: String::new(), message: words(&message) });
    }
    Some(refusals)
}

/// Returns the beginning of a text, without control characters.
pub(super) fn words(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(LONGEST_WORDS).collect()
}

#[derive(Default)]
struct Errors(Refusals);

impl<'de> Deserialize<'de> for Errors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        #[derive(Deserialize)]
        struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

        impl<'de> Visitor<'de> for Fields {
            type Value = Errors;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of errors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Errors, A::Error> {
                let mut refusals = Refusals::default();
                while let Some((Key(key), messages)) = map.next_entry::<Key<'de>, &RawValue>()? {
                    match case_of(&key) {
                        Some((index, field)) => {
                            keep(refusals.entries.entry(index).or_default(), field, Some(index), messages);
                        }
                        None => keep(&mut refusals.whole, &key, None, messages),
                    }
                }
                Ok(Errors(refusals))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// Returns the position of the case that a key names, and the field.
fn case_of(key: &str) -> Option<(usize, &str)> {
    let rest = key.strip_prefix("cases.")?;
    let (index, field) = rest.split_once('.').unwrap_or((rest, ""));
    Some((index.parse().ok().filter(|index| *index < MOST_CASES)?, field))
}

/// Keeps one more refused field, if there is room for it; `index` is that of the case that the key names.
fn keep(said: &mut Vec<FieldRefusal>, field: &str, index: Option<usize>, messages: &RawValue) {
    if said.len() >= MOST_SAID {
        return;
    }
    let text = first_text(messages);
    let text = index.zip(text.as_deref()).map(|(index, text)| without_index(text, index)).or(text);
    let message = text.as_deref().map(words).unwrap_or_default();
    let one = FieldRefusal { field: words(field), message };
    let size = |one: &FieldRefusal| one.field.len() + one.message.len();
    if said.is_empty() || said.iter().skip(1).chain([&one]).map(size).sum::<usize>() <= MOST_BYTES {
        said.push(one);
    }
}

/// Returns a message without the index of its case in the request, which says nothing to people: a request has cases of
/// several batches.
fn without_index(text: &str, index: usize) -> Cow<'static, str> {
    let case = format!("cases.{index}");
    let (mut kept, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once(&case) {
        kept.push_str(before);
        match after.strip_prefix('.') {
            Some(field) if field.starts_with(|c: char| c.is_alphanumeric()) => rest = field,
            Some(_) | None => {
                let is_other = after.starts_with(|c: char| c.is_ascii_digit());
                kept.push_str(if is_other { &case } else { "case" });
                rest = after;
            }
        }
    }
    kept.push_str(rest);
    Cow::Owned(kept)
}

/// Returns the first message about a field; several are a list.
fn first_text(messages: &RawValue) -> Option<Cow<'_, str>> {
    if messages.get().starts_with('[') {
        return text(serde_json::from_str::<First<'_>>(messages.get()).ok()?.0?);
    }
    text(messages)
}

fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    let is_text = value.get().starts_with('"');
    is_text.then(|| serde_json::from_str::<Text<'_>>(value.get()).ok()).flatten().map(|text| text.0)
}

/// The first entry of a list.
struct First<'a>(Option<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for First<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = First<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of messages")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<First<'de>, A::Error> {
                let first = list.next_element()?;
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(First(first))
            }
        }
        deserializer.deserialize_seq(Entries)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;

    fn read(body: &Value) -> Refusals {
        refusals(body.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_refusal_names_cases_and_fields() {
        let refusals = read(&json!({"message": "m", "errors": {
            "cases.3.tags": ["bad tag", "worse tag"], "cases.0.custom_steps.1.text1": ["x"], "cases.5": ["whole case"],
            "cases": ["at least 1"], "other": "text", "cases.100.name": [], "cases.x": [["nested"]], "odd": {"a": 1}}}));
        let said = |all: &[FieldRefusal]| {
            all.iter().map(|one| format!("{}={}", one.field, one.message)).collect::<Vec<_>>().join(" ")
        };
        let entries: Vec<_> = refusals.entries.iter().map(|(index, all)| (*index, said(all))).collect();
        let expected = [(0, "custom_steps.1.text1=x"), (3, "tags=bad tag"), (5, "=whole case")];
        assert_eq!(entries, expected.map(|(index, said)| (index, said.to_owned())));
        assert_eq!(said(&refusals.whole), "cases=at least 1 other=text cases.100.name= cases.x= odd=");
    }

    #[test]
    fn a_message_does_not_tell_the_index_of_a_case_in_the_request() {
        for (message, kept) in [
            (
                "The cases.6.custom_risk field is required when cases.6.name is set.",
                "The custom_risk field is required when name is set.",
            ),
            (
                "The cases.6 is invalid, see cases.60 and cases.7.name.",
                "The case is invalid, see cases.60 and cases.7.name.",
            ),
            ("Look at cases.6.", "Look at case."),
        ] {
            let refusals = read(&json!({"message": "m", "errors": {"cases.6.custom_risk": [message]}}));
            assert_eq!(refusals.entries[&6][0].message, kept);
        }
    }

    #[test]
    fn a_refusal_without_errors_keeps_the_message() {
        for errors in [json!(null), json!({}), json!([]), json!("?"), json!(["a"])] {
            assert_eq!(read(&json!({"message": "go\u{1}ne", "errors": errors})).whole[0].message, "gone");
        }
        assert_eq!(refusals(b" {\"message\": \"gone\"}").unwrap().whole[0].message, "gone");
    }

    #[test]
    fn only_an_object_with_a_message_is_a_refusal() {
        for body in ["<html>", "{}", "{", "[\"m\"]", "[\"m\", {}]", r#"{"message": 7}"#, r#"{"message": ["m"]}"#, ""] {
            assert_eq!(refusals(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn what_is_kept_of_thirty_thousand_errors_is_bounded_and_every_case_keeps_some() {
        let long = "ü".repeat(2_000);
        for (cases, message, kept) in [(3, "is invalid", MOST_SAID), (100, "is invalid", MOST_SAID), (100, &*long, 4)] {
            let errors: Map<String, Value> = (0..30_000)
                .map(|n| (format!("cases.{}.custom_{n}", n % cases), json!([message])))
                .chain((0..1_000).map(|n| (format!("other_{n}"), json!([message]))))
                .chain((100..1_000).map(|n| (format!("cases.{n}"), json!([message]))))
                .collect();
            let refusals = read(&json!({"message": "no", "errors": errors}));
            assert_eq!(refusals.entries.values().map(Vec::len).collect::<Vec<_>>(), vec![kept; cases]);
            assert_eq!(refusals.whole.len(), kept);
            assert_eq!(refusals.all().len(), MOST_SAID, "of a case that was sent alone");
        }
    }

    #[test]
    fn long_lists_and_texts_are_passed_over() {
        let refusals = read(&json!({"message": "m".repeat(1_000_000), "errors": {
            "cases.0.name": vec![1; 100_000], "k".repeat(1_000_000): [vec!["x"; 100_000]]}}));
        assert_eq!(refusals.entries[&0], [FieldRefusal { field: "name".into(), message: String::new() }]);
        assert_eq!(refusals.whole[0].field.len(), LONGEST_WORDS);
    }
}

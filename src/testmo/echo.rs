//! Finds the differences between the cases of a request and those in Testmo's answer, which are reported but are no
//! failure.
//!
//! The comparison covers what Testmo is recorded to return unchanged: the name without blanks at its ends, the folder,
//! the state, the tags in lower case and in any order, and the number of steps. A field that the answer leaves out is
//! no difference.
//!
//! Every created case passes through here, so only what is compared is copied.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::batch::verdict::answer::ResponseDifference;
use crate::batch::written::WrittenFields;

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    cases: Vec<Entry<'a>>,
}

/// The fields of a case, each as raw JSON.
struct Entry<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Entry<'a> {
    /// Returns a field, if it is present and can be read.
    fn read<T>(&self, key: &str, read: impl Fn(&'a RawValue) -> Option<T>) -> Option<T> {
        let (_, value) = self.0.iter().find(|(name, _)| name == key)?;
        read(value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Entry<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        #[derive(Deserialize)]
        struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

        impl<'de> Visitor<'de> for Fields {
            type Value = Entry<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a case")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry<'de>, A::Error> {
                let mut fields = Vec::with_capacity(24);
                while let Some((Key(key), value)) = map.next_entry()? {
                    fields.push((key, value));
                }
                Ok(Entry(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// Returns every difference between the cases of a request and the entries of its answer, which are paired by index, and
/// the fields of the cases that are remembered.
pub(super) fn compare(
    request: &str,
    echoed: &[&RawValue],
    remembered: &[bool],
) -> (Vec<ResponseDifference>, Vec<Option<WrittenFields>>) {
    let sent = serde_json::from_str::<Request<'_>>(request).map(|request| request.cases).unwrap_or_default();
    let echoed: Vec<Option<Entry<'_>>> = echoed.iter().map(|entry| serde_json::from_str(entry.get()).ok()).collect();
    let pairs = || sent.iter().zip(&echoed);
    let differing = pairs()
        .enumerate()
        .filter_map(|(index, (sent, echoed))| Some((index, sent, echoed.as_ref()?)))
        .flat_map(|(index, sent, echoed)| parts(sent, echoed).map(move |part| ResponseDifference { index, part }))
        .collect();
    let fields =
        pairs().zip(remembered).map(|((sent, echoed), remembered)| remembered.then(|| fields(sent, echoed.as_ref())));
    (differing, fields.collect())
}

/// Returns the fields of a case as they were sent, and as the answer shows them.
fn fields(sent: &Entry<'_>, echoed: Option<&Entry<'_>>) -> WrittenFields {
    let written = sent.0.iter().map(|(column, value)| (column.as_ref(), *value));
    WrittenFields::of(written, |column| echoed?.read(column, Some))
}

fn parts(sent: &Entry<'_>, echoed: &Entry<'_>) -> impl Iterator<Item = &'static str> + use<> {
    let differs = |part: &&'static str| match *part {
        "name" => both(sent, echoed, "name", name),
        "folder" => both(sent, echoed, "folder_id", number),
        "state" => both(sent, echoed, "state_id", number),
        "tags" => both(sent, echoed, "tags", tags),
        // The tenant's mapping decides which column holds the steps; they are the field that is sent as a list of
        // objects.
        _ => sent.0.iter().any(|(key, _)| both(sent, echoed, key, steps)),
    };
    ResponseDifference::PARTS.into_iter().filter(differs).collect::<Vec<_>>().into_iter()
}

/// Returns whether a field is present in both, can be read in both, and differs.
fn both<'a, T: PartialEq>(
    sent: &Entry<'a>,
    echoed: &Entry<'a>,
    key: &str,
    read: impl Fn(&'a RawValue) -> Option<T>,
) -> bool {
    let Some(sent) = sent.read(key, &read) else { return false };
    echoed.read(key, &read).is_some_and(|echoed| echoed != sent)
}

fn name(value: &RawValue) -> Option<Cow<'_, str>> {
    text(value).map(trimmed)
}

fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

fn lower(text: Cow<'_, str>) -> Cow<'_, str> {
    let is_lower = text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    if is_lower { text } else { text.to_lowercase().into() }
}

fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'_>>(value.get()).ok().map(|text| text.0)
}

fn number(value: &RawValue) -> Option<u64> {
    value.get().parse().ok()
}

/// Returns each tag once and sorted, because the tags of a case are a set.
fn tags(value: &RawValue) -> Option<Vec<Cow<'_, str>>> {
    let mut tags: Vec<_> = list(value)?.into_iter().map(tag).collect::<Option<_>>()?;
    tags.sort_unstable();
    tags.dedup();
    Some(tags)
}

/// Reads a tag, which is sent as a name and returned as an object.
fn tag(value: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        name: &'a RawValue,
    }
    // The first character decides, because building a parse error is expensive and nobody would read it.
    let is_name = value.get().starts_with('"');
    let name = if is_name { value } else { serde_json::from_str::<Named<'_>>(value.get()).ok()?.name };
    text(name).map(|name| lower(trimmed(name)))
}

fn steps(value: &RawValue) -> Option<usize> {
    #[derive(Deserialize)]
    struct Step {
        #[serde(rename = "text1", deserialize_with = "anything")]
        _text1: (),
    }
    let steps = list(value)?;
    let is_step = |step: &&RawValue| step.get().starts_with('{') && serde_json::from_str::<Step>(step.get()).is_ok();
    steps.iter().all(is_step).then_some(steps.len())
}

fn list(value: &RawValue) -> Option<Vec<&RawValue>> {
    // Most fields are not lists; the first character shows that without parsing.
    value.get().starts_with('[').then(|| serde_json::from_str(value.get()).ok()).flatten()
}

fn anything<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    IgnoredAny::deserialize(deserializer).map(drop)
}

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;
    use serde_json::{Value, json};

    use super::*;
    use crate::batch::written::Since;

    fn sent() -> Value {
        json!({"name": " Sign in ", "folder_id": 7, "state_id": 4, "tags": ["Smoke", "sqai-1"], "estimate": 60,
               "custom_steps": [{"text1": "a"}, {"text1": "b"}], "custom_areas": [1, 2]})
    }

    fn parts_of(echoed: Value) -> Vec<(usize, &'static str)> {
        let request = json!({"cases": [sent(), sent()]}).to_string();
        shown(&request, &[sent(), echoed]).into_iter().map(|found| (found.index, found.part)).collect()
    }

    fn shown(request: &str, echoed: &[Value]) -> Vec<ResponseDifference> {
        let raw: Vec<Box<RawValue>> = echoed.iter().map(|entry| to_raw_value(entry).unwrap()).collect();
        compare(request, &raw.iter().map(AsRef::as_ref).collect::<Vec<_>>(), &[]).0
    }

    #[test]
    fn what_testmo_folds_and_adds_is_no_difference() {
        let echoed = json!({"id": 1, "name": "Sign in", "folder_id": 7, "state_id": 4, "custom_areas": [2],
            "tags": [{"tag_id": 9, "name": "sqai-1"}, {"tag_id": 8, "name": "smoke"}], "estimate": null,
            "custom_steps": [{"id": 5, "text1": "a", "text2": null}, {"id": 6, "text1": "b"}]});
        assert_eq!(parts_of(echoed), []);
        assert_eq!(parts_of(json!({"id": 1})), [], "what is left out says nothing");
        assert_eq!(parts_of(json!("?")), []);
    }

    #[test]
    fn the_fields_of_a_case_that_is_remembered_are_returned_as_sent_and_as_shown() {
        let request = json!({"cases": [sent(), sent(), sent()]}).to_string();
        let answer =
            [json!({"id": 1, "name": "Sign in", "estimate": 70}).to_string(), json!({"id": 2}).to_string(), "1".into()];
        let answer = answer.map(|entry| RawValue::from_string(entry).unwrap());
        let answer: Vec<&RawValue> = answer.iter().map(AsRef::as_ref).collect();
        let (_, fields) = compare(&request, &answer, &[true, false, true]);
        let [Some(first), None, Some(third)] = &fields[..] else { panic!("{fields:?}") };
        let since = |fields: &WrittenFields, column: &str, now: Value| fields.since(column, &now);
        assert_eq!(since(first, "name", json!("Sign in")), Some(Since::Untouched));
        assert_eq!(since(first, "estimate", json!(70)), Some(Since::Untouched), "as it is shown");
        assert_eq!(since(first, "estimate", json!(71)), Some(Since::Touched));
        assert_eq!((first.count(), since(first, "folder_id", json!(9_999))), (7, Some(Since::Unknown)));
        assert_eq!(since(third, "name", json!("?")), Some(Since::Unknown), "its entry cannot be read");
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
            assert_eq!(parts_of(echoed), [(1, part)], "{key}");
        }
    }

    #[test]
    fn an_answer_in_another_order_differs_in_its_names() {
        let case = |name: &str| json!({"name": name});
        let request = json!({"cases": [case("a"), case("b"), case("c")]}).to_string();
        let found = shown(&request, &[case("c"), case("b"), case("a")]);
        assert_eq!(found.iter().map(|found| found.index).collect::<Vec<_>>(), [0, 2]);
    }
}

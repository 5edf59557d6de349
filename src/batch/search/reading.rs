//! Reads from a message and from an event what their batch is found by, however odd they are.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::{SearchCase, SearchDocument};
use crate::batch::{BatchKey, batch_tag};

/// The parts of a message, or of an event's data, that are searched. Each is read apart, so that an odd one is left out alone.
#[derive(Default, Deserialize)]
struct Parts<'a> {
    #[serde(borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow)]
    cases: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Announced<'a> {
    #[serde(borrow)]
    data: Parts<'a>,
}

#[derive(Default, Deserialize)]
struct Source<'a> {
    #[serde(borrow)]
    key: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Case<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    external_id: Option<&'a RawValue>,
    #[serde(borrow)]
    testmo_id: Option<&'a RawValue>,
}

/// Returns what is known of a batch from its names alone.
pub fn of_names(key: Option<&BatchKey>) -> SearchDocument {
    let document = SearchDocument {
        batch_id: key.map(|key| key.batch.as_str().to_owned()),
        batch_tag: key.map(batch_tag),
        ..SearchDocument::default()
    };
    document.bounded()
}

/// Returns what a batch is found by from its message; from its names alone where the message cannot be read.
pub fn of_message(key: Option<&BatchKey>, body: &[u8]) -> SearchDocument {
    let parts: Parts<'_> = serde_json::from_slice(body).unwrap_or_default();
    let mut document = parts.document(key);
    // What a publisher calls so is no id in Testmo.
    document.cases.iter_mut().for_each(|case| case.testmo_id = None);
    document
}

/// Returns what a batch is found by from the event about its outcome; `None` if the event cannot be read.
pub fn of_event(key: &BatchKey, body: &str) -> Option<SearchDocument> {
    let announced: Announced<'_> = serde_json::from_str(body).ok()?;
    Some(announced.data.document(Some(key)))
}

impl Parts<'_> {
    fn document(&self, key: Option<&BatchKey>) -> SearchDocument {
        let source: Source<'_> = self.source.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
        let cases: Vec<&RawValue> = self.cases.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
        let document = SearchDocument {
            source_key: part(source.key),
            cases: cases.into_iter().map(case).collect(),
            ..of_names(key)
        };
        document.bounded()
    }
}

fn case(raw: &RawValue) -> SearchCase {
    let case: Case<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
    SearchCase { name: part(case.name), external_id: part(case.external_id), testmo_id: part(case.testmo_id) }
}

/// Returns a value that is of the expected kind.
fn part<T: DeserializeOwned>(raw: Option<&RawValue>) -> Option<T> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key() -> BatchKey {
        "acme/b-1".parse().unwrap()
    }

    fn named(name: &str, external_id: Option<&str>, testmo_id: Option<u64>) -> SearchCase {
        SearchCase { name: Some(name.into()), external_id: external_id.map(Into::into), testmo_id }
    }

    #[test]
    fn an_event_gives_names_and_ids() {
        let body = json!({"subject": "acme/b-1", "data": {"source": {"key": "SHOP-1", "title": "t"}, "cases": [
            {"position": 1, "label": "TC-1", "name": "Sign \"in\"", "external_id": "TC-1", "testmo_id": 3721},
            {"position": 2, "label": "#2", "outcome": "refused", "said": [{"field": "name", "message": "no"}]},
        ]}});
        let document = of_event(&key(), &body.to_string()).unwrap();
        assert_eq!(document.batch_id.as_deref(), Some("b-1"));
        assert_eq!(document.source_key.as_deref(), Some("SHOP-1"));
        assert_eq!(document.batch_tag, Some(batch_tag(&key())));
        assert_eq!(document.cases, [named("Sign \"in\"", Some("TC-1"), Some(3721)), SearchCase::default()]);
        assert_eq!(of_event(&key(), "{}"), None);
    }

    #[test]
    fn of_an_odd_message_what_can_be_read_is_searched() {
        let table = [
            (json!({"cases": [{"name": "a", "external_id": 7, "testmo_id": 9}, "b", null, {"name": {"x": 1}}]}), 4),
            (json!({"source": "SHOP-1", "cases": [{"name": "a"}]}), 1),
            (json!({"source": null, "cases": "a"}), 0),
            (json!([]), 0),
        ];
        for (body, cases) in table {
            let document = of_message(Some(&key()), body.to_string().as_bytes());
            assert_eq!(document.cases.len(), cases, "{body}");
            assert!(document.cases.first().is_none_or(|case| *case == named("a", None, None)), "{body}");
            assert_eq!(document.source_key, None);
        }
        assert_eq!(of_message(Some(&key()), b"\xff{"), of_names(Some(&key())));
        assert_eq!(of_message(None, b""), SearchDocument::default());
        let twice = br#"{"cases": [{"name": "a", "name": "b"}], "source": {"key": "S"}}"#;
        assert_eq!(of_message(None, twice).source_key.as_deref(), Some("S"), "a faulty case hides no other value");
    }
}

//! What does a message hold, if it is JSON at all? The document, and every key that it repeats.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::map::Entry;
use serde_json::{Map, Value};

use super::reader::{Fault, Faults, Place};

/// Reads the document; a repeated key is a fault, as whatever stands there first would be lost silently.
///
/// Nesting is limited to 128 levels by the parser, so no document can exhaust the stack.
pub(super) fn parse(bytes: &[u8], faults: &mut Faults) -> Result<Value, Fault> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") => {
            return Err(not_json("is encoded as UTF-16"));
        }
        Err(error) => return Err(not_json(&format!("is not UTF-8 from byte {} on", error.valid_up_to() + 1))),
    };
    if text.starts_with('\u{feff}') {
        return Err(not_json("begins with a byte order mark"));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let value = Node { place: &Place::Root, faults }.deserialize(&mut json);
    value.and_then(|value| json.end().map(|()| value)).map_err(|error| not_json(&words(&error)))
}

fn not_json(what: &str) -> Fault {
    let remedy = "publish one JSON object, encoded as UTF-8 without a byte order mark";
    Fault { pointer: String::new(), what: what.into(), remedy: remedy.into() }
}

/// The parser's words for syntax are constant; others could quote the input, which may hold anything.
fn words(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Syntax | Category::Eof => format!("is not valid JSON: {error}"),
        Category::Data | Category::Io => {
            format!("is not valid JSON: at line {} column {}", error.line(), error.column())
        }
    }
}

/// A value that is being read, and where it stands.
struct Node<'p, 'f> {
    place: &'p Place<'p>,
    faults: &'f mut Faults,
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let place = Place::Index(self.place, list.len());
            match items.next_element_seed(Node { place: &place, faults: &mut *self.faults })? {
                Some(item) => list.push(item),
                None => return Ok(list.into()),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let place = Place::Key(self.place, &key);
            let value = entries.next_value_seed(Node { place: &place, faults: &mut *self.faults })?;
            match object.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert(value);
                }
                Entry::Occupied(mut entry) => {
                    let place = Place::Key(self.place, entry.key());
                    self.faults.add(&place, &"stands there more than once", &"write every key of an object once");
                    entry.insert(value);
                }
            }
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_what_the_parser_alone_makes_of_it() {
        let text = r#"{"a": [1, -2, 3.5, 1e300, "x\n\u00e9", true, null, {}], "b": {"c": [[]]}, "": ""}"#;
        let mut faults = Faults::naming(9);
        let value = parse(text.as_bytes(), &mut faults).unwrap();
        assert_eq!(value, serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(faults.list(), []);
    }

    #[test]
    fn repeated_keys_are_named_at_every_depth() {
        let mut faults = Faults::naming(9);
        parse(br#"{"a": [{"b/": 1, "b/": 2}], "a": 3}"#, &mut faults).unwrap();
        let pointers: Vec<_> = faults.list().into_iter().map(|fault| fault.pointer).collect();
        assert_eq!(pointers, ["/a/0/b~1", "/a"]);
    }

    #[test]
    fn what_is_not_json_is_told_in_words_that_help() {
        for (bytes, what) in [
            (&b"{\"a\":1} x"[..], "is not valid JSON: trailing characters at line 1 column 9"),
            (b"{", "is not valid JSON: EOF while parsing an object at line 1 column 1"),
            (b"\xef\xbb\xbf{}", "begins with a byte order mark"),
            (b"\xff\xfe{\0}\0", "is encoded as UTF-16"),
            (b"{\"a\":\"\xff\"}", "is not UTF-8 from byte 7 on"),
        ] {
            assert_eq!(parse(bytes, &mut Faults::naming(9)).unwrap_err().what, what);
        }
    }
}

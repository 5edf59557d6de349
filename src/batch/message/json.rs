//! Parses a message as JSON, and reports every key that it repeats.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Number, Value};

use crate::batch::message::fault::{Fault, Faults, Place};

/// Objects with more keys than this get an index while they are read, so that no object takes quadratic time.
const FEW_KEYS: usize = 16;

/// A document whose texts borrow from the message, except those written with escapes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json<'m> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'m, str>),
    List(Vec<Self>),
    /// Entries in the order of the message; each key once.
    Object(Vec<(Cow<'m, str>, Self)>),
}

impl<'m> Json<'m> {
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.as_object()?.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    pub(super) fn as_object(&self) -> Option<&[(Cow<'m, str>, Self)]> {
        if let Self::Object(entries) = self { Some(entries) } else { None }
    }

    pub(super) fn as_list(&self) -> Option<&[Self]> {
        if let Self::List(items) = self { Some(items) } else { None }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(super) fn as_number(&self) -> Option<&Number> {
        if let Self::Number(number) = self { Some(number) } else { None }
    }

    /// Returns a copy that outlives the message; keys are sorted at every depth, so that equal documents are alike.
    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::String(text.clone().into_owned()),
            Self::List(items) => items.iter().map(Self::to_value).collect(),
            Self::Object(entries) => Value::Object(in_key_order(entries)),
        }
    }
}

/// Returns the entries of an object as in [`Json::to_value`].
pub(super) fn in_key_order(entries: &[(Cow<'_, str>, Json<'_>)]) -> Map<String, Value> {
    let mut ordered: Vec<_> = entries.iter().collect();
    ordered.sort_by(|a, b| a.0.cmp(&b.0));
    ordered.into_iter().map(|(key, value)| (key.clone().into_owned(), value.to_value())).collect()
}

/// Reads the document. A repeated key is a fault, because its first value would be lost silently.
///
/// The parser limits nesting to 128 levels, so no document can exhaust the stack.
pub(super) fn parse<'m>(bytes: &'m [u8], faults: &mut Faults) -> Result<Json<'m>, Fault> {
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
    Fault::at(String::new(), what.into(), remedy.into())
}

/// Returns the parser's words for a syntax error, which are constant; its other messages could quote the input, which
/// may contain anything.
fn words(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Syntax | Category::Eof => format!("is not valid JSON: {error}"),
        Category::Data | Category::Io => {
            format!("is not valid JSON: at line {} column {}", error.line(), error.column())
        }
    }
}

/// A value that is being read, and its place in the document.
struct Node<'p, 'f> {
    place: &'p Place<'p>,
    faults: &'f mut Faults,
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let mut list = Vec::new();
        loop {
            let place = Place::Index(self.place, list.len());
            match items.next_element_seed(Node { place: &place, faults: &mut *self.faults })? {
                Some(item) => list.push(item),
                None => return Ok(Json::List(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json<'de>, A::Error> {
        let mut object: Vec<(Cow<'de, str>, Json<'de>)> = Vec::new();
        let mut index: HashMap<Cow<'de, str>, usize> = HashMap::new();
        while let Some(Key(key)) = entries.next_key()? {
            let place = Place::Key(self.place, &key);
            let value = entries.next_value_seed(Node { place: &place, faults: &mut *self.faults })?;
            let known = if object.len() < FEW_KEYS {
                object.iter().position(|(known, _)| *known == key)
            } else {
                if index.is_empty() {
                    index.extend(object.iter().enumerate().map(|(at, (key, _))| (key.clone(), at)));
                }
                index.get(&key).copied()
            };
            if let Some(at) = known {
                self.faults.add(&place, &"occurs more than once", &"write every key of an object once");
                object[at].1 = value;
                continue;
            }
            if !index.is_empty() {
                index.insert(key.clone(), object.len());
            }
            object.push((key, value));
        }
        Ok(Json::Object(object))
    }
}

/// A key of an object.
#[derive(serde::Deserialize)]
struct Key<'m>(#[serde(borrow)] Cow<'m, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_what_the_parser_alone_makes_of_it() {
        let text =
            r#"{"a": [1, -2, 3.5, 1e300, "x\n\u00e9", true, null, {}], "b": {"c": [[]]}, "": "", "k\u0065y": 1}"#;
        let mut faults = Faults::naming(9);
        let value = parse(text.as_bytes(), &mut faults).unwrap();
        assert_eq!(value.to_value(), serde_json::from_str::<Value>(text).unwrap());
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
    fn repeated_keys_are_named_in_large_objects_too() {
        let entries = (0..2 * FEW_KEYS).chain([3, 2 * FEW_KEYS - 1]).enumerate();
        let entries: Vec<_> = entries.map(|(value, key)| format!(r#""k{key}": {value}"#)).collect();
        let mut faults = Faults::naming(9);
        let text = format!("{{{}}}", entries.join(","));
        let value = parse(text.as_bytes(), &mut faults).unwrap();
        let pointers: Vec<_> = faults.list().into_iter().map(|fault| fault.pointer).collect();
        assert_eq!(pointers, ["/k3", "/k31"]);
        assert_eq!(value.to_value(), serde_json::from_str::<Value>(&text).unwrap(), "the last one counts");
    }

    #[test]
    fn texts_without_escapes_are_parts_of_the_message() {
        let value = parse(br#"{"plain": "text", "esc\u0061ped": "a\nb"}"#, &mut Faults::naming(9)).unwrap();
        let is_part = |text: &Cow<'_, str>| matches!(text, Cow::Borrowed(_));
        let parts: Vec<_> = value
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| (is_part(key), matches!(value, Json::Text(text) if is_part(text))))
            .collect();
        assert_eq!(parts, [(true, true), (false, false)]);
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

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
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    if let Some((_, form)) = COMPRESSED.iter().find(|(begin, _)| bytes.starts_with(begin)) {
        return Err(compressed(form));
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") => {
            return Err(not_json("is encoded as UTF-16"));
        }
        Err(error) => return Err(not_json(&format!("is not UTF-8 from byte {} on", error.valid_up_to() + 1))),
    };
    if text.trim_start().starts_with("```") {
        let what = "is wrapped in a Markdown code fence";
        let remedy = "publish the JSON alone, without the lines that begin with ```";
        return Err(Fault::at(String::new(), what.into(), remedy.into()));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let value = Node { place: &Place::Root, faults }.deserialize(&mut json);
    let is_empty = || text.chars().all(char::is_whitespace);
    value.and_then(|value| json.end().map(|()| value)).map_err(|error| not_valid(&error, is_empty()))
}

fn not_json(what: &str) -> Fault {
    let remedy = "publish one JSON object, encoded as UTF-8";
    Fault::at(String::new(), what.into(), remedy.into())
}

fn compressed(form: &str) -> Fault {
    let what = format!("is compressed with {form}");
    let remedy = match form {
        "gzip" => "publish it with the property content_encoding set to gzip, or publish the JSON uncompressed",
        _ => "publish the JSON uncompressed, or compressed with gzip and the property content_encoding set to gzip",
    };
    Fault::at(String::new(), what, remedy.into())
}

/// The mark that some editors put before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The beginnings of compressed bytes.
const COMPRESSED: [(&[u8], &str); 3] = [(b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bzip2")];

/// Returns the fault of a syntax error in words of its own: the parser's are not for people, and some could quote the
/// input, which may contain anything.
pub(in crate::batch) fn not_valid(error: &serde_json::Error, is_empty: bool) -> Fault {
    let (line, column) = (error.line(), error.column());
    let said = error.to_string();
    let known = SYNTAX.iter().find(|(begin, ..)| said.starts_with(begin));
    let (what, remedy) = match (error.classify(), known) {
        _ if is_empty => ("it is empty", "publish one JSON object"),
        (Category::Syntax | Category::Eof, Some((_, what, remedy))) => (*what, *remedy),
        (Category::Syntax | Category::Eof | Category::Data | Category::Io, _) => {
            ("something is not as in JSON", "have a JSON library write the message")
        }
    };
    let what = format!("is not valid JSON: {what} (line {line}, column {column})");
    let what = if is_empty { "is empty".to_owned() } else { what };
    Fault::at(String::new(), what, remedy.into())
}

/// The beginnings of the parser's messages with what is wrong, and what to do.
const SYNTAX: [(&str, &str, &str); 17] = [
    ("EOF while", "it ends before the object is closed", "publish the whole object; it was probably cut off"),
    ("trailing characters", "something follows the first value", "publish one JSON object with nothing after it"),
    ("trailing comma", "a comma is followed by a closing bracket", "remove the comma"),
    ("key must be a string", "a key is not in double quotes", "write every key in double quotes, such as \"name\""),
    ("expected value", NO_VALUE, A_VALUE),
    ("expected ident", NO_VALUE, A_VALUE),
    ("expected `:`", "a colon is missing after a key", "write a colon between key and value"),
    (
        "expected `,` or `]`",
        "a list has neither a comma nor its end here",
        "write a comma between values, and ] at the end",
    ),
    (
        "expected `,` or `}`",
        "an object has neither a comma nor its end here",
        "write a comma between entries, and } at the end",
    ),
    (
        "control character",
        "a text contains a line break, a tab or another control character",
        "escape it, such as \\n for a line break",
    ),
    ("invalid escape", NO_ESCAPE, AN_ESCAPE),
    ("invalid unicode", NO_ESCAPE, AN_ESCAPE),
    ("lone leading", HALF_PAIR, A_PAIR),
    ("unexpected end of hex", HALF_PAIR, A_PAIR),
    (
        "invalid number",
        "a number is not written as in JSON",
        "write numbers such as 12 or -1.5, without a leading zero or plus",
    ),
    ("number out of range", "a number is too large", "send a smaller number"),
    ("recursion limit", "lists and objects are nested more than 127 levels deep", "nest them less deeply"),
];
const NO_VALUE: &str = "a value is missing, or is not a value of JSON";
const A_VALUE: &str = "write a text in double quotes, a number, true, false, null, a list or an object";
const HALF_PAIR: &str = "a \\u escape is half a surrogate pair";
const A_PAIR: &str = "write an emoji as it is, or as both of its \\u escapes";
const NO_ESCAPE: &str = "a backslash in a text begins no escape of JSON";
const AN_ESCAPE: &str = "write a backslash as two";

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
            (&b"{\"a\":1} x"[..], "is not valid JSON: something follows the first value (line 1, column 9)"),
            (b"{", "is not valid JSON: it ends before the object is closed (line 1, column 1)"),
            (b"\xef\xbb\xbf{", "is not valid JSON: it ends before the object is closed (line 1, column 1)"),
            (b" ```json\n{}\n```", "is wrapped in a Markdown code fence"),
            (b"\x1f\x8b\x08\x00", "is compressed with gzip"),
            (b"", "is empty"),
            (b" \n", "is empty"),
            (b"\xff\xfe{\0}\0", "is encoded as UTF-16"),
            (b"{\"a\":\"\xff\"}", "is not UTF-8 from byte 7 on"),
        ] {
            assert_eq!(parse(bytes, &mut Faults::naming(9)).unwrap_err().what, what);
        }
    }

    #[test]
    fn every_error_of_syntax_is_told_with_a_remedy_of_its_own() {
        let deep = "[".repeat(200);
        let texts = [
            ("{\"a\":\"b", "it ends"),
            ("{\"a\":1,}", "a comma is followed"),
            ("[1,]", "a comma is followed"),
            ("{'a':1}", "a key is not in double quotes"),
            ("{a:1}", "a key is not in double quotes"),
            ("{\"a\":NaN}", "a value is missing"),
            ("{\"a\":'b'}", "a value is missing"),
            ("{\"a\":True}", "a value is missing"),
            ("{\"a\":trve}", "a value is missing"),
            ("{\"a\" 1}", "a colon is missing"),
            ("[1 2]", "a list has neither"),
            ("{\"a\":1 \"b\":2}", "an object has neither"),
            ("{\"a\":\"b\nc\"}", "a line break"),
            ("{\"a\":\"\\x\"}", "a backslash"),
            ("{\"a\":\"\\ud800\"}", "half a surrogate pair"),
            ("{\"a\":\"\\ud800\\u0041\"}", "half a surrogate pair"),
            ("{\"a\":\"\\u12\"}", "a backslash"),
            ("{\"a\":01}", "a number is not written"),
            ("{\"a\":1e999}", "a number is too large"),
            (&deep, "nested more than 127"),
        ];
        for (text, what) in texts {
            let fault = parse(text.as_bytes(), &mut Faults::naming(9)).unwrap_err();
            assert!(fault.what.contains(what) && fault.what.contains("(line "), "{text}: {fault}");
            assert!(!fault.remedy.is_empty() && !fault.what.contains("EOF"), "{text}: {fault}");
        }
    }
}

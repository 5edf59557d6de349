//! Reads a JSON document with a cursor that knows its pointer and collects every fault.

use std::fmt::{self, Display};

use serde_json::Number;

use crate::batch::message::MAX_NUMBER;
use crate::batch::message::fault::{Faults, Place};
use crate::batch::message::json::Json;
use crate::batch::message::similar::similar_key;
use crate::batch::message::text::{is_blank, one_line};

/// A key that the contract does not know. What it stands for is searched only if its fault is named: a message may have very
/// many of them.
#[derive(Clone, Copy)]
struct Unknown<'a> {
    key: &'a str,
    known: &'a [&'a str],
}

impl Display for Unknown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match similar_key(self.key, self.known) {
            Some(meant) => write!(f, "is not a known key; did you mean `{meant}`?"),
            None => f.write_str("is not a known key"),
        }
    }
}

/// What to do about a key that the contract does not know.
struct Rename<'a>(Unknown<'a>);

impl Display for Rename<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Unknown { key, known }) = self;
        match similar_key(key, known) {
            Some(meant) => write!(f, "rename it to `{meant}`, or remove it"),
            None => write!(f, "remove it, or use one of: {}", Listed(known)),
        }
    }
}

/// A place in a document.
pub(super) struct Reader<'a> {
    value: &'a Json<'a>,
    place: Place<'a>,
    faults: &'a mut Faults,
}

impl<'a> Reader<'a> {
    pub(super) fn root(value: &'a Json<'a>, faults: &'a mut Faults) -> Self {
        Self { value, place: Place::Root, faults }
    }

    pub(super) fn value(&self) -> &'a Json<'a> {
        self.value
    }

    pub(super) fn is_object(&self) -> bool {
        self.value.as_object().is_some()
    }

    /// Records a fault here; returns `None`, for the caller to return.
    pub(super) fn fault<T>(&mut self, what: impl Display, remedy: impl Display) -> Option<T> {
        self.faults.add(&self.place, &what, &remedy);
        None
    }

    /// Records a fault of a key here, without reading the key's value.
    pub(super) fn fault_of_key(&mut self, key: &str, what: &str, remedy: &str) {
        self.faults.add(&Place::Key(&self.place, key), &what, &remedy);
    }

    pub(super) fn fault_of(&mut self, error: &dyn Display) {
        let _: Option<()> = self.fault("is not an id", error);
    }

    pub(super) fn expect_object(&mut self) -> bool {
        if !self.is_object() {
            let _: Option<()> = self.fault("is not an object", "send a JSON object");
        }
        self.is_object()
    }

    /// Records a fault for every key that the contract does not know; otherwise a misspelt key would be lost silently.
    pub(super) fn only_keys(&mut self, known: &[&str]) {
        let Some(object) = self.value.as_object() else { return };
        for (key, _) in object.iter().filter(|(key, _)| !known.contains(&key.as_ref())) {
            let unknown = Unknown { key, known };
            self.faults.add(&Place::Key(&self.place, key), &unknown, &Rename(unknown));
        }
    }

    /// Reads below `key`, even if the key is absent.
    pub(super) fn at<T>(&mut self, key: &str, read: impl FnOnce(&mut Reader<'_>) -> Option<T>) -> Option<T> {
        let value = self.value.get(key).unwrap_or(&Json::Null);
        read(&mut Reader { value, place: Place::Key(&self.place, key), faults: self.faults })
    }

    pub(super) fn at_index<T>(&mut self, index: usize, read: impl FnOnce(&mut Reader<'_>) -> Option<T>) -> Option<T> {
        let value = self.value.as_list().and_then(|items| items.get(index)).unwrap_or(&Json::Null);
        read(&mut Reader { value, place: Place::Index(&self.place, index), faults: self.faults })
    }

    pub(super) fn required<T>(&mut self, key: &str, read: impl FnOnce(&mut Reader<'_>) -> Option<T>) -> Option<T> {
        if self.value.get(key).is_some() {
            self.at(key, read)
        } else {
            self.at(key, |r| r.fault("is missing", "add it: it is required"))
        }
    }

    /// Reads below `key`; an absent key and `null` are the same.
    pub(super) fn optional<T>(&mut self, key: &str, read: impl FnOnce(&mut Reader<'_>) -> Option<T>) -> Option<T> {
        match self.value.get(key) {
            None | Some(Json::Null) => None,
            Some(_) => self.at(key, read),
        }
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        match self.value.as_text() {
            None => self.fault("is not a string", "send a string"),
            Some(text) if text.contains('\0') => self.fault("contains the character U+0000", "remove this character"),
            Some(text) => Some(text),
        }
    }

    /// Reads a text of 1 to `most` characters on one line, trimmed; control characters inside become blanks.
    pub(super) fn line(&mut self, most: usize) -> Option<String> {
        let text = one_line(self.text()?);
        let length = text.chars().count();
        if length == 0 || length > most {
            return self.fault(
                format_args!("has {length} characters"),
                format_args!("send 1 to {most} characters, not counting whitespace at the ends"),
            );
        }
        Some(text.into_owned())
    }

    /// Reads a line that is reported back exactly as it was sent, so nothing inside it may be changed.
    pub(super) fn exact_line(&mut self, most: usize) -> Option<String> {
        if self.text()?.trim_matches(is_blank).contains(char::is_control) {
            return self.fault("contains a control character", "remove line breaks, tabs and other control characters");
        }
        self.line(most)
    }

    /// Reads a text of any length.
    pub(super) fn prose(&mut self) -> Option<String> {
        Some(self.text()?.to_owned())
    }

    /// Reads a text of any length; a text of blanks alone counts as absent.
    pub(super) fn prose_if_any(&mut self) -> Option<String> {
        self.prose().filter(|text| !text.chars().all(is_blank))
    }

    /// Reads a whole number that every JSON parser keeps exactly; JSON does not distinguish 12 from 12.0.
    pub(super) fn positive(&mut self) -> Option<u64> {
        match self.value.as_number().and_then(whole).filter(|n| (1..=MAX_NUMBER).contains(n)) {
            Some(n) => Some(n),
            None => self.fault("is not a positive whole number", "send a number such as 12, without quotes"),
        }
    }

    pub(super) fn list<T>(
        &mut self,
        least: usize,
        most: usize,
        form: impl Display,
        mut read: impl FnMut(&mut Reader<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Some(items) = self.value.as_list() else {
            return self.fault("is not a list", format_args!("send {form}"));
        };
        if items.len() < least || items.len() > most {
            return self.fault(format_args!("has {} entries", items.len()), format_args!("send {form}"));
        }
        let read: Vec<_> = (0..items.len()).map(|i| self.at_index(i, &mut read)).collect();
        read.into_iter().collect()
    }
}

/// Returns a number without a fraction, whether it is written as 12 or 12.0.
pub(super) fn whole(value: &Number) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and in range")]
    let exact = |n: f64| (n.fract() == 0.0 && (0.0..=MAX_NUMBER as f64).contains(&n)).then_some(n as u64);
    value.as_u64().or_else(|| value.as_f64().and_then(exact))
}

/// Words separated by commas, joined only when they are shown.
struct Listed<'a>(&'a [&'a str]);

impl Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whole_numbers_are_read_however_they_are_written() {
        for (value, number) in [
            (json!(12), Some(12)),
            (json!(12.0), Some(12)),
            (json!(1e3), Some(1000)),
            (json!(1.5), None),
            (json!(-1), None),
            (json!(1e300), None),
            (json!("12"), None),
        ] {
            assert_eq!(value.as_number().and_then(whole), number, "{value}");
        }
    }
}

//! Where in a document is a fault? A cursor over JSON that knows its pointer and gathers every fault.

use serde::Serialize;
use serde_json::Value;

/// One thing wrong with a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Where, as a JSON pointer (RFC 6901); empty for the whole document.
    pub pointer: String,
    /// What is wrong there.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = if self.pointer.is_empty() { "the message" } else { &self.pointer };
        write!(f, "{place} {}: {}", self.what, self.remedy)
    }
}

/// A place in a document.
pub(super) struct Reader<'a> {
    value: &'a Value,
    pointer: String,
    faults: &'a mut Vec<Fault>,
}

impl<'a> Reader<'a> {
    pub(super) fn root(value: &'a Value, faults: &'a mut Vec<Fault>) -> Self {
        Self { value, pointer: String::new(), faults }
    }

    pub(super) fn value(&self) -> &'a Value {
        self.value
    }

    pub(super) fn is_object(&self) -> bool {
        self.value.is_object()
    }

    /// Notes a fault here; the `None` is for the caller to return.
    pub(super) fn fault<T>(&mut self, what: &str, remedy: &str) -> Option<T> {
        self.faults.push(Fault { pointer: self.pointer.clone(), what: what.into(), remedy: remedy.into() });
        None
    }

    pub(super) fn fault_of(&mut self, error: &dyn std::fmt::Display) {
        let _: Option<()> = self.fault("is not an id", &error.to_string());
    }

    pub(super) fn expect_object(&mut self) -> bool {
        if !self.is_object() {
            let _: Option<()> = self.fault("is not an object", "send a JSON object");
        }
        self.is_object()
    }

    /// Faults every key that the contract does not know, as a misspelt key would otherwise be lost silently.
    pub(super) fn only_keys(&mut self, known: &[&str]) {
        let Some(object) = self.value.as_object() else { return };
        for key in object.keys().filter(|key| !known.contains(&key.as_str())) {
            let remedy = format!("leave it out, or use one of: {}", known.join(", "));
            self.at(key, |r| -> Option<()> { r.fault("is not a key of the contract", &remedy) });
        }
    }

    /// Reads below `key`, wherever that leads.
    pub(super) fn at<T>(&mut self, key: &str, read: impl FnOnce(&mut Reader<'_>) -> Option<T>) -> Option<T> {
        let value = self.value.get(key).unwrap_or(&Value::Null);
        let pointer = format!("{}/{}", self.pointer, key.replace('~', "~0").replace('/', "~1"));
        read(&mut Reader { value, pointer, faults: self.faults })
    }

    pub(super) fn at_index<T>(&mut self, index: usize, read: impl FnOnce(&mut Reader<'_>) -> Option<T>) -> Option<T> {
        let value = self.value.get(index).unwrap_or(&Value::Null);
        let pointer = format!("{}/{index}", self.pointer);
        read(&mut Reader { value, pointer, faults: self.faults })
    }

    pub(super) fn required<T>(&mut self, key: &str, read: impl FnOnce(&mut Reader<'_>) -> Option<T>) -> Option<T> {
        if self.value.get(key).is_some() {
            self.at(key, read)
        } else {
            self.at(key, |r| r.fault("is missing", "every message needs it"))
        }
    }

    /// Reads below `key`; absent and `null` are the same.
    pub(super) fn optional<T>(&mut self, key: &str, read: impl FnOnce(&mut Reader<'_>) -> Option<T>) -> Option<T> {
        match self.value.get(key) {
            None | Some(Value::Null) => None,
            Some(_) => self.at(key, read),
        }
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        match self.value.as_str() {
            None => self.fault("is not a string", "send a string"),
            Some(text) if text.contains('\0') => self.fault("holds the character U+0000", "leave that character out"),
            Some(text) => Some(text),
        }
    }

    /// A trimmed text of 1 to `most` characters.
    pub(super) fn line(&mut self, most: usize) -> Option<String> {
        let text = self.text()?.trim();
        let length = text.chars().count();
        if length == 0 || length > most {
            return self.fault(
                &format!("has {length} characters"),
                &format!("send 1 to {most} characters, blanks at the ends not counted"),
            );
        }
        Some(text.into())
    }

    /// A text of any length; an empty one is none.
    pub(super) fn prose(&mut self) -> Option<String> {
        Some(self.text()?.to_owned())
    }

    pub(super) fn positive(&mut self) -> Option<u64> {
        match self.value.as_u64().filter(|n| (1..=i64::MAX as u64).contains(n)) {
            Some(n) => Some(n),
            None => self.fault("is not a positive whole number", "send a number such as 12, without quotes"),
        }
    }

    pub(super) fn list<T>(
        &mut self,
        least: usize,
        most: usize,
        form: &str,
        mut read: impl FnMut(&mut Reader<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Some(items) = self.value.as_array() else {
            return self.fault("is not a list", &format!("send {form}"));
        };
        if items.len() < least || items.len() > most {
            return self.fault(&format!("has {} entries", items.len()), &format!("send {form}"));
        }
        let read: Vec<_> = (0..items.len()).map(|i| self.at_index(i, &mut read)).collect();
        read.into_iter().collect()
    }
}

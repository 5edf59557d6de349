//! Writes and reads what Testmo showed of cases before a batch wrote fields of theirs, with what was remembered of them.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::batch::hex;
use crate::batch::packed::{packed, unpacked};
use crate::batch::written::{BatchMark, WrittenFields};

/// A case as it was before fields of it were written.
#[derive(Clone, Debug, PartialEq)]
pub struct FormerCase {
    /// The id of the case in Testmo.
    pub id: u64,
    /// What Testmo showed of the fields that were to be written.
    pub fields: Map<String, Value>,
    /// What was remembered of the case.
    pub remembered: WrittenFields,
    /// The folder that it was remembered in.
    pub folder: u64,
    /// The batch that had written it.
    pub batch: BatchMark,
}

/// What is kept of the cases of a batch, by their ids.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Former(HashMap<u64, FormerCase>);

#[derive(Serialize, Deserialize)]
struct Stored {
    id: u64,
    fields: Map<String, Value>,
    #[serde(rename = "w")]
    written: String,
    #[serde(rename = "r")]
    renderer: u32,
    #[serde(rename = "f")]
    folder: u64,
    #[serde(rename = "b")]
    batch: i64,
}

impl Former {
    /// Returns cases as they are stored before one claim, compressed.
    pub fn write<'a>(cases: impl Iterator<Item = &'a FormerCase>) -> Vec<u8> {
        packed(&cases.map(Stored::of).collect::<Vec<Stored>>())
    }

    /// Reads what was stored before the claims of a batch, in the order of the claims. What cannot be read is left out.
    ///
    /// A case that was claimed again had not been written by the claim before, as far as the later claim writes the same
    /// column: the later value is the former one. What was remembered first is what was remembered before the batch.
    pub fn read<'a>(bodies: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut cases: HashMap<u64, FormerCase> = HashMap::new();
        for case in bodies.filter_map(unpacked::<Vec<Stored>>).flatten().filter_map(Stored::case) {
            match cases.get_mut(&case.id) {
                Some(before) => before.fields.extend(case.fields),
                None => drop(cases.insert(case.id, case)),
            }
        }
        Self(cases)
    }

    /// Returns what a case was before.
    pub fn case(&self, id: u64) -> Option<&FormerCase> {
        self.0.get(&id)
    }
}

impl Stored {
    fn of(case: &FormerCase) -> Self {
        Self {
            id: case.id,
            fields: case.fields.clone(),
            written: hex(case.remembered.bytes()),
            renderer: case.remembered.renderer(),
            folder: case.folder,
            batch: case.batch.value(),
        }
    }

    fn case(self) -> Option<FormerCase> {
        let remembered = to_written(&self.written, self.renderer)?;
        let batch = BatchMark::from_value(self.batch);
        Some(FormerCase { id: self.id, fields: self.fields, remembered, folder: self.folder, batch })
    }
}

/// Reads hashes of fields from hexadecimal digits.
pub(super) fn to_written(digits: &str, renderer: u32) -> Option<WrittenFields> {
    WrittenFields::from_bytes(from_hex(digits)?, renderer)
}

/// Reads bytes from hexadecimal digits.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect::<Option<_>>()?;
    digits.len().is_multiple_of(2).then(|| digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn case(id: u64, name: &str, fields: Value) -> FormerCase {
        FormerCase {
            id,
            fields: fields.as_object().cloned().unwrap_or_default(),
            remembered: WrittenFields::of_entry(&json!({"name": name}).to_string(), 7),
            folder: 7,
            batch: BatchMark::of(&"acme/b-1".parse().unwrap(), 1_000),
        }
    }

    #[test]
    fn what_was_stored_is_read_back_and_the_latest_value_of_a_column_is_the_former_one() {
        let first = Former::write([case(5, "a", json!({"name": "a", "state_id": 1})), case(6, "b", json!({}))].iter());
        let second = Former::write([case(5, "z", json!({"name": "mine"}))].iter());
        let former = Former::read([&first[..], &b"rubbish"[..], &second[..]].into_iter());
        assert_eq!(former.case(5), Some(&case(5, "a", json!({"name": "mine", "state_id": 1}))));
        assert_eq!(former.case(6), Some(&case(6, "b", json!({}))));
        assert_eq!(former.case(7), None);
    }

    #[test]
    fn only_whole_bytes_are_read() {
        assert_eq!(from_hex("00ff1a"), Some(vec![0, 255, 26]));
        assert_eq!((from_hex("0"), from_hex("zz"), from_hex("")), (None, None, Some(vec![])));
    }
}

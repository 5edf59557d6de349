//! Keeps the content of a case's fields as hashes: as written and, once read back, as Testmo shows it.

use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::canonical;

/// How many bytes of a hash name a column.
const COLUMN_BYTES: usize = 3;
/// How many bytes of a hash are kept of a field's content.
const HASH_BYTES: usize = 5;
/// How many bytes a field takes: its column, and its content as written and as shown.
const FIELD_BYTES: usize = COLUMN_BYTES + 2 * HASH_BYTES;
/// Stands for a field that Testmo has not shown.
const NOT_SHOWN: [u8; HASH_BYTES] = [0; HASH_BYTES];

type Column = [u8; COLUMN_BYTES];

/// The hash of a field's content, in the form of `canonical`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldHash([u8; HASH_BYTES]);

/// The hashes of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldHashes {
    /// The content as it was written.
    pub written: FieldHash,
    /// The content as Testmo showed it; `None` if Testmo has not shown the field.
    pub shown: Option<FieldHash>,
}

/// The hashes of all fields of a case that were written, in 13 bytes each.
///
/// A column is named by a short hash. Where two columns of a case have the same one, they are hashed as a single field, so
/// that a change of either is noticed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WrittenFields(Vec<u8>);

impl WrittenFields {
    /// Hashes the fields of a case as they were written, each with what Testmo's answer shows of it.
    pub fn of<'a>(
        written: impl Iterator<Item = (&'a str, &'a RawValue)>,
        shown: impl Fn(&str) -> Option<&'a RawValue>,
    ) -> Self {
        let mut fields: Vec<(Column, &str, &RawValue)> =
            written.map(|(column, value)| (code(column), column, value)).collect();
        fields.sort_unstable_by_key(|(code, column, _)| (*code, *column));
        let mut bytes = Vec::with_capacity(fields.len() * FIELD_BYTES);
        for same in fields.chunk_by(|(one, ..), (other, ..)| one == other) {
            let shown: Option<Vec<(&str, &RawValue)>> =
                same.iter().map(|(_, column, _)| Some((*column, shown(column)?))).collect();
            bytes.extend(same[0].0);
            bytes.extend(hash(same.iter().map(|(_, column, value)| (*column, *value))).0);
            bytes.extend(shown.map_or(NOT_SHOWN, |shown| hash(shown.into_iter()).0));
        }
        Self(bytes)
    }

    /// Hashes the fields of an entry of a create request that goes to a folder, when Testmo has shown nothing of it.
    pub fn of_entry(entry: &str, folder: u64) -> Self {
        let fields: serde_json::Map<String, Value> = serde_json::from_str(entry).unwrap_or_default();
        let mut raw: Vec<(String, Box<RawValue>)> = Vec::with_capacity(fields.len() + 1);
        let folder = ("folder_id".to_owned(), Value::from(folder));
        for (column, value) in fields.into_iter().chain([folder]) {
            raw.extend(serde_json::value::to_raw_value(&value).map(|value| (column, value)));
        }
        Self::of(raw.iter().map(|(column, value)| (column.as_str(), &**value)), |_| None)
    }

    /// Returns the hashes of a column, if it was written.
    pub fn field(&self, column: &str) -> Option<FieldHashes> {
        let code = code(column);
        let bytes = self.0.chunks_exact(FIELD_BYTES).find(|field| field.starts_with(&code))?;
        let (written, shown) = bytes[COLUMN_BYTES..].split_at(HASH_BYTES);
        let hash = |bytes: &[u8]| bytes.try_into().ok().map(FieldHash);
        Some(FieldHashes { written: hash(written)?, shown: hash(shown).filter(|hash| hash.0 != NOT_SHOWN) })
    }

    /// Returns how many fields there are.
    pub fn count(&self) -> usize {
        self.0.len() / FIELD_BYTES
    }

    /// Returns the hashes as they are stored.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads hashes that were stored; `None` if they have no possible length.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        bytes.len().is_multiple_of(FIELD_BYTES).then_some(Self(bytes))
    }
}

fn code(column: &str) -> Column {
    let hash = Sha256::digest(column);
    [hash[0], hash[1], hash[2]]
}

/// Hashes fields together; the result is never [`NOT_SHOWN`].
fn hash<'a>(fields: impl Iterator<Item = (&'a str, &'a RawValue)>) -> FieldHash {
    let mut form = Vec::new();
    for (column, value) in fields {
        let value: Value = serde_json::from_str(value.get()).unwrap_or_default();
        canonical::write(&mut form, column, &value);
    }
    let digest = Sha256::digest(&form);
    let mut hash = [digest[0], digest[1], digest[2], digest[3], digest[4]];
    if hash == NOT_SHOWN {
        hash[0] = 1;
    }
    FieldHash(hash)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn raw(value: &Value) -> BTreeMap<String, Box<RawValue>> {
        serde_json::from_str(&value.to_string()).unwrap()
    }

    fn fields(written: &Value, shown: &Value) -> WrittenFields {
        let (written, shown) = (raw(written), raw(shown));
        let of = written.iter().map(|(column, value)| (column.as_str(), &**value));
        WrittenFields::of(of, |column| shown.get(column).map(|value| &**value))
    }

    #[test]
    fn each_field_has_a_hash_as_written_and_as_shown() {
        let written = json!({"name": "a", "custom_note": "<p>x</p>", "tags": ["T"], "state_id": 4});
        let shown = json!({"name": "a", "custom_note": "<p>x </p>", "tags": [{"name": "t"}], "more": 1});
        let fields = fields(&written, &shown);
        assert_eq!((fields.count(), fields.bytes().len()), (4, 52));
        let of = |column| fields.field(column).unwrap();
        assert_eq!(of("name").shown, Some(of("name").written));
        assert_eq!(of("tags").shown, Some(of("tags").written));
        assert!(of("custom_note").shown.is_some_and(|shown| shown != of("custom_note").written));
        assert_eq!(of("state_id").shown, None, "the answer leaves it out");
        assert_eq!(fields.field("more"), None);
        assert_eq!(WrittenFields::from_bytes(fields.bytes().to_vec()), Some(fields));
        assert_eq!(WrittenFields::from_bytes(vec![0; 14]), None);
    }

    #[test]
    fn a_field_that_testmo_has_emptied_was_shown() {
        let fields = fields(&json!({"custom_note": "x"}), &json!({"custom_note": null}));
        let note = fields.field("custom_note").unwrap();
        assert!(note.shown.is_some_and(|shown| shown != note.written));
    }

    #[test]
    fn columns_with_the_same_short_hash_count_together() {
        let mut seen = BTreeMap::new();
        let (one, other) = (0..)
            .find_map(|n| {
                let column = format!("custom_{n}");
                let other = seen.insert(code(&column), column.clone())?;
                Some((other, column))
            })
            .unwrap();
        let of = |a: u64, b: u64| fields(&json!({&one: a, &other: b}), &json!({&one: a, &other: b}));
        let both = of(1, 2);
        assert_eq!(both.count(), 1);
        assert_eq!(both.field(&one), both.field(&other));
        for changed in [of(3, 2), of(1, 3), of(2, 1)] {
            assert_ne!(changed.field(&one), both.field(&one));
        }
        let half_shown = fields(&json!({&one: 1, &other: 2}), &json!({&one: 1}));
        assert_eq!(half_shown.field(&one).unwrap().shown, None);
    }

    #[test]
    fn an_entry_is_hashed_with_its_folder() {
        let written = json!({"name": "a", "custom_steps": [{"text1": "x"}]});
        let mut whole = written.clone();
        whole["folder_id"] = json!(7);
        assert_eq!(WrittenFields::of_entry(&written.to_string(), 7), fields(&whole, &json!({})));
    }
}

//! Keeps the content of a case's fields as hashes: as written and, once read back, as Testmo shows it.

use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::canonical::{self, Texts, tag_name};
use crate::batch::is_batch_tag;
use crate::batch::render::RENDERER_VERSION;

/// The first version of the renderer whose texts are hashed in a form that stays the same when an editor saves them again.
const FOLDS_SINCE: u32 = 3;
/// How many bytes of a hash name a column.
const COLUMN_BYTES: usize = 3;
/// How many bytes of a hash are kept of a field's content.
const HASH_BYTES: usize = 5;
/// How many bytes a field takes: its column, and its content as written and as shown.
const FIELD_BYTES: usize = COLUMN_BYTES + 2 * HASH_BYTES;
/// Stands for a field that Testmo has not shown, and for no tag.
const NOTHING: Hash = [0; HASH_BYTES];
/// Stand in the place of a column before the hashes of two tags, and before that of the batch tag. No column begins so.
const TAGS: &str = "#tags";
const BATCH_TAG: &str = "#batch_tag";

type Column = [u8; COLUMN_BYTES];
type Hash = [u8; HASH_BYTES];
/// A column, with its content as written and as shown.
pub(super) type Row = (Column, Hash, Hash);

/// The tags that are remembered of a case.
pub(super) enum Tags<'a> {
    /// Those that were just written.
    Now(&'a Value),
    /// Those that were written before.
    AsBefore(&'a WrittenFields),
}

/// What became of a field's content in Testmo since it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// It is what was written, or what Testmo made of it.
    Untouched,
    /// It is something else.
    Touched,
    /// It is not what was written, and Testmo has not shown what it made of that.
    Unknown,
}

/// The hashes of all fields of a case that were written, in 13 bytes each, and of its tags.
///
/// A column is named by a short hash. Where two columns of a case have the same one, they are hashed as a single field, so
/// that a change of either is noticed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WrittenFields {
    bytes: Vec<u8>,
    renderer: u32,
}

impl WrittenFields {
    /// Hashes the fields of a case as the present renderer wrote them, each with what Testmo's answer shows of it.
    pub fn of<'a>(
        written: impl Iterator<Item = (&'a str, &'a RawValue)>,
        shown: impl Fn(&str) -> Option<&'a RawValue>,
    ) -> Self {
        let mut fields: Vec<(Column, &str, &RawValue)> =
            written.map(|(column, value)| (code(column), column, value)).collect();
        fields.sort_unstable_by_key(|(code, column, _)| (*code, *column));
        let mut bytes = Vec::with_capacity((fields.len() + 2) * FIELD_BYTES);
        for same in fields.chunk_by(|(one, ..), (other, ..)| one == other) {
            let shown: Option<Vec<(&str, &RawValue)>> =
                same.iter().map(|(_, column, _)| Some((*column, shown(column)?))).collect();
            bytes.extend(same[0].0);
            bytes.extend(hash(same.iter().map(|(_, column, value)| (*column, *value)), Texts::Folded));
            bytes.extend(shown.map_or(NOTHING, |shown| hash(shown.into_iter(), Texts::Exact)));
        }
        let tags = fields.iter().find(|(_, column, _)| *column == "tags").map(|(.., value)| names(value));
        write_tags(&mut bytes, tags.as_deref().unwrap_or_default());
        Self { bytes, renderer: RENDERER_VERSION }
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

    /// Returns whether a column was written.
    pub fn has(&self, column: &str) -> bool {
        self.hashes(column).is_some()
    }

    /// Returns whether a value of a column is what was written last. `false` for a column that was not written.
    pub fn is_written(&self, column: &str, value: &Value) -> bool {
        self.hashes(column).is_some_and(|(written, _)| written == hash_of(column, value, self.texts()))
    }

    /// Returns what became of a column by what Testmo shows of it now; `None` for a column that was not written.
    pub fn since(&self, column: &str, shown: &Value) -> Option<Since> {
        let (written, then) = self.hashes(column)?;
        let is_same = then == hash_of(column, shown, Texts::Exact) || written == hash_of(column, shown, self.texts());
        Some(match (is_same, then) {
            (true, _) => Since::Untouched,
            (false, NOTHING) => Since::Unknown,
            (false, _) => Since::Touched,
        })
    }

    /// Returns whether a tag was written as one of the case, in any letters; the batch tag is none of them.
    pub fn has_tag(&self, tag: &str) -> bool {
        let wanted = tag_hash(tag);
        self.rows(code(TAGS)).any(|(one, other)| [one, other].contains(&wanted))
    }

    /// Returns how many tags were written, but for the batch tag; `None` if that was not kept yet.
    pub fn tag_count(&self) -> Option<usize> {
        let count =
            || self.rows(code(TAGS)).flat_map(|(one, other)| [one, other]).filter(|hash| *hash != NOTHING).count();
        (self.renderer >= FOLDS_SINCE).then(count)
    }

    /// Returns whether a tag is the batch tag that was written.
    pub fn is_batch_tag(&self, tag: &str) -> bool {
        let wanted = tag_hash(tag);
        self.rows(code(BATCH_TAG)).any(|(hash, _)| hash == wanted)
    }

    /// Returns how many fields there are.
    pub fn count(&self) -> usize {
        let kept = [code(TAGS), code(BATCH_TAG)];
        self.bytes.chunks_exact(FIELD_BYTES).filter(|row| !kept.iter().any(|code| row.starts_with(code))).count()
    }

    /// Returns the hashes as they are stored.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the version of the renderer that wrote the fields.
    pub fn renderer(&self) -> u32 {
        self.renderer
    }

    /// Reads hashes that were stored, of fields that this version of the renderer wrote; `None` if they have no possible
    /// length.
    pub fn from_bytes(bytes: Vec<u8>, renderer: u32) -> Option<Self> {
        bytes.len().is_multiple_of(FIELD_BYTES).then_some(Self { bytes, renderer })
    }

    /// Returns the row of a column that was just written.
    pub(super) fn row_of(column: &str, value: &Value, shown: Option<&Value>) -> Row {
        let shown = shown.map_or(NOTHING, |shown| hash_of(column, shown, Texts::Exact));
        (code(column), hash_of(column, value, Texts::Folded), shown)
    }

    /// Returns the row of a column that has this value since it was written before.
    pub(super) fn row_again(&self, column: &str, value: &Value) -> Row {
        let shown = self.hashes(column).map_or(NOTHING, |(_, shown)| shown);
        (code(column), hash_of(column, value, Texts::Folded), shown)
    }

    /// Returns the row of a column as it is; `None` if there is none, or if an earlier renderer wrote it in another form.
    pub(super) fn kept_row(&self, column: &str) -> Option<Row> {
        let (written, shown) = self.hashes(column).filter(|_| self.renderer >= FOLDS_SINCE)?;
        Some((code(column), written, shown))
    }

    /// Returns what is remembered of a case with these rows and tags. Of rows with the same short hash none is kept: in
    /// doubt a person has edited them.
    pub(super) fn of_rows(mut rows: Vec<Row>, tags: Tags<'_>) -> Self {
        rows.sort_unstable_by_key(|(column, ..)| *column);
        let mut bytes = Vec::with_capacity((rows.len() + 2) * FIELD_BYTES);
        for same in rows.chunk_by(|(one, ..), (other, ..)| one == other) {
            if let [(column, written, shown)] = same {
                bytes.extend([&column[..], written, shown].concat());
            }
        }
        match tags {
            Tags::Now(tags) => write_tags(&mut bytes, &names_of(tags)),
            Tags::AsBefore(before) => {
                for (kind, (one, other)) in [TAGS, BATCH_TAG].into_iter().flat_map(|kind| before.tag_rows(kind)) {
                    bytes.extend([&code(kind)[..], &one, &other].concat());
                }
            }
        }
        Self { bytes, renderer: RENDERER_VERSION }
    }

    /// Returns the same with these rows instead of those of their columns.
    pub(super) fn with_rows(&self, rows: &[Row]) -> Self {
        let is_kept = |kept: &&[u8]| !rows.iter().any(|(column, ..)| kept.starts_with(column));
        let kept = self.bytes.chunks_exact(FIELD_BYTES).filter(is_kept).map(<[u8]>::to_vec);
        let rows = rows.iter().map(|(column, written, shown)| [&column[..], written, shown].concat());
        Self { bytes: rows.chain(kept).flatten().collect(), renderer: self.renderer }
    }

    fn tag_rows(&self, kind: &'static str) -> impl Iterator<Item = (&'static str, (Hash, Hash))> {
        self.rows(code(kind)).map(move |row| (kind, row))
    }

    fn texts(&self) -> Texts {
        if self.renderer >= FOLDS_SINCE { Texts::Folded } else { Texts::Exact }
    }

    fn hashes(&self, column: &str) -> Option<(Hash, Hash)> {
        self.rows(code(column)).next()
    }

    fn rows(&self, code: Column) -> impl Iterator<Item = (Hash, Hash)> {
        let rows = self.bytes.chunks_exact(FIELD_BYTES).filter(move |row| row.starts_with(&code));
        rows.filter_map(|row| {
            let (one, other) = row[COLUMN_BYTES..].split_at(HASH_BYTES);
            Some((one.try_into().ok()?, other.try_into().ok()?))
        })
    }
}

fn write_tags(bytes: &mut Vec<u8>, tags: &[String]) {
    let (of_batch, own): (Vec<&String>, Vec<&String>) = tags.iter().partition(|tag| is_batch_tag(tag));
    for pair in own.chunks(2) {
        bytes.extend(code(TAGS));
        bytes.extend(tag_hash(pair[0]));
        bytes.extend(pair.get(1).map_or(NOTHING, |tag| tag_hash(tag)));
    }
    if let Some(tag) = of_batch.first() {
        bytes.extend(code(BATCH_TAG));
        bytes.extend(tag_hash(tag));
        bytes.extend(NOTHING);
    }
}

/// Returns the names of tags, each once, in the letters in which Testmo keeps them.
fn names(tags: &RawValue) -> Vec<String> {
    names_of(&serde_json::from_str(tags.get()).unwrap_or_default())
}

fn names_of(tags: &Value) -> Vec<String> {
    let mut names: Vec<String> = tags.as_array().into_iter().flatten().map(tag_name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn code(column: &str) -> Column {
    let hash = Sha256::digest(column);
    [hash[0], hash[1], hash[2]]
}

fn tag_hash(tag: &str) -> Hash {
    short(&Sha256::digest(tag.trim().to_lowercase()))
}

fn hash_of(column: &str, value: &Value, texts: Texts) -> Hash {
    let mut form = Vec::new();
    canonical::write(&mut form, column, value, texts);
    short(&Sha256::digest(&form))
}

/// Hashes fields together.
fn hash<'a>(fields: impl Iterator<Item = (&'a str, &'a RawValue)>, texts: Texts) -> Hash {
    let mut form = Vec::new();
    for (column, value) in fields {
        let value: Value = serde_json::from_str(value.get()).unwrap_or_default();
        canonical::write(&mut form, column, &value, texts);
    }
    short(&Sha256::digest(&form))
}

/// Returns the part of a hash that is kept; it is never [`NOTHING`].
fn short(digest: &[u8]) -> Hash {
    let mut hash = NOTHING;
    hash.copy_from_slice(&digest[..HASH_BYTES]);
    if hash == NOTHING {
        hash[0] = 1;
    }
    hash
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
    fn a_field_is_untouched_as_long_as_it_is_what_was_written_or_what_testmo_made_of_that() {
        let written = json!({"name": "a", "custom_note": "<p>x & y</p>", "tags": ["T"], "state_id": 4});
        let shown = json!({"name": "a", "custom_note": "<p>x</p>", "tags": [{"name": "t"}], "more": 1});
        let fields = fields(&written, &shown);
        for (column, now, expected) in [
            ("name", json!("a"), Some(Since::Untouched)),
            ("name", json!("b"), Some(Since::Touched)),
            ("tags", json!(["t"]), Some(Since::Untouched)),
            ("tags", json!(["t", "u"]), Some(Since::Touched)),
            ("custom_note", json!("<p>x</p>"), Some(Since::Untouched)),
            ("custom_note", json!("x &amp; y"), Some(Since::Untouched)),
            ("custom_note", json!("x"), Some(Since::Touched)),
            ("custom_note", json!(null), Some(Since::Touched)),
            ("state_id", json!({"id": 4, "name": "Active"}), Some(Since::Untouched)),
            ("state_id", json!(3), Some(Since::Unknown)),
            ("more", json!(1), None),
        ] {
            assert_eq!(fields.since(column, &now), expected, "{column} {now}");
        }
        assert!(
            fields.is_written("custom_note", &json!("x &amp; y")) && !fields.is_written("custom_note", &json!("x"))
        );
        assert!(fields.has("state_id") && !fields.has("more") && !fields.is_written("more", &json!(1)));
        assert_eq!((fields.count(), fields.bytes().len()), (4, 5 * 13));
        assert_eq!(WrittenFields::from_bytes(fields.bytes().to_vec(), RENDERER_VERSION), Some(fields));
        assert_eq!(WrittenFields::from_bytes(vec![0; 14], 3), None);
    }

    #[test]
    fn texts_of_an_earlier_renderer_were_hashed_as_they_are() {
        let exact = hash(
            raw(&json!({"custom_note": "a"})).iter().map(|(column, value)| (column.as_str(), &**value)),
            Texts::Exact,
        );
        let bytes = [&code("custom_note")[..], &exact, &NOTHING].concat();
        let earlier = WrittenFields::from_bytes(bytes, 2).unwrap();
        assert_eq!(earlier.since("custom_note", &json!("a")), Some(Since::Untouched));
        assert_eq!(earlier.since("custom_note", &json!("<p>a</p>")), Some(Since::Unknown));
        assert_eq!((earlier.tag_count(), earlier.is_batch_tag("sqai-0123456789ab")), (None, false));
    }

    #[test]
    fn tags_that_were_written_are_recognized_and_the_batch_tag_is_none_of_them() {
        let of = |tags: Value| fields(&json!({"tags": tags}), &json!({}));
        let three = of(json!(["Smoke", "b", "sqai-0123456789ab", "c", "smoke"]));
        let has = |tag| three.has_tag(tag);
        assert_eq!(["smoke", "B", "c", "sqai-0123456789ab", "d", ""].map(has), [true, true, true, false, false, false]);
        assert!(three.is_batch_tag("sqai-0123456789ab") && !three.is_batch_tag("sqai-0123456789ac"));
        assert_eq!((three.tag_count(), three.count(), three.bytes().len()), (Some(3), 1, 4 * 13));
        let none = fields(&json!({"name": "a"}), &json!({}));
        assert_eq!(
            (none.tag_count(), none.is_batch_tag("sqai-0123456789ab"), none.has_tag("")),
            (Some(0), false, false)
        );
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
        assert_eq!(both.since(&one, &json!(1)), Some(Since::Touched), "in doubt it is a change");
        for changed in [of(3, 2), of(1, 3), of(2, 1)] {
            assert_ne!(changed.hashes(&one), both.hashes(&one));
        }
        let half_shown = fields(&json!({&one: 1, &other: 2}), &json!({&one: 1}));
        assert_eq!(half_shown.hashes(&one).unwrap().1, NOTHING);
    }

    #[test]
    fn an_entry_is_hashed_with_its_folder() {
        let written = json!({"name": "a", "custom_steps": [{"text1": "x"}]});
        let mut whole = written.clone();
        whole["folder_id"] = json!(7);
        assert_eq!(WrittenFields::of_entry(&written.to_string(), 7), fields(&whole, &json!({})));
    }
}

//! Decides what becomes of a case of a later generation, by the row that Testmo shows of it.

use serde_json::{Map, Value};

use super::compare::{Change as Fields, Comparison, KeptField, Pair, compare};
use super::edits::Edits;
use super::ours::{is_ours, is_ours_apart};
use crate::batch::ledger::{Change, KeptText, Repeat};
use crate::batch::message::text::excerpt;
use crate::batch::written::WrittenFields;

/// The most characters that are kept of the content of a field.
const LONGEST_TEXT: usize = 120;
/// The most fields of a case that are kept in words.
const MOST_KEPT: usize = 10;

/// A case that an earlier batch wrote, with its row.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// What was written last.
    pub written: &'a WrittenFields,
    /// The batch tag of the batch that wrote it, if the batch is known.
    pub tag: Option<&'a str>,
    /// The case as Testmo shows it, its tags by name.
    pub shown: &'a Map<String, Value>,
}

/// A case of a later generation.
#[derive(Clone, Copy, Debug)]
pub struct Later<'a> {
    /// Its fields as they are rendered, with its folder.
    pub wanted: &'a Map<String, Value>,
    /// The columns that are being written, if a request that does so has an unknown outcome.
    pub writing: Option<&'a [String]>,
    /// The batch tag of its batch.
    pub tag: Option<&'a str>,
}

/// What becomes of a case.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Nothing is written. It may have been before.
    Done(Repeat),
    /// These fields are written.
    Write(Box<Fields>),
}

/// Decides what becomes of a case. `required` are the columns that every request has to fill.
pub fn decide<'a>(row: &Row<'_>, later: &Later<'_>, edits: Edits, required: impl Iterator<Item = &'a str>) -> Decision {
    let is_written = later.writing.is_some() && has_tag(row.shown, later.tag);
    if !is_written && !is_ours(row.written, row.tag, row.shown) {
        // What was being written changes the row, so that it cannot be recognized by what was shown before.
        let is_unclear = later.writing.is_some_and(|columns| is_ours_but_for(row, later.wanted, columns));
        if !is_unclear {
            return Decision::Done(Repeat::only(Change::NotFound));
        }
    }
    let pair = Pair { wanted: later.wanted, written: row.written, shown: row.shown };
    match (compare(pair, edits, required), later.writing) {
        (Comparison::Same, None) => Decision::Done(Repeat::only(Change::Unchanged)),
        (Comparison::Same, Some(columns)) => {
            Decision::Done(Repeat { written: columns.to_vec(), ..Repeat::only(Change::Updated) })
        }
        (Comparison::Kept(kept), Some(columns)) if arrived(later.wanted, row.shown, columns) => {
            let repeat = Repeat { written: columns.to_vec(), ..Repeat::only(Change::Updated) };
            Decision::Done(Repeat { kept: in_words(&kept), ..repeat })
        }
        (Comparison::Kept(kept), _) => Decision::Done(Repeat { kept: in_words(&kept), ..Repeat::only(Change::Kept) }),
        (Comparison::OtherTemplate, _) => Decision::Done(Repeat::only(Change::OtherTemplate)),
        (Comparison::Unreadable(_), _) => Decision::Done(Repeat::only(Change::Unreadable)),
        (Comparison::Changed(fields), _) => Decision::Write(fields),
    }
}

/// Returns what is recorded of a case whose fields are written.
pub fn writing(fields: &Fields, change: Change) -> Repeat {
    Repeat { change, written: fields.fields.keys().cloned().collect(), kept: in_words(&fields.kept) }
}

/// Returns whether columns that were being written show what was wanted.
fn arrived(wanted: &Map<String, Value>, shown: &Map<String, Value>, columns: &[String]) -> bool {
    let is_there = |column: &String| match (wanted.get(column), shown.get(column)) {
        (Some(wanted), Some(shown)) => crate::batch::written::is_same(column, wanted, shown),
        (None, Some(shown)) => crate::batch::written::is_nothing(shown),
        (_, None) => false,
    };
    columns.iter().filter(|column| *column != "tags").all(is_there)
}

/// Returns whether a row is the case if columns that were being written are left out.
fn is_ours_but_for(row: &Row<'_>, wanted: &Map<String, Value>, columns: &[String]) -> bool {
    let value = |column: &String| (column.clone(), wanted.get(column).cloned().unwrap_or_default());
    is_ours_apart(row.written, row.tag, row.shown, &columns.iter().map(value).collect())
}

fn has_tag(shown: &Map<String, Value>, tag: Option<&str>) -> bool {
    let tags = shown.get("tags").and_then(Value::as_array).into_iter().flatten();
    tag.is_some_and(|tag| tags.filter_map(Value::as_str).any(|shown| shown == tag))
}

fn in_words(kept: &[KeptField]) -> Vec<KeptText> {
    let text = |value: &Value| match value {
        Value::String(text) => excerpt(text, LONGEST_TEXT),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            excerpt(&value.to_string(), LONGEST_TEXT)
        }
    };
    let field = |KeptField { column, generated, shown }: &KeptField| KeptText {
        column: column.clone(),
        generated: text(generated),
        shown: shown.as_ref().map(text),
    };
    kept.iter().take(MOST_KEPT).map(field).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::batch_tag;

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    fn decided(wanted: &Value, shown: &Value, writing: Option<&[&str]>) -> Decision {
        let (first, second) = tags();
        let written =
            WrittenFields::of_entry(&json!({"name": "a", "custom_note": "n", "tags": [first]}).to_string(), 7);
        let (wanted, shown) = (object(wanted), object(shown));
        let writing: Option<Vec<String>> =
            writing.map(|columns| columns.iter().map(|column| (*column).to_owned()).collect());
        let row = Row { written: &written, tag: Some(&first), shown: &shown };
        let later = Later { wanted: &wanted, writing: writing.as_deref(), tag: Some(&second) };
        decide(&row, &later, Edits::Keep, std::iter::empty())
    }

    fn tags() -> (String, String) {
        (batch_tag(&"acme/b-1".parse().unwrap()), batch_tag(&"acme/b-2".parse().unwrap()))
    }

    fn change(decision: &Decision) -> Change {
        match decision {
            Decision::Done(repeat) => repeat.change,
            Decision::Write(_) => Change::Writing,
        }
    }

    #[test]
    fn a_case_is_written_left_or_not_found() {
        let (first, second) = tags();
        let wanted = json!({"name": "b", "custom_note": "n", "folder_id": 7, "tags": [second]});
        let shown = |name: &str, tag: &str| json!({"name": name, "custom_note": "n", "folder_id": 7, "tags": [tag]});
        for (wanted, shown, writing, expected) in [
            (&wanted, shown("a", &first), None, Change::Writing),
            (&wanted, shown("b", &first), None, Change::Unchanged),
            (&wanted, shown("c", &first), None, Change::Kept),
            (&wanted, shown("c", "x"), None, Change::NotFound),
            (&wanted, shown("b", &first), Some(&["name"][..]), Change::Updated),
            (&wanted, shown("a", &first), Some(&["name"]), Change::Writing),
            (&wanted, shown("c", &first), Some(&["name"]), Change::Kept),
            (&wanted, shown("b", &second), Some(&["name", "tags"]), Change::Updated),
            (&wanted, shown("b", "x"), Some(&["name"]), Change::NotFound),
        ] {
            assert_eq!(change(&decided(wanted, &shown, writing)), expected, "{shown} {writing:?}");
        }
    }

    #[test]
    fn a_case_without_a_tag_is_recognized_after_its_name_was_written() {
        let written = WrittenFields::of_entry(r#"{"name": "a", "custom_note": "n"}"#, 7);
        let wanted = object(&json!({"name": "b", "custom_note": "n", "folder_id": 7}));
        let columns = ["name".to_owned()];
        for (name, note, writing, expected) in [
            ("b", "n", true, Change::Updated),
            ("b", "n", false, Change::NotFound),
            ("a", "n", true, Change::Writing),
            ("c", "n", true, Change::NotFound),
            ("b", "m", true, Change::NotFound),
        ] {
            let shown = object(&json!({"name": name, "custom_note": note, "folder_id": 7, "tags": []}));
            let row = Row { written: &written, tag: None, shown: &shown };
            let later = Later { wanted: &wanted, writing: writing.then_some(&columns[..]), tag: None };
            assert_eq!(change(&decide(&row, &later, Edits::Keep, std::iter::empty())), expected, "{name} {note}");
        }
    }

    #[test]
    fn a_kept_field_is_described_by_the_beginning_of_both_contents() {
        let (first, second) = tags();
        let wanted = json!({"name": "b".repeat(500), "tags": [second]});
        let shown = json!({"name": "mine", "folder_id": 7, "tags": [first]});
        let Decision::Done(Repeat { change, written, kept }) = decided(&wanted, &shown, None) else { panic!() };
        assert_eq!((change, written.len(), kept.len()), (Change::Kept, 0, 1));
        assert_eq!((kept[0].column.as_str(), kept[0].shown.as_deref()), ("name", Some("mine")));
        assert!(kept[0].generated.chars().count() <= LONGEST_TEXT + 1);
    }
}

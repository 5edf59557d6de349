//! Computes what is remembered of a case after fields of it were written.

use serde_json::{Map, Value};

use super::WrittenFields;
use super::fields::Tags;

/// What was written of a case, and what is shown of it since.
#[derive(Clone, Copy, Debug)]
pub struct Update<'a> {
    /// The fields of the case as the generator wants them.
    pub wanted: &'a Map<String, Value>,
    /// Those that were written, by column.
    pub written: &'a [String],
    /// Those that stay as a person has edited them, by column.
    pub kept: &'a [String],
    /// The case as Testmo shows it now.
    pub shown: &'a Map<String, Value>,
}

impl WrittenFields {
    /// Returns what is remembered of a case after these fields of it were written, and nothing else: no texts, as an earlier
    /// renderer hashed those in another form.
    #[must_use]
    pub fn with(&self, written: &Map<String, Value>, shown: &Map<String, Value>) -> Self {
        let row = |(column, value): (&String, &Value)| Self::row_of(column, value, shown.get(column));
        self.with_rows(&written.iter().map(row).collect::<Vec<_>>())
    }

    /// Returns what is remembered of a case of which this was remembered, after an update.
    ///
    /// A field that was not written keeps what Testmo showed when it was, so that an edit since then is never taken for
    /// what was written. A field that a person has edited keeps everything.
    pub fn after(&self, update: &Update<'_>) -> Self {
        let Update { wanted, written, kept, shown } = *update;
        let mut rows = Vec::with_capacity(wanted.len());
        for (column, value) in wanted {
            if kept.contains(column) {
                rows.extend(self.kept_row(column));
            } else if written.contains(column) || !self.has(column) {
                rows.push(Self::row_of(column, value, shown.get(column)));
            } else {
                rows.push(self.row_again(column, value));
            }
        }
        // What the generator no longer fills was emptied, or a person has edited it.
        let left = shown.keys().filter(|column| !wanted.contains_key(*column) && !written.contains(column));
        for column in left {
            rows.extend(self.kept_row(column));
        }
        let tags = match wanted.get("tags").filter(|_| written.iter().any(|column| column == "tags")) {
            Some(tags) => Tags::Now(tags),
            None => Tags::AsBefore(self),
        };
        Self::of_rows(rows, tags)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::written::Since;
    use crate::batch::written::fixture::object;

    fn first() -> WrittenFields {
        let entry = json!({"name": "a", "custom_note": "<p>x & y</p>", "custom_old": "z", "tags": ["t"]});
        let before = WrittenFields::of_entry(&entry.to_string(), 7);
        let shown = object(json!({"name": "a", "custom_note": "<p>x</p>", "custom_old": "z", "folder_id": 7}));
        before.after(&Update { wanted: &object(entry), written: &["custom_note".into()], kept: &[], shown: &shown })
    }

    #[test]
    fn an_edit_is_never_taken_for_what_was_written() {
        let wanted = object(json!({"name": "b", "custom_note": "<p>x & y</p>", "tags": ["u", "sqai-0123456789ab"]}));
        let shown = object(json!({"name": "b", "custom_note": "mine", "custom_old": null, "tags": []}));
        let written = ["name".to_owned(), "custom_old".to_owned(), "tags".to_owned()];
        let after = first().after(&Update { wanted: &wanted, written: &written, kept: &[], shown: &shown });
        assert_eq!(after.since("name", &json!("b")), Some(Since::Untouched));
        assert_eq!(after.since("custom_note", &json!("<p>x</p>")), Some(Since::Untouched), "as it was shown then");
        assert_eq!(after.since("custom_note", &json!("mine")), Some(Since::Touched));
        assert_eq!(after.since("custom_old", &json!(null)), None);
        assert!(after.has_tag("u") && !after.has_tag("t") && after.is_batch_tag("sqai-0123456789ab"));
    }

    #[test]
    fn fields_that_are_written_apart_replace_their_own_rows_only() {
        let retired = object(json!({"state_id": 9, "name": "b"}));
        let after = first().with(&retired, &object(json!({"state_id": {"id": 9}, "name": "b"})));
        assert!(after.is_written("state_id", &json!(9)) && after.is_written("name", &json!("b")));
        assert!(!after.is_written("name", &json!("a")) && after.has_tag("t"));
        assert_eq!(after.since("custom_note", &json!("<p>x</p>")), Some(Since::Untouched));
        assert_eq!(after.count(), first().count() + 1);
    }

    #[test]
    fn a_field_that_a_person_has_edited_keeps_what_was_written_before() {
        let wanted = object(json!({"name": "b", "custom_note": "<p>x & y</p>"}));
        let shown = object(json!({"name": "mine", "custom_note": "<p>x</p>", "custom_old": "edited"}));
        let after = first().after(&Update { wanted: &wanted, written: &[], kept: &["name".into()], shown: &shown });
        assert!(after.is_written("name", &json!("a")) && !after.is_written("name", &json!("b")));
        assert_eq!(after.since("name", &json!("mine")), first().since("name", &json!("mine")));
        assert_eq!(after.since("custom_old", &json!("z")), Some(Since::Untouched));
    }
}

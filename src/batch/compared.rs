//! Decides what became of a case in Testmo since it was written: by its row, and by what was remembered of its fields.

use serde_json::{Map, Value};

use super::written::{Since, WrittenFields};

/// The column of a case's folder: a case in another one was moved.
const FOLDER: &str = "folder_id";

/// How the fields of a case differ from what was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldChanges {
    /// Columns whose content is another one.
    pub changed: Vec<String>,
    /// Columns whose content is not what was written, though Testmo itself may have written it in another form: it has not
    /// shown how it stored them.
    pub unsure: Vec<String>,
}

/// Compares the fields of a case, as Testmo shows them now, with what was remembered of them. Columns that Testmo does not
/// show in lists are left out.
pub fn field_changes(written: &WrittenFields, shown: &Map<String, Value>) -> FieldChanges {
    let mut changes = FieldChanges::default();
    for (column, value) in shown.iter().filter(|(column, _)| *column != FOLDER) {
        match written.since(column, value) {
            Some(Since::Untouched) | None => {}
            Some(Since::Touched) => changes.changed.push(column.clone()),
            // Names come back as they were sent.
            Some(Since::Unknown) if column == "name" => changes.changed.push(column.clone()),
            Some(Since::Unknown) => changes.unsure.push(column.clone()),
        }
    }
    changes
}

/// Whether a case that Testmo shows was edited, as far as its row tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edited {
    /// Never.
    No,
    /// At this time, in milliseconds since 1970, by this user.
    At(i64, Option<u64>),
}

/// Returns whether a row tells of an edit: a time of change after its creation.
pub fn edited(created_at: Option<i64>, updated_at: Option<i64>, updated_by: Option<u64>) -> Edited {
    match (created_at, updated_at) {
        (Some(created), Some(updated)) if updated > created => Edited::At(updated, updated_by),
        (None, Some(updated)) => Edited::At(updated, updated_by),
        (Some(_), Some(_)) | (_, None) => Edited::No,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::written::fixture::{object, remembered};

    #[test]
    fn a_field_is_changed_if_testmo_shows_something_else_than_after_it_was_written() {
        let written = json!({"name": "a", "folder_id": 7, "custom_note": "<p>x & y</p>", "tags": ["T"], "state_id": 4});
        let echoed = json!({"name": "a", "folder_id": 7, "custom_note": "<p>x &amp; y</p>", "tags": [{"name": "t"}]});
        let remembered = remembered(&written, &echoed);
        let changes = |shown: Value| {
            let FieldChanges { changed, unsure } = field_changes(&remembered, &object(shown));
            (changed, unsure)
        };
        let none = Vec::<String>::new;
        let as_is = json!({"id": 5, "name": "a", "folder_id": 7, "custom_note": "<p>x &amp; y</p>", "tags": ["t"],
                           "state_id": 4, "custom_other": 1});
        assert_eq!(changes(as_is), (none(), none()));
        assert_eq!(changes(json!({"folder_id": 8})), (none(), none()), "moved, which is no change of a field");
        assert_eq!(changes(json!({"name": "b", "tags": ["t", "u"]})), (vec!["name".into(), "tags".into()], none()));
        assert_eq!(changes(json!({"custom_note": "<p>z</p>"})), (vec!["custom_note".into()], none()));
        // Testmo's answer did not show the state.
        assert_eq!(changes(json!({"state_id": 3})), (none(), vec!["state_id".into()]));
        assert_eq!(changes(json!({})), (none(), none()), "lists leave fields out");
    }

    #[test]
    fn a_name_is_claimed_to_be_changed_even_if_no_answer_showed_it() {
        let remembered = remembered(&json!({"name": "a"}), &json!({}));
        assert_eq!(field_changes(&remembered, &object(json!({"name": "b"}))).changed, ["name"]);
    }

    #[test]
    fn a_row_tells_of_an_edit_by_a_time_after_its_creation() {
        for (created, updated, expected) in [
            (Some(5), None, Edited::No),
            (Some(5), Some(5), Edited::No),
            (Some(5), Some(6), Edited::At(6, Some(3))),
            (None, Some(6), Edited::At(6, Some(3))),
        ] {
            assert_eq!(edited(created, updated, Some(3)), expected, "{created:?} {updated:?}");
        }
    }
}

//! Decides which fields that an undo has set go back to what they were before the undo.

use serde_json::{Map, Value};

use super::created::set;
use super::intent::Setting;
use super::model::{Decision, Left};
use crate::batch::generation::{as_sent, is_ours, is_ours_apart};
use crate::batch::written::{WrittenFields, is_same};

/// A case of which an undo has set fields, with its row.
#[derive(Clone, Copy, Debug)]
pub struct ReversedRow<'a> {
    /// What the undo has set.
    pub setting: &'a Setting,
    /// What is remembered of the case: of one that the batch created, from before the undo; `None` if that was nothing.
    pub written: Option<&'a WrittenFields>,
    /// The batch tag of the batch.
    pub tag: &'a str,
    /// The case as Testmo shows it, its tags by name.
    pub shown: &'a Map<String, Value>,
}

/// Decides what is to be done with a case. `required` are the columns that every request has to fill.
///
/// A field goes back unless a person has edited it since the undo.
pub fn reverse<'a>(row: &ReversedRow<'_>, required: impl Iterator<Item = &'a str>) -> Decision {
    let Setting { fields: done, former, .. } = row.setting;
    let is_ours = match row.written {
        Some(written) => {
            is_ours(written, Some(row.tag), row.shown) || is_ours_apart(written, Some(row.tag), row.shown, done)
        }
        None => has_tag(row.shown, row.tag),
    };
    if !is_ours {
        return Decision::Leave(Left::NotFound);
    }
    let (mut fields, mut kept) = (Map::new(), Vec::new());
    for (column, set) in done {
        let Some(before) = former.get(column) else { return Decision::Leave(Left::NotKept) };
        if shows(row.shown, column, before) {
            continue;
        }
        match shows(row.shown, column, set) {
            true => drop(fields.insert(column.clone(), as_sent(before))),
            false => kept.push(column.clone()),
        }
    }
    match (fields.is_empty(), kept.is_empty()) {
        (true, true) => Decision::Done,
        (true, false) => Decision::Leave(Left::Edited(kept)),
        (false, _) => self::set(fields, row.shown, kept, required),
    }
}

fn shows(shown: &Map<String, Value>, column: &str, value: &Value) -> bool {
    shown.get(column).is_some_and(|shown| is_same(column, value, shown))
}

fn has_tag(shown: &Map<String, Value>, tag: &str) -> bool {
    let mut tags = shown.get("tags").and_then(Value::as_array).into_iter().flatten();
    tags.any(|shown| shown.as_str() == Some(tag))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::undo::Intent;
    use crate::batch::written::fixture::object;

    const TAG: &str = "sqai-0123456789ab";

    fn decided(written: Option<&WrittenFields>, by: Value) -> Decision {
        let setting = Setting {
            fields: object(json!({"state_id": 5, "folder_id": 9})),
            former: object(json!({"state_id": {"id": 1, "name": "Draft"}, "folder_id": 7})),
            ..Setting::default()
        };
        let mut shown = object(json!({"id": 5, "name": "a", "state_id": 5, "folder_id": 9, "tags": [TAG]}));
        shown.extend(object(by));
        reverse(&ReversedRow { setting: &setting, written, tag: TAG, shown: &shown }, std::iter::empty())
    }

    #[test]
    fn a_retired_case_goes_back_to_where_it_was_as_far_as_nobody_changed_it() {
        let written = WrittenFields::of_entry(&json!({"name": "a", "state_id": 1, "tags": [TAG]}).to_string(), 7);
        let fields = |decision: Decision| match decision {
            Decision::Write(intent) => match *intent {
                Intent::Set(setting) => (Value::Object(setting.fields), setting.kept),
                Intent::Delete { .. } => panic!("nothing is deleted"),
            },
            other @ (Decision::Done | Decision::Leave(_)) => panic!("{other:?}"),
        };
        for memory in [Some(&written), None] {
            assert_eq!(fields(decided(memory, json!({}))), (json!({"state_id": 1, "folder_id": 7}), vec![]));
            let moved = fields(decided(memory, json!({"folder_id": 8})));
            assert_eq!(moved, (json!({"state_id": 1}), vec!["folder_id".to_owned()]));
            assert_eq!(decided(memory, json!({"state_id": 1, "folder_id": 7})), Decision::Done);
        }
        assert_eq!(
            decided(Some(&written), json!({"state_id": 2, "folder_id": 8})),
            Decision::Leave(Left::Edited(vec!["state_id".into(), "folder_id".into()]))
        );
        assert_eq!(decided(None, json!({"tags": []})), Decision::Leave(Left::NotFound), "without its batch tag");
        let stranger = json!({"tags": [], "name": "z", "state_id": 2, "folder_id": 8});
        assert_eq!(decided(Some(&written), stranger), Decision::Leave(Left::NotFound));
    }
}

//! Decides whether a case that a batch created is retired, deleted or left to people.

use serde_json::{Map, Value};

use super::cleared::{Times, can_be_deleted, in_use};
use super::intent::{Intent, Setting};
use super::model::{Decision, How, Left};
use crate::batch::generation::{carried, is_ours};
use crate::batch::written::{Since, WrittenFields, is_nothing, is_same};

/// The column of a case's folder.
const FOLDER: &str = "folder_id";

/// What is remembered of a case.
#[derive(Clone, Copy, Debug)]
pub enum Memory<'a> {
    /// What was written of it, by this batch and by none after it.
    Own(&'a WrittenFields),
    /// A later batch has written it.
    Later,
    /// Nothing, or it is remembered of another row.
    None,
}

/// A case that a batch created, with its row.
#[derive(Clone, Copy, Debug)]
pub struct CreatedRow<'a> {
    /// What is remembered of it.
    pub memory: Memory<'a>,
    /// The batch tag of the batch.
    pub tag: &'a str,
    /// The folder that it was created in.
    pub folder: u64,
    /// The case as Testmo shows it, its tags by name.
    pub shown: &'a Map<String, Value>,
    /// When it was created and edited.
    pub times: Times,
}

/// Decides what is to be done with a case. `required` are the columns that every request has to fill.
///
/// In doubt a person has touched it. A case that has been retired already is done.
pub fn created<'a>(row: &CreatedRow<'_>, how: &How, required: impl Iterator<Item = &'a str>) -> Decision {
    let retired = how.retired.as_ref().and_then(|retired| retired.fields()).unwrap_or_default();
    let there: Vec<&str> = retired
        .iter()
        .filter(|(column, value)| row.shown.get(*column).is_some_and(|shown| is_same(column, value, shown)))
        .map(|(column, _)| column.as_str())
        .collect();
    let touched = match row.memory {
        Memory::Later => Some(Left::Later),
        Memory::Own(written) => row.touched_since(written, &there),
        Memory::None => row.maybe_touched(),
    };
    if let Some(left) = touched.or_else(|| in_use(row.shown).map(Left::InUse)) {
        return Decision::Leave(left);
    }
    if how.deletes && matches!(row.memory, Memory::Own(_)) && can_be_deleted(row.shown, row.times) {
        return Decision::Write(Box::new(Intent::Delete { former: row.shown.clone() }));
    }
    if retired.is_empty() {
        return Decision::Leave(Left::NoWay);
    }
    if there.len() == retired.len() {
        return Decision::Done;
    }
    set(retired, row.shown, Vec::new(), required)
}

/// Decides that fields are set; what Testmo shows of them before is kept.
pub(super) fn set<'a>(
    mut fields: Map<String, Value>,
    shown: &Map<String, Value>,
    kept: Vec<String>,
    required: impl Iterator<Item = &'a str>,
) -> Decision {
    fields.retain(|column, value| !shown.get(column).is_some_and(|shown| is_same(column, value, shown)));
    // What cannot be read before cannot be brought back.
    if let Some(column) = fields.keys().find(|column| !shown.contains_key(*column)) {
        return Decision::Leave(Left::Unreadable(column.clone()));
    }
    let carried = match carried(required, &fields, shown) {
        Ok(carried) => carried,
        Err(column) => return Decision::Leave(Left::Unreadable(column)),
    };
    let former = fields.keys().filter_map(|column| Some((column.clone(), shown.get(column)?.clone()))).collect();
    Decision::Write(Box::new(Intent::Set(Setting { fields, former, carried, kept })))
}

impl CreatedRow<'_> {
    /// Returns how a person has touched a case that is remembered; columns in `apart` are not compared.
    fn touched_since(&self, written: &WrittenFields, apart: &[&str]) -> Option<Left> {
        let mut compared = self.shown.clone();
        compared.retain(|column, _| !apart.contains(&column.as_str()));
        if !is_ours(written, Some(self.tag), &compared) {
            return Some(Left::NotFound);
        }
        let is_edited = !self.times.is_never_edited();
        let (mut columns, mut is_moved, mut seen) =
            (Vec::new(), false, apart.iter().filter(|column| written.has(column)).count());
        for (column, value) in &compared {
            let since = written.since(column, value);
            seen += usize::from(since.is_some());
            let is_touched = match since {
                Some(Since::Touched) => true,
                // Names come back as they were sent; of other fields Testmo may make another form.
                Some(Since::Unknown) => is_edited || column == "name" || column == FOLDER,
                Some(Since::Untouched) => false,
                // It was filled by somebody else, or by Testmo.
                None => is_edited && (column.starts_with("custom_") || column == "estimate") && !is_nothing(value),
            };
            match is_touched {
                true if column == FOLDER => is_moved = true,
                true => columns.push(column.clone()),
                false => {}
            }
        }
        if !columns.is_empty() {
            return Some(Left::Edited(columns));
        }
        if is_moved {
            return Some(Left::Moved);
        }
        // A column that is not shown may be what was edited.
        (is_edited && seen < written.count()).then_some(Left::Edited(columns))
    }

    /// Returns why a case that is not remembered counts as touched: unless its row shows that it is where it was created, has
    /// the batch tag, and was never edited.
    fn maybe_touched(&self) -> Option<Left> {
        let mut tags = self.shown.get("tags").and_then(Value::as_array).into_iter().flatten();
        let has_tag = tags.any(|tag| tag.as_str() == Some(self.tag));
        let folder = self.shown.get(FOLDER).and_then(Value::as_u64);
        if !has_tag {
            return Some(Left::NotRemembered);
        }
        if folder.is_some_and(|folder| folder != self.folder) {
            return Some(Left::Moved);
        }
        (folder.is_none() || !self.times.is_never_edited()).then_some(Left::NotRemembered)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::undo::Retired;
    use crate::batch::written::fixture::object;

    const TAG: &str = "sqai-0123456789ab";
    const NEVER: Times = Times { created_at: Some(5), updated_at: None };
    const EDITED: Times = Times { created_at: Some(5), updated_at: Some(9) };

    fn written() -> WrittenFields {
        let entry = json!({"name": "a", "state_id": 1, "custom_note": "b", "tags": ["smoke", TAG]});
        WrittenFields::of_entry(&entry.to_string(), 7)
    }

    fn shown(by: Value) -> Map<String, Value> {
        let mut shown = object(json!({"id": 5, "name": "a", "state_id": 1, "folder_id": 7, "custom_note": "<p>b</p>",
            "custom_other": null, "estimate": null, "tags": ["smoke", TAG], "template_id": 2}));
        shown.extend(object(by));
        shown
    }

    fn how(deletes: bool) -> How {
        How { retired: Some(Retired { state_id: Some(5), folder_id: None }), deletes }
    }

    fn decided(memory: Memory<'_>, by: Value, times: Times, how: &How) -> Decision {
        let shown = shown(by);
        created(&CreatedRow { memory, tag: TAG, folder: 7, shown: &shown, times }, how, std::iter::empty())
    }

    #[test]
    fn a_case_that_nobody_touched_is_retired_and_what_it_was_is_kept() {
        let retires = Intent::Set(Setting {
            fields: object(json!({"state_id": 5})),
            former: object(json!({"state_id": 1})),
            ..Setting::default()
        });
        for memory in [Memory::Own(&written()), Memory::None] {
            let decision = decided(memory, json!({}), NEVER, &how(false));
            assert_eq!(decision, Decision::Write(Box::new(retires.clone())), "{memory:?}");
        }
        // Testmo's own time of a change says nothing against what the fields show.
        assert_eq!(
            decided(Memory::Own(&written()), json!({}), EDITED, &how(false)),
            Decision::Write(Box::new(retires))
        );
        assert_eq!(decided(Memory::Own(&written()), json!({"state_id": 5}), EDITED, &how(false)), Decision::Done);
    }

    #[test]
    fn whatever_a_person_touched_or_may_have_is_left() {
        let written = written();
        let own = Memory::Own(&written);
        let edited = |columns: &[&str]| Left::Edited(columns.iter().map(|column| (*column).to_owned()).collect());
        for (memory, by, times, expected) in [
            (own, json!({"name": "b"}), NEVER, edited(&["name"])),
            (own, json!({"custom_note": "c"}), EDITED, edited(&["custom_note"])),
            (own, json!({"tags": ["smoke", TAG, "mine"]}), EDITED, edited(&["tags"])),
            (own, json!({"custom_other": "mine"}), EDITED, edited(&["custom_other"])),
            (own, json!({"estimate": 60}), EDITED, edited(&["estimate"])),
            (own, json!({"folder_id": 8}), EDITED, Left::Moved),
            (own, json!({"state_id": 4}), EDITED, edited(&["state_id"])),
            (own, json!({"status_id": 3}), NEVER, Left::InUse("it has a result".into())),
            (own, json!({"comments": [1]}), NEVER, Left::InUse("it has a comment".into())),
            (own, json!({"name": "z", "tags": []}), EDITED, Left::NotFound),
            (Memory::Later, json!({}), NEVER, Left::Later),
            (Memory::None, json!({}), EDITED, Left::NotRemembered),
            (Memory::None, json!({}), Times::default(), Left::NotRemembered),
            (Memory::None, json!({"tags": ["smoke"]}), NEVER, Left::NotRemembered),
            (Memory::None, json!({"folder_id": 8}), NEVER, Left::Moved),
        ] {
            assert_eq!(decided(memory, by.clone(), times, &how(true)), Decision::Leave(expected), "{memory:?} {by}");
        }
    }

    #[test]
    fn a_column_that_is_not_shown_may_have_been_edited() {
        let written = written();
        let mut shown = shown(json!({}));
        shown.remove("custom_note");
        let of = |times| {
            let row = CreatedRow { memory: Memory::Own(&written), tag: TAG, folder: 7, shown: &shown, times };
            created(&row, &how(false), std::iter::empty())
        };
        assert_eq!(of(EDITED), Decision::Leave(Left::Edited(vec![])));
        assert!(matches!(of(NEVER), Decision::Write(_)));
    }

    #[test]
    fn a_case_is_deleted_only_where_that_loses_nothing_and_is_retired_otherwise() {
        let (written, empty) = (written(), json!({"comments": [], "automation_links": [], "history": []}));
        let own = Memory::Own(&written);
        let is_deleted = |decision: &Decision| match decision {
            Decision::Write(intent) => matches!(**intent, Intent::Delete { .. }),
            Decision::Done | Decision::Leave(_) => false,
        };
        assert!(is_deleted(&decided(own, empty.clone(), NEVER, &how(true))));
        let only_deletes = How { retired: None, deletes: true };
        assert!(is_deleted(&decided(own, empty.clone(), NEVER, &only_deletes)));
        for (memory, by, times) in [
            (own, empty.clone(), EDITED),
            (own, json!({}), NEVER),
            (own, json!({"comments": [], "automation_links": []}), NEVER),
            (Memory::None, empty.clone(), NEVER),
        ] {
            let decision = decided(memory, by.clone(), times, &how(true));
            assert!(matches!(&decision, Decision::Write(_)) && !is_deleted(&decision), "{memory:?} {by}");
            let without = decided(memory, by, times, &only_deletes);
            assert_eq!(without, Decision::Leave(Left::NoWay));
        }
        assert!(!is_deleted(&decided(own, empty, NEVER, &how(false))), "nobody asked for it");
    }

    #[test]
    fn required_fields_are_sent_along_and_one_that_cannot_be_read_leaves_the_case() {
        let (written, shown) = (written(), shown(json!({"custom_a": {"id": 3, "name": "High"}})));
        let row = CreatedRow { memory: Memory::Own(&written), tag: TAG, folder: 7, shown: &shown, times: NEVER };
        let Decision::Write(intent) = created(&row, &how(false), ["custom_a"].into_iter()) else { panic!() };
        let Intent::Set(setting) = *intent else { panic!() };
        assert_eq!(Value::Object(setting.body()), json!({"state_id": 5, "custom_a": 3}));
        let unreadable = created(&row, &how(false), ["custom_b"].into_iter());
        assert_eq!(unreadable, Decision::Leave(Left::Unreadable("custom_b".into())));
    }
}

//! Decides which fields of a case that a batch updated go back to what they were before.

use serde_json::{Map, Value};

use super::created::{Memory, set};
use super::former::FormerCase;
use super::model::{Decision, Left};
use crate::batch::generation::{as_sent, is_ours};
use crate::batch::written::{Since, WrittenFields, is_same};

/// A case of an earlier batch that a batch updated, with its row.
#[derive(Clone, Copy, Debug)]
pub struct UpdatedRow<'a> {
    /// What is remembered of it.
    pub memory: Memory<'a>,
    /// The batch tag of the batch.
    pub tag: &'a str,
    /// The columns that the batch wrote.
    pub written: &'a [String],
    /// What the case was before, if that is still kept.
    pub former: Option<&'a FormerCase>,
    /// The case as Testmo shows it, its tags by name.
    pub shown: &'a Map<String, Value>,
}

/// Decides what is to be done with a case. `required` are the columns that every request has to fill.
///
/// A field goes back unless a person has edited it since.
pub fn updated<'a>(row: &UpdatedRow<'_>, required: impl Iterator<Item = &'a str>) -> Decision {
    let written = match row.memory {
        Memory::Own(written) => written,
        Memory::Later => return Decision::Leave(Left::Later),
        Memory::None => return Decision::Leave(Left::NotRemembered),
    };
    let Some(former) = row.former else { return Decision::Leave(Left::NotKept) };
    if !is_ours(written, Some(row.tag), row.shown) && !is_ours(&former.remembered, None, row.shown) {
        return Decision::Leave(Left::NotFound);
    }
    let (mut fields, mut kept) = (Map::new(), Vec::new());
    for column in row.written {
        let Some(before) = former.fields.get(column) else { return Decision::Leave(Left::NotKept) };
        match row.shown.get(column) {
            Some(shown) if is_same(column, before, shown) => {}
            Some(shown) if is_untouched(written, column, shown) => drop(fields.insert(column.clone(), as_sent(before))),
            Some(_) | None => kept.push(column.clone()),
        }
    }
    match (fields.is_empty(), kept.is_empty()) {
        (true, true) => Decision::Done,
        (true, false) => Decision::Leave(Left::Edited(kept)),
        (false, _) => set(fields, row.shown, kept, required),
    }
}

fn is_untouched(written: &WrittenFields, column: &str, shown: &Value) -> bool {
    match written.since(column, shown) {
        Some(since) => since == Since::Untouched,
        // The batch emptied it.
        None => crate::batch::written::is_nothing(shown),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::undo::{Intent, Setting};
    use crate::batch::written::BatchMark;
    use crate::batch::written::fixture::object;

    const TAG: &str = "sqai-0123456789ab";

    /// Returns what is remembered after the batch had written the name, the note, the steps and the tags.
    fn written() -> WrittenFields {
        let entry = json!({"name": "b", "custom_note": "new", "state_id": 1, "tags": ["new", TAG],
            "custom_steps": [{"text1": "<p>go on</p>", "display_order": 1}]});
        WrittenFields::of_entry(&entry.to_string(), 7)
    }

    fn former() -> FormerCase {
        FormerCase {
            id: 5,
            fields: object(json!({"name": "a", "custom_note": "<p>old</p>", "tags": ["old"], "custom_gone": "x",
                "custom_steps": [{"id": 9, "case_id": 5, "display_order": 1, "text1": "<p>go</p>", "text2": null}]})),
            remembered: WrittenFields::of_entry(r#"{"name": "a"}"#, 7),
            folder: 7,
            batch: BatchMark::of(&"acme/b-1".parse().unwrap(), 1_000),
        }
    }

    fn shown(by: Value) -> Map<String, Value> {
        let mut shown =
            object(json!({"id": 5, "name": "b", "custom_note": "<p>new</p>", "state_id": 1, "folder_id": 7,
            "tags": ["new", TAG], "custom_gone": null,
            "custom_steps": [{"id": 10, "case_id": 5, "display_order": 1, "text1": "<p>go on</p>"}]}));
        shown.extend(object(by));
        shown
    }

    const ALL: [&str; 5] = ["name", "custom_note", "tags", "custom_gone", "custom_steps"];

    fn decided(memory: Memory<'_>, former: Option<&FormerCase>, columns: &[&str], by: Value) -> Decision {
        let (shown, columns) = (shown(by), columns.iter().map(|column| (*column).to_owned()).collect::<Vec<_>>());
        let row = UpdatedRow { memory, tag: TAG, written: &columns, former, shown: &shown };
        updated(&row, std::iter::empty())
    }

    fn setting(decision: Decision) -> Setting {
        match decision {
            Decision::Write(intent) => match *intent {
                Intent::Set(setting) => setting,
                Intent::Delete { .. } => panic!("nothing is deleted"),
            },
            other @ (Decision::Done | Decision::Leave(_)) => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_field_that_nobody_edited_since_goes_back() {
        let (written, former) = (written(), former());
        let set = setting(decided(Memory::Own(&written), Some(&former), &ALL, json!({})));
        let expected = json!({"name": "a", "custom_note": "<p>old</p>", "tags": ["old"], "custom_gone": "x",
            "custom_steps": [{"text1": "<p>go</p>", "display_order": 1}]});
        assert_eq!(Value::Object(set.fields), expected);
        assert_eq!((set.former.len(), set.kept.len(), set.former["name"].clone()), (5, 0, json!("b")));
        let only = setting(decided(Memory::Own(&written), Some(&former), &["name"], json!({})));
        assert_eq!(Value::Object(only.fields), json!({"name": "a"}), "only what the batch wrote");
    }

    #[test]
    fn what_a_person_edited_since_stays() {
        let (written, former) = (written(), former());
        let own = Memory::Own(&written);
        let by = json!({"custom_note": "mine", "tags": ["new", TAG, "mine"], "custom_gone": "mine"});
        let set = setting(decided(own, Some(&former), &ALL, by));
        assert_eq!(set.fields.keys().collect::<Vec<_>>(), ["name", "custom_steps"]);
        assert_eq!(set.kept, ["custom_note", "tags", "custom_gone"]);
        let left = decided(own, Some(&former), &["name"], json!({"name": "mine"}));
        assert_eq!(left, Decision::Leave(Left::Edited(vec!["name".into()])));
        let back = decided(own, Some(&former), &["name"], json!({"name": "a"}));
        assert_eq!(back, Decision::Done, "a person has brought it back");
    }

    #[test]
    fn a_case_that_is_not_known_well_enough_is_left() {
        let (written, former) = (written(), former());
        let own = Memory::Own(&written);
        let stranger = json!({"name": "z", "tags": [], "custom_note": "z", "custom_steps": []});
        for (memory, kept, columns, by, expected) in [
            (Memory::Later, Some(&former), &["name"][..], json!({}), Left::Later),
            (Memory::None, Some(&former), &["name"], json!({}), Left::NotRemembered),
            (own, None, &["name"], json!({}), Left::NotKept),
            (own, Some(&former), &["state_id"], json!({}), Left::NotKept),
            (own, Some(&former), &["name"], stranger, Left::NotFound),
        ] {
            assert_eq!(decided(memory, kept, columns, by.clone()), Decision::Leave(expected), "{by}");
        }
    }
}

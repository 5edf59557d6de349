//! Builds the event about a batch that a person took back, and about duplicates that a person had removed.

use schemars::JsonSchema;
use serde::Serialize;

use crate::batch::event::batch::{label, link, settlement_id};
use crate::batch::event::previous::address;
use crate::batch::event::{Event, Outcome, UNDONE, event, event_id};
use crate::batch::ledger::BatchRecord;
use crate::batch::message::key_by_position;
use crate::batch::message::text::excerpt;
use crate::batch::undo::{Intent, ItemKind, ItemState, Undo, UndoItem, UndoKind};

/// The most characters of the reason why a case was left.
const LONGEST_REASON: usize = 300;
/// The most folders that are named.
const MOST_FOLDERS: usize = 1_000;

/// The event data of a batch that was taken back.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Undone {
    /// The tenant that the batch belongs to.
    pub tenant_id: String,
    /// The id of the batch within the tenant.
    pub batch_id: String,
    /// The number of the batch's outcome. Of two events of a batch the one with the higher revision is newer.
    pub revision: u32,
    /// The outcome of the batch; absent if only duplicates of its cases were removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// What became of each case that the batch had created or updated, or of each duplicate, in order.
    pub cases: Vec<UndoneCase>,
    /// Folders that cases of the batch were in and that seemed empty afterwards, at most 1,000. The worker never deletes a
    /// folder: a person may.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub empty_folders: Vec<UndoneFolder>,
}

/// What became of a case.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UndoneCase {
    /// The position of the case in the batch, from 1; absent for a case that the batch did not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<usize>,
    /// What people call the case: its `external_id` or, without one, `#` and its position; at most 64 characters. Of a case that
    /// the batch did not have, its id in Testmo.
    pub label: String,
    /// The generator's own id of the case, if the generator gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The id of the case in Testmo, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub testmo_id: Option<u64>,
    /// The address of the case in Testmo's web pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Whether it is a duplicate: a row that Testmo created late, beside the row of the case.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(default)]
    pub duplicate: bool,
    /// Whether it is a case that the batch did not have and that it had retired or deleted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(default)]
    pub dropped: bool,
    /// What became of it.
    pub change: UndoneChange,
    /// The fields that were set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub fields_written: Vec<String>,
    /// The fields that stay, as a person has edited them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub fields_kept: Vec<String>,
    /// Why it was left as it is, as a word that does not change: see docs/generations.md.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_because: Option<&'static str>,
    /// The same as a text for people, at most 300 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_detail: Option<String>,
}

/// What became of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UndoneChange {
    /// The batch had created it, and it has the state or folder of retired cases now.
    Retired,
    /// The batch had created it, and it was deleted.
    Deleted,
    /// The batch had updated or retired it, and its fields have their former content again.
    Restored,
    /// It was left as it is.
    Left,
}

/// A folder that seems empty.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UndoneFolder {
    /// The id of the folder in Testmo.
    pub id: u64,
    /// The address of the folder in Testmo's web pages.
    pub link: String,
}

/// Returns the event of an undo, or of a removal of duplicates, that is finished; `now` is in milliseconds since 1970-01-01
/// UTC.
pub fn undone(record: &BatchRecord, undo: &Undo, empty_folders: &[u64], now: i64) -> Option<Event> {
    let (tenant, batch) = (&record.key.tenant, &record.key.batch);
    let id = match undo.kind {
        UndoKind::Undo => settlement_id(record)?,
        UndoKind::Duplicates => {
            event_id(&[tenant.as_str(), batch.as_str(), "duplicates", &undo.number.to_string(), UNDONE])
        }
        // A batch that is as before has the event of its outcome.
        UndoKind::Restore => return None,
    };
    let target = record.target();
    let folder =
        |id: &u64| Some(UndoneFolder { id: *id, link: folder_address(target?.account.as_str(), target?.project, *id) });
    let data = Undone {
        tenant_id: tenant.to_string(),
        batch_id: batch.to_string(),
        revision: record.revision,
        outcome: (undo.kind == UndoKind::Undo).then_some(Outcome::Undone),
        cases: undo.items.iter().map(|item| case(record, item)).collect(),
        empty_folders: empty_folders.iter().take(MOST_FOLDERS).filter_map(folder).collect(),
    };
    Some(event(id, UNDONE, Some(tenant), Some(batch), record.trace.as_ref(), data, now))
}

/// Returns the address of a folder in Testmo's web pages; its form follows from that of a case.
pub fn folder_address(account: &str, project: u64, folder: u64) -> String {
    format!("{account}/repositories/{project}?group_id={folder}")
}

fn case(record: &BatchRecord, item: &UndoItem) -> UndoneCase {
    let is_dropped = item.kind == ItemKind::Dropped;
    let key = record.cases.get(item.position).filter(|_| !is_dropped).map(|case| &case.key);
    let (change, left) = match &item.state {
        ItemState::Left(left) => (UndoneChange::Left, Some(left)),
        ItemState::Waiting | ItemState::Writing(_) => (UndoneChange::Left, None),
        ItemState::Done(Some(intent)) if matches!(**intent, Intent::Delete { .. }) => (UndoneChange::Deleted, None),
        ItemState::Done(_) if is_dropped || item.kind == ItemKind::Updated => (UndoneChange::Restored, None),
        ItemState::Done(_) => (UndoneChange::Retired, None),
    };
    let (fields_written, fields_kept) = match item.done() {
        Some(Intent::Set(setting)) => (setting.fields.keys().cloned().collect(), setting.kept.clone()),
        Some(Intent::Delete { .. }) | None => (Vec::new(), Vec::new()),
    };
    let id = (item.id > 0).then_some(item.id);
    UndoneCase {
        position: key.map(|_| item.position + 1),
        label: key.map_or_else(|| item.id.to_string(), |key| label(key)),
        external_id: key.filter(|key| **key != key_by_position(item.position)).cloned(),
        testmo_id: id,
        link: id.and_then(|_| link_of_item(record, item)),
        duplicate: item.kind == ItemKind::Duplicate,
        dropped: is_dropped,
        change,
        fields_written,
        fields_kept,
        left_because: left.map(crate::batch::undo::Left::word),
        left_detail: left.map(|left| excerpt(&left.sentence(), LONGEST_REASON)),
    }
}

/// Returns the address of a row: in the folder that an undo has moved it to, if it did.
pub fn link_of_item(record: &BatchRecord, item: &UndoItem) -> Option<String> {
    let moved = item.fields().and_then(|fields| fields.get("folder_id")).and_then(serde_json::Value::as_u64);
    let (target, folder) = match item.kind {
        ItemKind::Dropped => {
            let case = record.dropped.cases.get(item.position)?;
            (record.target_of_dropped(case)?, Some(case.folder))
        }
        ItemKind::Created | ItemKind::Updated | ItemKind::Duplicate => {
            (record.targets.get(record.cases.get(item.position)?.target)?, None)
        }
    };
    match moved.or(folder) {
        Some(folder) => Some(address(target, folder, item.id)),
        None => link(record, item.position, item.id),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::batch::ledger::{BatchState, OpenPush, Target};
    use crate::batch::undo::{How, Left, Setting};

    fn record() -> BatchRecord {
        let keys = ["TC-1".to_owned(), "#2".to_owned()];
        let mut record = BatchRecord::fresh("acme/b-1".parse().unwrap(), "1:x".into(), keys);
        let push = OpenPush { id: "p".into(), connection: "v".into(), batch_tag: None, committed: false };
        record.claim(&[0, 1], push, &Target { account: "https://acme.testmo.net".into(), project: 3, folder: 428 });
        record.created(&[(0, 10), (1, 11)]);
        record.undo(5);
        record
    }

    fn undo(kind: UndoKind) -> Undo {
        let object = |value: Value| value.as_object().cloned().unwrap_or_default();
        let set = Intent::Set(Setting {
            fields: object(json!({"folder_id": 9, "state_id": 5})),
            former: object(json!({"folder_id": 428, "state_id": 1})),
            ..Setting::default()
        });
        let delete = Intent::Delete { former: Map::new() };
        let item = |position, id, kind, state| UndoItem { state, ..UndoItem::waiting(position, id, kind) };
        let items = vec![
            item(0, 10, ItemKind::Created, ItemState::Done(Some(Box::new(set)))),
            item(0, 20, ItemKind::Duplicate, ItemState::Done(Some(Box::new(delete)))),
            item(1, 11, ItemKind::Created, ItemState::Left(Left::Edited(vec!["name".into()]))),
            item(1, 0, ItemKind::Created, ItemState::Left(Left::Unclear)),
        ];
        Undo { number: 4, kind, how: How::default(), before: BatchState::Delivered, items, is_done: true }
    }

    #[test]
    fn an_event_of_an_undo_says_what_became_of_each_case() {
        let event = undone(&record(), &undo(UndoKind::Undo), &[428], 0).unwrap();
        assert_eq!(Some(&event.id), settlement_id(&record()).as_ref(), "a copy of the batch has it published again");
        let body: Value = serde_json::from_str(&event.body).unwrap();
        assert_eq!((&body["type"], &body["data"]["outcome"]), (&json!(UNDONE), &json!("undone")));
        let cases = &body["data"]["cases"];
        let changes: Vec<&Value> = cases.as_array().unwrap().iter().map(|case| &case["change"]).collect();
        assert_eq!(changes, ["retired", "deleted", "left", "left"]);
        assert_eq!(cases[0]["link"], "https://acme.testmo.net/repositories/3?group_id=9&case_id=10");
        assert_eq!(cases[0]["fields_written"], json!(["folder_id", "state_id"]));
        assert_eq!((&cases[1]["duplicate"], &cases[2]["left_because"]), (&json!(true), &json!("edited")));
        assert_eq!(cases[2]["left_detail"], "A person has edited name, or may have.");
        assert_eq!((cases[3].get("testmo_id"), cases[2].get("external_id")), (None, None));
        let folder = json!([{"id": 428, "link": "https://acme.testmo.net/repositories/3?group_id=428"}]);
        assert_eq!(body["data"]["empty_folders"], folder);
    }

    #[test]
    fn duplicates_have_an_event_of_their_own_and_a_restore_has_none() {
        let event = undone(&record(), &undo(UndoKind::Duplicates), &[], 0).unwrap();
        let body: Value = serde_json::from_str(&event.body).unwrap();
        assert_eq!(body["data"].get("outcome"), None);
        assert_ne!(Some(&event.id), settlement_id(&record()).as_ref());
        assert_eq!(undone(&record(), &undo(UndoKind::Restore), &[], 0), None);
    }
}

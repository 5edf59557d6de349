//! Holds how far taking back a batch has come with each of its rows in Testmo.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::again::Creating;
use super::former::{from_hex, to_written};
use super::intent::Intent;
use super::model::Left;
use crate::batch::hex;
use crate::batch::written::{BatchMark, CaseIdentity, WrittenCase};

/// A row of a batch in Testmo, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UndoItem {
    /// The position of its case in the batch.
    #[serde(rename = "p")]
    pub position: usize,
    /// Its id in Testmo.
    #[serde(rename = "i")]
    pub id: u64,
    /// What the batch did with it.
    #[serde(rename = "k")]
    pub kind: ItemKind,
    /// What became of it.
    #[serde(rename = "s")]
    pub state: ItemState,
    /// What was remembered of it before, in each source of the batch; for it to be remembered again.
    #[serde(rename = "m", default, skip_serializing_if = "Vec::is_empty")]
    pub memory: Vec<ItemMemory>,
    /// The case that is created in its place, as it had been deleted: once a request for it may have been sent.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub again: Option<Box<Creating>>,
    /// The id of the case that was created in its place.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub new_id: Option<u64>,
}

/// What a batch did with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    /// It created it.
    Created,
    /// It updated it.
    Updated,
    /// A request that was carried out late created it, beside the row of its case.
    Duplicate,
    /// It retired it, as the batch does not have the case any more: its position is that among such cases.
    Dropped,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemState {
    /// Nothing yet.
    Waiting,
    /// A request may be under way, or has an unknown outcome.
    Writing(Box<Intent>),
    /// It is as it is to be; by this request, or it was so before.
    Done(Option<Box<Intent>>),
    /// It is left as it is.
    Left(Left),
}

/// What is remembered of a case, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemMemory {
    #[serde(rename = "i")]
    identity: String,
    #[serde(rename = "t")]
    testmo_id: u64,
    #[serde(rename = "f")]
    folder: u64,
    #[serde(rename = "b")]
    batch: i64,
    #[serde(rename = "w")]
    written: String,
    #[serde(rename = "r")]
    renderer: u32,
}

impl UndoItem {
    /// Returns a row with which nothing was done yet.
    pub fn waiting(position: usize, id: u64, kind: ItemKind) -> Self {
        Self { position, id, kind, state: ItemState::Waiting, memory: Vec::new(), again: None, new_id: None }
    }

    /// Returns whether something is still to be done with it.
    pub fn is_open(&self) -> bool {
        matches!(self.state, ItemState::Waiting | ItemState::Writing(_))
    }

    /// Returns the case that a request may have created in its place, if it is not known whether it did.
    pub fn creating(&self) -> Option<&Creating> {
        self.again.as_deref().filter(|_| matches!(self.state, ItemState::Left(_)))
    }

    /// Returns the request that was carried out.
    pub fn done(&self) -> Option<&Intent> {
        match &self.state {
            ItemState::Done(intent) => intent.as_deref(),
            ItemState::Waiting | ItemState::Writing(_) | ItemState::Left(_) => None,
        }
    }

    /// Returns why it is left as it is, if it is.
    pub fn left(&self) -> Option<&Left> {
        match &self.state {
            ItemState::Left(left) => Some(left),
            ItemState::Waiting | ItemState::Writing(_) | ItemState::Done(_) => None,
        }
    }

    /// Returns the fields that were set, with what they were before.
    pub fn fields(&self) -> Option<&Map<String, Value>> {
        match self.done()? {
            Intent::Set(setting) => Some(&setting.fields),
            Intent::Delete { .. } => None,
        }
    }
}

impl ItemMemory {
    /// Returns what is remembered of a case in the form that is stored.
    pub fn of(case: &WrittenCase) -> Self {
        Self {
            identity: hex(case.identity.bytes()),
            testmo_id: case.testmo_id,
            folder: case.folder,
            batch: case.batch.value(),
            written: hex(case.fields.bytes()),
            renderer: case.fields.renderer(),
        }
    }

    /// Returns what is remembered; `None` if it cannot be read.
    pub fn case(&self) -> Option<WrittenCase> {
        Some(WrittenCase {
            identity: CaseIdentity::from_bytes(&from_hex(&self.identity)?)?,
            testmo_id: self.testmo_id,
            folder: self.folder,
            batch: BatchMark::from_value(self.batch),
            fields: to_written(&self.written, self.renderer)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::ledger::Target;
    use crate::batch::undo::Setting;
    use crate::batch::written::WrittenFields;

    #[test]
    fn a_row_is_read_back_as_it_is_stored() {
        let target = Target { account: "https://a".into(), project: 1, folder: 5 };
        let identity = CaseIdentity::of(&target, &"acme".parse().unwrap(), Some("K"), Some("1")).unwrap();
        let case = WrittenCase {
            identity,
            testmo_id: 9,
            folder: 5,
            batch: BatchMark::of(&"acme/b-1".parse().unwrap(), 1_000),
            fields: WrittenFields::of_entry(r#"{"name": "a"}"#, 5),
        };
        let memory = ItemMemory::of(&case);
        assert_eq!(memory.case(), Some(case));
        let set = Box::new(Intent::Set(Setting::default()));
        let delete = Box::new(Intent::Delete { former: Map::new() });
        for (kind, state, is_open, is_done) in [
            (ItemKind::Created, ItemState::Waiting, true, false),
            (ItemKind::Created, ItemState::Writing(set.clone()), true, false),
            (ItemKind::Created, ItemState::Done(None), false, false),
            (ItemKind::Duplicate, ItemState::Done(Some(delete)), false, true),
            (ItemKind::Updated, ItemState::Done(Some(set)), false, true),
            (ItemKind::Updated, ItemState::Left(Left::Moved), false, false),
        ] {
            let item = UndoItem { state, memory: vec![memory.clone()], ..UndoItem::waiting(3, 9, kind) };
            assert_eq!((item.is_open(), item.done().is_some()), (is_open, is_done));
            let text = json!(item).to_string();
            assert_eq!(serde_json::from_str::<UndoItem>(&text).unwrap(), item, "{text}");
        }
    }
}

//! Builds the event about edits by people that a request overwrote.

use schemars::JsonSchema;
use serde::Serialize;

use crate::batch::event::batch::label;
use crate::batch::event::previous::address;
use crate::batch::event::{Event, OVERWRITTEN, event, event_id};
use crate::batch::generation::Overwritten;
use crate::batch::ledger::{BatchRecord, CaseRecord, Target};
use crate::batch::message::key_by_position;

const CAUSE: &str = "A person edited the case in the 2 seconds between the reading of the case and the request that changed it. \
                     Testmo cannot refuse such a request.";
const REMEDY: &str =
    "Compare the contents. To bring the person's edit back, enter it in Testmo: the next generation keeps it.";

/// The most edits that one event lists, so that it fits into a message.
pub const MOST_EDITS: usize = 50;

/// The event data of edits that were overwritten.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EditsOverwritten {
    /// The tenant that the batch belongs to.
    pub tenant_id: String,
    /// The id of the batch within the tenant.
    pub batch_id: String,
    /// What happened, as a text for people.
    pub cause: &'static str,
    /// What to do, as a text for people.
    pub remedy: &'static str,
    /// The edits, at most 50.
    pub edits: Vec<OverwrittenEdit>,
    /// Whether more edits were found than `edits` lists; absent if it lists all.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(default)]
    pub details_cut: bool,
}

/// An edit that was overwritten, or may have been.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct OverwrittenEdit {
    /// The id of the case in Testmo.
    pub testmo_id: u64,
    /// The address of the case in Testmo's web pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The position of the case in the batch, from 1; absent for a case that the batch did not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<usize>,
    /// What people call the case: its `external_id` or, without one, `#` and its position; at most 64 characters. Of a case that
    /// the batch did not have, its id in Testmo.
    pub label: String,
    /// The generator's own id of the case, if the generator gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Whether it is certain that the edit was overwritten.
    pub certainty: Certainty,
    /// The fields that the request wrote: the one that the person had edited or, if that is not known, all of them.
    pub fields: Vec<String>,
    /// What the request wrote, at most 2,000 characters; of several fields as JSON.
    pub written: String,
    /// What the person had written, at most 2,000 characters; absent if Testmo's history does not say that in a known form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
    /// The entry of Testmo's history as JSON, at most 2,000 characters; absent if `lost` says what was in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history_entry: Option<String>,
}

/// How certain it is that an edit was overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// The history names a field that the request wrote, with another content, before the request.
    Overwritten,
    /// Somebody else changed the case in between; it is not known whether in a field that the request wrote.
    PossiblyOverwritten,
}

/// Returns the event of edits that requests of a batch in a project overwrote. `check` names the check: the same one gives the
/// same event id. `now` is in milliseconds since 1970-01-01 UTC.
pub fn edits_overwritten(
    record: &BatchRecord,
    (account, project): (&str, u64),
    edits: &[Overwritten],
    check: &str,
    now: i64,
) -> Event {
    let (tenant, batch) = (&record.key.tenant, &record.key.batch);
    let data = EditsOverwritten {
        tenant_id: tenant.to_string(),
        batch_id: batch.to_string(),
        cause: CAUSE,
        remedy: REMEDY,
        edits: edits
            .iter()
            .take(MOST_EDITS)
            .map(|edit| OverwrittenEdit::of(record, (account, project), edit))
            .collect(),
        details_cut: edits.len() > MOST_EDITS,
    };
    let id = event_id(&[tenant.as_str(), batch.as_str(), check, OVERWRITTEN]);
    event(id, OVERWRITTEN, Some(tenant), Some(batch), record.trace.as_ref(), data, now)
}

impl OverwrittenEdit {
    /// Describes an edit that a request of a batch overwrote, in a project.
    pub fn of(record: &BatchRecord, (account, project): (&str, u64), edit: &Overwritten) -> Self {
        let position = position_of(record, edit.id);
        let key = position.and_then(|position| Some((position, &record.cases.get(position)?.key)));
        let link = |folder| address(&Target { account: account.to_owned(), project, folder }, folder, edit.id);
        Self {
            testmo_id: edit.id,
            link: edit.folder.map(link),
            position: position.map(|position| position + 1),
            label: key.map_or_else(|| edit.id.to_string(), |(_, key)| label(key)),
            external_id: key.filter(|(position, key)| **key != key_by_position(*position)).map(|(_, key)| key.clone()),
            certainty: if edit.is_certain { Certainty::Overwritten } else { Certainty::PossiblyOverwritten },
            fields: edit.fields.clone(),
            written: edit.written.clone(),
            lost: edit.lost.clone(),
            history_entry: edit.entry.clone(),
        }
    }
}

/// Returns the position of the case that has an id in Testmo: one that the batch created, or that an earlier batch wrote.
fn position_of(record: &BatchRecord, id: u64) -> Option<usize> {
    let is_previous = |case: &CaseRecord| case.previous.as_ref().is_some_and(|case| case.id == id);
    let created = record.arrived().find(|(_, created)| *created == id).map(|(position, _)| position);
    created.or_else(|| record.cases.iter().position(is_previous))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::batch::ledger::{Change, PreviousCase, Repeat};

    fn record() -> BatchRecord {
        let keys = ["TC-1".to_owned(), "#2".to_owned()];
        let mut record = BatchRecord::fresh("acme/b-1".parse().unwrap(), "1:x".into(), keys);
        let previous = |id| Some(PreviousCase { batch: None, id, folder: 7 });
        record.repeats(vec![
            (0, previous(10), Repeat::only(Change::Updated)),
            (1, previous(11), Repeat::only(Change::Updated)),
        ]);
        record
    }

    fn edit(id: u64, lost: Option<&str>) -> Overwritten {
        let entry = lost.is_none().then(|| r#"{"log":1}"#.to_owned());
        let (fields, written) = (vec!["name".to_owned()], "generated".to_owned());
        Overwritten {
            id,
            folder: Some(7),
            is_certain: lost.is_some(),
            fields,
            written,
            lost: lost.map(Into::into),
            entry,
        }
    }

    fn built(edits: &[Overwritten], check: &str) -> (String, Value) {
        let event = edits_overwritten(&record(), ("https://acme.testmo.net", 3), edits, check, 0);
        (event.id, serde_json::from_str(&event.body).unwrap())
    }

    #[test]
    fn an_event_says_what_was_lost_of_each_case() {
        let (_, body) = built(&[edit(10, Some("mine")), edit(11, None), edit(99, None)], "5");
        assert_eq!((&body["type"], &body["subject"]), (&json!(OVERWRITTEN), &json!("acme/b-1")));
        let edits = &body["data"]["edits"];
        let first = json!({
            "testmo_id": 10, "link": "https://acme.testmo.net/repositories/3?group_id=7&case_id=10", "position": 1,
            "label": "TC-1", "external_id": "TC-1", "certainty": "overwritten", "fields": ["name"],
            "written": "generated", "lost": "mine",
        });
        assert_eq!(edits[0], first);
        assert_eq!((&edits[1]["label"], edits[1].get("external_id")), (&json!("#2"), None));
        assert_eq!((&edits[1]["certainty"], edits[1].get("lost")), (&json!("possibly_overwritten"), None));
        assert_eq!(edits[1]["history_entry"], r#"{"log":1}"#);
        assert_eq!((&edits[2]["label"], edits[2].get("position")), (&json!("99"), None));
    }

    #[test]
    fn the_same_check_has_one_event_and_a_long_list_is_cut() {
        let edits = vec![edit(10, Some("mine")); MOST_EDITS + 1];
        let ((first, body), (again, _), (other, _)) = (built(&edits, "5"), built(&edits[..1], "5"), built(&edits, "6"));
        assert_eq!(first, again);
        assert_ne!(first, other);
        assert_eq!(
            (body["data"]["edits"].as_array().unwrap().len(), &body["data"]["details_cut"]),
            (MOST_EDITS, &json!(true))
        );
    }
}

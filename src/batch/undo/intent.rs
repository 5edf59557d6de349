//! Defines what is about to be done with a case, and decides by its row whether that was done.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::batch::written::is_same;

/// What a request is about to do with a case. It is stored before the request is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// Fields are set.
    Set(Setting),
    /// The case is deleted.
    Delete {
        /// Everything that Testmo shows of it.
        former: Map<String, Value>,
    },
}

/// The fields that a request sets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// The fields whose content changes, by column.
    pub fields: Map<String, Value>,
    /// What Testmo shows of them before.
    pub former: Map<String, Value>,
    /// Fields that are sent as they are, because every request has to fill them.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub carried: Map<String, Value>,
    /// Columns that stay, as a person has edited them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
}

/// What became of an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It was carried out.
    Done,
    /// It was not: the case is as before.
    NotDone,
    /// The case is neither as before nor as it was to be: somebody else has changed it.
    Other,
}

/// Decides what became of an intent by the row of its case; `None` says that the case is certainly not in the project. No
/// request of the intent may be under way any more.
pub fn progress(intent: &Intent, row: Option<&Map<String, Value>>) -> Progress {
    match (intent, row) {
        (Intent::Delete { .. }, None) => Progress::Done,
        (Intent::Delete { .. }, Some(_)) => Progress::NotDone,
        (Intent::Set(_), None) => Progress::Other,
        (Intent::Set(setting), Some(row)) => setting.progress(row),
    }
}

impl Setting {
    fn progress(&self, row: &Map<String, Value>) -> Progress {
        let shows = |wanted: &Map<String, Value>| {
            wanted.iter().all(|(column, value)| row.get(column).is_some_and(|shown| is_same(column, value, shown)))
        };
        if shows(&self.fields) {
            Progress::Done
        } else if shows(&self.former) {
            Progress::NotDone
        } else {
            Progress::Other
        }
    }

    /// Returns all fields of the request.
    pub fn body(&self) -> Map<String, Value> {
        let both = self.fields.iter().chain(&self.carried);
        both.map(|(column, value)| (column.clone(), value.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::written::fixture::object;

    #[test]
    fn what_a_row_shows_says_whether_a_request_was_carried_out() {
        let set = Intent::Set(Setting {
            fields: object(json!({"state_id": 5, "custom_note": "<p>a & b</p>"})),
            former: object(json!({"state_id": 1, "custom_note": "<p>z</p>"})),
            carried: object(json!({"custom_a": 3})),
            kept: vec![],
        });
        let delete = Intent::Delete { former: object(json!({"id": 5})) };
        for (intent, row, expected) in [
            (&set, Some(json!({"state_id": {"id": 5, "name": "Old"}, "custom_note": "a &amp; b"})), Progress::Done),
            (&set, Some(json!({"state_id": 1, "custom_note": "<p>z</p>", "custom_a": 9})), Progress::NotDone),
            (&set, Some(json!({"state_id": 5, "custom_note": "<p>z</p>"})), Progress::Other),
            (&set, Some(json!({"state_id": 5})), Progress::Other),
            (&set, None, Progress::Other),
            (&delete, None, Progress::Done),
            (&delete, Some(json!({"id": 5})), Progress::NotDone),
        ] {
            let row = row.map(object);
            assert_eq!(progress(intent, row.as_ref()), expected, "{row:?}");
            let text = serde_json::to_string(intent).unwrap();
            assert_eq!(&serde_json::from_str::<Intent>(&text).unwrap(), intent);
        }
        let Intent::Set(setting) = set else { panic!() };
        assert_eq!(setting.body().len(), 3);
    }
}

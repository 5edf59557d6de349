//! Builds what is created in the place of a case that an undo has deleted, and finds it if the outcome of its request is unknown.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::batch::generation::as_sent;
use crate::batch::ledger::reconcile::{Row, Wanted, WantedCase, find};
use crate::batch::written::is_nothing;

/// Columns that a create request takes, beside custom ones.
const COLUMNS: [&str; 6] = ["name", "folder_id", "template_id", "state_id", "estimate", "tags"];

/// A case that a create request is about to create, or may have created. It is stored before the request is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Creating {
    /// The case as it is sent.
    pub entry: Map<String, Value>,
    /// Rows with this id or a lower one existed before.
    #[serde(rename = "f")]
    pub floor: u64,
}

impl Creating {
    /// Returns what is sent so that a case is there again of which Testmo showed this before it was deleted; `None` if it
    /// could not be found by its batch tag after an unknown outcome.
    pub fn of(former: &Map<String, Value>, tag: &str) -> Option<Self> {
        let tags = former.get("tags")?.as_array()?;
        let is_ours = tags.iter().any(|shown| shown.as_str() == Some(tag));
        let is_complete = former.get("name")?.is_string() && former.get("folder_id")?.is_u64();
        let is_sent = |column: &str| COLUMNS.contains(&column) || column.starts_with("custom_");
        let fields = former.iter().filter(|(column, value)| is_sent(column) && !is_nothing(value));
        let entry = fields.map(|(column, value)| (column.clone(), as_sent(value))).collect();
        (is_ours && is_complete).then_some(Self { entry, floor: 0 })
    }

    /// Returns the name of the case.
    pub fn name(&self) -> &str {
        self.entry.get("name").and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the folder that the case is sent to.
    pub fn folder(&self) -> u64 {
        self.entry.get("folder_id").and_then(Value::as_u64).unwrap_or_default()
    }
}

/// Returns which rows are cases that may have been created, by their places. `held` are ids of other cases.
pub fn find_again(creating: &[(usize, &Creating)], tag: &str, rows: &[Row], held: &HashSet<u64>) -> Vec<(usize, u64)> {
    let case = |(place, creating): &(usize, &'_ Creating)| (*place, creating.folder());
    let cases: Vec<WantedCase<'_>> = creating
        .iter()
        .map(|wanted| {
            let (position, folder) = case(wanted);
            WantedCase { position, name: wanted.1.name(), folder }
        })
        .collect();
    let floor = creating.iter().map(|(_, creating)| creating.floor).min();
    find(&Wanted { cases: &cases, arrived: &[], batch_tag: Some(tag), floor, not_before: 0, held }, rows).cases
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TAG: &str = "sqai-0123456789ab";

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn a_case_is_sent_as_it_was_shown_without_what_testmo_gives_it() {
        let shown = json!({"id": 5, "name": "a", "folder_id": 7, "template_id": 2, "state_id": 4, "status_id": null,
            "estimate": null, "tags": ["x", TAG], "custom_priority": {"id": 2, "name": "Normal"}, "custom_empty": "",
            "custom_steps": [{"id": 9, "text1": "<p>go</p>", "text2": null}], "created_at": "2026-11-01 10:00:00",
            "history": [], "comments": [], "has_automation": false});
        let again = Creating::of(&object(shown.clone()), TAG).unwrap();
        let sent = json!({"name": "a", "folder_id": 7, "template_id": 2, "state_id": 4, "tags": ["x", TAG],
            "custom_priority": 2, "custom_steps": [{"text1": "<p>go</p>", "display_order": 1}]});
        assert_eq!((Value::Object(again.entry.clone()), again.name(), again.folder()), (sent, "a", 7));
        for (column, value) in
            [("tags", json!(["x"])), ("tags", Value::Null), ("name", Value::Null), ("folder_id", Value::Null)]
        {
            let mut unfit = object(shown.clone());
            unfit.insert(column.into(), value);
            assert_eq!(Creating::of(&unfit, TAG), None, "{column}");
        }
    }

    #[test]
    fn only_new_rows_with_the_batch_tag_and_the_name_are_what_was_created() {
        let creating = |name: &str| Creating { entry: object(json!({"name": name, "folder_id": 7})), floor: 20 };
        let (first, second) = (creating("a"), creating("b"));
        let row =
            |id, name: &str, tag: &str| Row { id, name: name.into(), folder: 7, tags: vec![tag.into()], created_at: 0 };
        let rows = [row(20, "a", TAG), row(21, "a", "other"), row(22, "a", TAG), row(23, "b", TAG), row(24, "b", TAG)];
        let found =
            |held: &[u64]| find_again(&[(4, &first), (6, &second)], TAG, &rows, &held.iter().copied().collect());
        assert_eq!(found(&[]), [(4, 22), (6, 23)]);
        assert_eq!(found(&[23]), [(4, 22), (6, 24)]);
        assert_eq!(found(&[22, 23, 24]), []);
    }
}

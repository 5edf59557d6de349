//! What does Testmo send? The parts of its answers that the worker reads.
//!
//! Field names and forms are those of Testmo's published SDK and of recorded answers.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::batch::reconcile::Row;

/// `GET /user`: not wrapped in `result`.
#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub(super) name: String,
}

/// `GET /projects/{id}`.
#[derive(Debug, Deserialize)]
pub(super) struct One<T> {
    pub(super) result: T,
}

#[derive(Debug, Deserialize)]
pub(super) struct Project {
    pub(super) name: String,
}

/// Every list. `expands` is an empty list where nothing was expanded, so it is kept as it comes.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    pub(super) next_page: Option<u64>,
    pub(super) total: Option<u64>,
    pub(super) result: Vec<T>,
    #[serde(default)]
    pub(super) expands: Value,
}

/// A folder of a project's repository.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Folder {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// The folder it is in; none at the top.
    pub parent_id: Option<u64>,
}

/// The answer to a create request: one entry for each case, in the order of the request.
#[derive(Debug, Deserialize)]
pub(super) struct Created {
    pub(super) result: Vec<Value>,
}

/// A case in a list.
#[derive(Debug, Deserialize)]
pub(super) struct ListedCase {
    id: u64,
    name: String,
    folder_id: Option<u64>,
    created_at: String,
    #[serde(default)]
    tags: Vec<Value>,
}

impl Page<ListedCase> {
    /// The cases with the names of their tags, which a list gives as ids beside a dictionary.
    pub(super) fn rows(&self) -> Result<Vec<Row>, String> {
        let names = self.expands.get("tags").and_then(Value::as_array);
        let name_of = |id: u64| {
            let tag = names?.iter().find(|tag| tag.get("id").and_then(Value::as_u64) == Some(id))?;
            tag.get("name")?.as_str().map(str::to_owned)
        };
        let tag = |tag: &Value| match tag {
            Value::Number(id) => id.as_u64().and_then(name_of),
            Value::String(name) => Some(name.clone()),
            Value::Object(fields) => fields.get("name").and_then(Value::as_str).map(str::to_owned),
            Value::Null | Value::Bool(_) | Value::Array(_) => None,
        };
        let row = |case: &ListedCase| {
            Ok(Row {
                id: case.id,
                name: case.name.clone(),
                folder: case.folder_id.unwrap_or_default(),
                tags: case.tags.iter().filter_map(tag).collect(),
                created_at: time_of(&case.created_at).ok_or_else(|| "a time of creation".to_owned())?,
            })
        };
        self.result.iter().map(row).collect()
    }
}

/// Milliseconds since 1970 of either form that Testmo uses; cases have no zone and mean UTC.
pub(super) fn time_of(text: &str) -> Option<i64> {
    let at = text.parse::<Timestamp>().or_else(|_| format!("{text}Z").parse());
    at.ok().map(Timestamp::as_millisecond)
}

/// The id of a created case; an entry without one is unclear.
pub(super) fn created_id(entry: &Value) -> Option<u64> {
    entry.get("id").and_then(Value::as_u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_of_time_are_read() {
        assert_eq!(time_of("1970-01-01T00:00:01.5Z"), Some(1_500));
        assert_eq!(time_of("1970-01-01 00:00:01.500000"), Some(1_500));
        assert_eq!(time_of("today"), None);
    }

    #[test]
    fn tags_are_read_in_every_form() {
        let page = json!({"next_page": null, "total": 1,
            "result": [{"id": 1, "name": "n", "folder_id": 2, "created_at": "1970-01-01 00:00:00",
                        "tags": [7, {"tag_id": 9, "name": "b"}, "c", 8]}],
            "expands": {"tags": [{"id": 7, "name": "a"}]}});
        let page: Page<ListedCase> = serde_json::from_value(page).unwrap();
        assert_eq!(page.rows().unwrap()[0].tags, ["a", "b", "c"]);
    }

    #[test]
    fn an_empty_list_for_expands_is_read() {
        let page = json!({"next_page": null, "total": 0, "result": [], "expands": []});
        let page: Page<ListedCase> = serde_json::from_value(page).unwrap();
        assert_eq!(page.rows().unwrap(), []);
    }
}

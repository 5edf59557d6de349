//! Reads the parts of Testmo's answers that the worker needs.
//!
//! Field names and forms are those of Testmo's published SDK and of recorded answers.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::bounded::{Bounded, exceeded};
use super::pages::Entry;
use crate::batch::ledger::reconcile::Row;
use crate::batch::verdict::answer::is_id;

/// The answer to `GET /user`, which is not wrapped in `result`.
#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub(super) name: String,
}

/// The answer to `GET /projects/{id}`.
#[derive(Debug, Deserialize)]
pub(super) struct One<T> {
    pub(super) result: T,
}

#[derive(Debug, Deserialize)]
pub(super) struct Project {
    pub(super) name: String,
}

/// The most entries of a page: ten times as many as are requested.
const MOST_OF_PAGE: usize = 1_000;
/// The most tags of a case.
const MOST_TAGS: usize = 1_000;
/// The most tags in the dictionary of a page.
const MOST_NAMES: usize = 10_000;

/// A page of a list. `expands` is an empty list where nothing was expanded, so its JSON is kept as it is.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    pub(super) next_page: Option<u64>,
    pub(super) total: Option<u64>,
    pub(super) result: Bounded<T, MOST_OF_PAGE>,
    #[serde(default)]
    pub(super) expands: Option<Box<RawValue>>,
}

/// A folder of a project's repository.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Folder {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// The id of its parent folder; none at the top level.
    pub parent_id: Option<u64>,
}

impl Entry for Folder {
    fn size(&self) -> usize {
        size_of::<Self>() + self.name.len()
    }
}

/// A folder that was created, as far as the answer shows it.
#[derive(Debug, Deserialize)]
pub(super) struct EchoedFolder {
    pub(super) id: u64,
    pub(super) project_id: Option<u64>,
    pub(super) parent_id: Option<u64>,
    pub(super) name: Option<String>,
}

impl Entry for Row {
    fn size(&self) -> usize {
        let tags = self.tags.iter().map(|tag| size_of::<String>() + tag.len());
        size_of::<Self>() + self.name.len() + tags.sum::<usize>()
    }
}

/// The answer to a create request: one entry for each case, in the order of the request.
#[derive(Debug, Deserialize)]
pub(super) struct Created<'a> {
    #[serde(borrow)]
    pub(super) result: Bounded<&'a RawValue, MOST_OF_PAGE>,
}

/// A case in a list.
#[derive(Debug, Deserialize)]
pub(super) struct ListedCase<'a> {
    id: u64,
    name: String,
    folder_id: Option<u64>,
    created_at: String,
    #[serde(borrow)]
    tags: Option<Bounded<&'a RawValue, MOST_TAGS>>,
}

/// A page of a list of cases, as it came.
#[derive(Clone, Debug, Default)]
pub struct CasePage {
    /// The rows, in the order of the list.
    pub rows: Vec<Row>,
    /// The page that follows.
    pub next_page: Option<u64>,
    /// How many rows the whole list has.
    pub total: Option<u64>,
    /// How far the server's clock is ahead of ours, in milliseconds.
    pub skew: Option<i64>,
    /// The server's time, in milliseconds since 1970.
    pub server_time: Option<i64>,
}

/// A tag in the dictionary of a page.
#[derive(Debug, Deserialize)]
struct ListedTag {
    id: u64,
    name: String,
}

/// The part of `expands` that is read.
#[derive(Debug, Deserialize)]
struct Expands<'a> {
    #[serde(borrow)]
    tags: Option<&'a RawValue>,
}

impl Page<ListedCase<'_>> {
    /// Returns the cases with the names of their tags, which a list gives as ids with a dictionary in `expands`.
    pub(super) fn rows(&self) -> Result<Vec<Row>, String> {
        let names = self.names_of_tags()?;
        let row = |case: &ListedCase<'_>| {
            if !is_id(case.id) {
                return Err(format!("a case with the id {}", case.id));
            }
            let tags = case.tags.iter().flat_map(|tags| &tags.0);
            Ok(Row {
                id: case.id,
                name: case.name.clone(),
                folder: case.folder_id.unwrap_or_default(),
                tags: tags.filter_map(|tag| name_of(tag, &names)).collect(),
                created_at: time_of(&case.created_at).ok_or_else(|| "a time of creation".to_owned())?,
            })
        };
        self.result.0.iter().map(row).collect()
    }

    /// Returns the names of tags by their ids. Entries in an unknown form are passed over.
    fn names_of_tags(&self) -> Result<HashMap<u64, String>, String> {
        let expands = self.expands.as_ref().filter(|expands| expands.get().starts_with('{'));
        let expands = expands.and_then(|expands| serde_json::from_str::<Expands<'_>>(expands.get()).ok());
        let Some(tags) = expands.and_then(|expands| expands.tags).filter(|tags| tags.get().starts_with('[')) else {
            return Ok(HashMap::new());
        };
        match serde_json::from_str::<Bounded<&RawValue, MOST_NAMES>>(tags.get()) {
            Ok(tags) => {
                let tags = tags.0.into_iter().filter_map(|tag| serde_json::from_str::<ListedTag>(tag.get()).ok());
                // Of several with one id the first counts.
                Ok(tags.rev().map(|tag| (tag.id, tag.name)).collect())
            }
            Err(error) => match exceeded(&error) {
                Some(most) => Err(format!("a page with more than {most} tags")),
                None => Ok(HashMap::new()),
            },
        }
    }
}

/// Returns the name of a tag in any of the forms in which a list shows it: its id, its name, or an object.
fn name_of(tag: &RawValue, names: &HashMap<u64, String>) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    match tag.get().as_bytes().first()? {
        b'{' => serde_json::from_str::<Named>(tag.get()).ok().map(|tag| tag.name),
        b'"' => serde_json::from_str(tag.get()).ok(),
        _ => names.get(&tag.get().parse().ok()?).cloned(),
    }
}

/// Reads a time in either form that Testmo uses, as milliseconds since 1970; the times of cases have no zone and mean
/// UTC.
pub(super) fn time_of(text: &str) -> Option<i64> {
    let at = text.parse::<Timestamp>().or_else(|_| format!("{text}Z").parse());
    at.ok().map(Timestamp::as_millisecond)
}

/// Returns the id of a created case; without one, the outcome of the case is unknown.
pub(super) fn created_id(entry: &RawValue) -> Option<u64> {
    #[derive(Deserialize)]
    struct WithId {
        id: u64,
    }
    serde_json::from_str::<WithId>(entry.get()).ok().map(|entry| entry.id)
}

/// Returns when a case was created, in milliseconds since 1970, if the entry says so.
pub(super) fn created_at(entry: &RawValue) -> Option<i64> {
    #[derive(Deserialize)]
    struct WithTime {
        created_at: String,
    }
    time_of(&serde_json::from_str::<WithTime>(entry.get()).ok()?.created_at)
}

#[cfg(test)]
mod tests {
    use hyper::header::{CONTENT_TYPE, HeaderValue};
    use serde_json::json;

    use super::super::classify::Answer;
    use super::*;
    use crate::batch::verdict::answer::ApiError;

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
        let page = page.to_string();
        let page: Page<ListedCase<'_>> = serde_json::from_str(&page).unwrap();
        assert_eq!(page.rows().unwrap()[0].tags, ["a", "b", "c"]);
    }

    #[test]
    fn an_empty_list_for_expands_is_read() {
        let page: Page<ListedCase<'_>> =
            serde_json::from_str(r#"{"next_page": null, "total": 0, "result": [], "expands": []}"#).unwrap();
        assert_eq!(page.rows().unwrap(), []);
    }

    #[test]
    fn what_is_read_of_a_page_is_bounded() {
        let case = |tags: &str| {
            format!(
                r#"{{"id": 1, "name": "n", "folder_id": 2, "created_at": "1970-01-01 00:00:00", "tags": [{tags}]}}"#
            )
        };
        let many = |entry: &str, count: usize| vec![entry; count].join(",");
        for (cases, tags, expanded, error) in [
            (1_000, 1, 1, None),
            (1, 1_000, 10_000, None),
            (1_001, 1, 1, Some("a list has more than 1000 entries")),
            (1, 1_001, 1, Some("a list has more than 1000 entries")),
            (1, 1, 10_001, Some("a page with more than 10000 tags")),
        ] {
            let (cases, names) = (many(&case(&many("7", tags)), cases), many(r#"{"id": 7, "name": "a"}"#, expanded));
            let body = format!(r#"{{"result": [{cases}], "expands": {{"tags": [{names}]}}}}"#);
            let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))].into_iter().collect();
            let answer = Answer { status: 200, headers, body: body.into(), at: 0 };
            let page = answer.content::<Page<ListedCase<'_>>>();
            match (page.and_then(|page| page.rows().map_err(ApiError::Unreadable)), error) {
                (Ok(rows), None) => assert_eq!(rows[0].tags, vec!["a"; tags]),
                (Err(ApiError::Unreadable(why)), Some(error)) => assert!(why.starts_with(error), "{why}"),
                (read, error) => panic!("{error:?}: {read:?}"),
            }
        }
    }
}

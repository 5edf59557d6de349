//! Reads pages of a project's cases with everything that Testmo shows of each: its fields, and who edited it when.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::calls::{content, read};
use super::classify::Answer;
use super::client::Client;
use super::transport::Access;
use super::wire::{Page, time_of};
use crate::batch::verdict::answer::{ApiError, is_id};

/// The most tags, and the most users, in the dictionary of a page.
const MOST_NAMES: usize = 10_000;

/// A case as a list shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownCase {
    /// Its id.
    pub id: u64,
    /// Its fields by column; its tags by name.
    pub fields: Map<String, Value>,
    /// Whether its tags are all of those that it has.
    pub names_all_tags: bool,
}

/// What a page shows of each case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// Its fields.
    Fields,
    /// Its fields and its history, where Testmo has it.
    Edits,
    /// What people do with it, too: comments, automation links and the history, where Testmo has them.
    Uses,
}

/// A page of cases as it is shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShownPage {
    /// The cases, in the order of the list.
    pub cases: Vec<ShownCase>,
    /// The names of users, by id, as far as the page shows them.
    pub users: HashMap<u64, String>,
    /// The page that follows.
    pub next_page: Option<u64>,
    /// How many cases the whole list has.
    pub total: Option<u64>,
}

impl ShownCase {
    /// Returns a field that is a number.
    pub fn number(&self, column: &str) -> Option<u64> {
        self.fields.get(column)?.as_u64()
    }

    /// Returns a field that is a text; empty where it is none.
    pub fn text(&self, column: &str) -> &str {
        self.fields.get(column).and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns a field that is a time, in milliseconds since 1970.
    pub fn time(&self, column: &str) -> Option<i64> {
        time_of(self.text(column))
    }

    /// Returns its fields; its tags only if all of them are known, as a list replaces what is there.
    pub fn known_fields(&self) -> Map<String, Value> {
        let mut fields = self.fields.clone();
        if !self.names_all_tags {
            fields.remove("tags");
        }
        fields
    }

    /// Returns the names of its tags.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.fields.get("tags").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }
}

impl Client {
    /// Reads one page of a project's cases; `query` is added to the request, such as an order or a filter.
    ///
    /// # Errors
    /// When the call fails or the answer reports a failure.
    pub async fn shown_cases(
        &self,
        access: &Access,
        project: u64,
        shows: Shows,
        query: &str,
        page: u64,
    ) -> Result<ShownPage, ApiError> {
        let expands = shows.expands();
        let path = format!("/projects/{project}/cases?per_page=100&expands={expands}{query}&page={page}");
        read(self.get(access, &path).await?, shown).await
    }
}

impl Shows {
    /// Returns what a page shows that Testmo has refused to show, or that was too large; `None` if nothing less is of use.
    pub fn less(self) -> Option<Self> {
        match self {
            Self::Edits => Some(Self::Fields),
            Self::Fields | Self::Uses => None,
        }
    }

    fn expands(self) -> &'static str {
        match self {
            Self::Fields => "tags,users",
            Self::Edits => "tags,users,history",
            Self::Uses => "tags,users,comments,history,automation_links",
        }
    }
}

/// A dictionary of a page: names by ids.
#[derive(Debug, Deserialize)]
struct Named {
    id: u64,
    name: String,
}

fn shown(answer: &Answer) -> Result<ShownPage, ApiError> {
    let page: Page<Map<String, Value>> = content(answer)?;
    let expands: Map<String, Value> =
        page.expands.as_deref().and_then(|expands| serde_json::from_str(expands.get()).ok()).unwrap_or_default();
    let (tags, users) = (names(&expands, "tags")?, names(&expands, "users")?);
    let entries = history_entries(&expands);
    let mut cases = page.result.0.into_iter().map(|fields| named_case(fields, &tags)).collect::<Result<Vec<_>, _>>()?;
    cases.iter_mut().for_each(|case| join_history(&mut case.fields, &entries));
    Ok(ShownPage { cases, users, next_page: page.next_page, total: page.total })
}

/// Returns a case with its tags by name.
pub(super) fn named_case(mut fields: Map<String, Value>, tags: &HashMap<u64, String>) -> Result<ShownCase, ApiError> {
    let id = fields.get("id").and_then(Value::as_u64).filter(|id| is_id(*id));
    let id = id.ok_or_else(|| ApiError::Unreadable("a case without an id".into()))?;
    let mut names_all_tags = true;
    if let Some(Value::Array(shown)) = fields.get_mut("tags") {
        let count = shown.len();
        let named: Vec<Value> = shown.iter().filter_map(|tag| name_of(tag, tags)).map(Value::String).collect();
        names_all_tags = named.len() == count;
        *shown = named;
    }
    Ok(ShownCase { id, fields, names_all_tags })
}

/// Returns the names of a dictionary by id. Entries in an unknown form are passed over.
fn names(expands: &Map<String, Value>, of: &str) -> Result<HashMap<u64, String>, ApiError> {
    let Some(Value::Array(entries)) = expands.get(of) else { return Ok(HashMap::new()) };
    if entries.len() > MOST_NAMES {
        return Err(ApiError::Unreadable(format!("a page with more than {MOST_NAMES} {of}")));
    }
    let named = |entry: &Value| serde_json::from_value::<Named>(entry.clone()).ok();
    Ok(entries.iter().rev().filter_map(named).map(|named| (named.id, named.name)).collect())
}

/// Returns the entries of the histories of a page by their ids, if the page has them in its dictionary, as it has tags.
fn history_entries(expands: &Map<String, Value>) -> HashMap<u64, &Value> {
    let entries = expands.get("history").and_then(Value::as_array).into_iter().flatten();
    entries.filter_map(|entry| Some((entry.get("id")?.as_u64()?, entry))).collect()
}

/// Puts entries into the place of their ids.
fn join_history(fields: &mut Map<String, Value>, entries: &HashMap<u64, &Value>) {
    let history = fields.get_mut("history").and_then(Value::as_array_mut).into_iter().flatten();
    for entry in history {
        if let Some(whole) = entry.as_u64().and_then(|id| entries.get(&id)) {
            *entry = (*whole).clone();
        }
    }
}

/// Returns the name of a tag in any of the forms in which a list shows it: its id, its name, or an object.
fn name_of(tag: &Value, names: &HashMap<u64, String>) -> Option<String> {
    match tag {
        Value::String(name) => Some(name.clone()),
        Value::Object(tag) => tag.get("name").and_then(Value::as_str).map(ToOwned::to_owned),
        Value::Number(id) => names.get(&id.as_u64()?).cloned(),
        Value::Null | Value::Bool(_) | Value::Array(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
    use serde_json::json;

    use super::*;

    fn page(body: &Value) -> Result<ShownPage, ApiError> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        shown(&Answer { status: 200, headers, body: body.to_string().into_bytes(), at: 0 })
    }

    #[test]
    fn tags_and_users_are_shown_by_name_in_every_form() {
        let read = page(&json!({"next_page": 2, "total": 101,
            "expands": {"tags": [{"id": 1, "name": "smoke"}, {"id": 1, "name": "later"}, "odd"],
                        "users": [{"id": 7, "name": "Ann"}]},
            "result": [
                {"id": 5, "name": "a", "updated_at": "2026-07-29 12:48:28.450217", "updated_by": 7,
                 "tags": [1, 2, "b", {"tag_id": 3, "name": "c"}], "custom_priority": 2},
                {"id": 6, "name": "b", "updated_at": null}]}))
        .unwrap();
        assert_eq!((read.next_page, read.total, read.users[&7].as_str()), (Some(2), Some(101), "Ann"));
        let [first, second] = &read.cases[..] else { panic!("{read:?}") };
        assert_eq!(first.tags().collect::<Vec<_>>(), ["smoke", "b", "c"]);
        assert_eq!((first.names_all_tags, second.names_all_tags), (false, true), "2 has no name");
        assert_eq!((first.number("updated_by"), first.number("custom_priority")), (Some(7), Some(2)));
        assert_eq!(first.time("updated_at"), Some(1_785_329_308_450));
        assert_eq!((second.text("name"), second.time("updated_at"), second.tags().count()), ("b", None, 0));
        assert_eq!(page(&json!({"expands": [], "result": []})).unwrap(), ShownPage::default());
    }

    #[test]
    fn the_history_of_a_case_is_read_from_the_row_or_from_the_dictionary() {
        let entry = json!({"id": 1, "what": "created"});
        for (history, expands, expected) in [
            (json!([entry]), json!([]), json!([entry])),
            (json!([1, 2]), json!({"history": [entry, "odd"]}), json!([entry, 2])),
            (json!([1]), json!({}), json!([1])),
            (json!("odd"), json!({"history": [entry]}), json!("odd")),
        ] {
            let read = page(&json!({"expands": expands, "result": [{"id": 5, "history": history}]})).unwrap();
            assert_eq!(read.cases[0].fields["history"], expected);
        }
    }

    #[test]
    fn a_case_without_an_id_makes_a_page_unreadable() {
        for case in [json!({"name": "a"}), json!({"id": 0}), json!({"id": "5"})] {
            assert!(matches!(page(&json!({"result": [case]})), Err(ApiError::Unreadable(_))), "{case}");
        }
    }
}

//! Makes the calls of a probe, which checks what is assumed of Testmo, and returns what each answer shows.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::calls::{content, listed_cases, offset_of, read};
use super::classify::Answer;
use super::client::Client;
use super::transport::{Access, Method};
use super::wire::{CasePage, Created, Page, created_id};
use crate::batch::verdict::answer::ApiError;

/// The longest name of a field's kind that is kept.
const LONGEST_KIND: usize = 20;

/// What the list of fields shows of a field of cases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenField {
    /// Whether it has a column.
    pub has_column: bool,
    /// Its kind, a number in recordings.
    pub kind: Option<String>,
    /// Whether the list says if cases must have it.
    pub says_required: bool,
}

/// A case in the answer to a request that created or edited it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// Its id, if the answer has one.
    pub id: Option<u64>,
    /// How far its creation time is from the time of the answer, in milliseconds.
    pub offset: Option<i64>,
    /// Everything that the answer shows of it.
    pub values: Map<String, Value>,
}

impl Client {
    /// Reads one page of a project's cases; `query` is the whole query.
    ///
    /// # Errors
    /// When the call fails or the answer reports a failure.
    pub async fn probe_cases(&self, access: &Access, project: u64, query: &str) -> Result<CasePage, ApiError> {
        let answer = self.get(access, &format!("/projects/{project}/cases?{query}")).await?;
        read(answer, listed_cases).await
    }

    /// Counts the entries on the first page of a project's list, such as `templates`.
    ///
    /// # Errors
    /// When the call fails or the answer reports a failure.
    pub async fn probe_list(&self, access: &Access, project: u64, list: &str) -> Result<usize, ApiError> {
        let answer = self.get(access, &format!("/projects/{project}/{list}?per_page=100&page=1")).await?;
        read(answer, |answer| content::<Page<IgnoredAny>>(answer).map(|page| page.result.0.len())).await
    }

    /// Reads the first page of a project's fields.
    ///
    /// # Errors
    /// When the call fails or the answer reports a failure.
    pub async fn probe_fields(&self, access: &Access, project: u64) -> Result<Vec<SeenField>, ApiError> {
        let answer = self.get(access, &format!("/projects/{project}/fields?per_page=100&page=1")).await?;
        read(answer, |answer| {
            let page: Page<ListedField> = content(answer)?;
            Ok(page.result.0.into_iter().filter_map(ListedField::of_cases).collect())
        })
        .await
    }

    /// Creates or edits one case; `body` is the whole request.
    ///
    /// # Errors
    /// When the call fails or the answer reports a failure; [`ApiError::may_have_committed`] says whether the request may
    /// have been carried out.
    pub async fn probe_write(
        &self,
        access: &Access,
        project: u64,
        method: Method,
        body: String,
    ) -> Result<Written, ApiError> {
        let answer = self.send(access, method, &format!("/projects/{project}/cases"), body).await?;
        read(answer, written).await
    }
}

fn written(answer: &Answer) -> Result<Written, ApiError> {
    let created: Created<'_> = content(answer)?;
    let [entry] = created.result.0[..] else {
        return Err(ApiError::Unreadable(format!("{} entries for one case", created.result.0.len())));
    };
    let values = serde_json::from_str(entry.get()).unwrap_or_default();
    Ok(Written { id: created_id(entry), offset: offset_of(answer, entry), values })
}

/// An entry of the list of fields, as far as a probe looks at it.
#[derive(Debug, Deserialize)]
struct ListedField {
    column_name: Option<String>,
    entity: Option<String>,
    is_required: Option<Value>,
    #[serde(rename = "type")]
    kind: Option<Value>,
}

impl ListedField {
    fn of_cases(self) -> Option<SeenField> {
        let is_of_cases = self.entity.is_none_or(|entity| entity == "repository_case");
        is_of_cases.then(|| SeenField {
            has_column: self.column_name.is_some(),
            kind: self.kind.as_ref().and_then(kind_of),
            says_required: self.is_required.is_some(),
        })
    }
}

/// Returns a kind that is a number or a plain word.
fn kind_of(kind: &Value) -> Option<String> {
    let text = match kind {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (text.len() <= LONGEST_KIND && text.chars().all(is_plain)).then_some(text)
}

#[cfg(test)]
mod tests {
    use hyper::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderValue};

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT")),
        ];
        Answer { status, headers: HeaderMap::from_iter(headers), body: body.into(), at: 784_111_777_000 }
    }

    #[test]
    fn a_written_case_is_read_only_where_the_answer_has_exactly_one() {
        let one = r#"{"result": [{"id": 7, "name": "a", "created_at": "1994-11-06 06:49:37"}]}"#;
        let case = written(&answer(201, one)).unwrap();
        assert_eq!((case.id, case.offset, &case.values["name"]), (Some(7), Some(-7_200_000), &"a".into()));
        for body in [r#"{"result": []}"#, r#"{"result": [{"id": 7}, {"id": 8}]}"#] {
            assert!(matches!(written(&answer(200, body)), Err(ApiError::Unreadable(_))), "{body}");
        }
        assert_eq!(written(&answer(200, r#"{"result": [{"id": "7"}]}"#)).unwrap().id, None);
    }

    #[test]
    fn a_kind_is_a_number_or_a_plain_word() {
        for (kind, expected) in [("2", Some("2")), ("\"text\"", Some("text")), ("\"a b\"", None), ("[]", None)] {
            assert_eq!(kind_of(&serde_json::from_str(kind).unwrap()).as_deref(), expected, "{kind}");
        }
    }
}

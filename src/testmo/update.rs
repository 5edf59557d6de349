//! Writes fields of cases that exist, and deletes cases.

use std::time::Duration;

use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use super::calls::{content, read};
use super::classify::Answer;
use super::client::Client;
use super::shown_cases::{ShownCase, named_case};
use super::transport::{Access, Method};
use super::wire::Page;
use crate::batch::verdict::answer::ApiError;

/// How long after the answer that shows a case has arrived a request that changes it may begin: a person may edit it meanwhile,
/// and Testmo has no way to notice that. Counted from the request, a Testmo that answers slowly would never be written to.
pub const WINDOW: Duration = Duration::from_secs(2);
/// The most cases in one request (Testmo's API reference).
pub const MOST_UPDATED: usize = 100;

impl Client {
    /// Gives cases of a project these fields, and returns them as the answer shows them; `body` is the whole request.
    ///
    /// # Errors
    /// When the call fails or the answer reports a failure; [`ApiError::may_have_committed`] says whether the fields may have
    /// been written.
    pub async fn update_cases(&self, access: &Access, project: u64, body: String) -> Result<Vec<ShownCase>, ApiError> {
        let answer = self.send(access, Method::Patch, &format!("/projects/{project}/cases"), body).await?;
        read(answer, updated).await
    }

    /// Deletes cases of a project, which also leave test runs.
    ///
    /// # Errors
    /// When the call fails or the answer reports a failure; [`ApiError::may_have_committed`] says whether the cases may be
    /// gone nevertheless.
    pub async fn delete_cases(&self, access: &Access, project: u64, ids: &[u64]) -> Result<(), ApiError> {
        let body = json!({"ids": ids}).to_string();
        let answer = self.send(access, Method::Delete, &format!("/projects/{project}/cases"), body).await?;
        // Testmo answers with 204, which has no content.
        if answer.status == 204 { Ok(()) } else { content::<IgnoredAny>(&answer).map(drop) }
    }
}

/// Returns the body of a request that gives cases these fields.
pub fn update_body<'a>(ids: &[u64], fields: impl Iterator<Item = (&'a String, &'a Value)>) -> String {
    let mut body: Map<String, Value> = fields.map(|(column, value)| (column.clone(), value.clone())).collect();
    body.insert("ids".into(), ids.into());
    Value::Object(body).to_string()
}

fn updated(answer: &Answer) -> Result<Vec<ShownCase>, ApiError> {
    let page: Page<Map<String, Value>> = content(answer)?;
    page.result.0.into_iter().map(|fields| named_case(fields, &Default::default())).collect()
}

#[cfg(test)]
mod tests {
    use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

    use super::*;

    #[test]
    fn an_answer_shows_the_cases_and_says_whether_it_names_their_tags() {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let body =
            json!({"result": [{"id": 5, "name": "a", "tags": ["b", {"id": 1, "name": "c"}]}, {"id": 6, "tags": [7]}]});
        let cases = updated(&Answer { status: 200, headers, body: body.to_string().into_bytes(), at: 0 }).unwrap();
        assert_eq!((cases[0].id, cases[0].names_all_tags, cases[0].tags().count()), (5, true, 2));
        assert_eq!((cases[1].id, cases[1].names_all_tags), (6, false), "ids say nothing");
    }

    #[test]
    fn a_request_names_the_cases_and_their_fields() {
        let fields: Map<String, Value> = json!({"name": "a"}).as_object().cloned().unwrap_or_default();
        assert_eq!(update_body(&[5, 6], fields.iter()), r#"{"name":"a","ids":[5,6]}"#);
    }
}

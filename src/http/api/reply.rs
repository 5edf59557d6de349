//! Holds what a request is answered with.

use axum::body::Body;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;

use super::super::admin::problem::Problem;

/// Says that an answer was kept from a request with the same key.
pub(super) const REPEATED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// An answer to a request.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content: Content,
    /// The members that are shown once: they are null where the answer is repeated.
    pub(super) secrets: &'static [&'static str],
    headers: HeaderMap,
}

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Content {
    Json(Value),
    Csv(String),
    Bytes(Vec<u8>),
}

impl Reply {
    /// Answers with JSON.
    pub(super) fn json(status: u16, value: &impl Serialize) -> Result<Self, Problem> {
        let value = serde_json::to_value(value).map_err(|error| {
            tracing::error!(%error, "an answer of the API has no JSON form");
            Problem::defect()
        })?;
        Ok(Self::of(status, Content::Json(value)))
    }

    /// Answers with bytes that browsers save in place of showing them.
    pub(super) fn bytes(bytes: Vec<u8>) -> Self {
        let mut reply = Self::of(200, Content::Bytes(bytes));
        reply.headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
        reply
    }

    /// Answers with lines of CSV that browsers save in place of showing them.
    pub(super) fn csv(lines: impl Iterator<Item = String>) -> Self {
        let text = lines.fold(String::new(), |text, line| text + &line + "\n");
        let mut reply = Self::of(200, Content::Csv(text));
        reply.headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
        reply
    }

    /// Answers again with what was kept.
    pub(super) fn repeated(status: u16, body: &str) -> Result<Self, Problem> {
        let mut reply = Self::of(status, Content::Json(serde_json::from_str(body).map_err(|_| Problem::defect())?));
        reply.headers.insert(REPEATED, HeaderValue::from_static("true"));
        Ok(reply)
    }

    fn of(status: u16, content: Content) -> Self {
        Self { status, content, secrets: &[], headers: HeaderMap::new() }
    }

    /// Marks members that are shown once.
    pub(super) fn once(self, secrets: &'static [&'static str]) -> Self {
        Self { secrets, ..self }
    }

    /// Adds the tag of the state that is shown.
    pub(super) fn tagged(mut self, tag: &str) -> Self {
        if let Ok(tag) = HeaderValue::from_str(tag) {
            self.headers.insert(ETAG, tag);
        }
        self
    }

    /// Returns the text that is kept for the case that the request is repeated: without secrets.
    pub(super) fn kept(&self) -> Option<String> {
        let Content::Json(value) = &self.content else { return None };
        let mut value = value.clone();
        for secret in self.secrets {
            if let Some(member) = value.get_mut(*secret) {
                *member = Value::Null;
            }
        }
        Some(value.to_string())
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (kind, body) = match self.content {
            Content::Json(value) => ("application/json", Body::from(value.to_string())),
            Content::Csv(text) => ("text/csv; charset=utf-8", Body::from(text)),
            Content::Bytes(bytes) => ("application/octet-stream", Body::from(bytes)),
        };
        let mut response = (status, body).into_response();
        response.headers_mut().extend(self.headers);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_kept_of_an_answer_has_no_secret() {
        let reply = Reply::json(201, &json!({"name": "ci", "secret": "tc_x"})).unwrap().once(&["secret", "other"]);
        assert_eq!(reply.kept().unwrap(), r#"{"name":"ci","secret":null}"#);
        assert_eq!(Reply::bytes(vec![1]).kept().as_deref(), None);
    }
}

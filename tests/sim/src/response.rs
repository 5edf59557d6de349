//! Represents an answer as a value without a socket.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use crate::time::Time;

/// One answer, and its effect on the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header names (lower case) and values.
    pub headers: Vec<(&'static str, String)>,
    /// The body's bytes.
    pub body: Bytes,
    /// Whether the request changed the account.
    pub committed: bool,
    /// The ids of the created rows, in request order.
    pub created: Vec<u64>,
}

impl Response {
    /// Returns an answer with a JSON body.
    pub fn json(status: u16, body: &impl Serialize) -> Self {
        let bytes = serde_json::to_vec(body).unwrap_or_default();
        Self::typed(status, "application/json", bytes.into())
    }

    /// Returns an answer whose body is `{"message": ...}`.
    pub fn message(status: u16, text: &str) -> Self {
        Self::json(status, &serde_json::json!({ "message": text }))
    }

    /// Returns an HTML page, as proxies and login pages answer.
    pub fn html(status: u16, title: &str) -> Self {
        let page =
            format!("<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n");
        Self::typed(status, "text/html; charset=UTF-8", page.into())
    }

    /// Returns 204 without a body, after something was removed.
    pub fn no_content() -> Self {
        Self { status: 204, headers: Vec::new(), body: Bytes::new(), committed: true, created: Vec::new() }
    }

    /// Returns the same answer with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Returns the same answer, marked as one that created these rows.
    #[must_use]
    pub fn having_created(mut self, ids: Vec<u64>) -> Self {
        self.committed = true;
        self.created = ids;
        self
    }

    /// Returns the same answer, marked as one that changed the account.
    #[must_use]
    pub fn having_changed(self) -> Self {
        self.having_created(Vec::new())
    }

    /// Returns the same answer with its `Date` header.
    #[must_use]
    pub fn dated(self, now: Time) -> Self {
        self.with_header("date", now.of_header())
    }

    /// Returns the body read as JSON; null if it is not JSON.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Returns a header's value; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    fn typed(status: u16, content_type: &str, body: Bytes) -> Self {
        let headers = vec![("content-type", content_type.to_owned())];
        Self { status, headers, body, committed: false, created: Vec::new() }
    }
}

//! Represents a request as a value without a socket.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The verbs that Testmo's routes know; everything else is `Other` and refused with 405.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    Get,
    /// Creates.
    Post,
    /// Known to HTTP, used by no route.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
    /// HEAD, OPTIONS and the rest.
    Other,
}

/// The body of a request, already read.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// No bytes at all, or a content type that is not JSON: the server sees no input.
    Nothing,
    /// A JSON value.
    Json(Value),
    /// A body that was sent as JSON, but is not JSON.
    Broken,
}

/// One request to an account.
#[derive(Clone, Debug)]
pub struct Request {
    /// The verb.
    pub method: Method,
    /// The path after the account's prefix, with a leading slash: `/api/v1/projects/1/cases`.
    pub path: String,
    /// The query's pairs, decoded, in order.
    pub query: Vec<(String, String)>,
    /// The bearer token, if one was sent.
    pub token: Option<String>,
    /// How many bytes the body had.
    pub body_bytes: usize,
    /// The body.
    pub body: Body,
    /// The header `traceparent`, if one was sent.
    pub traceparent: Option<String>,
    target: String,
}

impl Request {
    /// Reads the parts of an HTTP request; `target` is the path with the query, after the account's prefix.
    pub fn read(method: Method, target: &str, token: Option<String>, content_type: Option<&str>, body: &[u8]) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let is_json = content_type.is_some_and(|t| t.to_ascii_lowercase().contains("json"));
        let body_value = match (body.is_empty(), is_json) {
            (true, _) | (false, false) => Body::Nothing,
            (false, true) => serde_json::from_slice(body).map_or(Body::Broken, Body::Json),
        };
        Self {
            method,
            path: path.to_owned(),
            query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            token,
            body_bytes: body.len(),
            body: body_value,
            traceparent: None,
            target: target.to_owned(),
        }
    }

    /// Adds the header `traceparent`.
    #[must_use]
    pub fn traced(self, traceparent: Option<&str>) -> Self {
        Self { traceparent: traceparent.map(str::to_owned), ..self }
    }

    /// Returns whether a string in the body contains this text, or a number in it is this text.
    pub fn body_has(&self, text: &str) -> bool {
        fn has(value: &Value, text: &str) -> bool {
            match value {
                Value::String(string) => string.contains(text),
                Value::Array(values) => values.iter().any(|value| has(value, text)),
                Value::Object(values) => values.iter().any(|(key, value)| key.contains(text) || has(value, text)),
                Value::Number(number) => number.to_string() == text,
                Value::Null | Value::Bool(_) => false,
            }
        }
        matches!(&self.body, Body::Json(value) if has(value, text))
    }

    /// Returns a request without a body, below `/api/v1`: `Request::get("/user")`.
    pub fn get(below: &str) -> Self {
        Self::read(Method::Get, &format!("/api/v1{below}"), None, None, b"")
    }

    /// Returns a request with a JSON body, below `/api/v1`.
    pub fn with_json(method: Method, below: &str, body: &Value) -> Self {
        let bytes = body.to_string();
        let target = format!("/api/v1{below}");
        Self::read(method, &target, None, Some("application/json"), bytes.as_bytes())
    }

    /// Returns the same request with a bearer token.
    #[must_use]
    pub fn bearing(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Returns the path with the query as it was sent, after the account's prefix.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Returns a query parameter; if it is given twice, the last one counts.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns the values of a comma separated parameter; none if the parameter is absent.
    pub fn list(&self, name: &str) -> Vec<&str> {
        let values = self.parameter(name).unwrap_or_default();
        values.split(',').map(str::trim).filter(|value| !value.is_empty()).collect()
    }

    /// Returns a member of the body, if the body is an object that has it.
    pub fn field(&self, name: &str) -> Option<&Value> {
        match &self.body {
            Body::Json(Value::Object(members)) => members.get(name),
            Body::Json(_) | Body::Nothing | Body::Broken => None,
        }
    }

    /// Returns the ids in the body.
    pub fn ids(&self) -> Vec<u64> {
        let Some(Value::Array(ids)) = self.field("ids") else { return Vec::new() };
        ids.iter().filter_map(Value::as_u64).collect()
    }

    /// Returns the columns that the body of a PATCH sets.
    pub fn columns(&self) -> Vec<String> {
        match &self.body {
            Body::Json(Value::Object(fields)) if self.method == Method::Patch => {
                fields.keys().filter(|column| *column != "ids").cloned().collect()
            }
            Body::Json(_) | Body::Nothing | Body::Broken => Vec::new(),
        }
    }

    /// Returns the names of the cases in the body, in order; an entry without a name counts as an empty one.
    pub fn case_names(&self) -> Vec<String> {
        let entries: Vec<&Value> = match self.field("cases") {
            Some(Value::Array(entries)) => entries.iter().collect(),
            Some(Value::Object(entries)) => entries.values().collect(),
            _ => Vec::new(),
        };
        let name = |entry: &Value| entry["name"].as_str().unwrap_or_default().to_owned();
        entries.into_iter().map(name).collect()
    }
}

impl Method {
    /// Returns the verb as written in a request line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Other => "OTHER",
        }
    }
}

impl From<&str> for Method {
    fn from(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            _ => Self::Other,
        }
    }
}

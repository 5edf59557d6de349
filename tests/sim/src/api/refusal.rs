//! Refuses a request with the status and body of Testmo.

use serde_json::{Map, Value, json};

use crate::response::Response;

/// The faults found in one request, by key, in the order in which they were found.
#[derive(Debug, Default)]
pub(crate) struct Refusal {
    faults: Vec<(String, String)>,
}

impl Refusal {
    /// Records a fault under its key, as in `cases.0.tags`.
    pub(crate) fn add(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.faults.push((key.into(), message.into()));
    }

    /// Returns 422 as the error if any fault was recorded.
    pub(crate) fn check(self) -> Result<(), Response> {
        if self.faults.is_empty() { Ok(()) } else { Err(self.into_response(422)) }
    }

    /// Returns the body that Laravel makes of faults: the first message, and all of them by key.
    pub(crate) fn into_response(self, status: u16) -> Response {
        let mut errors = Map::new();
        for (key, message) in &self.faults {
            let messages = errors.entry(key).or_insert_with(|| json!([]));
            if let Value::Array(messages) = messages {
                messages.push(json!(message));
            }
        }
        let first = self.faults.first().map_or("", |(_, message)| message);
        let message = match self.faults.len() {
            0 | 1 => first.to_owned(),
            2 => format!("{first} (and 1 more error)"),
            n => format!("{first} (and {} more errors)", n - 1),
        };
        Response::json(status, &json!({ "message": message, "errors": errors }))
    }
}

/// Returns 422 with a single fault.
pub(crate) fn refused(key: &str, message: &str) -> Response {
    let mut refusal = Refusal::default();
    refusal.add(key, message);
    refusal.into_response(422)
}

/// Returns 401; this body has no `errors` (recorded).
pub(crate) fn unauthenticated() -> Response {
    Response::message(401, "Unauthenticated.")
}

/// Returns 403; the body is Laravel's, because Testmo's was never recorded.
pub(crate) fn forbidden() -> Response {
    Response::message(403, "This action is unauthorized.")
}

/// Returns 404 of a route that does not exist (recorded).
pub(crate) fn no_such_route(path: &str) -> Response {
    let route = path.trim_start_matches('/');
    Response::message(404, &format!("The route {route} could not be found."))
}

/// Returns 404 of a project that does not exist or is not open to the user; the wording is assumed.
pub(crate) fn no_such_project() -> Response {
    Response::message(404, "The project does not exist or was deleted.")
}

/// Returns 413; the body is Laravel's, because Testmo's was never recorded.
pub(crate) fn too_large() -> Response {
    Response::message(413, "The POST data is too large.")
}

/// Returns 400 of a body that was sent as JSON and is not JSON; assumed.
pub(crate) fn broken_json() -> Response {
    Response::message(400, "The request body is not valid JSON.")
}
